//! Who may talk to the gateway: HTTP Basic with the API key as user name, and the partner's
//! RSA signature over the raw body.

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::{
    RsaPublicKey,
    pkcs1v15::{Signature, VerifyingKey},
    sha2::Sha256,
    signature::Verifier,
};
use zeroize::Zeroizing;

use super::status::{Code, Refusal, refuse};
use crate::common::secret::SecretText;

/// The merchant's API key, and the partner's signing key by its id.
pub struct Access {
    /// `key:`, as it stands decoded in the header: the password is always empty.
    credential: SecretText,
    signing_key_id: String,
    signing_key: VerifyingKey<Sha256>,
}

impl Access {
    pub fn new(api_key: &SecretText, signing_key_id: String, signing_key: RsaPublicKey) -> Self {
        let credential = SecretText::new(format!("{}:", api_key.expose()));
        Self { credential, signing_key_id, signing_key: VerifyingKey::new(signing_key) }
    }

    /// RFC 7617. Whether the request may be answered with anything but 401.
    pub(super) fn authenticated(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given.and_then(|text| text.split_once(' ')).is_some_and(|(scheme, credential)| {
            let decoded = Zeroizing::new(STANDARD.decode(credential).unwrap_or_default());
            scheme.eq_ignore_ascii_case("basic") && self.credential.matches(&decoded)
        })
    }

    /// `Signature: <key id> RS256-hex <lower-case hex>`. A POST must carry one; where one is given
    /// it must be right.
    pub(super) fn check_signature(&self, headers: &HeaderMap, required: bool, body: &[u8]) -> Result<(), Refusal> {
        let mut given = headers.get_all("signature").iter();
        let (Some(first), None) = (given.next(), given.next()) else {
            return match required || headers.contains_key("signature") {
                true => refuse(Code::INPUT, "exactly one signature is required"),
                false => Ok(()),
            };
        };
        let text = first.to_str().unwrap_or_default();
        let [key_id, "RS256-hex", hex] = text.split(' ').collect::<Vec<_>>()[..] else {
            return refuse(Code::INPUT, "malformed signature");
        };
        if key_id != self.signing_key_id {
            return refuse(Code::INPUT, "invalid signing api-key");
        }
        let signature = decode_hex(hex).and_then(|bytes| Signature::try_from(bytes.as_slice()).ok());
        match signature.is_some_and(|signature| self.signing_key.verify(body, &signature).is_ok()) {
            true => Ok(()),
            false => refuse(Code::INPUT, "invalid signature"),
        }
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use rsa::{RsaPrivateKey, pkcs1::DecodeRsaPrivateKey};
    use serde::Deserialize;

    use super::*;

    /// The example of Clearhaus' public documentation; see the file's `source`.
    #[derive(Deserialize)]
    struct Vector {
        signing_key_id: String,
        body: String,
        signature: String,
        private_key_pkcs1: String,
    }

    fn vector() -> (Vector, Access) {
        let vector: Vector = serde_json::from_str(include_str!("../../vectors/clearhaus-signature.json")).unwrap();
        let key = RsaPrivateKey::from_pkcs1_der(&STANDARD.decode(&vector.private_key_pkcs1).unwrap()).unwrap();
        let access = Access::new(&SecretText::new("key"), vector.signing_key_id.clone(), key.to_public_key());
        (vector, access)
    }

    fn outcome(access: &Access, signature: &str, body: &[u8]) -> Result<(), String> {
        let headers = HeaderMap::from_iter([("signature".parse().unwrap(), signature.parse().unwrap())]);
        access.check_signature(&headers, true, body).map_err(|refusal| {
            assert_eq!(refusal.code, Code::INPUT);
            refusal.message
        })
    }

    #[test]
    fn the_published_signature_verifies() {
        let (vector, access) = vector();
        assert_eq!(outcome(&access, &vector.signature, vector.body.as_bytes()), Ok(()));
    }

    #[test]
    fn any_change_is_noticed() {
        let (vector, access) = vector();
        let [id, algorithm, hex] = vector.signature.split(' ').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let other_body = vector.body.replace("2050", "2051");
        assert_eq!(outcome(&access, &vector.signature, other_body.as_bytes()).unwrap_err(), "invalid signature");
        let encoded = vector.body.replace('[', "%5B");
        assert_eq!(
            outcome(&access, &vector.signature, encoded.as_bytes()).unwrap_err(),
            "invalid signature",
            "raw bytes count"
        );
        for (signature, message) in [
            (format!("{} {algorithm} {hex}", id.replace('4', "5")), "invalid signing api-key"),
            (format!("{id} RS512-hex {hex}"), "malformed signature"),
            (format!("{id} {hex}"), "malformed signature"),
            (format!("{id} {algorithm} {hex} x"), "malformed signature"),
            (format!("{id} {algorithm} {}", hex.to_uppercase()), "invalid signature"),
            (format!("{id} {algorithm} {}", &hex[1..]), "invalid signature"),
            (format!("{id} {algorithm} {}", &hex[2..]), "invalid signature"),
            (format!("{id} {algorithm} "), "invalid signature"),
        ] {
            assert_eq!(outcome(&access, &signature, vector.body.as_bytes()).unwrap_err(), message, "{signature}");
        }
    }

    #[test]
    fn when_a_signature_is_needed() {
        let (vector, access) = vector();
        let mut headers = HeaderMap::new();
        assert!(access.check_signature(&headers, false, b"").is_ok());
        assert!(access.check_signature(&headers, true, b"").is_err());
        headers.append("signature", vector.signature.parse().unwrap());
        assert!(access.check_signature(&headers, false, b"").is_err(), "given, so it must be right");
        headers.append("signature", vector.signature.parse().unwrap());
        assert!(access.check_signature(&headers, false, vector.body.as_bytes()).is_err(), "two are one too many");
    }

    #[test]
    fn basic() {
        let (_, access) = vector();
        let with = |text: &str| HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())]);
        let basic = |credential: &str| format!("Basic {}", STANDARD.encode(credential));
        assert!(access.authenticated(&with(&basic("key:"))));
        assert!(access.authenticated(&with(&basic("key:").replace("Basic", "basic"))));
        assert!(!access.authenticated(&HeaderMap::new()));
        for text in [
            basic("key:x"),
            basic("key"),
            basic("kez:"),
            basic(":"),
            "Basic".to_owned(),
            "Basic !".to_owned(),
            basic("key:").replace("Basic", "Bearer"),
        ] {
            assert!(!access.authenticated(&with(&text)), "{text}");
        }
    }
}
