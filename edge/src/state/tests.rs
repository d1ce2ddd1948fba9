use scanvault_protocol::password::ApiPassword;
use scanvault_protocol::record::Record;
use scanvault_protocol::token::Session;
use scanvault_protocol::{AccountName, AuthMode, Role};

use super::*;

const NOW: u64 = 1_790_000_000_000;
const ACCOUNT: AccountName = AccountName::Merchant(25);

fn password(byte: u8) -> ApiPassword {
    ApiPassword::from_entropy(&[byte; 32])
}

fn record(version: u64, byte: u8) -> Told {
    let verifiers = vec![password(byte).verifier()];
    let record = Record { account: ACCOUNT, mode: AuthMode::Basic, role: Role::External, version, verifiers };
    Told { record: Some(Update::Keep(record).to_header()), keys: None }
}

fn keys() -> Told {
    let keys = TokenKeys { issuer: "https://pay.example".into(), keys: vec![("1".into(), [1; 32])] };
    Told { record: None, keys: Some(keys.to_header()) }
}

fn named() -> Caller {
    Caller::Named { account: ACCOUNT, mark: Mark::Unverified }
}

#[test]
fn what_is_told_is_taken_and_what_cannot_be_read_changes_nothing() {
    let mut state = State::default();
    state.learn(&record(3, 1), NOW, NOW);
    state.learn(&keys(), NOW, NOW);
    for text in ["", "-", "merchant-25", "merchant-25 basic EXTERNAL 4 x", "https://pay.example 1=x"] {
        let told = Told { record: Some(text.into()), keys: Some(text.into()) };
        state.learn(&told, NOW + 1, NOW + 1);
    }
    state.learn(&Told::default(), NOW + 1, NOW + 1);
    assert_eq!(state.records.check(&ACCOUNT, &password(1), NOW + 1), Mark::Verified);
    assert!(state.tokens.keys(NOW + 1).is_some());
    state.learn(&Told { record: Some("merchant-25 -".into()), keys: None }, NOW + 1, NOW + 1);
    assert_eq!(state.records.check(&ACCOUNT, &password(1), NOW + 1), Mark::Unverified);
}

#[test]
fn only_refusals_keep_their_charge() {
    for (status, is_refused) in [
        (Some(200), false),
        (Some(400), false),
        (Some(401), true),
        (Some(403), false),
        (Some(404), false),
        (Some(429), true),
        (Some(503), false),
        (Some(513), true),
        (None, false),
    ] {
        let mut state = State::default();
        for n in 0..1000 {
            let Ok(charge) = state.budgets.admit(None, &named(), NOW) else {
                assert!(is_refused && n >= 500, "{status:?} {n}");
                break;
            };
            assert_eq!(state.settle(&named(), charge.as_ref(), status), is_refused, "{status:?}");
            assert!(!(is_refused && n == 999), "{status:?}");
        }
    }
}

#[test]
fn a_flood_of_invented_names_does_not_lock_out_who_was_right_before() {
    let mut state = State::default();
    let charge = state.budgets.admit(None, &named(), NOW).unwrap();
    state.settle(&named(), charge.as_ref(), Some(200));
    for id in 1000..3000 {
        let caller = Caller::Named { account: AccountName::Merchant(id), mark: Mark::Unverified };
        if let Ok(charge) = state.budgets.admit(None, &caller, NOW) {
            state.settle(&caller, charge.as_ref(), Some(401));
        }
    }
    let stranger = Caller::Named { account: AccountName::Merchant(26), mark: Mark::Unverified };
    assert!(state.budgets.admit(None, &stranger, NOW).is_err());
    assert!(state.budgets.admit(None, &named(), NOW).is_ok());
}

#[test]
fn a_name_is_not_proven_by_an_answer_that_is_no_success() {
    for status in [400, 403, 404, 409, 500, 503] {
        let mut state = State::default();
        state.settle(&named(), None, Some(status));
        while state
            .budgets
            .admit(None, &Caller::Named { account: AccountName::Psp(1), mark: Mark::Unverified }, NOW)
            .is_ok()
        {}
        assert!(state.budgets.admit(None, &named(), NOW).is_err(), "{status}");
    }
}

#[test]
fn a_session_that_the_origin_refuses_is_doubted() {
    for (status, is_doubted) in [(401, true), (513, true), (200, false), (403, false), (404, false), (503, false)] {
        let mut state = State::default();
        state.learn(&keys(), NOW, NOW);
        let (account, roles) = (ACCOUNT, vec![Role::External]);
        let id = "c056b2d8-d6d1-4ea6-8752-e87f684b2903".to_owned();
        let session = Session { account, id, credential_version: 3, roles, expires_at_secs: NOW / 1000 + 100 };
        state.tokens.remember([9; 32], &session, &[1; 32]);
        let (account, roles) = (AccountName::Merchant(25), vec![Role::External]);
        let caller = Caller::Session { hash: [9; 32], account, roles, mark: Mark::Verified };
        assert!(!state.settle(&caller, None, Some(status)), "nothing was charged");
        assert_eq!(state.tokens.remembered(&[9; 32], NOW).unwrap().is_doubted, is_doubted, "{status}");
    }
}
