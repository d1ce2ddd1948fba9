//! What a name alone forbids. Roles are in the origin's records; the edge knows only what a name implies.

use scanvault_protocol::Problem;
use scanvault_protocol::account::AccountName;
use scanvault_protocol::route::Audience;

use crate::authenticate::Caller;

/// Refuses a caller whose name implies another role than the path needs.
///
/// A named account implies none: it goes to the origin, which decides.
///
/// # Errors
/// [`Problem::Forbidden`].
pub fn check(caller: &Caller, audience: Audience) -> Result<(), Problem> {
    let (Caller::Claimed(account), Audience::Role(needed)) = (caller, audience) else { return Ok(()) };
    let implied = AccountName::implied_role(account);
    if implied.is_some_and(|role| role != needed) { Err(Problem::Forbidden) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanvault_protocol::Role;

    #[test]
    fn a_merchant_has_no_access_to_the_paths_of_others() {
        for account in [AccountName::Merchant(25), AccountName::Psp(13)] {
            let caller = Caller::Claimed(account);
            assert_eq!(check(&caller, Audience::Role(Role::External)), Ok(()));
            assert_eq!(check(&caller, Audience::Authenticated), Ok(()));
            for role in [Role::Stk, Role::Wallet, Role::Internal] {
                assert_eq!(check(&caller, Audience::Role(role)), Err(Problem::Forbidden), "{role:?}");
            }
        }
    }

    #[test]
    fn the_origin_decides_about_named_accounts() {
        let caller = Caller::Claimed(AccountName::Named("vodacom-ussd".into()));
        for role in [Role::External, Role::Stk, Role::Wallet] {
            assert_eq!(check(&caller, Audience::Role(role)), Ok(()), "{role:?}");
        }
        assert_eq!(check(&Caller::Anonymous, Audience::Anyone), Ok(()));
    }
}
