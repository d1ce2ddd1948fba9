//! JWEs as a client makes them, with RustCrypto.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A card with a number of 16 digits, its check digit included.
pub(crate) fn card_json(number: u64) -> String {
    let digits = format!("{number:015}");
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .bytes()
        .rev()
        .map(|digit| u32::from(digit - b'0'))
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { doubled(digit) } else { digit })
        .sum();
    format!(r#"{{"pan":"{digits}{}","exp":"1230","name":"Bench Cardholder"}}"#, (10 - sum % 10) % 10)
}

/// `dir` under a session.
pub(crate) fn dir(key: &[u8; 32], session: &str, text: &[u8], nonce: u128) -> String {
    let header = json!({"alg": "dir", "enc": "A256GCM", "kid": session, "typ": "scanvault-vault-card+json"});
    encrypt(key, &header, text, nonce)
}

/// What was sealed under a session.
pub(crate) fn open_dir(key: &[u8; 32], compact: &str) -> Value {
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let parts: Vec<&str> = compact.split('.').collect();
    let (iv, tag): ([u8; 12], [u8; 16]) = (decode(parts[2]).try_into().unwrap(), decode(parts[4]).try_into().unwrap());
    let mut text = decode(parts[3]);
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(&Nonce::from(iv), parts[0].as_bytes(), text.as_mut_slice().into(), &Tag::from(tag))
        .unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The public half of the client's own key.
pub(crate) fn own_jwk() -> Value {
    jwk_of(&p256::SecretKey::from_slice(&[0x33; 32]).unwrap())
}

/// An ECDH-ES key agreed upon once: the client's half of the work is not what is measured. The origin does all of its
/// own for each text.
pub(crate) struct Agreed {
    header: Value,
    key: [u8; 32],
}

impl Agreed {
    pub(crate) fn nobody() -> Self {
        Self { header: Value::Null, key: [0; 32] }
    }

    pub(crate) fn with(page_key: &Value, account: &str) -> Self {
        let decode = |name: &str| URL_SAFE_NO_PAD.decode(page_key[name].as_str().unwrap()).unwrap();
        let ephemeral = p256::SecretKey::from_slice(&[0x17; 32]).unwrap();
        let theirs = p256::PublicKey::from_sec1_bytes(&[vec![4], decode("x"), decode("y")].concat()).unwrap();
        let z = diffie_hellman(&ephemeral.to_nonzero_scalar(), theirs.as_affine());
        let length = u32::try_from(account.len()).unwrap().to_be_bytes();
        let mut hash = Sha256::new();
        for part in [&[0, 0, 0, 1], z.raw_secret_bytes().as_slice(), &[0, 0, 0, 7], b"A256GCM"] {
            hash.update(part);
        }
        for part in [&length, account.as_bytes(), &[0; 4], &[0, 0, 1, 0]] {
            hash.update(part);
        }
        let header = json!({"alg": "ECDH-ES", "enc": "A256GCM", "kid": page_key["kid"], "epk": jwk_of(&ephemeral),
            "apu": URL_SAFE_NO_PAD.encode(account)});
        Self { header, key: hash.finalize().into() }
    }

    pub(crate) fn seal(&self, typ: &str, text: &[u8], nonce: u128) -> String {
        let mut header = self.header.clone();
        header["typ"] = json!(typ);
        encrypt(&self.key, &header, text, nonce)
    }
}

fn jwk_of(key: &p256::SecretKey) -> Value {
    let point = key.public_key().to_sec1_point(false);
    let (x, y) = (URL_SAFE_NO_PAD.encode(point.x().unwrap()), URL_SAFE_NO_PAD.encode(point.y().unwrap()));
    json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
}

fn encrypt(key: &[u8; 32], header: &Value, text: &[u8], nonce: u128) -> String {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let iv: [u8; 12] = nonce.to_be_bytes()[4..].try_into().unwrap();
    let mut text = text.to_vec();
    let tag = Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&Nonce::from(iv), protected.as_bytes(), text.as_mut_slice().into())
        .unwrap();
    let [iv, text, tag] = [iv.as_slice(), &text, &tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{protected}..{iv}.{text}.{tag}")
}
