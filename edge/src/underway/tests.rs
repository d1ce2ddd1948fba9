use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_790_000_000_000;
const DEADLINE_MS: u32 = 8_000;
const OVER_MS: u64 = DEADLINE_MS as u64 + SLACK_MS;

fn client(n: usize) -> Option<Client> {
    Some(Client::Address(n as u128))
}

/// Takes places for clients `from..`, a share each, until there is no more.
fn filled(now_ms: u64) -> (UnderWay, Vec<Place>) {
    let mut under_way = UnderWay::default();
    let places = (0..MOST).map(|n| under_way.begin(client(n / SHARE), DEADLINE_MS, now_ms).unwrap()).collect();
    (under_way, places)
}

#[test]
fn there_is_a_bound_in_all_and_a_place_that_is_given_back_is_free() {
    let (mut under_way, places) = filled(NOW);
    assert_eq!(under_way.begin(client(MOST), DEADLINE_MS, NOW), Err(Full::All));
    assert_eq!(under_way.begin(None, DEADLINE_MS, NOW), Err(Full::All));
    under_way.end(places[7]);
    under_way.end(places[7]);
    assert_eq!(under_way.len(), MOST - 1);
    assert!(under_way.begin(client(MOST), DEADLINE_MS, NOW).is_ok());
    assert_eq!(under_way.begin(client(MOST), DEADLINE_MS, NOW), Err(Full::All));
    assert_eq!(under_way.slots.len(), MOST);
}

#[test]
fn one_client_has_its_share_and_the_others_have_theirs() {
    let mut under_way = UnderWay::default();
    let places: Vec<_> = (0..SHARE).map(|_| under_way.begin(client(1), DEADLINE_MS, NOW).unwrap()).collect();
    assert_eq!(under_way.begin(client(1), DEADLINE_MS, NOW), Err(Full::Share));
    let kept = under_way.begin(client(2), DEADLINE_MS, NOW).unwrap();
    under_way.end(places[0]);
    assert!(under_way.begin(client(1), DEADLINE_MS, NOW).is_ok());
    assert_eq!(under_way.begin(client(1), DEADLINE_MS, NOW), Err(Full::Share));
    under_way.end(kept);
    assert_eq!(under_way.begin(client(1), DEADLINE_MS, NOW), Err(Full::Share));
}

#[test]
fn who_cannot_be_told_from_others_has_no_share() {
    let mut under_way = UnderWay::default();
    for _ in 0..MOST {
        assert!(under_way.begin(None, DEADLINE_MS, NOW).is_ok());
    }
    assert_eq!(under_way.begin(None, DEADLINE_MS, NOW), Err(Full::All));
}

#[test]
fn what_was_never_given_back_counts_no_longer_when_its_time_is_over() {
    let (mut under_way, places) = filled(NOW);
    assert_eq!(under_way.begin(client(0), DEADLINE_MS, NOW + OVER_MS - 1), Err(Full::Share));
    assert_eq!(under_way.begin(client(9), DEADLINE_MS, NOW + OVER_MS - 1), Err(Full::All));
    let later = under_way.begin(client(0), DEADLINE_MS, NOW + OVER_MS).unwrap();
    assert_eq!(under_way.len(), 1);
    // The old one wakes up: the place is another's.
    for place in places {
        under_way.end(place);
        under_way.asks(place, 0, NOW + OVER_MS);
    }
    assert_eq!((under_way.len(), under_way.waiting_since(NOW + OVER_MS)), (1, [None; MAX_REGIONS]));
    under_way.end(later);
    assert!(under_way.is_empty());
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_it_closed() {
    let (mut under_way, _) = filled(NOW);
    assert!(under_way.begin(client(0), DEADLINE_MS, NOW - 1).is_ok());
}

#[test]
fn the_oldest_that_waits_for_a_region_is_what_it_owes() {
    let mut under_way = UnderWay::default();
    let places: Vec<_> = (0..4).map(|_| under_way.begin(None, DEADLINE_MS, NOW).unwrap()).collect();
    for (place, region, after_ms) in [(0, 0, 30), (1, 0, 10), (2, 1, 20), (3, 9, 0)] {
        under_way.asks(places[place], region, NOW + after_ms);
    }
    assert_eq!(under_way.waiting_since(NOW + 40), [Some(NOW + 10), Some(NOW + 20), None, None]);
    under_way.asks(places[1], 1, NOW + 40);
    under_way.end(places[2]);
    assert_eq!(under_way.waiting_since(NOW + 40), [Some(NOW + 30), Some(NOW + 40), None, None]);
    assert_eq!(under_way.waiting_since(NOW + OVER_MS), [None; MAX_REGIONS]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Against a list of what is there: the bounds hold, whatever is given back, forgotten, or given back late. One client asks
    /// more than the others together.
    #[test]
    fn bounds_hold_in_any_order(steps in prop::collection::vec((0_usize..12, 0_u8..8, 0_u64..60), 2_500)) {
        let (mut under_way, mut there, mut now_ms) = (UnderWay::default(), Vec::new(), NOW);
        for (n, step, after_ms) in steps {
            let n = n.saturating_sub(6);
            now_ms += u64::from(step == 1) * after_ms;
            there.retain(|(_, _, over_ms)| *over_ms > now_ms);
            if step == 0 && !there.is_empty() {
                let (place, _, _) = there.swap_remove(after_ms as usize % there.len());
                under_way.end(place);
                continue;
            }
            let own = there.iter().filter(|(_, owner, _)| *owner == n).count();
            let expected = if own >= SHARE { Some(Full::Share) } else { (there.len() >= MOST).then_some(Full::All) };
            let got = under_way.begin(client(n), DEADLINE_MS, now_ms);
            prop_assert_eq!(got.err(), expected);
            there.extend(got.ok().map(|place| (place, n, now_ms + OVER_MS)));
            let places: HashSet<_> = there.iter().map(|(place, _, _)| place.at).collect();
            prop_assert_eq!(places.len(), there.len());
            prop_assert!(under_way.slots.len() <= MOST);
        }
    }
}
