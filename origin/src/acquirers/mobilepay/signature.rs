//! The signature of card callbacks and webhooks: HMAC-SHA256 over the method, the path, the date, the host and the digest
//! of the raw body.
//!
//! ```text
//! hash   = base64(sha256(body))                                     x-ms-content-sha256
//! string = "POST\n" + path and query + "\n" + x-ms-date + ";" + host + ";" + hash
//! Authorization: HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=base64(hmac(key, string))
//! ```
//!
//! The key is the secret's text, byte for byte: the client secret for card callbacks, the registration's for webhooks.
//! Nothing marks a call as used: one that is sent again within the tolerance verifies again, so what it asks for must be
//! harmless the second time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::guesses::MAX_DATE_SKEW_SECS;
use crate::calendar::Utc;

/// A call as it came, before anything of it is believed.
#[derive(Clone, Copy, Debug)]
pub struct SignedCall<'a> {
    /// As the provider called it: path and query.
    pub path_and_query: &'a str,
    /// The host that the provider called, with its port unless that is 443.
    pub host: &'a str,
    /// `x-ms-date`.
    pub date: &'a str,
    /// `x-ms-content-sha256`.
    pub digest: &'a str,
    /// `Authorization`.
    pub authorization: &'a str,
    /// The raw body.
    pub body: &'a [u8],
}

/// Why a call is not the provider's. For the log only: the caller learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is missing or has another form.
    #[error("the signature's headers are not of the provider's form")]
    Form,
    /// Signed long ago, or in the future.
    #[error("the call's date is too far from ours")]
    Stale,
    /// Made with another key, or for something else.
    #[error("the signature is wrong")]
    Wrong,
}

const SCHEME: &str = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=";

impl SignedCall<'_> {
    /// Checks the signature in constant time, and then the date.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, secret: &[u8], now_secs: u64) -> Result<(), SignatureError> {
        let stated = self.authorization.strip_prefix(SCHEME).ok_or(SignatureError::Form)?;
        let stated = STANDARD.decode(stated).map_err(|_| SignatureError::Form)?;
        let date_secs = Utc::secs_of_http_date(self.date).ok_or(SignatureError::Form)?;
        let digest = STANDARD.encode(Sha256::digest(self.body));
        let own = mac(secret, self, &digest).ok_or(SignatureError::Wrong)?;
        let is_right = own.as_slice().ct_eq(&stated) & digest.as_bytes().ct_eq(self.digest.as_bytes());
        if !bool::from(is_right) {
            return Err(SignatureError::Wrong);
        }
        if date_secs.abs_diff(now_secs) > MAX_DATE_SKEW_SECS {
            return Err(SignatureError::Stale);
        }
        Ok(())
    }
}

/// HMAC takes keys of every length (RFC 2104 §2), so there always is one.
fn mac(secret: &[u8], call: &SignedCall<'_>, digest: &str) -> Option<Vec<u8>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).ok()?;
    let SignedCall { path_and_query, host, date, .. } = call;
    mac.update(format!("POST\n{path_and_query}\n{date};{host};{digest}").as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vector() -> Value {
        serde_json::from_str(include_str!("../../../vectors/mobilepay-signature.json")).unwrap()
    }

    fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
        vector[name].as_str().unwrap()
    }

    fn call(vector: &Value) -> SignedCall<'_> {
        SignedCall {
            path_and_query: text(vector, "path"),
            host: text(vector, "host"),
            date: text(vector, "date"),
            digest: text(vector, "digest"),
            authorization: text(vector, "authorization"),
            body: text(vector, "body").as_bytes(),
        }
    }

    #[test]
    fn the_published_vector() {
        let vector = vector();
        let (secret, now) = (text(&vector, "secret").as_bytes(), vector["unix"].as_u64().unwrap());
        assert_eq!(call(&vector).verify(secret, now), Ok(()));
        assert_eq!(
            STANDARD.encode(mac(secret, &call(&vector), text(&vector, "digest")).unwrap()),
            text(&vector, "signature")
        );
    }

    #[test]
    fn every_part_is_covered() {
        let vector = vector();
        let (secret, now) = (text(&vector, "secret").as_bytes(), vector["unix"].as_u64().unwrap());
        let right = call(&vector);
        let wrong = [
            SignedCall { path_and_query: "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a64", ..right },
            SignedCall { path_and_query: "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63?a=b", ..right },
            SignedCall { host: "webhook.example", ..right },
            SignedCall { date: "Thu, 30 Mar 2023 08:38:33 GMT", ..right },
            SignedCall {
                body: br#"{"some-unique-content":"ee6e441b-cc4a-46f8-895d-a5af79bcc233/hello-worle"}"#,
                ..right
            },
            SignedCall { digest: "lNlsp1XA03N34HrQsVzPgJKtC+r7l/RBF4V3JQUWMj5=", ..right },
            SignedCall { digest: "", ..right },
        ];
        for call in wrong {
            assert_eq!(call.verify(secret, now), Err(SignatureError::Wrong), "{call:?}");
        }
        assert_eq!(right.verify(b"another", now), Err(SignatureError::Wrong));
        assert_eq!(right.verify(b"", now), Err(SignatureError::Wrong));
        // The key is the text, not what it decodes to.
        let decoded = STANDARD.decode(secret).unwrap();
        assert_eq!(right.verify(&decoded, now), Err(SignatureError::Wrong));
    }

    #[test]
    fn other_forms_are_none() {
        let vector = vector();
        let (secret, now) = (text(&vector, "secret").as_bytes(), vector["unix"].as_u64().unwrap());
        let right = call(&vector);
        let bare = text(&vector, "signature");
        let reordered = format!("HMAC-SHA256 SignedHeaders=host;x-ms-date;x-ms-content-sha256&Signature={bare}");
        for authorization in ["", bare, "Basic YTpi", &reordered, &format!("{}!", right.authorization)] {
            assert_eq!(SignedCall { authorization, ..right }.verify(secret, now), Err(SignatureError::Form));
        }
        let empty = SignedCall { authorization: SCHEME, ..right };
        assert_eq!(empty.verify(secret, now), Err(SignatureError::Wrong));
        assert_eq!(SignedCall { date: "now", ..right }.verify(secret, now), Err(SignatureError::Form));
    }

    #[test]
    fn five_minutes_either_way() {
        let vector = vector();
        let (secret, now) = (text(&vector, "secret").as_bytes(), vector["unix"].as_u64().unwrap());
        for (at, expected) in [
            (now - 300, Ok(())),
            (now + 300, Ok(())),
            (now - 301, Err(SignatureError::Stale)),
            (now + 301, Err(SignatureError::Stale)),
        ] {
            assert_eq!(call(&vector).verify(secret, at), expected);
        }
    }
}
