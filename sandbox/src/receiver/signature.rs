//! `Scanvault-Signature: t=<unix s>,v1=<hex HMAC-SHA256(secret text, "<t>.<delivery id>.<raw body>")>`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::common::secret::SecretText;

/// How far the sender's clock and ours may be apart, the network's time included.
const FRESH_SECONDS: u64 = 300;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) verified: bool,
    /// The time that the sender claims; for the log even when nothing else holds.
    pub(super) t: Option<i64>,
}

pub(super) fn check(secret: &SecretText, header: &str, delivery: &str, body: &[u8], now: i64) -> Checked {
    let Some((t, signatures)) = parse(header) else {
        return Checked { verified: false, t: None };
    };
    let fresh = t.abs_diff(now) <= FRESH_SECONDS;
    let authentic = !delivery.is_empty() && signatures.iter().any(|hex| authentic(secret, t, delivery, body, hex));
    Checked { verified: fresh && authentic, t: Some(t) }
}

/// One `t`, one or more `v1` (several while a secret is being replaced); other parts are for later
/// versions of the scheme and are skipped.
fn parse(header: &str) -> Option<(i64, Vec<&str>)> {
    let (mut time, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", text) if time.is_none() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                time = Some(text.parse().ok()?)
            }
            ("t", _) => return None,
            ("v1", hex) => signatures.push(hex),
            _ => {}
        }
    }
    Some((time?, signatures))
}

fn authentic(secret: &SecretText, t: i64, delivery: &str, body: &[u8], hex: &str) -> bool {
    // HMAC takes keys of any length (RFC 2104 §2); an error here would be a refusal.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return false;
    };
    mac.update(format!("{t}.{delivery}.").as_bytes());
    mac.update(body);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digits = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let tag: Option<Vec<u8>> = pairs.iter().map(digits).collect();
    // `verify_slice` compares in constant time and refuses other lengths.
    rest.is_empty() && tag.is_some_and(|tag| mac.verify_slice(&tag).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Computed with Python's hmac module: secret "whsec_test", body {"a":1}, delivery "d1", t 1800000000.
    const TAG: &str = "3e0b8ee1fdc871af0ebe6bda3cbaee4f1c940263a244eae984acaf9aeaf40fe8";
    const T: i64 = 1_800_000_000;

    fn outcome(header: &str, now: i64) -> bool {
        check(&SecretText::new("whsec_test"), header, "d1", br#"{"a":1}"#, now).verified
    }

    #[test]
    fn the_contract_s_signature() {
        let header = format!("t={T},v1={TAG}");
        assert!(outcome(&header, T));
        assert!(outcome(&format!("t={T}, v0=x, v1={}, v1={TAG}", "00".repeat(32)), T), "any v1 will do");
        let secret = SecretText::new("whsec_test");
        assert!(!check(&secret, &header, "d2", br#"{"a":1}"#, T).verified);
        assert!(!check(&secret, &header, "", br#"{"a":1}"#, T).verified);
        assert!(!check(&secret, &header, "d1", br#"{"a":2}"#, T).verified);
        assert!(!check(&SecretText::new("whsec_tesu"), &header, "d1", br#"{"a":1}"#, T).verified);
    }

    #[test]
    fn freshness_has_two_ends() {
        let header = format!("t={T},v1={TAG}");
        for (now, fresh) in [(T + 300, true), (T + 301, false), (T - 300, true), (T - 301, false)] {
            assert_eq!(outcome(&header, now), fresh, "{now}");
        }
    }

    #[test]
    fn malformed_headers() {
        for header in [
            String::new(),
            format!("t={T}"),
            format!("v1={TAG}"),
            format!("t={T},v1="),
            format!("t={T},v1={}", &TAG[..62]),
            format!("t={T},v1={TAG}0"),
            format!("t=+{T},v1={TAG}"),
            format!("t={T},t={T},v1={TAG}"),
            format!("t={T},v1={TAG},x"),
            format!("t=99999999999999999999,v1={TAG}"),
            format!("t={T},v1={}", "+0".repeat(32)),
            format!("t={T},v1={}", "é".repeat(32)),
        ] {
            assert!(!outcome(&header, T), "{header}");
        }
    }
}
