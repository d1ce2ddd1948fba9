use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_790_000_000_000;
const NONE: Tried = Tried([false; MAX_REGIONS]);

fn told(serves: bool, epoch: u64) -> Statement {
    Statement { region: "a".into(), version: "0.1.0".into(), sealed: false, serves, epoch }
}

/// Takes what came, one after another, each asked after the last was answered.
fn after(each: &[(usize, Came)]) -> Regions {
    let mut regions = Regions::default();
    for (step, (at, came)) in (0..).zip(each) {
        regions.take(*at, *came, NOW + 10 * step, NOW + 10 * step + 5);
    }
    regions
}

#[test]
fn what_may_have_been_done_is_sent_again_only_when_that_changes_nothing() {
    for (came, read, other) in [
        (Came::Answer, Then::Pass, Then::Pass),
        (Came::Standby, Then::Next, Then::Next),
        (Came::Nothing, Then::Next, Then::GiveUp),
        (Came::NothingYet, Then::Next, Then::GiveUp),
        (Came::Garbage, Then::Next, Then::GiveUp),
    ] {
        assert_eq!((then(true, came), then(false, came)), (read, other), "{came:?}");
    }
}

#[test]
fn only_a_read_that_can_go_elsewhere_shares_its_time() {
    assert_eq!(share_ms(8_000, true, true), 4_000);
    for (is_repeatable, is_other_up) in [(true, false), (false, true), (false, false)] {
        assert_eq!(share_ms(8_000, is_repeatable, is_other_up), 8_000);
    }
}

#[test]
fn the_first_is_asked_while_nothing_else_is_known() {
    let regions = Regions::default();
    assert_eq!(regions.choose(2, NONE), Some(0));
    assert_eq!(regions.choose(2, NONE.and(0)), Some(1));
    assert_eq!(regions.choose(2, NONE.and(0).and(1)), None);
    assert_eq!((regions.choose(1, NONE.and(0)), regions.choose(0, NONE)), (None, None));
}

#[test]
fn three_losses_in_a_row_take_a_region_down_and_two_answers_bring_it_back() {
    use Came::{Answer, Garbage, Nothing, NothingYet, Standby};
    for (each, is_down) in [
        (&[Nothing, Nothing][..], false),
        (&[Nothing, Garbage, Nothing], true),
        (&[Nothing, Nothing, Answer, Nothing, Nothing], false),
        (&[Nothing, Nothing, Standby, Nothing, Nothing], false),
        (&[NothingYet, NothingYet, NothingYet, NothingYet, NothingYet], false),
        (&[NothingYet, NothingYet, NothingYet, NothingYet, NothingYet, NothingYet], true),
        (&[Garbage, Garbage, Garbage, Answer], true),
        (&[Garbage, Garbage, Garbage, Answer, Nothing, Answer], true),
        (&[Garbage, Garbage, Garbage, Answer, Answer], false),
    ] {
        let steps: Vec<_> = each.iter().map(|came| (0, *came)).collect();
        let regions = after(&steps);
        assert_eq!(regions.health(0) == Health::Down, is_down, "{each:?}");
        let is_first = !is_down && !each.contains(&Standby);
        assert_eq!(regions.choose(2, NONE), Some(usize::from(!is_first)), "{each:?}");
    }
}

#[test]
fn a_loss_that_was_sent_before_the_last_answer_came_says_nothing_new() {
    let mut regions = Regions::default();
    regions.take(0, Came::Answer, NOW, NOW + 100);
    for _ in 0..10 {
        regions.take(0, Came::Nothing, NOW + 99, NOW + 8_099);
    }
    assert_eq!(regions.health(0), Health::Up);
}

#[test]
fn one_word_of_the_region_itself_is_enough_and_the_later_one_counts() {
    let mut regions = Regions::default();
    assert_eq!(regions.take(0, Came::Standby, NOW + 10, NOW + 11), [(0, Health::Standby)]);
    assert_eq!(regions.choose(2, NONE), Some(1));
    // Sent before, or at the same time: it says what was.
    for asked_at_ms in [NOW, NOW + 10] {
        assert_eq!(regions.take(0, Came::Answer, asked_at_ms, NOW + 12), []);
        assert_eq!(regions.learn(0, told(true, 0), asked_at_ms, NOW + 12), []);
    }
    assert_eq!(regions.learn(0, told(true, 0), NOW + 13, NOW + 14), [(0, Health::Up)]);
    assert_eq!(regions.take(0, Came::Standby, NOW + 12, NOW + 15), [], "overtaken");
    assert_eq!(regions.learn(0, told(false, 1), NOW + 16, NOW + 17), [(0, Health::Standby)]);
    assert_eq!(regions.take(0, Came::Answer, NOW + 18, NOW + 19), [(0, Health::Up)]);
}

