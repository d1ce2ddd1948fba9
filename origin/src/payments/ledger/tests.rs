use proptest::prelude::*;

use super::*;

fn authorised(minor: u64) -> Ledger {
    Ledger::new(minor).authorise().unwrap().settle(ActEnd::Done).unwrap()
}

fn done(ledger: Result<Ledger, Illegal>) -> Ledger {
    ledger.unwrap().settle(ActEnd::Done).unwrap()
}

#[test]
fn a_payment_is_captured_in_parts_and_refunded_in_parts() {
    let ledger = done(done(authorised(1000).capture(500)).refund(500));
    let ledger = done(ledger.capture(500));
    assert_eq!((ledger.captured_minor, ledger.refunded_minor, ledger.acts_done, ledger.last_act), (1000, 500, 3, 4));
    assert_eq!(ledger.capture(1), Err(Illegal::Amount));
    assert_eq!(ledger.refund(501), Err(Illegal::Amount));
    assert_eq!(ledger.void(), Err(Illegal::Stage));
    assert_eq!(ledger.reverse(), Err(Illegal::ReversedOrRefunded));
}

#[test]
fn reversed_is_never_refunded_or_captured() {
    for ledger in [done(authorised(1000).reverse()), done(done(authorised(1000).capture(400)).reverse())] {
        assert!(ledger.is_reversed);
        assert!(ledger.refund(1).is_err() && ledger.capture(1).is_err() && ledger.reverse().is_err());
        assert_eq!(ledger.refundable_minor(), 0);
    }
}

#[test]
fn one_act_at_a_time_and_an_unknown_one_keeps_its_place() {
    let asked = authorised(1000).capture(1000).unwrap();
    assert_eq!(asked.refund(1), Err(Illegal::Pending));
    let unknown = asked.settle(ActEnd::Unknown).unwrap();
    assert_eq!(unknown.void(), Err(Illegal::Pending));
    assert_eq!(unknown.captured_minor, 0);
    assert_eq!(unknown.settle(ActEnd::Done).unwrap().captured_minor, 1000);
    assert_eq!(unknown.settle(ActEnd::Refused).unwrap().capturable_minor(), 1000);
}

#[test]
fn a_lost_authorisation_can_never_be_captured() {
    let lost = Ledger::new(1000).authorise().unwrap().settle(ActEnd::Unknown).unwrap();
    assert_eq!(lost.stage, Stage::Lost);
    assert!(lost.capture(1).is_err() && lost.authorise().is_err() && lost.reverse().is_err());
    assert_eq!(done(lost.void()).stage, Stage::Voided);
}

#[test]
fn another_acquirer_is_asked_by_another_act() {
    let second = Ledger::new(5).authorise().unwrap().settle_and_ask_another().unwrap();
    assert_eq!(second.pending.unwrap().number, 2);
    assert_eq!(authorised(5).settle_and_ask_another(), Err(Illegal::NothingPending));
}

#[test]
fn an_issuer_that_wants_proof_is_asked_again_by_another_act() {
    let refused = Ledger::new(5).authorise().unwrap().settle_and_wait().unwrap();
    assert_eq!((refused.stage, refused.pending, refused.last_act), (Stage::Waiting, None, 1));
    assert_eq!(refused.authorise().unwrap().pending.unwrap().number, 2);
    assert_eq!(refused.end_waiting(Stage::Cancelled).unwrap().stage, Stage::Cancelled);
    assert_eq!(authorised(5).capture(5).unwrap().settle_and_wait(), Err(Illegal::NothingPending));
    assert_eq!(authorised(5).settle_and_wait(), Err(Illegal::NothingPending));
}

#[test]
fn names_are_stored_and_read_back() {
    for (stage, name) in STAGES {
        assert_eq!(name.parse::<Stage>().unwrap(), *stage);
    }
    for (kind, name) in ACT_KINDS {
        assert_eq!((name.parse::<ActKind>().unwrap(), kind.as_str()), (*kind, *name));
    }
    assert!("captured".parse::<Stage>().is_err() && "credit".parse::<ActKind>().is_err());
}

#[derive(Clone, Debug)]
enum Move {
    Authorise,
    Another,
    Wait,
    Capture(u64),
    Refund(u64),
    Void,
    Reverse,
    Settle(ActEnd),
    End(Stage),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let end = prop_oneof![Just(ActEnd::Done), Just(ActEnd::Refused), Just(ActEnd::Unknown)];
    let stage = prop_oneof![Just(Stage::Declined), Just(Stage::Cancelled), Just(Stage::Expired), Just(Stage::Voided)];
    prop::collection::vec(
        prop_oneof![
            2 => Just(Move::Authorise),
            1 => Just(Move::Another),
            1 => Just(Move::Wait),
            6 => (0_u64..1500).prop_map(Move::Capture),
            6 => (0_u64..1500).prop_map(Move::Refund),
            1 => Just(Move::Void),
            2 => Just(Move::Reverse),
            12 => end.prop_map(Move::Settle),
            1 => stage.prop_map(Move::End),
        ],
        0..60,
    )
}

proptest! {
    /// Whatever is asked in whatever order: nothing is taken twice, nothing is given back that was not taken.
    #[test]
    fn totals_hold_in_any_order(amount in 0_u64..1500, moves in moves()) {
        let mut ledger = Ledger::new(amount);
        let (mut was_refunded, mut acts) = (false, 0);
        for next in moves {
            let before = ledger;
            let moved = match next {
                Move::Authorise => ledger.authorise(),
                Move::Another => ledger.settle_and_ask_another(),
                Move::Wait => ledger.settle_and_wait(),
                Move::Capture(minor) => ledger.capture(minor),
                Move::Refund(minor) => ledger.refund(minor),
                Move::Void => ledger.void(),
                Move::Reverse => ledger.reverse(),
                Move::Settle(end) => ledger.settle(end),
                Move::End(stage) => ledger.end_waiting(stage),
            };
            let Ok(after) = moved else { continue };
            ledger = after;
            prop_assert!(ledger.authorised_minor <= ledger.amount_minor);
            prop_assert!(ledger.captured_minor <= ledger.authorised_minor);
            prop_assert!(ledger.refunded_minor <= ledger.captured_minor);
            prop_assert!(ledger.captured_minor >= before.captured_minor && ledger.refunded_minor >= before.refunded_minor);
            prop_assert!(ledger.last_act >= before.last_act && ledger.acts_done <= ledger.last_act);
            // Money moves only where an act is settled as done.
            if !matches!(next, Move::Settle(ActEnd::Done)) {
                let totals = |l: &Ledger| (l.authorised_minor, l.captured_minor, l.refunded_minor, l.acts_done);
                prop_assert_eq!(totals(&ledger), totals(&before));
            }
            let partial = before.pending.is_some_and(|act| act.kind == ActKind::Refund && !act.is_reversal);
            was_refunded |= partial && ledger.refunded_minor > before.refunded_minor;
            prop_assert!(!(was_refunded && ledger.is_reversed), "both reversed and refunded");
            if ledger.stage == Stage::Voided {
                prop_assert_eq!(ledger.captured_minor, 0);
            }
            acts += u32::from(ledger.pending.map(|act| act.number) > before.pending.map(|act| act.number) && ledger.last_act > before.last_act);
            prop_assert_eq!(acts, ledger.last_act);
        }
    }
}
