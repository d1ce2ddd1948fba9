//! What no source tells about PSIP. Each of these may turn out otherwise when Nets' guide is at hand; nothing else in
//! the connector has to change then.

/// How the bitmap travels: 16 upper-case hexadecimal digits, as the open-source client's library writes it. The real
/// host may want 8 bytes.
pub(super) const BITMAP_IN_HEX: bool = true;
/// Field 22 for a payment by its cardholder on our page, and for a charge that the merchant makes. Whether "secure" asks
/// for 3-D Secure or for TLS is not said; the client of that time sent it for plain card payments.
pub(super) const POINT_OF_CARDHOLDER: &str = "K00500K00130";
pub(super) const POINT_OF_RECURRING: &str = "K00540K00130";
/// Field 47 where there is no security code to send: the field is mandatory, also in captures, where no code may be
/// kept for. The tag of the code without a value.
pub(super) const WITHOUT_SECURITY_CODE: &str = "V500";
/// An accepted reversal; a shop's help page has it, the open-source client does not.
pub(super) const REVERSAL_ACCEPTED: &str = "400";
/// The guide's rule for messages without an answer, as the client quotes it: 5 attempts, at least 60 s apart.
pub(super) const REPEAT_EVERY_MS: u64 = 60_000;
pub(super) const REPEAT_AT_MOST: u32 = 5;
