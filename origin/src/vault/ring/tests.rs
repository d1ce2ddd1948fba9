use super::*;
use crate::vault::testing::Seeded;

fn root() -> RootKey {
    RootKey(Key32::from_array([4; 32]))
}

fn row(kind: KeyKind, id: u32, state: KeyState) -> WrappedKey {
    let mut entropy = Seeded::new(u64::from(id));
    let material = generate(kind, &mut entropy).unwrap();
    Slot { kind, id, state, created_at_ms: 1000 }.wrap(&root(), &material, &mut entropy).unwrap()
}

fn rows() -> Vec<WrappedKey> {
    let kinds = KeyKind::ALL.into_iter().filter(|kind| kind.made_at_init());
    kinds.map(|kind| row(kind, 1, KeyState::Active)).collect()
}

#[test]
fn a_ring_opens_only_under_its_root_key() {
    assert!(KeyRing::open(&root(), &rows()).is_ok());
    let other = RootKey(Key32::from_array([5; 32]));
    let error = KeyRing::open(&other, &rows()).unwrap_err();
    assert!(matches!(error, RingError::DoesNotOpen { reason: EnvelopeError::DoesNotOpen, .. }));
}

#[test]
fn a_row_changed_in_any_column_does_not_open() {
    let edits: [fn(&mut WrappedKey); 6] = [
        |row| row.kind = KeyKind::Attempt,
        |row| row.id = 2,
        |row| row.created_at_ms += 1,
        |row| row.state = KeyState::Retired,
        |row| row.wrapped[40] ^= 1,
        |row| row.wrapped.clear(),
    ];
    for edit in edits {
        let mut changed = row(KeyKind::Data, 1, KeyState::Active);
        edit(&mut changed);
        assert!(matches!(unwrap(&root(), &changed), Err(RingError::DoesNotOpen { .. })), "{changed:?}");
    }
}

#[test]
fn a_page_key_swapped_in_the_database_is_not_served() {
    let mut swapped = rows();
    let page = swapped.iter().position(|row| row.kind == KeyKind::Page).unwrap();
    let foreign = RootKey(Key32::from_array([9; 32]));
    let slot = Slot { kind: KeyKind::Page, id: 1, state: KeyState::Active, created_at_ms: 1000 };
    swapped[page] = slot.wrap(&foreign, &[7; 32], &mut Seeded::new(1)).unwrap();
    let error = KeyRing::open(&root(), &swapped).unwrap_err();
    let reason = EnvelopeError::DoesNotOpen;
    assert_eq!(error, RingError::DoesNotOpen { kind: KeyKind::Page, id: 1, reason });
}

#[test]
fn an_incomplete_or_ambiguous_ring_is_refused() {
    for kind in KeyKind::ALL.into_iter().filter(|kind| kind.made_at_init()) {
        let lacking: Vec<_> = rows().into_iter().filter(|row| row.kind != kind).collect();
        assert_eq!(KeyRing::open(&root(), &lacking).unwrap_err(), RingError::Missing(kind));
    }
    let mut ambiguous = rows();
    ambiguous.push(row(KeyKind::Data, 2, KeyState::Active));
    assert_eq!(KeyRing::open(&root(), &ambiguous).unwrap_err(), RingError::TwoActive(KeyKind::Data));
    let mut doubled = rows();
    doubled.push(doubled[0].clone());
    assert_eq!(KeyRing::open(&root(), &doubled).unwrap_err(), RingError::Duplicate { kind: KeyKind::Data, id: 1 });
}

#[test]
fn material_that_is_no_key_of_its_kind_is_refused() {
    let cases: [(KeyKind, &[u8]); 6] = [
        (KeyKind::Data, &[1; 31]),
        (KeyKind::Audit, &[1; 33]),
        (KeyKind::Page, &[0; 32]),
        (KeyKind::Page, &[0xff; 32]),
        (KeyKind::Login, &[1; 32]),
        (KeyKind::Login, b""),
    ];
    for (kind, material) in cases {
        assert_eq!(check_material(kind, 3, material), Err(RingError::Material { kind, id: 3 }));
    }
}

#[test]
fn destroyed_rows_are_passed_over_and_retired_keys_still_open() {
    let mut rows = rows();
    rows.push(row(KeyKind::Data, 2, KeyState::Retired));
    let tombstone = WrappedKey { id: 3, wrapped: Vec::new(), state: KeyState::Destroyed, ..rows[0].clone() };
    rows.push(tombstone);
    let ring = KeyRing::open(&root(), &rows).unwrap();
    assert_eq!(ring.active_id(KeyKind::Data), Some(1));
    assert!(ring.data(1).is_some() && ring.data(2).is_some() && ring.data(3).is_none());
    assert_eq!(ring.active_id(KeyKind::Login), None);
}

#[test]
fn the_active_secret_comes_first() {
    let mut rows = rows();
    rows.retain(|row| row.kind != KeyKind::Attempt);
    rows.push(row(KeyKind::Attempt, 1, KeyState::Retired));
    rows.push(row(KeyKind::Attempt, 2, KeyState::Active));
    let ring = KeyRing::open(&root(), &rows).unwrap();
    let keys: Vec<_> = ring.secrets(KeyKind::Attempt).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!((keys[0].0, keys[1].0), (2, 1));
    assert_eq!(Some(keys[0].1), ring.secret(KeyKind::Attempt, 2));
    // Data, page and login keys are no plain secrets: there is no way to their bytes.
    assert_eq!(ring.secrets(KeyKind::Data).count(), 0);
}
