use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rsa::BigUint;
use serde_json::Value;

use super::*;
use crate::vault::KeyKind;
use crate::vault::entropy::{Entropy, SystemEntropy};
use crate::vault::secret::SecretBytes;
use crate::vault::state::Vault;
use crate::vault::testing::{NOW, open_vault, stored};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/login.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn ciphertext(value: &Value) -> [u8; CIPHERTEXT_BYTES] {
    bytes(value).try_into().unwrap()
}

/// A vault whose login key is that of the vectors.
fn with_gateway_key() -> (Vault, Value) {
    let (vault, unsealed, _) = open_vault();
    assert_eq!(unsealed.login_public_key(), None);
    let vectors = vectors();
    let key = SecretBytes::new(Zeroizing::new(bytes(&vectors["gateway"]["pkcs8"])));
    let rotation = unsealed.import_login_key(&key, NOW, &mut SystemEntropy::new()).unwrap();
    vault.reload(stored(unsealed.record(), rotation)).unwrap();
    (vault, vectors)
}

#[test]
fn what_openssl_and_python_encrypt_is_opened() {
    let (vault, vectors) = with_gateway_key();
    let unsealed = vault.unsealed().unwrap();
    assert_eq!(unsealed.login_public_key().unwrap(), bytes(&vectors["gateway"]["spki"]));
    let made = vectors["to_gateway"].as_array().unwrap();
    assert_eq!(made.len(), 6);
    for vector in made {
        let answer = unsealed.answer_challenge(&ciphertext(&vector["ciphertext"]));
        assert_eq!(answer.to_vec(), bytes(&vector["sha256"]), "{}", vector["by"]);
        assert_eq!(bytes(&vector["sha256"]), Sha256::digest(bytes(&vector["plaintext"])).to_vec());
    }
}

#[test]
fn what_is_no_challenge_is_answered_all_the_same_and_always_alike() {
    let (vault, vectors) = with_gateway_key();
    let unsealed = vault.unsealed().unwrap();
    for (name, vector) in vectors["not_to_gateway"].as_object().unwrap() {
        let challenge = ciphertext(vector);
        let answer = unsealed.answer_challenge(&challenge);
        assert_eq!(answer, unsealed.rejection(&challenge), "{name}");
        assert_eq!(answer, unsealed.answer_challenge(&challenge), "{name}");
    }
}

#[test]
fn a_changed_ciphertext_opens_nothing() {
    let (vault, vectors) = with_gateway_key();
    let unsealed = vault.unsealed().unwrap();
    let good = ciphertext(&vectors["to_gateway"][0]["ciphertext"]);
    for at in (0..CIPHERTEXT_BYTES).step_by(37) {
        let mut changed = good;
        changed[at] ^= 1;
        assert_eq!(unsealed.answer_challenge(&changed), unsealed.rejection(&changed), "{at}");
    }
}

#[test]
fn a_key_overlaps_one_rotation() {
    let (vault, vectors) = with_gateway_key();
    let (challenge, answer) =
        (ciphertext(&vectors["to_gateway"][0]["ciphertext"]), bytes(&vectors["to_gateway"][0]["sha256"]));
    let mut client = SecretBytes::new(Zeroizing::new(pem(&vectors["client"]["pkcs8"])));
    for opens in [true, false] {
        let unsealed = vault.unsealed().unwrap();
        let rotation = unsealed.import_login_key(&client, NOW + 1, &mut SystemEntropy::new()).unwrap();
        vault.reload(stored(unsealed.record(), rotation)).unwrap();
        let rotated = vault.unsealed().unwrap();
        assert_eq!(rotated.answer_challenge(&challenge).to_vec() == answer, opens);
        assert_eq!(rotated.login_public_key().unwrap(), bytes(&vectors["client"]["spki"]));
        assert_eq!(rotated.openers().0.len(), 2);
        client = SecretBytes::new(Zeroizing::new(pem(&vectors["client"]["pkcs8"])));
    }
    let retired = |id| vault.unsealed().unwrap().destroy(KeyKind::Login, id).is_ok();
    assert!(retired(1) && retired(2) && !retired(3));
}

fn pem(text: &Value) -> Vec<u8> {
    let lines = text.as_str().unwrap().lines().filter(|line| !line.starts_with("---"));
    STANDARD.decode(lines.collect::<String>()).unwrap()
}

#[test]
fn without_a_login_key_there_is_an_answer_too() {
    let (_, unsealed, _) = open_vault();
    let challenge = [7; CIPHERTEXT_BYTES];
    assert_eq!(unsealed.answer_challenge(&challenge), unsealed.rejection(&challenge));
}

#[test]
fn decoys_are_below_a_modulus_of_the_identity_and_fill_it() {
    let (_, unsealed, _) = open_vault();
    let modulus = |name: &str| unsealed.decoy_factor(name, 0) * unsealed.decoy_factor(name, 1);
    assert_eq!(modulus("merchant-25"), modulus("merchant-25"));
    assert_ne!(modulus("merchant-25"), modulus("merchant-26"));
    let mut entropy = SystemEntropy::new();
    for name in ["merchant-25", "", "no name at all"] {
        let limit = modulus(name);
        assert_eq!(limit.bits(), 4096);
        let (mut above_half, half) = (0, &limit >> 1);
        for _ in 0..200 {
            let mut random = [0; DECOY_RANDOM_BYTES];
            entropy.fill(&mut random).unwrap();
            let number = BigUint::from_bytes_be(&unsealed.decoy(name, &random));
            assert!(number < limit);
            above_half += u32::from(number > half);
        }
        // 200 tosses of a coin: outside of this once in some 10^12 runs.
        assert!((50..=150).contains(&above_half), "{above_half}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_small_number_keeps_its_zeros(low: [u8; 16]) {
        let (_, unsealed, _) = open_vault();
        let mut random = [0; DECOY_RANDOM_BYTES];
        random[DECOY_RANDOM_BYTES - 16..].copy_from_slice(&low);
        let decoy = unsealed.decoy("x", &random);
        prop_assert_eq!(&decoy[..CIPHERTEXT_BYTES - 16], &[0; CIPHERTEXT_BYTES - 16][..]);
        prop_assert_eq!(&decoy[CIPHERTEXT_BYTES - 16..], &low[..]);
    }
}
