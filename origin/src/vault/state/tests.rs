use std::collections::HashSet;

use super::*;
use crate::audit::signed_message;
use crate::vault::entropy::SystemEntropy;
use crate::vault::init::initialise;
use crate::vault::keys::KeyKind;
use crate::vault::ring::RingError;
use crate::vault::shamir::Quorum;
use crate::vault::testing::{FailingAfter, NOW, PLACE, Seeded, made, open_vault};

#[test]
fn from_nothing_to_open_and_back() {
    let vault = Vault::new(None);
    assert_eq!(vault.unsealed().unwrap_err(), SealedError::NotInitialised);
    assert!(!vault.status(NOW).initialized);
    let (record, shares) = made(2, 3);
    assert_eq!(vault.submit_share(&shares[0], NOW), Err(SubmitError::NotInitialised));
    assert_eq!(vault.prove_share(&shares[0]), Err(SubmitError::NotInitialised));
    assert!(!vault.seal());

    vault.install(record.clone()).unwrap();
    assert_eq!(vault.install(record), Err(VaultError::AlreadyInitialised));
    assert_eq!(vault.unsealed().unwrap_err(), SealedError::Sealed);
    let progress = Progress { submitted: vec![3], threshold: 2 };
    assert_eq!(vault.submit_share(&shares[2], NOW), Ok(Submitted::Progress { index: 3, progress }));
    assert_eq!(vault.unsealed().unwrap_err(), SealedError::Sealed);
    assert_eq!(vault.submit_share(&shares[0], NOW), Ok(Submitted::Unsealed { index: 1 }));
    assert!(vault.unsealed().is_ok());
    assert_eq!(vault.submit_share(&shares[0], NOW), Err(SubmitError::AlreadyUnsealed));

    assert!(vault.seal());
    assert!(!vault.seal());
    assert_eq!(vault.unsealed().unwrap_err(), SealedError::Sealed);
    // The shares of before the sealing are not remembered.
    assert!(matches!(vault.submit_share(&shares[1], NOW), Ok(Submitted::Progress { .. })));
}

#[test]
fn the_status_tells_what_the_cli_prints() {
    let (record, shares) = made(2, 3);
    let vault = Vault::new(Some(record));
    vault.submit_share(&shares[1], NOW).unwrap();
    let status = serde_json::to_value(vault.status(NOW)).unwrap();
    for (field, value) in [("sealed", true), ("initialized", true)] {
        assert_eq!(status[field], value);
    }
    for (field, value) in [("threshold", 2), ("shares", 3), ("progress", 1), ("generation", 0)] {
        assert_eq!(status[field], value, "{field}");
    }
    assert_eq!(status["setId"].as_str().unwrap().len(), 32);
    assert_eq!(status["submitted"], serde_json::json!([2]));
    let kinds: HashSet<_> = status["keys"].as_array().unwrap().iter().map(|key| key["kind"].to_string()).collect();
    assert_eq!(kinds.len(), KeyKind::ALL.len() - 1);
}

#[test]
fn a_wrong_share_is_refused_alone_and_the_collection_goes_on() {
    let (record, shares) = made(2, 3);
    let (_, mut other) = made(2, 3);
    other.clear();
    let foreign = initialise(Quorum::new(2, 3).unwrap(), NOW, &mut Seeded::new(2)).unwrap();
    let vault = Vault::new(Some(record));
    vault.submit_share(&shares[0], NOW).unwrap();
    let foreign = foreign.shares[1].to_text();
    assert_eq!(vault.submit_share(foreign.expose(), NOW), Err(SubmitError::Refused(ShareRefused::ForeignSet)));
    assert_eq!(vault.submit_share("svshare1-x", NOW), Err(SubmitError::Text(ShareTextError::Length { found: 1 })));
    let duplicate = ShareRefused::Duplicate { index: 1 };
    assert_eq!(vault.submit_share(&shares[0], NOW), Err(SubmitError::Refused(duplicate)));
    assert_eq!(vault.status(NOW).progress, 1);
    assert_eq!(vault.submit_share(&shares[2], NOW), Ok(Submitted::Unsealed { index: 3 }));
}

#[test]
fn a_collection_times_out_and_can_be_reset() {
    let (record, shares) = made(2, 3);
    let vault = Vault::new(Some(record));
    vault.submit_share(&shares[0], NOW).unwrap();
    let last = NOW + COLLECTION_TIMEOUT_MS;
    assert_eq!((vault.status(last).progress, vault.status(last + 1).progress), (1, 0));
    // The late share begins a new collection, and its time runs from there.
    let progress = Progress { submitted: vec![2], threshold: 2 };
    assert_eq!(vault.submit_share(&shares[1], last + 1), Ok(Submitted::Progress { index: 2, progress }));
    assert_eq!(vault.status(last + 1 + COLLECTION_TIMEOUT_MS).progress, 1);
    vault.reset_collection();
    assert_eq!(vault.status(last + 1).progress, 0);
    vault.submit_share(&shares[0], last + 2).unwrap();
    // A clock that goes back is no time-out.
    assert_eq!(vault.submit_share(&shares[1], NOW), Ok(Submitted::Unsealed { index: 2 }));
    vault.reset_collection();
    assert!(vault.unsealed().is_ok());
}

