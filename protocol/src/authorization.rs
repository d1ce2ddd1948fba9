//! The `Authorization` header: a list, because workerd joins repeated headers with a comma.
//!
//! At most one credential of each scheme is taken; more is an error, not a choice. A well-formed Bearer token is
//! looked at first, a malformed one beside a usable Basic is ignored in its favour (the reference: a *valid* token
//! takes precedence).

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::account::AccountName;
use crate::password::ApiPassword;
use crate::problem::Problem;

/// The longest header value that is looked at, in bytes: a token is at most 4 KiB.
pub const MAX_HEADER_BYTES: usize = 6 * 1024;
const MAX_BASIC_BYTES: usize = 1024;

/// What a request carries, well-formed but not yet checked.
#[derive(Debug)]
pub struct Authorization {
    /// The Basic credential, when there is a usable one.
    pub basic: Option<Basic>,
    /// The Bearer token, when there is a well-formed one.
    pub bearer: Option<BearerToken>,
}

/// A user name and an API password.
#[derive(Debug)]
pub struct Basic {
    /// The account that is claimed.
    pub account: AccountName,
    /// The password that is to prove it.
    pub password: ApiPassword,
}

/// A token of three parts (RFC 7515 §3.1), not yet verified.
pub struct BearerToken(Zeroizing<String>);

impl BearerToken {
    /// The compact form.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// Reads the header of a request to a path that needs a credential.
///
/// # Errors
/// [`Problem::BadRequest`] for two credentials of one scheme, [`Problem::InvalidJwt`] when the only thing offered is
/// something like a token that is none, [`Problem::BadCredentials`] for everything else that names nobody.
pub fn parse(header: Option<&str>) -> Result<Authorization, Problem> {
    let header = header.map(str::trim).unwrap_or_default();
    if header.len() > MAX_HEADER_BYTES {
        return Err(Problem::HeadersTooLarge);
    }
    let (mut basics, mut bearers, mut broken_bearer) = (Vec::new(), Vec::new(), false);
    for item in header.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (scheme, value) = item.split_once(' ').map_or((item, ""), |(scheme, value)| (scheme, value.trim()));
        if scheme.eq_ignore_ascii_case("basic") {
            basics.push(basic(value));
        } else if scheme.eq_ignore_ascii_case("bearer") {
            bearers.push(bearer(value));
        } else if value.is_empty() && bearer(scheme).is_some() {
            broken_bearer = true; // a bare token: the scheme was forgotten
        }
    }
    if basics.len() > 1 || bearers.len() > 1 {
        return Err(Problem::BadRequest);
    }
    broken_bearer |= bearers.iter().any(Option::is_none);
    let (basic, bearer) = (basics.pop().flatten(), bearers.pop().flatten());
    match (&basic, &bearer) {
        (None, None) if broken_bearer => Err(Problem::InvalidJwt),
        (None, None) => Err(Problem::BadCredentials),
        _ => Ok(Authorization { basic, bearer }),
    }
}

/// RFC 7617: base64 of `user ":" password`, split at the first colon.
fn basic(value: &str) -> Option<Basic> {
    if value.len() > MAX_BASIC_BYTES {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(value).ok()?);
    let text = core::str::from_utf8(&decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Basic { account: user.parse().ok()?, password: ApiPassword::parse(password).ok()? })
}

/// Three non-empty parts in the base64url alphabet; nothing is decoded here.
fn bearer(value: &str) -> Option<BearerToken> {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let three = value.split('.').count() == 3 && value.split('.').all(is_part);
    three.then(|| BearerToken(Zeroizing::new(value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn good() -> String {
        let password = ApiPassword::from_entropy(&[9; 32]);
        format!("Basic {}", STANDARD.encode(format!("merchant-25:{}", password.expose())))
    }

    #[test]
    fn each_case_of_the_error_table() {
        let cases = [
            (None, Problem::BadCredentials),
            (Some(""), Problem::BadCredentials),
            (Some("Digest abc"), Problem::BadCredentials),
            (Some("Basic"), Problem::BadCredentials),
            (Some("Basic !!!"), Problem::BadCredentials),
            (Some("Basic bWVyY2hhbnQtMjU="), Problem::BadCredentials), // no colon
            (Some("Basic bWVyY2hhbnQtMjU6eA=="), Problem::BadCredentials), // no password of ours
            (Some("Bearer"), Problem::InvalidJwt),
            (Some("Bearer "), Problem::InvalidJwt),
            (Some("Bearer a.b"), Problem::InvalidJwt),
            (Some("Bearer a..c"), Problem::InvalidJwt),
            (Some("eyJh.eyJz.c2ln"), Problem::InvalidJwt),
            (Some("Bearer a.b.c, Bearer a.b.c"), Problem::BadRequest),
            (Some("Basic eDp5, Basic eDp5"), Problem::BadRequest),
        ];
        for (header, problem) in cases {
            assert_eq!(parse(header).unwrap_err(), problem, "{header:?}");
        }
    }

    #[test]
    fn schemes_are_case_insensitive_and_joined_headers_are_a_list() {
        let good = good();
        let parsed = parse(Some(&good.replacen("Basic", "bASIC", 1))).unwrap();
        assert_eq!(parsed.basic.unwrap().account, AccountName::Merchant(25));
        let both = parse(Some(&format!("Bearer a.b.c, {good}"))).unwrap();
        assert!(both.basic.is_some() && both.bearer.is_some());
        let broken = parse(Some(&format!("Bearer nonsense, {good}"))).unwrap();
        assert!(broken.basic.is_some() && broken.bearer.is_none());
    }

    proptest! {
        #[test]
        fn never_panics(header in "\\PC{0,300}") {
            let _ = parse(Some(&header));
        }
    }
}
