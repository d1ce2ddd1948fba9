//! Session tokens: JWTs (RFC 7519) signed with EdDSA over Ed25519 (RFC 8037), 30 minutes long.
//!
//! ```text
//! {"alg":"EdDSA","typ":"JWT","kid":"1"}
//! {"iss":"https://pay.example","aud":"scanvault","sub":"merchant-25","jti":"c056b2d8-…","iat":1790000000,
//!  "exp":1790001800,"cv":3,"roles":["EXTERNAL"]}
//! ```
//!
//! The reading here is strict: this header and these claims, nothing else, each once. It is the edge's; the origin reads
//! with a library, and one table of forged tokens is held against both.
//!
//! Not decided here: the signature (the caller has the key and the means), and whether the session still lives (only the
//! origin knows).

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::account::{AccountName, Role};
use crate::authorization::BearerToken;
use crate::problem::Problem;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 2048;
/// How long a token lives, in seconds.
pub const LIFETIME_SECS: u64 = 30 * 60;
/// How far the clocks of origin and edge may lie apart, in seconds.
pub const TOLERANCE_SECS: u64 = 5;
/// Who tokens are for: the `aud` claim.
pub const AUDIENCE: &str = "scanvault";
/// The `alg` of the header.
pub const ALGORITHM: &str = "EdDSA";
/// The `typ` of the header.
pub const TYPE: &str = "JWT";

/// The claims as they stand in the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The deployment's public address.
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The account's canonical name.
    pub sub: String,
    /// The session id.
    pub jti: String,
    /// When it was issued, in Unix seconds.
    pub iat: u64,
    /// When it ends, in Unix seconds.
    pub exp: u64,
    /// The account's credential version.
    pub cv: u64,
    /// What the account may do.
    pub roles: Vec<String>,
}

/// What a token says that holds: the signature was checked, and the claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub account: AccountName,
    /// Its id: the `jti`.
    pub id: String,
    /// The credential version that it was made under.
    pub credential_version: u64,
    /// What the account may do.
    pub roles: Vec<Role>,
    /// When it ends, in Unix seconds. It counts no more from then on, the tolerance set aside.
    pub expires_at_secs: u64,
}

/// A token taken apart. Its signature has still to be checked: over [`signed`](Self::signed), with the key `key_id`.
pub struct Parsed<'t> {
    /// The `kid` of the header.
    pub key_id: String,
    /// What is signed: header and claims, as they travel.
    pub signed: &'t str,
    /// Ed25519 (RFC 8032 §5.1.6).
    pub signature: [u8; 64],
    claims: Claims,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl<'t> Parsed<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Problem::InvalidOrExpiredJwt`] for whatever this service cannot have issued.
    pub fn parse(token: &'t BearerToken) -> Result<Self, Problem> {
        Self::take_apart(token.expose()).ok_or(Problem::InvalidOrExpiredJwt)
    }

    fn take_apart(text: &'t str) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = json(header)?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        Some(Self { key_id: header.kid, signed, signature, claims: json(claims)? })
    }

    /// What the token says, once its signature was found to be right.
    ///
    /// # Errors
    /// See [`Claims::check`].
    pub fn into_session(self, issuer: &str, now_secs: u64) -> Result<Session, Problem> {
        self.claims.check(issuer, now_secs)
    }
}

impl fmt::Debug for Parsed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Claims {
    /// Issuer, audience, times and forms.
    ///
    /// # Errors
    /// [`Problem::InvalidOrExpiredJwt`].
    pub fn check(&self, issuer: &str, now_secs: u64) -> Result<Session, Problem> {
        self.session(issuer, now_secs).ok_or(Problem::InvalidOrExpiredJwt)
    }

    fn session(&self, issuer: &str, now_secs: u64) -> Option<Session> {
        let account: AccountName = self.sub.parse().ok()?;
        let roles = self.roles.iter().map(|role| role.parse()).collect::<Result<Vec<Role>, _>>().ok()?;
        let lifetime_secs = self.exp.checked_sub(self.iat)?;
        let holds = self.iss == issuer
            && self.aud == AUDIENCE
            && account.to_string() == self.sub
            && is_session_id(&self.jti)
            && (1..=LIFETIME_SECS).contains(&lifetime_secs)
            && self.iat <= now_secs.saturating_add(TOLERANCE_SECS)
            && now_secs < self.exp.saturating_add(TOLERANCE_SECS)
            && !roles.is_empty();
        holds.then(|| Session {
            account,
            id: self.jti.clone(),
            credential_version: self.cv,
            roles,
            expires_at_secs: self.exp,
        })
    }
}

