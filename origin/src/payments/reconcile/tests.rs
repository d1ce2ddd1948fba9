use std::slice::from_ref;

use super::*;
use proptest::prelude::*;

fn ours(act: u32, kind: &str, amount_minor: u64, state: &str) -> OurAct {
    OurAct {
        account: "merchant-25".into(),
        transaction_id: 1,
        act,
        reference: "sv-1".into(),
        merchant_reference: "order-1".into(),
        kind: kind.into(),
        amount_minor,
        currency: "DKK".into(),
        state: state.into(),
        asked_at_ms: 0,
        settled_at_ms: 0,
    }
}

fn theirs(kind: &str, amount_minor: u64) -> Line {
    booked(kind, amount_minor, "x")
}

fn booked(kind: &str, amount_minor: u64, id: &str) -> Line {
    Line {
        reference: "sv-1".into(),
        kind: kind.into(),
        amount_minor,
        currency: "DKK".into(),
        booked_at: "2026-11-21T12:00:00+00:00".into(),
        id: id.into(),
    }
}

fn findings(ours: &[OurAct], theirs: &[Line]) -> Vec<Finding> {
    compare(ours, theirs, |_| Due::Here).findings
}

#[test]
fn what_agrees_is_counted_and_nothing_else_said() {
    let all = [ours(2, "capture", 500, "done"), ours(3, "capture", 500, "done"), ours(4, "refund", 100, "done")];
    let report = [theirs("refund", 100), booked("capture", 500, "a"), booked("capture", 500, "b")];
    assert_eq!(compare(&all, &report, |_| Due::Here), Comparison { agreed: 3, findings: vec![] });
}

#[test]
fn each_way_to_disagree_has_its_name() {
    let done = ours(2, "capture", 500, "done");
    let unknown = ours(3, "refund", 100, "unknown");
    let line = theirs("capture", 500);
    assert_eq!(findings(from_ref(&done), &[]), [Finding::MissingThere { ours: done.clone() }]);
    assert_eq!(findings(&[], from_ref(&line)), [Finding::MissingHere { theirs: line.clone() }]);
    let other = theirs("capture", 501);
    assert_eq!(findings(from_ref(&done), from_ref(&other)), [Finding::Differs { ours: done.clone(), theirs: other }]);
    let refund = theirs("refund", 100);
    assert_eq!(
        findings(from_ref(&unknown), from_ref(&refund)),
        [Finding::UnknownWasBooked { ours: unknown.clone(), theirs: refund }]
    );
    assert_eq!(findings(from_ref(&unknown), &[]), [Finding::UnknownNotInReport { ours: unknown }]);
    // Booked twice there: the second is one too many.
    let again = booked("capture", 500, "y");
    assert_eq!(findings(&[done], &[line, again.clone()]), [Finding::MissingHere { theirs: again }]);
}

#[test]
fn a_line_that_is_there_twice_stands_for_one_booking() {
    let all = [ours(2, "capture", 500, "done"), ours(3, "capture", 500, "unknown")];
    let line = theirs("capture", 500);
    let found = compare(&all, &[line.clone(), line.clone()], |_| Due::Here);
    // Not UnknownWasBooked: that would be written down as captured.
    let unknown = Finding::UnknownNotInReport { ours: all[1].clone() };
    assert_eq!((found.agreed, found.findings), (1, vec![Finding::Twice { theirs: line }, unknown]));
}

#[test]
fn what_was_asked_before_the_report_begins_may_be_in_the_one_before() {
    let done = ours(2, "capture", 500, "done");
    let found = compare(from_ref(&done), &[], |_| Due::HereOrBefore);
    assert_eq!((found.disagreements(), &found.findings), (0, &vec![Finding::PerhapsBefore { ours: done.clone() }]));
    let found = compare(from_ref(&done), &[theirs("capture", 500)], |_| Due::HereOrBefore);
    assert_eq!((found.agreed, found.findings.len()), (1, 0));
    let unknown = ours(2, "capture", 500, "unknown");
    let found = compare(from_ref(&unknown), &[], |_| Due::HereOrBefore);
    assert_eq!((found.disagreements(), found.findings), (1, vec![Finding::UnknownNotInReport { ours: unknown }]));
}

