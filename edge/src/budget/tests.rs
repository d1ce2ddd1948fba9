use proptest::prelude::*;
use scanvault_protocol::AccountName;
use scanvault_protocol::route::{self, ROUTES};

use super::*;

const NOW: u64 = 1_790_000_000_000;
const CLIENT: Option<&str> = Some("203.0.113.7");

fn name(id: u64, mark: Mark) -> Caller {
    Caller::Named { account: AccountName::Merchant(id), mark }
}

fn unread() -> Caller {
    Caller::Unread { mark: Mark::Unverified }
}

/// How many of these go before one has to wait, and how long.
fn until_full(budgets: &mut Budgets, client: Option<&str>, callers: impl Iterator<Item = Caller>) -> (u64, u64) {
    let mut taken = 0;
    for caller in callers {
        match budgets.admit(client, &caller, NOW) {
            Ok(_) => taken += 1,
            Err(wait_ms) => return (taken, wait_ms),
        }
    }
    (taken, 0)
}

fn invented() -> impl Iterator<Item = Caller> {
    (1000..).map(|id| name(id, Mark::Unverified))
}

#[test]
fn what_is_verified_or_open_costs_nothing() {
    let mut budgets = Budgets::default();
    until_full(&mut budgets, CLIENT, invented());
    until_full(&mut budgets, None, invented());
    for mark in [Mark::Verified, Mark::Renew] {
        let account = AccountName::Merchant(25);
        let session = Caller::Session { hash: [0; 32], account, roles: vec![], mark };
        for caller in [name(25, mark), Caller::Unread { mark }, session] {
            assert_eq!(budgets.admit(CLIENT, &caller, NOW), Ok(None));
        }
    }
    assert_eq!(budgets.admit(CLIENT, &Caller::Anonymous, NOW), Ok(None));
}

#[test]
fn an_address_is_limited_and_others_are_not() {
    let mut budgets = Budgets::default();
    assert_eq!(until_full(&mut budgets, CLIENT, invented()), (ADDRESS.burst, ADDRESS.every_ms));
    assert_eq!(budgets.admit(CLIENT, &unread(), NOW), Err(ADDRESS.every_ms), "whatever it offers");
    assert!(budgets.admit(Some("203.0.113.8"), &name(1, Mark::Unverified), NOW).is_ok());
    assert!(budgets.admit(CLIENT, &name(1, Mark::Unverified), NOW + ADDRESS.every_ms).is_ok());
    // One IPv6 subscriber is one address.
    let (taken, _) = until_full(&mut budgets, Some("2001:db8::1"), invented());
    assert_eq!(taken, ADDRESS.burst);
    assert!(budgets.admit(Some("2001:db8::ffff"), &unread(), NOW).is_err());
    assert!(budgets.admit(Some("2001:db8:0:1::1"), &unread(), NOW).is_ok());
}

#[test]
fn an_address_that_nobody_knows_has_the_global_limits_only() {
    for client in [None, Some("unknown"), Some("evil")] {
        let mut budgets = Budgets::default();
        assert_eq!(until_full(&mut budgets, client, invented()), (STRANGERS.burst, STRANGERS.every_ms));
    }
}

#[test]
fn invented_names_and_unread_tokens_do_not_use_up_each_others_budget() {
    let mut budgets = Budgets::default();
    assert_eq!(until_full(&mut budgets, None, invented()).0, STRANGERS.burst);
    assert_eq!(until_full(&mut budgets, None, core::iter::repeat_with(unread)).0, STRANGERS.burst);
}

#[test]
fn a_name_that_was_right_here_has_a_budget_of_its_own() {
    let mut budgets = Budgets::default();
    budgets.prove(&name(25, Mark::Unverified));
    budgets.prove(&unread());
    until_full(&mut budgets, None, invented());
    let proven = || core::iter::repeat_with(|| name(25, Mark::Unverified));
    assert_eq!(until_full(&mut budgets, None, proven()), (PROVEN_NAME.burst, PROVEN_NAME.every_ms));
    assert!(budgets.admit(None, &name(26, Mark::Unverified), NOW).is_err());
}

