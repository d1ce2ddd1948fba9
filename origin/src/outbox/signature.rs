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
    use serde_json::Value;

    #[test]
    fn meets_the_vectors_of_the_second_implementation() {
        let file: Value = serde_json::from_str(include_str!("../../vectors/notifications.json")).unwrap();
        for vector in file["signature"].as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            let t = vector["t"].as_u64().unwrap();
            let header = super::sign(text("secret").as_bytes(), t, text("delivery"), text("sent"));
            assert_eq!(header, format!("t={t},v1={}", text("v1")));
        }
    }
}
