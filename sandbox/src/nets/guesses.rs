//! What no source tells about PSIP. Each of these may turn out otherwise; a connector must not lean on them.

/// How the bitmap travels: 16 upper-case hexadecimal digits, as the Java client's library writes it. The real host may
/// want 8 bytes.
pub const BITMAP_IN_HEX: bool = true;
/// The same authorisation again (card, amount, time, order, terminal, merchant): "duplicate".
pub const REPEATED_AUTHORIZATION: &str = "913";
/// The same advice again, byte for byte: the first answer again, and nothing is booked twice.
pub const REPEATED_ADVICE_GETS_ITS_ANSWER: bool = true;
/// An accepted reversal; a shop's help page has it, the Java client does not.
pub const REVERSAL_ACCEPTED: &str = "400";
/// Function codes 201 (all of it) and 202 (less) must fit the amount.
pub const CHECKS_FUNCTION_CODE: bool = true;
/// Authorisations of these amounts are answered with the amount's last three digits: 9116 gives 116. A merchant's test
/// needs every code, and no source names a way.
pub const MAGIC_AMOUNTS: std::ops::RangeInclusive<u64> = 9_001..=9_999;
/// Wrong CVD (tag V5), missing CVD, expired card.
pub const WRONG_CVD: &str = "102";
pub const MISSING_CVD: &str = "021";
pub const EXPIRED: &str = "101";
/// Test cards: the Java client's two and two more. Any expiry that is not over will do (theirs was 12/12); the CVD is one.
pub const CARDS: [&str; 4] = ["4571123412341234", "4571123412341235", "5019123412341236", POOR_CARD];
pub const CARD_CVD: &str = "123";
/// What each card has in minor units of any currency; one card has next to nothing.
pub const BALANCE: u64 = 100_000_000;
pub const POOR_CARD: &str = "4571000000000001";
pub const POOR_BALANCE: u64 = 100;
