use super::*;
use crate::vault::collector::{Collector, ShareRefused};
use crate::vault::entropy::SystemEntropy;
use crate::vault::init::{VaultError, initialise};
use crate::vault::secret::UnsealKey;
use crate::vault::shamir::Quorum;
use crate::vault::share::Share;
use crate::vault::state::{SubmitError, Vault};
use crate::vault::testing::{NOW, PLACE, decode_hex, open_vault, stored};

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
    assert_eq!(error(&before.kid), JweError::DoesNotOpen);
    assert_eq!(error(&after.page_key_jwk().kid), JweError::DoesNotOpen);
    assert_eq!(error("other"), JweError::UnknownKey);
}

#[test]
fn the_login_key_comes_later_and_is_checked() {
    let (vault, unsealed, _) = open_vault();
    assert!(unsealed.login_key().is_none());
    let mut entropy = SystemEntropy::new();
    let rubbish = SecretBytes::new(Zeroizing::new(vec![1; 64]));
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
    assert_eq!(unsealed.active_key_id(KeyKind::Fingerprint), Some(1));
}

#[test]
fn attempts_and_fingerprints_are_those_of_the_second_implementation() {
    let formats: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/formats.json")).unwrap();
    let key = |vector: &serde_json::Value| Key32::from_slice(&decode_hex(vector["key"].as_str().unwrap())).unwrap();
    let vector = &formats["attempts"][0];
    let id = vector["id"].as_str().unwrap();
    let attempt = attempt::verify([&key(vector)], "0123456789", id, 1).unwrap();
    assert_eq!(attempt.random.to_vec(), decode_hex(vector["random"].as_str().unwrap()));
    assert_eq!(attempt.expires_at_s, vector["expires"]);

    let vector = &formats["fingerprints"][0];
    let pan = Pan::parse(vector["pan"].as_str().unwrap()).unwrap();
    let account = vector["account"].as_str().unwrap();
    let hash = fingerprint(&key(vector), account, &pan);
    assert_eq!(hash.to_vec(), decode_hex(vector["fingerprint"].as_str().unwrap()));
}

#[test]
fn two_vaults_share_nothing_and_debug_shows_no_key() {
    let first = initialise(Quorum::new(2, 2).unwrap(), NOW, &mut SystemEntropy::new()).unwrap();
    let second = initialise(Quorum::new(2, 2).unwrap(), NOW, &mut SystemEntropy::new()).unwrap();
    assert_ne!(first.record.share_set.set_id(), second.record.share_set.set_id());
    assert_ne!(first.record.keys[0].wrapped, second.record.keys[0].wrapped);
    let (_, unsealed, _) = open_vault();
    let shown = format!("{unsealed:?}");
    let audit_key = unsealed.backup_keys().next().unwrap().1.expose();
    assert!(!shown.contains(&format!("{audit_key:?}")) && shown.contains("Key32(secret)"));
}