#[test]
fn what_is_stored_wrongly_keeps_the_vault_sealed_with_a_typed_error() {
    let (record, shares) = made(2, 3);
    let open = |record: VaultRecord| {
        let vault = Vault::new(Some(record));
        vault.submit_share(&shares[0], NOW).unwrap();
        let outcome = vault.submit_share(&shares[1], NOW).unwrap_err();
        assert_eq!(vault.unsealed().unwrap_err(), SealedError::Sealed);
        assert_eq!(vault.status(NOW).progress, 0);
        outcome
    };
    for byte in [0, 1, 5, 29, record.wrapped_root.len() - 1] {
        let mut bad = record.clone();
        bad.wrapped_root[byte] ^= 1;
        assert_eq!(open(bad), SubmitError::Stored(VaultError::Root));
    }
    for at in 0..record.keys.len() {
        let mut bad = record.clone();
        bad.keys[at].wrapped.truncate(50);
        assert!(matches!(open(bad), SubmitError::Stored(VaultError::Ring(RingError::DoesNotOpen { .. }))));
        let mut lacking = record.clone();
        let kind = lacking.keys.remove(at).kind;
        assert_eq!(open(lacking), SubmitError::Stored(VaultError::Ring(RingError::Missing(kind))));
    }
}

#[test]
fn shares_are_proved_without_being_collected() {
    let (vault, _, shares) = open_vault();
    assert_eq!(vault.prove_share(&shares[2]), Ok(3));
    vault.seal();
    assert_eq!(vault.prove_share(&shares[2]), Ok(3));
    assert_eq!(vault.status(NOW).progress, 0);
}

#[test]
fn sealing_lets_a_request_in_flight_finish_and_drops_the_keys_with_it() {
    let (vault, in_flight, _) = open_vault();
    let sealed = in_flight.seal_record(&PLACE, b"x", &mut SystemEntropy::new()).unwrap();
    vault.seal();
    assert_eq!(*in_flight.open_record(&PLACE, &sealed).unwrap(), b"x");
    // The request holds the last reference: the vault kept none.
    let weak = Arc::downgrade(&in_flight);
    assert_eq!(Arc::strong_count(&in_flight), 1);
    drop(in_flight);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_reload_that_does_not_open_changes_nothing() {
    let (vault, unsealed, _) = open_vault();
    let mut bad = unsealed.record().clone();
    bad.keys[0].wrapped[30] ^= 1;
    assert!(matches!(vault.reload(bad), Err(VaultError::Ring(RingError::DoesNotOpen { .. }))));
    assert!(Arc::ptr_eq(&vault.unsealed().unwrap(), &unsealed));
}

#[test]
fn a_reload_while_sealed_keeps_the_collection_unless_the_shares_changed() {
    let (record, shares) = made(2, 3);
    let vault = Vault::new(Some(record.clone()));
    vault.submit_share(&shares[0], NOW).unwrap();
    vault.reload(record).unwrap();
    assert_eq!(vault.status(NOW).progress, 1);
    let other = initialise(Quorum::new(2, 3).unwrap(), NOW, &mut Seeded::new(2)).unwrap();
    vault.reload(other.record).unwrap();
    assert_eq!(vault.status(NOW).progress, 0);
}

#[test]
fn a_source_that_fails_at_any_step_makes_no_vault() {
    let quorum = Quorum::new(2, 2).unwrap();
    let mut calls = 0;
    // Every call but the last fails once; then the vault is made.
    while initialise(quorum, NOW, &mut FailingAfter(calls, Seeded::new(1))).is_err() {
        calls += 1;
        assert!(calls < 200);
    }
    // Two keys, a set id, 32 coefficients, a nonce, and a key with a nonce for each of eight kinds.
    assert_eq!(calls, 2 + 1 + 32 + 1 + 16);
}

#[test]
fn the_audit_is_signed_while_the_vault_is_open() {
    let (vault, unsealed, _) = open_vault();
    let signature = vault.sign(&[5; 32]).unwrap();
    let public = unsealed.audit_keys().public();
    assert_eq!((public.len(), public[0].key_id, signature.key_id), (1, 1, 1));
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public[0].bytes);
    key.verify(&signed_message(&[5; 32]), &signature.bytes).unwrap();
    assert_eq!(vault.conceal("token", b"x"), Some(unsealed.audit_value("token", b"x")));
    vault.seal();
    assert!(vault.sign(&[5; 32]).is_none() && vault.conceal("token", b"x").is_none());
}

#[test]
fn a_rotated_audit_key_still_checks_what_it_signed() {
    let (vault, unsealed, _) = open_vault();
    let rotation = unsealed.rotate(KeyKind::Audit, NOW, &mut Seeded::new(9)).unwrap();
    let mut record = unsealed.record().clone();
    record.keys.retain(|row| row.kind != KeyKind::Audit);
    record.keys.extend([rotation.added, rotation.retired.unwrap()]);
    let old = unsealed.audit_keys().public()[0];
    vault.reload(record).unwrap();
    assert_eq!(vault.sign(&[5; 32]).unwrap().key_id, 2);
    let unsealed = vault.unsealed().unwrap();
    assert!(unsealed.audit_keys().public().contains(&old));
    assert_eq!(unsealed.audit_values("f", b"v").iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 1]);
}