#[test]
fn who_stands_by_is_asked_before_who_is_down() {
    let mut regions = after(&[(0, Came::Nothing), (0, Came::Nothing), (0, Came::Nothing)]);
    regions.learn(1, told(false, 0), NOW + 100, NOW + 101);
    assert_eq!((regions.choose(2, NONE), regions.choose(2, NONE.and(1))), (Some(1), Some(0)));
    // It was told to serve meanwhile: the first answer shows it.
    assert_eq!(regions.take(1, Came::Answer, NOW + 102, NOW + 103), [(1, Health::Up)]);
}

#[test]
fn who_was_superseded_is_never_asked_until_it_knows() {
    let mut regions = Regions::default();
    regions.learn(0, told(true, 4), NOW, NOW);
    assert_eq!(regions.learn(1, told(true, 5), NOW + 1, NOW + 1), [(0, Health::Superseded)]);
    assert_eq!((regions.health(0), regions.health(1)), (Health::Superseded, Health::Up));
    assert_eq!((regions.choose(2, NONE), regions.choose(2, NONE.and(1))), (Some(1), None));
    // Answers alone do not change that, nor that the other one goes down.
    regions.take(0, Came::Answer, NOW + 2, NOW + 3);
    for step in 0..3 {
        regions.take(1, Came::Nothing, NOW + 4 + step, NOW + 5 + step);
    }
    assert_eq!((regions.choose(2, NONE), regions.choose(2, NONE.and(1))), (Some(1), None));
    assert_eq!(regions.learn(0, told(false, 5), NOW + 10, NOW + 11), [(0, Health::Standby)]);
    assert_eq!(regions.learn(0, told(true, 6), NOW + 12, NOW + 13), [(0, Health::Up), (1, Health::Superseded)]);
}

#[test]
fn who_stands_by_supersedes_nobody_but_is_a_reason_to_ask() {
    let mut regions = Regions::default();
    assert_eq!(regions.due(2, NOW, || 0), [0, 1]);
    regions.learn(0, told(true, 2), NOW, NOW + 1);
    regions.learn(1, told(false, 2), NOW, NOW + 1);
    assert_eq!(regions.due(2, NOW + 1_000, || 0), [0, 1]);
    // The first one was chosen anew, which the second one knows already: it is not the one that serves.
    assert_eq!(regions.learn(1, told(false, 3), NOW + 1_001, NOW + 1_002), []);
    assert_eq!(regions.choose(2, NONE), Some(0));
    assert_eq!(regions.due(2, NOW + 1_252, || 0), [0, 1]);
    // One that served by a later decision, and stands by since, supersedes nobody either.
    regions.learn(1, told(true, 4), NOW + 1_300, NOW + 1_301);
    assert_eq!(regions.health(0), Health::Superseded);
    regions.take(1, Came::Standby, NOW + 1_400, NOW + 1_401);
    assert_eq!(regions.health(0), Health::Up);
}

#[test]
fn what_a_region_told_later_is_not_replaced_by_what_it_told_before() {
    let mut regions = Regions::default();
    regions.learn(0, told(true, 5), NOW + 2, NOW + 3);
    regions.learn(0, told(true, 4), NOW + 1, NOW + 4);
    regions.learn(1, told(true, 5), NOW + 5, NOW + 6);
    assert_eq!(regions.health(0), Health::Up, "its answer of before the decision was late");
    assert_eq!(regions.view(0, NOW + 5_002).and_then(|view| view.told_ago_ms), Some(5_000));
}

