//! What a name, or a token that holds, forbids. Roles are in the origin's records, which decide; the edge knows what a
//! name implies and what a token says.

use scanvault_protocol::Problem;
use scanvault_protocol::account::AccountName;
use scanvault_protocol::route::Audience;

use crate::authenticate::Caller;

/// Refuses a caller whose name implies another role than the path needs, or whose token does not have it.
///
/// A named account implies none, and what a token says that was not checked counts for nothing: both go to the origin.
///
/// # Errors
/// [`Problem::Forbidden`].
pub fn check(caller: &Caller, audience: Audience) -> Result<(), Problem> {
    let Audience::Role(needed) = audience else { return Ok(()) };
    let may = match caller {
        Caller::Named { account, .. } => AccountName::implied_role(account).is_none_or(|role| role == needed),
        Caller::Session { roles, .. } => roles.contains(&needed),
        Caller::Anonymous | Caller::Unread { .. } => true,
    };
    if may { Ok(()) } else { Err(Problem::Forbidden) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanvault_protocol::Role;
    use scanvault_protocol::record::Mark;

    const OTHERS: [Role; 3] = [Role::Stk, Role::Wallet, Role::Internal];

    fn named(account: AccountName) -> Caller {
        Caller::Named { account, mark: Mark::Unverified }
    }

    #[test]
    fn a_merchant_has_no_access_to_the_paths_of_others() {
        for account in [AccountName::Merchant(25), AccountName::Psp(13)] {
            let caller = named(account);
            assert_eq!(check(&caller, Audience::Role(Role::External)), Ok(()));
            assert_eq!(check(&caller, Audience::Authenticated), Ok(()));
            for role in OTHERS {
                assert_eq!(check(&caller, Audience::Role(role)), Err(Problem::Forbidden), "{role:?}");
            }
        }
    }

    #[test]
    fn a_token_has_access_to_what_its_roles_are_for() {
        let session = |roles: &[Role]| Caller::Session {
            hash: [0; 32],
            account: AccountName::Merchant(25),
            roles: roles.to_vec(),
            mark: Mark::Verified,
        };
        assert_eq!(check(&session(&[Role::External]), Audience::Role(Role::External)), Ok(()));
        assert_eq!(check(&session(&[Role::Stk, Role::External]), Audience::Role(Role::External)), Ok(()));
        assert_eq!(check(&session(&[Role::Stk]), Audience::Authenticated), Ok(()));
        for role in OTHERS {
            assert_eq!(check(&session(&[Role::External]), Audience::Role(role)), Err(Problem::Forbidden), "{role:?}");
        }
    }

    #[test]
    fn the_origin_decides_about_named_accounts_and_unread_tokens() {
        for role in [Role::External, Role::Stk, Role::Wallet] {
            assert_eq!(check(&named(AccountName::Named("vodacom-ussd".into())), Audience::Role(role)), Ok(()));
            assert_eq!(check(&Caller::Unread { mark: Mark::Unverified }, Audience::Role(role)), Ok(()));
        }
        assert_eq!(check(&Caller::Anonymous, Audience::Anyone), Ok(()));
    }
}
