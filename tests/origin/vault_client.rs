//! An internal system: opens a session, seals cards with RustCrypto, opens the answers.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{Answer, Forward, World};

pub(crate) const CARDS: &str = "/pluto/internal/vault/cards";
pub(crate) const SESSIONS: &str = "/pluto/internal/vault/sessions";
pub(crate) const PAN: &str = "4111111111111111";
const CARD_TYP: &str = "scanvault-vault-card+json";

/// One link key with its account, and a session.
pub(crate) struct Client {
    pub(crate) link_key: &'static str,
    pub(crate) account: &'static str,
    pub(crate) session: String,
    key: [u8; 32],
}

/// An open vault, and a system that may use it.
pub(crate) async fn ready(mut world: World) -> (World, Client) {
    world.init().await;
    world.unseal().await;
    let client = Client::billing(&world).await;
    (world, client)
}

impl Client {
    /// The account of `vault-1`, made here.
    pub(crate) async fn billing(world: &World) -> Self {
        Self::new(world, "vault-1", "billing", [0x21; 32]).await
    }

    /// The account of `vault-2`, made here.
    pub(crate) async fn warehouse(world: &World) -> Self {
        Self::new(world, "vault-2", "warehouse", [0x22; 32]).await
    }

    async fn new(world: &World, link_key: &'static str, account: &'static str, key: [u8; 32]) -> Self {
        world.account(&json!({"name": account, "role": "INTERNAL"})).await;
        let mut client = Self { link_key, account, session: String::new(), key };
        client.open_session(world).await;
        client
    }