#[test]
fn each_region_is_asked_once_in_its_interval() {
    let mut regions = Regions::default();
    assert_eq!(regions.due(2, NOW, || 0), [0, 1], "a fresh isolate knows nothing");
    let nobody: [usize; 0] = [];
    assert_eq!(regions.due(2, NOW + 7_499, || 0), nobody);
    assert_eq!(regions.due(2, NOW + 7_500, || u32::MAX), [0, 1], "three quarters of ten seconds");
    assert_eq!(regions.due(2, NOW + 7_500 + 7_500, || 0), nobody, "the dice said later");
    assert_eq!(regions.due(2, NOW + 20_000, || 0), [0, 1]);
    // One goes down: all are asked soon, and that one oftener.
    for step in 0..3 {
        regions.take(0, Came::Nothing, NOW + 20_001 + step, NOW + 20_001 + step);
    }
    assert_eq!(regions.due(2, NOW + 20_003 + 249, || 0), nobody);
    assert_eq!(regions.due(2, NOW + 20_003 + 250, || 0), [0, 1]);
    assert_eq!(regions.due(2, NOW + 20_253 + 1_499, || 0), nobody);
    assert_eq!(regions.due(2, NOW + 20_253 + 1_500, || 0), [0]);
    // The clock was set back.
    assert_eq!(regions.due(2, NOW, || 0), [0, 1]);
}

#[test]
fn jitter_is_a_quarter_either_way() {
    for roll in [0, 1, 4_999, 5_000, 123_456, u32::MAX] {
        assert!((7_500..12_500).contains(&jittered_ms(10_000, roll)), "{roll}");
    }
    assert_eq!((jittered_ms(10_000, 0), jittered_ms(10_000, 4_999)), (7_500, 12_499));
}

#[test]
fn the_monitor_asks_every_few_seconds_whatever_else_is_due() {
    let mut regions = Regions::default();
    assert_eq!(regions.due_for_monitor(2, NOW), [0, 1]);
    assert!(regions.due_for_monitor(2, NOW + 2_999).is_empty());
    assert_eq!(regions.due_for_monitor(2, NOW + 3_000), [0, 1]);
}

/// Nothing is owed but by the first region, for so long.
fn owes(for_ms: u64, now_ms: u64) -> [Option<u64>; MAX_REGIONS] {
    [Some(now_ms - for_ms), None, None, None]
}

#[test]
fn all_are_asked_when_one_owes_an_answer_for_long_and_gave_none_meanwhile() {
    let mut regions = Regions::default();
    let nobody: [usize; 0] = [];
    regions.take(0, Came::Answer, NOW - 50_000, NOW - 49_000);
    assert_eq!(regions.due_in_doubt(2, &owes(999, NOW), NOW, || 0), nobody);
    assert_eq!(regions.due_in_doubt(2, &[None; MAX_REGIONS], NOW, || 0), nobody);
    assert_eq!(regions.due_in_doubt(1, &owes(1_000, NOW), NOW, || 0), nobody, "there is nowhere else to go");
    assert_eq!(regions.due_in_doubt(2, &owes(1_000, NOW), NOW, || 0), [0, 1]);
    assert_eq!(regions.due_in_doubt(2, &owes(1_374, NOW + 374), NOW + 374, || 0), nobody, "a moment ago");
    assert_eq!(regions.due_in_doubt(2, &owes(1_375, NOW + 375), NOW + 375, || 0), [0, 1]);
    assert_eq!(regions.due_in_doubt(2, &owes(1_900, NOW + 999), NOW + 999, || u32::MAX), [0, 1]);
    // Something answered: it lives, and that one request is slow.
    regions.take(0, Came::Answer, NOW + 1_000, NOW + 2_000);
    assert_eq!(regions.due_in_doubt(2, &owes(4_000, NOW + 2_999), NOW + 2_999, || 0), nobody);
    assert_eq!(regions.due_in_doubt(2, &owes(4_001, NOW + 3_000), NOW + 3_000, || 0), [0, 1]);
}

#[test]
fn who_is_down_or_superseded_is_in_no_doubt() {
    let mut regions = after(&[(0, Came::Nothing), (0, Came::Nothing), (0, Came::Nothing)]);
    assert!(regions.due_in_doubt(2, &owes(5_000, NOW + 5_000), NOW + 5_000, || 0).is_empty());
    regions.learn(0, told(true, 1), NOW + 5_001, NOW + 5_001);
    regions.learn(0, told(true, 1), NOW + 5_002, NOW + 5_002);
    regions.learn(1, told(true, 2), NOW + 5_002, NOW + 5_002);
    assert_eq!(regions.health(0), Health::Superseded);
    assert!(regions.due_in_doubt(2, &owes(9_000, NOW + 9_000), NOW + 9_000, || 0).is_empty());
}