#[test]
fn another_amount_is_of_the_act_that_must_be_there() {
    let all = [ours(2, "capture", 500, "done"), ours(3, "capture", 300, "done")];
    let line = theirs("capture", 301);
    let found = compare(&all, from_ref(&line), |act| if act.act == 3 { Due::Here } else { Due::Elsewhere });
    assert_eq!(found.findings, [Finding::Differs { ours: all[1].clone(), theirs: line }]);
}

#[test]
fn the_certain_one_of_two_equal_acts_is_the_one_that_was_booked() {
    let all = [ours(2, "capture", 500, "unknown"), ours(3, "capture", 500, "done")];
    let found = compare(&all, &[theirs("capture", 500)], |_| Due::Here);
    assert_eq!((found.agreed, found.findings), (1, vec![Finding::UnknownNotInReport { ours: all[0].clone() }]));
}

#[test]
fn an_act_of_another_day_is_not_missed() {
    let late = ours(2, "capture", 500, "done");
    assert_eq!(compare(&[late], &[], |_| Due::Elsewhere), Comparison::default());
}

#[test]
fn a_report_is_read_whole_or_not_at_all() {
    let text = format!("{HEADER}\nsv-7,capture,1000,DKK,2026-11-21T12:00:00+00:00,abc\n\nsv-8-5f00,refund,1,DKK,x,y\n");
    let report = parse(&text).unwrap();
    assert_eq!((report.len(), report[0].amount_minor, transactions_named(&report)), (2, 1000, vec![7, 8]));
    for (text, line) in [
        (String::new(), 1),
        ("reference,kind\n".to_owned(), 1),
        (format!("{HEADER}\nsv-7,capture,1000,DKK,now\n"), 2),
        (format!("{HEADER}\nsv-7,capture,1e3,DKK,now,a\n"), 2),
        (format!("{HEADER}\nsv-7,void,10,DKK,now,a\n"), 2),
        (format!("{HEADER}\nsv-7,refund,-10,DKK,now,a\n"), 2),
        (format!("{HEADER}\nsv-7,refund,10,DKK,now,a\nsv-8,refund,99999999999999999999,DKK,now,a"), 3),
    ] {
        assert_eq!(parse(&text), Err(ReportError { line }), "{text}");
    }
}

proptest! {
    #[test]
    fn a_report_of_ours_agrees_with_us(acts in prop::collection::vec((2_u32..9, 0_u64..5, prop::bool::ANY), 0..20)) {
        let all: Vec<OurAct> = acts.iter().map(|(act, amount, capture)| {
            ours(*act, if *capture { "capture" } else { "refund" }, *amount, "done")
        }).collect();
        let line = |(id, act): (usize, &OurAct)| booked(&act.kind, act.amount_minor, &id.to_string());
        let report: Vec<Line> = all.iter().enumerate().rev().map(line).collect();
        prop_assert_eq!(compare(&all, &report, |_| Due::Here), Comparison { agreed: all.len(), findings: vec![] });
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        let _ = parse(&format!("{HEADER}\n{text}"));
    }
}

#[test]
fn a_line_that_may_be_an_earlier_acts_settles_nothing() {
    let all = [ours(2, "capture", 500, "done"), ours(3, "capture", 500, "unknown")];
    let line = booked("capture", 500, "a");
    for earlier in [Due::Elsewhere, Due::HereOrBefore] {
        let due = |act: &OurAct| if act.act == 2 { earlier } else { Due::Here };
        let ambiguous = Finding::Ambiguous { ours: all[1].clone(), theirs: line.clone() };
        assert_eq!(compare(&all, from_ref(&line), due).findings, [ambiguous]);
        // Two lines are two bookings.
        let second = booked("capture", 500, "b");
        let found = compare(&all, &[line.clone(), second.clone()], due).findings;
        assert_eq!(found, [Finding::UnknownWasBooked { ours: all[1].clone(), theirs: second }]);
    }
    // Where the earlier one must be in this report, the line is that one's.
    assert_eq!(findings(&all, from_ref(&line)), [Finding::UnknownNotInReport { ours: all[1].clone() }]);
}
