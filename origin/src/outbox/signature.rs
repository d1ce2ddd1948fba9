//! The webhook signature, final:
//!
//! ```text
//! Scanvault-Signature: t=<unix seconds>,v1=<lower-case hex HMAC-SHA256(secret, "<t>.<delivery id>.<body>")>
//! Scanvault-Delivery: <delivery id>
//! ```
//!
//! The secret's text is the key, byte for byte. `t` is the time of the attempt, so that a receiver can refuse what is
//! old; the delivery id stays the same over all attempts, so that it can refuse what it has.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The name of the header that carries the signature.
pub const SIGNATURE_HEADER: &str = "scanvault-signature";
/// The name of the header that carries the delivery's id.
pub const DELIVERY_HEADER: &str = "scanvault-delivery";

/// The value of `Scanvault-Signature`.
#[must_use]
pub fn sign(secret: &[u8], at_secs: u64, delivery: &str, body: &str) -> String {
    // HMAC takes keys of every length (RFC 2104 §2), so this cannot fail.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{at_secs}.{delivery}.").as_bytes());
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at_secs},v1={hex}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn meets_the_vector_of_the_second_implementation() {
        // printf '1790000000.dlv_1.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        assert_eq!(
            super::sign(b"whsec_test", 1_790_000_000, "dlv_1", "{\"a\":1}"),
            "t=1790000000,v1=ed059926ed789c9e98a07abc4c9b1431d154f74e2020a1198562838010da8453"
        );
    }
}
