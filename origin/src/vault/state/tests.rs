use std::collections::HashSet;

use super::*;
use crate::vault::entropy::SystemEntropy;
use crate::vault::testing::{FailingAfter, Seeded, decode_hex};

const NOW: u64 = 1_767_225_600_000;
const PLACE: RecordContext<'_> =
    RecordContext { account: "merchant-25", table: "cards", row: "tok_1", column: "pan", row_version: 1 };

fn made(threshold: u8, total: u8) -> (VaultRecord, Vec<String>) {
    let new = initialise(Quorum::new(threshold, total).unwrap(), NOW, &mut Seeded::new(1)).unwrap();
    let texts = new.shares.iter().map(|share| share.to_text().expose().to_owned()).collect();
    (new.record, texts)
}

fn open_vault() -> (Vault, Arc<Unsealed>, Vec<String>) {
    let (record, shares) = made(2, 3);
    let vault = Vault::new(Some(record));
    vault.submit_share(&shares[0], NOW).unwrap();
    vault.submit_share(&shares[1], NOW).unwrap();
    let unsealed = vault.unsealed().unwrap();
    (vault, unsealed, shares)
}

/// What a store does with a rotation.
fn stored(record: &VaultRecord, rotation: crate::vault::unsealed::Rotation) -> VaultRecord {
    let mut record = record.clone();
    if let Some(retired) = rotation.retired {
        let place = record.keys.iter().position(|row| (row.kind, row.id) == (retired.kind, retired.id)).unwrap();
        record.keys[place] = retired;
    }
    record.keys.push(rotation.added);
    record
}

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
fn records_survive_a_restart_and_a_rotation() {
    let (vault, unsealed, shares) = open_vault();
    let mut entropy = SystemEntropy::new();
    let old = unsealed.seal_record(&PLACE, b"old", &mut entropy).unwrap();
    assert_eq!((envelope::key_id_of(&old), unsealed.current_data_key_id()), (Ok(1), 1));

    let record = stored(unsealed.record(), unsealed.rotate(KeyKind::Data, NOW + 1, &mut entropy).unwrap());
    vault.reload(record.clone()).unwrap();
    let rotated = vault.unsealed().unwrap();
    let new = rotated.seal_record(&PLACE, b"new", &mut entropy).unwrap();
    assert_eq!(envelope::key_id_of(&new), Ok(2));
    assert_eq!(*rotated.open_record(&PLACE, &old).unwrap(), b"old");
    // Who holds the ring of before does not know the new key.
    assert_eq!(unsealed.open_record(&PLACE, &new), Err(EnvelopeError::UnknownKey(2)));

    let restarted = Vault::new(Some(record.clone()));
    for share in &shares[1..] {
        restarted.submit_share(share, NOW).unwrap();
    }
    assert_eq!(*restarted.unsealed().unwrap().open_record(&PLACE, &new).unwrap(), b"new");

    // Destroyed: its records are gone, its number is not given again.
    assert_eq!(
        rotated.destroy(KeyKind::Data, 2),
        Err(RingError::NoSuchKey { kind: KeyKind::Data, id: 2 }),
        "the active key is not destroyed"
    );
    let tombstone = rotated.destroy(KeyKind::Data, 1).unwrap();
    let mut record = record;
    let place = record.keys.iter().position(|row| (row.kind, row.id) == (KeyKind::Data, 1)).unwrap();
    record.keys[place] = tombstone;
    vault.reload(record).unwrap();
    let after = vault.unsealed().unwrap();
    assert_eq!(after.open_record(&PLACE, &old), Err(EnvelopeError::UnknownKey(1)));
    assert_eq!(after.rotate(KeyKind::Data, NOW, &mut entropy).unwrap().added.id, 3);
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
fn a_reshare_needs_the_old_shares_and_replaces_them() {
    let (vault, unsealed, shares) = open_vault();
    let mut entropy = SystemEntropy::new();
    let mut collector = Collector::new(unsealed.record().share_set.clone());
    for share in &shares[..2] {
        collector.submit(Share::parse(share).unwrap()).unwrap();
    }
    let authority = collector.combine().unwrap();
    let quorum = Quorum::new(3, 4).unwrap();
    let stranger = UnsealKey(Key32::from_array([1; 32]));
    assert_eq!(unsealed.reshare(&stranger, quorum, &mut entropy).unwrap_err(), VaultError::Root);

    let new = unsealed.reshare(&authority, quorum, &mut entropy).unwrap();
    let record = VaultRecord { share_set: new.share_set, wrapped_root: new.wrapped_root, ..unsealed.record().clone() };
    vault.reload(record).unwrap();
    vault.seal();
    let older = ShareRefused::OlderGeneration { given: 0, current: 1 };
    assert_eq!(vault.submit_share(&shares[0], NOW), Err(SubmitError::Refused(older)));
    for share in &new.shares[1..] {
        vault.submit_share(share.to_text().expose(), NOW).unwrap();
    }
    assert!(vault.unsealed().is_ok());
}

#[test]
fn pages_overlap_through_a_rotation() {
    let (vault, unsealed, _) = open_vault();
    let before = unsealed.page_key_jwk().clone();
    let attempt = unsealed.sign_attempt("0123456789", 2000, &mut SystemEntropy::new()).unwrap();
    let mut record = unsealed.record().clone();
    for kind in [KeyKind::Page, KeyKind::Attempt] {
        record = stored(&record, unsealed.rotate(kind, NOW, &mut SystemEntropy::new()).unwrap());
    }
    vault.reload(record).unwrap();
    let after = vault.unsealed().unwrap();
    assert_ne!(after.page_key_jwk().kid, before.kid);
    assert!(after.verify_attempt("0123456789", &attempt, 2000).is_ok());
    let error = |kid: &str| {
        let header = serde_json::json!({"alg": "ECDH-ES", "enc": "A256GCM", "kid": kid, "typ": "scanvault-card+json",
            "epk": {"kty": "EC", "crv": "P-256", "x": before.x, "y": before.y}});
        use base64::Engine as _;
        let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string());
        after.open_jwe(&format!("{head}..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA")).unwrap_err()
    };
    // Both key ids are known, another is not.
    assert_eq!(error(&before.kid), crate::vault::jwe::JweError::DoesNotOpen);
    assert_eq!(error(&after.page_key_jwk().kid), crate::vault::jwe::JweError::DoesNotOpen);
    assert_eq!(error("other"), crate::vault::jwe::JweError::UnknownKey);
}