#[test]
fn a_name_that_was_right_here_is_not_held_up_by_its_neighbours() {
    let mut budgets = Budgets::default();
    budgets.prove(&name(25, Mark::Unverified));
    until_full(&mut budgets, CLIENT, invented());
    budgets.block(address_key("203.0.113.7").unwrap(), NOW);
    let charge = budgets.admit(CLIENT, &name(25, Mark::Unverified), NOW).unwrap().unwrap();
    assert_eq!(charge.address, None, "and its own failures are not theirs");
    assert!(budgets.admit(CLIENT, &name(26, Mark::Unverified), NOW).is_err());
}

#[test]
fn what_was_accepted_is_given_back() {
    let mut budgets = Budgets::default();
    for _ in 0..10 * STRANGERS.burst {
        for caller in [name(25, Mark::Unverified), unread()] {
            let charge = budgets.admit(CLIENT, &caller, NOW).unwrap().unwrap();
            budgets.prove(&caller);
            budgets.give_back(&charge);
        }
    }
    assert_eq!(until_full(&mut budgets, CLIENT, invented()).0, ADDRESS.burst);
}

#[test]
fn a_refused_request_takes_nothing() {
    let mut budgets = Budgets::default();
    until_full(&mut budgets, CLIENT, invented());
    for _ in 0..1000 {
        assert!(budgets.admit(CLIENT, &unread(), NOW).is_err());
    }
    assert_eq!(until_full(&mut budgets, None, core::iter::repeat_with(unread)).0, STRANGERS.burst);
}

#[test]
fn the_platform_blocks_an_address_for_a_while() {
    let mut budgets = Budgets::default();
    budgets.block(address_key("203.0.113.7").unwrap(), NOW);
    assert_eq!(budgets.admit(CLIENT, &unread(), NOW), Err(BLOCK_MS));
    assert_eq!(budgets.admit(CLIENT, &name(25, Mark::Verified), NOW), Ok(None));
    assert!(budgets.admit(Some("203.0.113.8"), &unread(), NOW).is_ok());
    assert!(budgets.admit(CLIENT, &unread(), NOW + BLOCK_MS).is_ok());
}

#[test]
fn logins_and_challenges_of_an_address_are_limited_each() {
    let mut budgets = Budgets::default();
    for spec in ROUTES {
        let is_login = matches!(spec.route, Route::LoginChallenge | Route::Login);
        let taken = (0..100).take_while(|_| budgets.login(CLIENT, spec, NOW).is_ok()).count();
        assert_eq!(taken, if is_login { 5 } else { 100 }, "{}", spec.path);
        assert!(budgets.login(CLIENT, spec, NOW + LOGIN.every_ms).is_ok());
        assert!((0..100).all(|_| budgets.login(None, spec, NOW).is_ok()));
    }
    let route::Resolution::Found(hit) = route::resolve("POST", "/authentication/login", route::Door::Public) else {
        panic!()
    };
    assert!(budgets.login(CLIENT, hit.spec, NOW).is_err());
    assert!(budgets.login(Some("203.0.113.8"), hit.spec, NOW).is_ok());
}

proptest! {
    /// Whatever comes from wherever: no more refusals go to the origin than all the budgets together let through.
    #[test]
    fn never_more_than_the_budgets(steps in prop::collection::vec((0_u64..100, 0_u8..4, 0_u64..6), 1..2000)) {
        let mut budgets = Budgets::default();
        budgets.prove(&name(0, Mark::Unverified));
        let (mut now_ms, mut by_address, mut by_scheme) = (NOW, [0; 4], [0; 3]);
        for (step_ms, address, id) in steps {
            now_ms += step_ms;
            let client = format!("203.0.113.{address}");
            let (caller, scheme) = match id {
                0 => (name(0, Mark::Unverified), 0),
                1..=3 => (name(id, Mark::Unverified), 1),
                _ => (unread(), 2),
            };
            if budgets.admit(Some(&client), &caller, now_ms).is_ok() {
                by_address[usize::from(address)] += u64::from(id != 0);
                by_scheme[scheme] += 1;
            }
        }
        let most = |limit: Limit| limit.burst + (now_ms - NOW) / limit.every_ms;
        prop_assert!(by_address.iter().all(|taken| *taken <= most(ADDRESS)));
        prop_assert!(by_scheme[0] <= most(PROVEN_NAME) && by_scheme[1].max(by_scheme[2]) <= most(STRANGERS));
    }
}
