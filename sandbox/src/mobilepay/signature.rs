//! The signature of callbacks and webhooks: HMAC-SHA256 over method, path, date, host and the body's digest.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::common::{clock::http_date, out::Target, secret::SecretText};

pub(super) struct Signed {
    date: String,
    host: String,
    digest: String,
    authorization: String,
}

impl Signed {
    /// The key is the secret's text itself, not what it would decode to.
    pub(super) fn new(secret: &SecretText, target: &Target, body: &str, now: i64) -> Self {
        let (date, host) = (http_date(now), target.host.clone());
        let digest = STANDARD.encode(Sha256::digest(body));
        let text = format!("POST\n{}\n{date};{host};{digest}", target.path_and_query);
        // HMAC takes a key of any length; an empty signature would be refused by everybody.
        let signature = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .map(|mac| STANDARD.encode(mac.chain_update(text).finalize().into_bytes()))
            .unwrap_or_default();
        let authorization =
            format!("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}");
        Self { date, host, digest, authorization }
    }

    pub(super) fn headers(&self) -> [(&str, &str); 4] {
        [
            ("x-ms-date", &self.date),
            ("host", &self.host),
            ("x-ms-content-sha256", &self.digest),
            ("authorization", &self.authorization),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published example (vippsas/webhooks-api).
    const SECRET: &str = "A0+AeKBRG2KRGvnNwJpQlb6IJFk48CKXCIcrLoHncVJKDILsQSxS6NWCccwWm6r6FhGKhiHTBsG2wo/xU6FY/A==";
    const URL: &str = "https://webhook.site/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63";
    const BODY: &str = r#"{"some-unique-content":"ee6e441b-cc4a-46f8-895d-a5af79bcc233/hello-world"}"#;
    const NOW: i64 = 1_680_165_512;

    #[test]
    fn the_published_vector() {
        let signed = Signed::new(&SecretText::new(SECRET), &Target::parse(URL).unwrap(), BODY, NOW);
        let expected = [
            ("x-ms-date", "Thu, 30 Mar 2023 08:38:32 GMT"),
            ("host", "webhook.site"),
            ("x-ms-content-sha256", "lNlsp1XA03N34HrQsVzPgJKtC+r7l/RBF4V3JQUWMj4="),
            (
                "authorization",
                "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&\
                 Signature=agAiSyogQbDHpeucoNwYz+yAr5nJ+v+zasdkSbqzv+U=",
            ),
        ];
        assert_eq!(signed.headers(), expected);
    }

    /// RFC 2104 written out, for the same vector and for another.
    #[test]
    fn a_second_implementation_agrees() {
        let second = |key: &str, text: &str| {
            let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.as_bytes().to_vec() };
            let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).unwrap_or(&0) ^ with).collect() };
            let inner = Sha256::digest([pad(0x36), text.as_bytes().to_vec()].concat());
            STANDARD.encode(Sha256::digest([pad(0x5c), inner.to_vec()].concat()))
        };
        for (secret, url) in [(SECRET, URL), ("s", "http://127.0.0.1:80/a?b=c")] {
            let target = Target::parse(url).unwrap();
            let signed = Signed::new(&SecretText::new(secret), &target, BODY, NOW);
            let digest = STANDARD.encode(Sha256::digest(BODY));
            let date = "Thu, 30 Mar 2023 08:38:32 GMT";
            let text = format!("POST\n{}\n{date};{};{digest}", target.path_and_query, target.host);
            assert!(signed.authorization.ends_with(&format!("&Signature={}", second(secret, &text))), "{url}");
        }
    }
}