    pub(crate) async fn open_session(&mut self, world: &World) {
        let answer = world.send(self.session_request(world)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.session = answer.json()["session"].as_str().unwrap().to_owned();
    }

    pub(crate) fn session_request(&self, world: &World) -> Forward {
        let text = json!({"key": URL_SAFE_NO_PAD.encode(self.key)}).to_string();
        let jwe = seal_to_page(world, self.account, "scanvault-vault-session+json", &text);
        Forward::post(SESSIONS, &json!({"jwe": jwe})).by(self.link_key)
    }

    /// A card's JWE under the session.
    pub(crate) fn seal(&self, card: &Value) -> String {
        let header = json!({"alg": "dir", "enc": "A256GCM", "kid": self.session, "typ": CARD_TYP});
        encrypt(&self.key, &header, card.to_string().as_bytes())
    }

    /// A card's JWE to the page key.
    pub(crate) fn seal_to_page(&self, world: &World, card: &Value) -> String {
        seal_to_page(world, self.account, CARD_TYP, &card.to_string())
    }

    pub(crate) fn store_request(&self, card: &Value) -> Forward {
        Forward::post(CARDS, &json!({"card": self.seal(card)})).by(self.link_key)
    }

    pub(crate) async fn store_with(&self, world: &World, card: &Value, ttl_secs: Option<u64>) -> Answer {
        let body = match ttl_secs {
            Some(secs) => json!({"card": self.seal(card), "ttlSecs": secs}),
            None => json!({"card": self.seal(card)}),
        };
        world.send(Forward::post(CARDS, &body).by(self.link_key)).await
    }

    /// Stores a card; answers its token and outcome.
    pub(crate) async fn store(&self, world: &World, card: &Value) -> (String, String) {
        let answer = self.store_with(world, card, None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        (text("token"), text("outcome"))
    }

    pub(crate) fn read_request(&self, token: &str, purpose: &str) -> Forward {
        let body = json!({"purpose": purpose, "session": self.session});
        Forward::post(format!("{CARDS}/{token}/read"), &body).by(self.link_key)
    }

    /// Reads a card under the session; answers what was sealed.
    pub(crate) async fn read(&self, world: &World, token: &str) -> Value {
        let answer = world.send(self.read_request(token, "a test")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.open(answer.json()["card"].as_str().unwrap())
    }

    /// Opens an answer under the session.
    pub(crate) fn open(&self, compact: &str) -> Value {
        let (header, text) = decrypt(&self.key, compact);
        let expected =
            json!({"alg": "dir", "enc": "A256GCM", "kid": self.session, "typ": "scanvault-vault-answer+json"});
        assert_eq!(header, expected);
        serde_json::from_slice(&text).unwrap()
    }

    pub(crate) async fn show(&self, world: &World, token: &str) -> Answer {
        world.send(Forward::get(format!("{CARDS}/{token}")).by(self.link_key)).await
    }

    pub(crate) async fn delete(&self, world: &World, token: &str) -> Answer {
        world.send(Forward::delete(format!("{CARDS}/{token}")).by(self.link_key)).await
    }
}

pub(crate) fn card(pan: &str) -> Value {
    json!({"pan": pan, "exp": "1230", "name": "A Shopper"})
}

/// Seals for an account to the page key, which the client would fetch from the API.
pub(crate) fn seal_to_page(world: &World, account: &str, typ: &str, text: &str) -> String {
    let unsealed = world.app.vault.unsealed().unwrap();
    let jwk = serde_json::to_value(unsealed.page_key_jwk()).unwrap();
    let ephemeral = p256::SecretKey::from_slice(&[0x17; 32]).unwrap();
    let header = json!({"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwk["kid"], "typ": typ, "epk": jwk_of(&ephemeral),
        "apu": URL_SAFE_NO_PAD.encode(account)});
    encrypt(&agree(&ephemeral, &jwk, account), &header, text.as_bytes())
}

pub(crate) fn jwk_of(key: &p256::SecretKey) -> Value {
    let point = key.public_key().to_sec1_point(false);
    let (x, y) = (URL_SAFE_NO_PAD.encode(point.x().unwrap()), URL_SAFE_NO_PAD.encode(point.y().unwrap()));
    json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
}

/// Opens an answer that was sealed to this key; answers its header too.
pub(crate) fn open_with(key: &p256::SecretKey, compact: &str) -> (Value, Value) {
    let header: Value = serde_json::from_slice(&decode(compact.split('.').next().unwrap())).unwrap();
    let (header, text) = decrypt(&agree(key, &header["epk"], ""), compact);
    (header, serde_json::from_slice(&text).unwrap())
}

/// RFC 7518 §4.6.2 for A256GCM.
fn agree(ours: &p256::SecretKey, theirs: &Value, party_u: &str) -> [u8; 32] {
    let point = [vec![4], decode(theirs["x"].as_str().unwrap()), decode(theirs["y"].as_str().unwrap())].concat();
    let theirs = p256::PublicKey::from_sec1_bytes(&point).unwrap();
    let z = diffie_hellman(&ours.to_nonzero_scalar(), theirs.as_affine());
    let length = u32::try_from(party_u.len()).unwrap().to_be_bytes();
    let info: [&[u8]; 8] = [
        &[0, 0, 0, 1],
        z.raw_secret_bytes().as_slice(),
        &[0, 0, 0, 7],
        b"A256GCM",
        &length,
        party_u.as_bytes(),
        &[0; 4],
        &[0, 0, 1, 0],
    ];
    Sha256::digest(info.concat()).into()
}

fn encrypt(key: &[u8; 32], header: &Value, plaintext: &[u8]) -> String {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let mut text = plaintext.to_vec();
    let tag = Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&Nonce::from([9; 12]), protected.as_bytes(), text.as_mut_slice().into())
        .unwrap();
    let [iv, text, tag] = [[9; 12].as_slice(), &text, &tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{protected}..{iv}.{text}.{tag}")
}

fn decrypt(key: &[u8; 32], compact: &str) -> (Value, Vec<u8>) {
    let parts: Vec<&str> = compact.split('.').collect();
    let [protected, "", iv, text, tag] = parts[..] else { panic!("no JWE: {compact}") };
    let (iv, tag): ([u8; 12], [u8; 16]) = (decode(iv).try_into().unwrap(), decode(tag).try_into().unwrap());
    let mut text = decode(text);
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(&Nonce::from(iv), protected.as_bytes(), text.as_mut_slice().into(), &Tag::from(tag))
        .unwrap();
    (serde_json::from_slice(&decode(protected)).unwrap(), text)
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