/// Whether a text is a session id: a UUID in lower case (RFC 9562 §4).
#[must_use]
pub fn is_session_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Strict base64url (no padding, no stray bits) of one JSON object, every field once.
fn json<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_790_000_000;
    const ISSUER: &str = "https://pay.example";

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: "merchant-25".into(),
            jti: "c056b2d8-d6d1-4ea6-8752-e87f684b2903".into(),
            iat: NOW,
            exp: NOW + LIFETIME_SECS,
            cv: 3,
            roles: vec!["EXTERNAL".into()],
        }
    }

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 64]))
    }

    const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT","kid":"1"}"#;

    #[test]
    fn a_token_of_ours_is_taken_apart() {
        let text = token(HEADER, &serde_json::to_string(&claims()).unwrap());
        let parsed = Parsed::take_apart(&text).unwrap();
        assert_eq!((parsed.key_id.as_str(), parsed.signature), ("1", [7; 64]));
        assert_eq!(text, format!("{}.{}", parsed.signed, URL_SAFE_NO_PAD.encode([7; 64])));
        let session = parsed.into_session(ISSUER, NOW).unwrap();
        assert_eq!(
            session,
            Session {
                account: AccountName::Merchant(25),
                id: "c056b2d8-d6d1-4ea6-8752-e87f684b2903".into(),
                credential_version: 3,
                roles: vec![Role::External],
                expires_at_secs: NOW + LIFETIME_SECS
            }
        );
    }

    #[test]
    fn times_are_held_to_the_second() {
        let at = |now_secs| claims().check(ISSUER, now_secs).is_ok();
        assert!(!at(NOW - TOLERANCE_SECS - 1));
        assert!(at(NOW - TOLERANCE_SECS));
        assert!(at(NOW + LIFETIME_SECS + TOLERANCE_SECS - 1));
        assert!(!at(NOW + LIFETIME_SECS + TOLERANCE_SECS));
    }

    #[test]
    fn whatever_else_is_wrong_is_refused() {
        type Change = fn(&mut Claims);
        let changes: [Change; 12] = [
            |c| c.iss = "https://pay.example/".into(),
            |c| c.aud = "scanvault2".into(),
            |c| c.sub = "MERCHANT_25".into(),
            |c| c.sub = "25".into(),
            |c| c.sub = String::new(),
            |c| c.jti = "C056B2D8-d6d1-4ea6-8752-e87f684b2903".into(),
            |c| c.jti = "c056b2d8d6d14ea68752e87f684b2903".into(),
            |c| c.exp = c.iat,
            |c| c.exp = c.iat - 1,
            |c| c.exp += 1,
            |c| c.roles = vec![],
            |c| c.roles.push("ADMIN".into()),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut changed = claims();
            change(&mut changed);
            assert_eq!(changed.check(ISSUER, NOW), Err(Problem::InvalidOrExpiredJwt), "{at}");
        }
        let good = serde_json::to_string(&claims()).unwrap();
        for header in [
            r#"{"alg":"none","typ":"JWT","kid":"1"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"1"}"#,
            r#"{"alg":"eddsa","typ":"JWT","kid":"1"}"#,
            r#"{"alg":"EdDSA","typ":"JWT"}"#,
            r#"{"alg":"EdDSA","kid":"1"}"#,
            r#"{"alg":"EdDSA","typ":"JWT","kid":"1","crit":["exp"]}"#,
            r#"{"alg":"EdDSA","typ":"JWT","kid":"1","jku":"https://evil.example"}"#,
            r#"{"alg":"EdDSA","typ":"JWT","kid":"1","alg":"EdDSA"}"#,
            "[]",
            "",
        ] {
            assert!(Parsed::take_apart(&token(header, &good)).is_none(), "{header}");
        }
        for changed in [
            good.replace("\"cv\":3", "\"cv\":-3"),
            good.replace("\"cv\":3", "\"cv\":3,\"cv\":4"),
            good.replace("\"cv\":3", "\"cv\":3,\"nbf\":1"),
            good.replace("\"cv\":3,", ""),
            good.replace(&format!("\"iat\":{NOW}"), "\"iat\":1e9"),
            format!("{good} x"),
        ] {
            assert!(Parsed::take_apart(&token(HEADER, &changed)).is_none(), "{changed}");
        }
        let text = token(HEADER, &good);
        assert!(Parsed::take_apart(&format!("{text}=")).is_none());
        assert!(Parsed::take_apart(text.get(1..).unwrap()).is_none());
        let long = good.replace("pay.example", &"a".repeat(MAX_TOKEN_BYTES));
        assert!(Parsed::take_apart(&token(HEADER, &long)).is_none());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A-Za-z0-9_.-]{0,200}", json in "\\PC{0,120}") {
            let _ = Parsed::take_apart(&text);
            let _ = Parsed::take_apart(&token(HEADER, &json));
            let _ = Parsed::take_apart(&token(&json, &json));
        }
    }
}