#[test]
fn a_frozen_region_is_down_after_three_questions_and_superseded_by_the_first_answer_of_another() {
    let frozen = |step: u64| (NOW + 1_000 + 500 * step, NOW + 3_000 + 500 * step);
    let mut regions = Regions::default();
    for (asked_at_ms, now_ms) in (0..3).map(frozen) {
        assert_eq!(regions.health(0), Health::Up);
        regions.take(0, Came::Nothing, asked_at_ms, now_ms);
    }
    assert_eq!((regions.health(0), regions.choose(2, NONE)), (Health::Down, Some(1)));
    let mut regions = Regions::default();
    regions.learn(0, told(true, 1), NOW, NOW);
    regions.learn(1, told(false, 1), NOW, NOW);
    assert_eq!(regions.due_in_doubt(2, &owes(1_000, NOW + 1_000), NOW + 1_000, || 0), [0, 1]);
    regions.learn(1, told(true, 2), NOW + 1_000, NOW + 1_001);
    assert_eq!((regions.health(0), regions.choose(2, NONE)), (Health::Superseded, Some(1)));
}

#[test]
fn one_watches_and_another_takes_over_from_who_was_dropped() {
    let mut regions = Regions::default();
    let first = regions.takes_watch(NOW).unwrap();
    assert_eq!([0, WATCH_MS - 1].map(|ms| regions.takes_watch(NOW + ms)), [None, None]);
    assert!(regions.watches_on(first, NOW + WATCH_MS - 1));
    assert_eq!(regions.takes_watch(NOW + WATCH_MS + 1_000), None);
    assert_eq!(regions.takes_watch(NOW - 1), None, "a clock that trembles");
    let second = regions.takes_watch(NOW + 2 * WATCH_MS).unwrap();
    // The first one was only late: it neither goes on nor ends what is not its own.
    assert!(!regions.watches_on(first, NOW + 2 * WATCH_MS));
    regions.ends_watch(first);
    assert_eq!(regions.takes_watch(NOW + 2 * WATCH_MS), None);
    let third = regions.takes_watch(NOW - WATCH_MS).unwrap();
    assert!(!regions.watches_on(second, NOW), "the clock was set back");
    regions.ends_watch(third);
    assert!(regions.takes_watch(NOW).is_some());
}

#[test]
fn what_is_shown_says_how_old_it_is() {
    let mut regions = Regions::default();
    let health = |regions: &Regions| regions.view(0, NOW).unwrap().health;
    assert_eq!(health(&regions), "unknown");
    regions.take(0, Came::Nothing, NOW, NOW);
    assert_eq!(health(&regions), "doubtful");
    regions.learn(0, told(true, 3), NOW + 1, NOW + 2);
    let told = told(true, 3);
    let view = View { health: "up", told: Some(&told), told_ago_ms: Some(5_000), answered_ago_ms: Some(4_999) };
    assert_eq!(regions.view(0, NOW + 5_001), Some(view));
    assert_eq!(regions.view(MAX_REGIONS, NOW), None);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Came(Came),
    Told(bool, u64),
}

fn came() -> impl Strategy<Value = Came> {
    prop::sample::select(vec![Came::Answer, Came::Standby, Came::Nothing, Came::NothingYet, Came::Garbage])
}

fn events() -> impl Strategy<Value = Vec<(usize, Event)>> {
    let event = prop_oneof![
        3 => came().prop_map(Event::Came),
        1 => (any::<bool>(), 0_u64..3).prop_map(|(serves, epoch)| Event::Told(serves, epoch)),
    ];
    prop::collection::vec((0_usize..3, event), 0..40)
}

fn lived(events: &[(usize, Event)]) -> Regions {
    let mut regions = Regions::default();
    for (step, (at, event)) in (0..).zip(events) {
        let (asked_at_ms, now_ms) = (NOW + 10 * step, NOW + 10 * step + 5);
        match event {
            Event::Came(came) => regions.take(*at, *came, asked_at_ms, now_ms),
            Event::Told(serves, epoch) => regions.learn(*at, told(*serves, *epoch), asked_at_ms, now_ms),
        };
    }
    regions
}

