//! A shopper's browser: reads the page, seals a card with RustCrypto's P-256, pays.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{Answer, Forward, World};

/// What the page hands to its script.
pub(crate) struct Page {
    pub(crate) code: String,
    html: String,
}

impl Page {
    pub(crate) async fn load(world: &World, code: &str) -> Self {
        let answer = world.send(Forward::get(format!("/pluto/public/pay/{code}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self { code: code.to_owned(), html: answer.text() }
    }

    /// An attribute of `<main>`, unescaped.
    pub(crate) fn data(&self, name: &str) -> String {
        let (_, rest) = self.html.split_once(&format!("data-{name}=\"")).unwrap_or_else(|| panic!("no data-{name}"));
        let (value, _) = rest.split_once('"').unwrap();
        value.replace("&quot;", "\"").replace("&#34;", "\"").replace("&#39;", "'").replace("&amp;", "&")
    }

    /// The card's JSON as the page's script would seal it.
    pub(crate) fn card(&self, pan: &str, amount: u64) -> Value {
        json!({"attempt": self.data("attempt"), "code": self.code, "amount": amount, "currency": self.data("currency"),
            "expires": self.data("attempt-expires").parse::<u64>().unwrap(), "pan": pan, "exp": "1230", "csc": "987",
            "name": "A Shopper"})
    }

    pub(crate) fn seal(&self, card: &Value) -> String {
        let jwk: Value = serde_json::from_str(&self.data("key")).unwrap();
        seal(&jwk, card.to_string().as_bytes())
    }

    pub(crate) fn pay_with(&self, card: &Value) -> Forward {
        Forward::post(format!("/pluto/public/pay/{}", self.code), &json!({"sealed": self.seal(card)}))
    }
}

/// Loads the page of a code and pays it.
pub(crate) async fn pay(world: &World, code: &str, pan: &str, amount: u64) -> Answer {
    let page = Page::load(world, code).await;
    world.send(page.pay_with(&page.card(pan, amount))).await
}

/// Makes a code of an amount; answers its digits.
pub(crate) async fn code(world: &World, auth: &str, reference: &str, amount: &str) -> String {
    let body = format!("{{\"merchantReference\":\"{reference}\",\"amount\":{amount}}}");
    let answer = world.send(Forward::post_text("/pluto/code/create", body).with(auth)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["code"].as_str().unwrap().to_owned()
}

fn seal(jwk: &Value, plaintext: &[u8]) -> String {
    let decode = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let ephemeral = p256::SecretKey::from_slice(&[0x17; 32]).unwrap();
    let point = ephemeral.public_key().to_sec1_point(false);
    let (x, y) = (URL_SAFE_NO_PAD.encode(point.x().unwrap()), URL_SAFE_NO_PAD.encode(point.y().unwrap()));
    let header = json!({"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwk["kid"], "typ": "scanvault-card+json",
        "epk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}});
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let theirs = p256::PublicKey::from_sec1_bytes(&[&[4], &decode("x")[..], &decode("y")].concat()).unwrap();
    let z = diffie_hellman(&ephemeral.to_nonzero_scalar(), theirs.as_affine());
    let info = [&[0, 0, 0, 1], z.raw_secret_bytes().as_slice(), &[0, 0, 0, 7], b"A256GCM", &[0; 8], &[0, 0, 1, 0]];
    let key: [u8; 32] = Sha256::digest(info.concat()).into();
    let mut text = plaintext.to_vec();
    let tag = Aes256Gcm::new(&key.into())
        .encrypt_inout_detached(&Nonce::from([9; 12]), protected.as_bytes(), text.as_mut_slice().into())
        .unwrap();
    let [iv, text, tag] = [[9; 12].as_slice(), &text, &tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{protected}..{iv}.{text}.{tag}")
}
