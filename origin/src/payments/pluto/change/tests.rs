use super::*;
use crate::money::Amount;
use crate::payments::request::{Extras, NewRequest};
use crate::payments::state::RequestKind;
use proptest::prelude::*;

const NOW: i64 = 1_790_000_000_000;
const STATES: [CodeState; 5] =
    [CodeState::Available, CodeState::Locked, CodeState::Used, CodeState::Blocked, CodeState::Deleted];

fn zar(minor: u64) -> Amount {
    Amount::from_minor(minor, "ZAR".parse().unwrap()).unwrap()
}

fn code(state: CodeState, use_once: bool) -> CodeRecord {
    CodeRecord {
        code: "0123456789".parse().unwrap(),
        state,
        transaction_id: None,
        lease_until_ms: None,
        request_id: "request".into(),
        account: "merchant-25".into(),
        dialect: Dialect::Pluto,
        kind: RequestKind::Payment,
        request: NewRequest {
            merchant_reference: "r-0".into(),
            amount: zar(1000),
            asked_expiry_ms: None,
            use_once,
            short_description: Some("Tea".into()),
            product_url: None,
            is_partial: false,
            extras: Extras::default(),
        },
        order_id: None,
        autocapture: true,
        details: "{}".into(),
        expires_at_ms: NOW + 1000,
    }
}

fn amount(reference: &str, minor: u64, expiry_ms: Option<i64>) -> Change {
    Change::Amount(NewAmount { amount: zar(minor), merchant_reference: reference.into(), expiry_ms })
}

fn problem(change: &Change, before: &CodeRecord) -> Option<Problem> {
    change.apply(before, NOW).err().map(|error| error.problem())
}

#[test]
fn what_a_state_allows_is_a_table() {
    let edit = Change::Edit(Edit { mcc: Some("5812".into()), ..Edit::default() });
    let amount = amount("r-1", 500, None);
    let (busy, no) = (Some(Problem::CodeBusy), Some(Problem::Conflict));
    for (state, use_once, of_edit, of_amount, of_block, of_unblock, of_delete) in [
        (CodeState::Available, false, None, None, None, None, None),
        (CodeState::Blocked, false, None, None, None, None, None),
        (CodeState::Available, true, None, no, None, None, None),
        (CodeState::Locked, false, busy, busy, busy, None, busy),
        (CodeState::Used, true, no, no, no, no, no),
        (CodeState::Deleted, false, no, no, no, no, None),
    ] {
        let code = code(state, use_once);
        let found = [&edit, &amount, &Change::Block, &Change::Unblock, &Change::Delete].map(|it| problem(it, &code));
        assert_eq!(found, [of_edit, of_amount, of_block, of_unblock, of_delete], "{state:?} {use_once}");
    }
}

#[test]
fn an_expired_code_is_payable_again_with_another_amount() {
    let mut old = code(CodeState::Available, false);
    assert_eq!(amount("r-1", 1, None).apply(&old, NOW).unwrap().expires_at_ms, NOW + 1000, "it has time left");
    old.expires_at_ms = NOW;
    assert!(old.is_expired(NOW));
    assert_eq!(amount("r-1", 1, None).apply(&old, NOW).unwrap().expires_at_ms, NOW + DEFAULT_TTL_MS);
    assert_eq!(amount("r-1", 1, Some(0)).apply(&old, NOW).unwrap().expires_at_ms, 0);
    assert_eq!(problem(&amount("r-1", 1, Some(NOW)), &old), Some(Problem::BadRequest));
    old.expires_at_ms = 0;
    assert_eq!(amount("r-1", 1, None).apply(&old, NOW).unwrap().expires_at_ms, 0);
}

#[test]
fn a_new_amount_needs_a_new_reference_and_may_be_sent_twice() {
    let before = code(CodeState::Available, false);
    assert_eq!(problem(&amount("r-0", 500, None), &before), Some(Problem::ReferenceConflict));
    let after = amount("r-1", 500, None).apply(&before, NOW).unwrap();
    assert_eq!((after.request.amount.minor(), after.request.merchant_reference.as_str()), (500, "r-1"));
    let paid_by_now = CodeRecord { state: CodeState::Locked, ..after };
    assert_eq!(problem(&amount("r-1", 500, None), &paid_by_now), None);
    assert_eq!(problem(&amount("r-1", 501, None), &paid_by_now), Some(Problem::CodeBusy));
}

#[test]
fn a_link_of_the_other_interface_is_stopped_and_not_rewritten() {
    let link = CodeRecord { dialect: Dialect::V1, ..code(CodeState::Available, false) };
    assert_eq!(problem(&Change::Block, &link), None);
    assert_eq!(problem(&Change::Delete, &link), None);
    assert_eq!(problem(&amount("r-1", 500, None), &link), Some(Problem::Conflict));
    let edit = Change::Edit(Edit { mcc: Some("5812".into()), ..Edit::default() });
    assert_eq!(problem(&edit, &link), Some(Problem::Conflict));
}

fn changes() -> impl Strategy<Value = Change> {
    let text = || prop::option::of(prop::sample::select(vec![String::new(), "5812".to_owned(), "5813".to_owned()]));
    let reference = || prop::sample::select(vec!["r-0", "r-1", "r-2"]).prop_map(str::to_owned);
    let expiry = || prop::option::of(prop::sample::select(vec![0, NOW - 1, NOW + 5, NOW + 1000]));
    let edit = (prop::option::of(reference()), expiry(), text(), text());
    prop_oneof![
        edit.prop_map(|(merchant_reference, expiry_ms, short_description, mcc)| Change::Edit(Edit {
            merchant_reference,
            expiry_ms,
            short_description,
            mcc,
            ..Edit::default()
        })),
        (reference(), 0_u64..3, expiry()).prop_map(|(reference, minor, expiry)| amount(&reference, minor, expiry)),
        Just(Change::Block),
        Just(Change::Unblock),
        Just(Change::Delete),
    ]
}

proptest! {
    #[test]
    fn final_states_stay_a_payers_code_is_left_alone_and_repeats_change_nothing(
        state in prop::sample::select(STATES.to_vec()),
        use_once in any::<bool>(),
        steps in prop::collection::vec(changes(), 1..20),
    ) {
        let mut now = code(state, use_once);
        for step in steps {
            let Ok(next) = step.apply(&now, NOW) else { continue };
            match now.state {
                CodeState::Used | CodeState::Deleted | CodeState::Locked => {
                    prop_assert_eq!((&next.request, next.state), (&now.request, now.state));
                    prop_assert_eq!(next.expires_at_ms, now.expires_at_ms);
                }
                CodeState::Available | CodeState::Blocked => {
                    prop_assert!(!matches!(next.state, CodeState::Used | CodeState::Locked));
                }
            }
            let has_new_amount = next.request.amount != now.request.amount;
            prop_assert!(!has_new_amount || (!use_once && next.request.merchant_reference != now.request.merchant_reference));
            prop_assert_eq!(next.request.use_once, use_once);
            let again = step.apply(&next, NOW + 1).unwrap();
            prop_assert_eq!((&again.request, again.state, again.expires_at_ms), (&next.request, next.state, next.expires_at_ms));
            now = next;
        }
    }
}