/// What is known of a region, read from what happened, from the end: with nothing of the code above.
fn known(events: &[(usize, Event)], at: usize) -> (bool, bool, bool) {
    let own: Vec<Event> = events.iter().filter(|(it, _)| *it == at).map(|(_, event)| *event).collect();
    let weight = |event: &Event| match event {
        Event::Came(Came::Nothing | Came::Garbage) => 2,
        Event::Came(Came::NothingYet) => 1,
        _ => 0,
    };
    let mut is_down = false;
    for end in 0..=own.len() {
        let so_far = &own[..end];
        let losses: u32 = so_far.iter().rev().map(weight).take_while(|weight| *weight > 0).sum();
        let answers = so_far.iter().rev().take_while(|event| weight(event) == 0).count();
        is_down = (is_down && answers < 2) || losses >= 6;
    }
    let is_standby = |at: usize| {
        let role = |(_, event): &(usize, Event)| match event {
            Event::Came(Came::Answer) => Some(false),
            Event::Came(Came::Standby) => Some(true),
            Event::Told(serves, _) => Some(!serves),
            Event::Came(_) => None,
        };
        events.iter().rev().filter(|(it, _)| *it == at).find_map(role).unwrap_or(false)
    };
    let stands_by = is_standby(at);
    let last = |at: usize| {
        let told = |(it, event): &(usize, Event)| match event {
            Event::Told(serves, epoch) if *it == at => Some((*serves, *epoch)),
            _ => None,
        };
        events.iter().rev().find_map(told)
    };
    let serving = (0..3).filter(|at| !is_standby(*at)).filter_map(last).filter(|(serves, _)| *serves);
    let newest = serving.map(|(_, epoch)| epoch).max().unwrap_or(0);
    let is_superseded = !stands_by && last(at).is_some_and(|(serves, epoch)| serves && epoch < newest);
    (is_down, stands_by, is_superseded)
}

proptest! {
    /// Whatever happened: no region that is known down or standing by is asked while another is up, and none that was
    /// superseded at all.
    #[test]
    fn the_best_that_is_left_is_asked(events in events(), tried in prop::collection::vec(0_usize..3, 0..3)) {
        let regions = lived(&events);
        let is_tried = |at: &usize| tried.contains(at);
        let usable: Vec<usize> = (0..3).filter(|at| !is_tried(at) && !known(&events, *at).2).collect();
        let tried = tried.iter().fold(NONE, |tried, at| tried.and(*at));
        match regions.choose(3, tried) {
            None => prop_assert!(usable.is_empty()),
            Some(chosen) => {
                prop_assert!(usable.contains(&chosen));
                let (is_down, stands_by, _) = known(&events, chosen);
                let better = |other: &&usize| {
                    let (other_down, other_stands_by, _) = known(&events, **other);
                    (other_down, !other_down && other_stands_by, **other) < (is_down, !is_down && stands_by, chosen)
                };
                prop_assert_eq!(usable.iter().find(better), None, "chosen {}", chosen);
            }
        }
    }

    /// Whatever is known, and whatever the regions do with a request: what changes something is executed once at most.
    #[test]
    fn nothing_is_executed_twice(events in events(), is_repeatable in any::<bool>(), does in prop::collection::vec((came(), any::<bool>()), 3)) {
        let mut regions = lived(&events);
        let (mut tried, mut executions, mut asked) = (NONE, 0, Vec::new());
        while let Some(at) = regions.choose(3, tried) {
            tried = tried.and(at);
            asked.push(at);
            let (came, is_lost_late) = does[at];
            // Who answers has executed it, who stands by has not, of the rest nobody knows.
            let is_executed = came == Came::Answer || (came != Came::Standby && is_lost_late);
            executions += u32::from(is_executed);
            regions.take(at, came, NOW + 1_000, NOW + 1_001);
            if then(is_repeatable, came) != Then::Next {
                break;
            }
        }
        prop_assert!(is_repeatable || executions <= 1);
        let lost = asked.iter().filter(|at| !matches!(does[**at].0, Came::Answer | Came::Standby)).count();
        prop_assert!(is_repeatable || lost <= 1);
        asked.dedup();
        prop_assert!(asked.len() <= 3);
    }
}
