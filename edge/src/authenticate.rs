//! Who calls, as far as the edge can tell. It refuses only what no record could make right.

use scanvault_protocol::account::AccountName;
use scanvault_protocol::route::Audience;
use scanvault_protocol::{Problem, authorization};

/// The caller of a request that may go on.
#[derive(Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody was asked.
    Anonymous,
    /// A name with a well-formed password. The origin checks it: the edge keeps no credential records.
    Claimed(AccountName),
}

impl Caller {
    /// The value of the `scanvault-credential` header.
    #[must_use]
    pub fn mark(&self) -> &'static str {
        match self {
            Self::Anonymous => "none",
            Self::Claimed(_) => "unverified",
        }
    }
}

/// Reads the `Authorization` header of a request to a path of this audience.
///
/// Open paths do not look at what it says, only that it can be read in one way: two of one scheme, or too long a
/// header, are refused everywhere.
///
/// # Errors
/// See [`authorization::parse`]; [`Problem::InvalidOrExpiredJwt`] for a token with nothing beside it: nobody has been
/// given one, so none can be valid.
pub fn caller(audience: Audience, header: Option<&str>) -> Result<Caller, Problem> {
    let offered = authorization::parse(header);
    if audience == Audience::Anyone {
        let is_unreadable = matches!(offered, Err(Problem::BadRequest | Problem::HeadersTooLarge));
        return if is_unreadable { offered.map(|_| Caller::Anonymous) } else { Ok(Caller::Anonymous) };
    }
    match offered?.basic {
        Some(basic) => Ok(Caller::Claimed(basic.account)),
        None => Err(Problem::InvalidOrExpiredJwt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use scanvault_protocol::Role;
    use scanvault_protocol::password::ApiPassword;

    const EXTERNAL: Audience = Audience::Role(Role::External);

    fn basic() -> String {
        let password = ApiPassword::from_entropy(&[9; 32]);
        format!("Basic {}", STANDARD.encode(format!("merchant-25:{}", password.expose())))
    }

    #[test]
    fn a_well_formed_password_is_a_claim_with_or_without_a_token_beside_it() {
        let claim = Ok(Caller::Claimed(AccountName::Merchant(25)));
        assert_eq!(caller(EXTERNAL, Some(&basic())), claim);
        assert_eq!(caller(Audience::Authenticated, Some(&basic())), claim);
        assert_eq!(caller(EXTERNAL, Some(&format!("Bearer a.b.c, {}", basic()))), claim);
        assert_eq!(caller(EXTERNAL, Some(&format!("Bearer nonsense, {}", basic()))), claim);
    }

    #[test]
    fn what_no_record_could_make_right_is_refused_with_the_text_of_the_reference() {
        for (header, problem) in [
            (None, Problem::BadCredentials),
            (Some("Digest x"), Problem::BadCredentials),
            (Some("Basic bWVyY2hhbnQtMjU6eA=="), Problem::BadCredentials),
            (Some("Bearer"), Problem::InvalidJwt),
            (Some("a.b.c"), Problem::InvalidJwt),
            (Some("Bearer a.b.c"), Problem::InvalidOrExpiredJwt),
            (Some("Bearer a.b.c, Basic x"), Problem::InvalidOrExpiredJwt),
            (Some("Bearer a.b.c, Bearer a.b.c"), Problem::BadRequest),
        ] {
            assert_eq!(caller(EXTERNAL, header), Err(problem), "{header:?}");
        }
    }

    #[test]
    fn open_paths_ask_only_that_the_header_can_be_read_in_one_way() {
        for header in [None, Some("Bearer"), Some("Basic x"), Some("Bearer a.b.c, Basic x")] {
            assert_eq!(caller(Audience::Anyone, header), Ok(Caller::Anonymous), "{header:?}");
        }
        assert_eq!(caller(Audience::Anyone, Some("Basic x, Basic y")), Err(Problem::BadRequest));
        let long = format!("Basic {}", "A".repeat(7000));
        assert_eq!(caller(Audience::Anyone, Some(&long)), Err(Problem::HeadersTooLarge));
    }

    proptest! {
        #[test]
        fn nothing_but_a_password_of_ours_gets_through(header in "(Basic|Bearer|basic)? ?[ -~]{0,120}") {
            prop_assert!(caller(EXTERNAL, Some(&header)).is_err());
        }
    }
}