#[test]
fn the_login_key_comes_later_and_is_checked() {
    let (vault, unsealed, _) = open_vault();
    assert!(unsealed.login_key().is_none());
    let mut entropy = SystemEntropy::new();
    let rubbish = crate::vault::secret::SecretBytes::new(zeroize::Zeroizing::new(vec![1; 64]));
    let error = unsealed.import_login_key(&rubbish, NOW, &mut entropy).unwrap_err();
    assert_eq!(error, RingError::Material { kind: KeyKind::Login, id: 1 });

    let rotation = unsealed.rotate(KeyKind::Login, NOW, &mut entropy).unwrap();
    assert!(rotation.retired.is_none());
    vault.reload(stored(unsealed.record(), rotation)).unwrap();
    let with_login = vault.unsealed().unwrap();
    let der = with_login.login_key().unwrap().expose();
    let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(der).unwrap();
    assert_eq!(pair.public_modulus_len(), 512);
    assert_eq!(with_login.login_keys().count(), 1);
}

#[test]
fn keyed_hashes_depend_on_account_and_number_and_key() {
    let (_, unsealed, _) = open_vault();
    let (visa, other) = (Pan::parse("4111 1111 1111 1111").unwrap(), Pan::parse("4111111111111129").unwrap());
    let same = Pan::parse("4111111111111111").unwrap();
    let hash = unsealed.fingerprint("merchant-25", &visa);
    assert_eq!(hash, unsealed.fingerprint("merchant-25", &same));
    assert_ne!(hash, unsealed.fingerprint("merchant-26", &visa));
    assert_ne!(hash, unsealed.fingerprint("merchant-25", &other));
    assert_ne!(unsealed.audit_value("pan", b"x"), unsealed.audit_value("pa", b"nx"));
    assert_ne!(unsealed.rejection(b"1"), unsealed.rejection(b"2"));
    assert_eq!(unsealed.fingerprint_key_id(), 1);
}

#[test]
fn attempts_and_fingerprints_are_those_of_the_second_implementation() {
    let formats: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/formats.json")).unwrap();
    let key = |vector: &serde_json::Value| Key32::from_slice(&decode_hex(vector["key"].as_str().unwrap())).unwrap();
    let vector = &formats["attempts"][0];
    let id = vector["id"].as_str().unwrap();
    let attempt = crate::vault::attempt::verify([&key(vector)], "0123456789", id, 1).unwrap();
    assert_eq!(attempt.random.to_vec(), decode_hex(vector["random"].as_str().unwrap()));
    assert_eq!(attempt.expires_at_s, vector["expires"]);

    let vector = &formats["fingerprints"][0];
    let pan = Pan::parse(vector["pan"].as_str().unwrap()).unwrap();
    let account = vector["account"].as_str().unwrap();
    let hash = crate::vault::unsealed::fingerprint(&key(vector), account, &pan);
    assert_eq!(hash.to_vec(), decode_hex(vector["fingerprint"].as_str().unwrap()));
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
fn two_vaults_share_nothing_and_debug_shows_no_key() {
    let first = initialise(Quorum::new(2, 2).unwrap(), NOW, &mut SystemEntropy::new()).unwrap();
    let second = initialise(Quorum::new(2, 2).unwrap(), NOW, &mut SystemEntropy::new()).unwrap();
    assert_ne!(first.record.share_set.set_id(), second.record.share_set.set_id());
    assert_ne!(first.record.keys[0].wrapped, second.record.keys[0].wrapped);
    let (_, unsealed, _) = open_vault();
    let shown = format!("{unsealed:?}");
    let audit_key = unsealed.backup_key().expose();
    assert!(!shown.contains(&format!("{audit_key:?}")) && shown.contains("Key32(secret)"));
}
