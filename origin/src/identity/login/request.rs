//! What a client sends in a login, parsed: an identity, a challenge, two hashes. Nothing here looks anything up.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use scanvault_protocol::account::{AccountName, MAX_NAME_BYTES};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::hex;
use crate::vault::login::CIPHERTEXT_BYTES;

/// Who wants to log in: the canonical name where the text is a name, else the text. Whether it is one is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) text: String,
    pub(super) name: Option<AccountName>,
}

/// The query of a challenge.
pub(super) struct ChallengeQuery {
    pub(super) identity: Identity,
    pub(super) challenge: Box<[u8; CIPHERTEXT_BYTES]>,
}

/// The body of a login. Fields that it does not know are left alone: clients of the reference may send more.
#[derive(Deserialize)]
pub(super) struct LoginBody {
    pub(super) identity: String,
    pub(super) password: Zeroizing<String>,
    #[serde(rename = "base64EncodedChallengeHash")]
    pub(super) challenge_hash: String,
    #[serde(rename = "base64EncodedChallengeResponse")]
    pub(super) challenge_response: String,
}

/// What of it no client can have meant. The texts repeat nothing of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// Or it has control characters, or is no UTF-8.
    #[error("identity is 1 to 64 printable characters")]
    Identity,
    /// Nothing else is a ciphertext of the gateway's key.
    #[error("clientChallenge is the base64 of 512 bytes: 64 random bytes, encrypted to the gateway's public key")]
    Challenge,
    /// Names once each.
    #[error("identity and clientChallenge are given once each")]
    Query,
    /// The hash that is sent back.
    #[error("base64EncodedChallengeHash is the base64 of a SHA-256 hash")]
    Hash,
    /// The hash that proves.
    #[error("base64EncodedChallengeResponse is the base64 of a SHA-256 hash")]
    Response,
}

impl Identity {
    /// Takes a text that could be an identity.
    ///
    /// # Errors
    /// [`Refused::Identity`]: a text that no account is called by and no database stores.
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
            return Err(Refused::Identity);
        }
        let name: Option<AccountName> = text.parse().ok();
        Ok(Self { text: name.as_ref().map_or_else(|| text.to_owned(), ToString::to_string), name })
    }
}

impl ChallengeQuery {
    /// Reads the query.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(super) fn parse(query: &str) -> Result<Self, Refused> {
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
            match (values.next(), values.next()) {
                (first, None) => Ok(first.unwrap_or_default()),
                _ => Err(Refused::Query),
            }
        };
        let identity = percent_decoded(value("identity")?).and_then(|bytes| String::from_utf8(bytes).ok());
        let identity = Identity::parse(&identity.ok_or(Refused::Identity)?)?;
        let challenge = percent_decoded(value("clientChallenge")?).ok_or(Refused::Challenge)?;
        let challenge = String::from_utf8(challenge).map_err(|_| Refused::Challenge)?;
        // A `+` that was not percent-encoded arrives as a space where somebody has decoded forms; no base64 has spaces.
        let bytes = base64_of_any_kind(&challenge.replace(' ', "+")).ok_or(Refused::Challenge)?;
        let challenge = Box::<[u8; CIPHERTEXT_BYTES]>::try_from(bytes).map_err(|_| Refused::Challenge)?;
        Ok(Self { identity, challenge })
    }
}

/// A SHA-256 hash in any of the forms that clients of the reference send: its text does not say whether hexadecimal or
/// base64 comes first. The forms differ in length, so each text has one reading.
pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    match text.trim_end_matches('=').len() {
        43 => base64_of_any_kind(text)?.try_into().ok(),
        64 => hex::decode(text),
        86 => hex::decode(core::str::from_utf8(&base64_of_any_kind(text)?).ok()?),
        _ => None,
    }
}

/// Both alphabets, padded or not.
fn base64_of_any_kind(text: &str) -> Option<Vec<u8>> {
    let bare = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_padded_right = bare.len() == text.len() || text.len().is_multiple_of(4);
    if !is_padded_right {
        return None;
    }
    if bare.contains(['-', '_']) { URL_SAFE_NO_PAD.decode(bare).ok() } else { STANDARD_NO_PAD.decode(bare).ok() }
}

/// RFC 3986 §2.1. `+` stays what it is.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            let [decoded] = hex::decode::<1>(core::str::from_utf8(&pair).ok()?)?;
            bytes.push(decoded);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn query(identity: &str, challenge: &str) -> Result<(String, Vec<u8>), Refused> {
        ChallengeQuery::parse(&format!("identity={identity}&clientChallenge={challenge}"))
            .map(|query| (query.identity.text, query.challenge.to_vec()))
    }

    #[test]
    fn identities_are_canonical_where_they_are_names() {
        for (text, expected) in [
            ("merchant-25", "merchant-25"),
            ("MERCHANT_25", "merchant-25"),
            ("25", "merchant-25"),
            ("psp%5f42", "psp-42"),
            ("Corner%20Shop", "Corner Shop"),
            ("merchant-025", "merchant-025"),
        ] {
            assert_eq!(query(text, &"A".repeat(683)).unwrap(), (expected.to_owned(), vec![0; 512]), "{text}");
        }
        for text in ["", "%00", "a%0a", "%ff", "%4", "%", "%+1", &"a".repeat(65)] {
            assert_eq!(query(text, &"A".repeat(683)), Err(Refused::Identity), "{text}");
        }
    }

    #[test]
    fn only_what_could_be_a_ciphertext_is_a_challenge() {
        for bytes in [0, 1, 64, 256, 511, 513, 1024] {
            assert_eq!(query("a", &STANDARD_NO_PAD.encode(vec![7; bytes])), Err(Refused::Challenge), "{bytes}");
        }
        let good = STANDARD.encode([0xfb; 512]);
        for bad in [format!("{good}="), format!("{good}A"), good.replace("+/", "+_"), format!("%0a{good}"), "%".into()]
        {
            assert_eq!(query("a", &bad), Err(Refused::Challenge), "{bad}");
        }
        let twice = ChallengeQuery::parse(&format!("identity=a&clientChallenge={good}&identity=b"));
        assert!(matches!(twice, Err(Refused::Query)));
        assert!(matches!(ChallengeQuery::parse(""), Err(Refused::Identity)));
        assert!(matches!(ChallengeQuery::parse("identity=a"), Err(Refused::Challenge)));
    }

    #[test]
    fn hashes_have_three_forms_and_no_other() {
        let digest = [0xfb; 32];
        let hex = hex::encode(&digest);
        for text in [
            STANDARD.encode(digest),
            STANDARD_NO_PAD.encode(digest),
            URL_SAFE.encode(digest),
            URL_SAFE_NO_PAD.encode(digest),
            hex.clone(),
            hex.to_uppercase(),
            STANDARD.encode(&hex),
            STANDARD_NO_PAD.encode(&hex),
            STANDARD.encode(hex.to_uppercase()),
        ] {
            assert_eq!(hash(&text), Some(digest), "{text}");
        }
        let good = STANDARD.encode(digest);
        for bad in [
            "",
            "=",
            &good[1..],
            &format!("{good}="),
            &format!(" {good}"),
            &hex[1..],
            &format!("{hex}="),
            &"g".repeat(64),
        ] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_challenge_is_read(bytes in prop::collection::vec(any::<u8>(), 512)) {
            let standard = STANDARD.encode(&bytes);
            let encoded = standard.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
            let everything: String = standard.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for text in [&standard, &standard.replace('+', "%20"), &encoded, &everything, &URL_SAFE.encode(&bytes),
                &URL_SAFE_NO_PAD.encode(&bytes), &STANDARD_NO_PAD.encode(&bytes)] {
                prop_assert_eq!(&query("a", text).unwrap().1, &bytes);
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,100}", ascii in "[!-~]{0,800}") {
            let _ = ChallengeQuery::parse(&text);
            let _ = ChallengeQuery::parse(&format!("identity={ascii}&clientChallenge={ascii}"));
            let _ = hash(&text);
            let _ = hash(&ascii);
        }
    }
}
