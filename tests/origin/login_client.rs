//! The client's half of a login, written with the `rsa` crate; the origin's runs in AWS-LC.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::rand_core::{OsRng, RngCore};
use rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use scanvault_origin::identity::login::{Logins, Parts};
use scanvault_origin::identity::tokens::Tokens;
use scanvault_origin::vault::{SecretBytes, SystemEntropy, store};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{Answer, Forward, PUBLIC_URL, World};

pub(crate) static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../origin/vectors/login.json")).unwrap());
pub(crate) static CLIENT: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::from_pkcs8_pem(VECTORS["client"]["pkcs8"].as_str().unwrap()).unwrap());
pub(crate) static GATEWAY: LazyLock<RsaPublicKey> =
    LazyLock::new(|| RsaPublicKey::from_public_key_der(&decoded(&VECTORS["gateway"]["spki"])).unwrap());

pub(crate) fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// An open origin with the vectors' login key, `merchant-25` enrolled in Bearer mode, 60 seconds for a challenge.
pub(crate) struct Setting {
    pub(crate) world: World,
    pub(crate) password: String,
}

impl Setting {
    pub(crate) async fn new(world: World) -> Self {
        let mut world = world;
        world.ready().await;
        give_login_key(&world).await;
        replace_logins(&mut world, false);
        let password = enrol(&world, "merchant-25").await["loginPassword"].as_str().unwrap().to_owned();
        world.execute("UPDATE accounts SET auth_mode = 'bearer' WHERE name = 'merchant-25'").await;
        Self { world, password }
    }

    pub(crate) async fn login(&self, identity: &str) -> Answer {
        let asked = Asked::by(&self.world, identity).await;
        self.world.send(Forward::post("/authentication/login", &asked.body(&self.password))).await
    }

    /// A right answer to the challenge, and this password.
    pub(crate) async fn login_with(&self, password: &str) -> Answer {
        let asked = Asked::by(&self.world, "merchant-25").await;
        self.world.send(Forward::post("/authentication/login", &asked.body(password))).await
    }

    pub(crate) async fn enrolment(&self) -> Value {
        self.world.admin("GET", "/accounts/merchant-25", &Value::Null).await.json()["enrolment"].clone()
    }
}

pub(crate) async fn give_login_key(world: &World) {
    let unsealed = world.app.vault.unsealed().unwrap();
    let key = SecretBytes::new(decoded(&VECTORS["gateway"]["pkcs8"]).into());
    let rotation = unsealed.import_login_key(&key, 1, &mut SystemEntropy::new()).unwrap();
    let mut tx = world.app.db.begin().await.unwrap();
    assert!(store::advance(&mut tx, unsealed.record().version).await.unwrap());
    store::add_key(&mut tx, &rotation.added).await.unwrap();
    tx.commit().await.unwrap();
    world.app.vault.reload(store::load(&world.app.db).await.unwrap().unwrap()).unwrap();
}

/// With the lifetime of production, and with or without limits.
pub(crate) fn replace_logins(world: &mut World, rate_limits: bool) {
    let app = Arc::get_mut(&mut world.app).unwrap();
    app.logins = Logins::new(Parts {
        db: app.db.clone(),
        vault: Arc::clone(&app.vault),
        audit: Arc::clone(&app.audit),
        clock: Arc::clone(&app.clock),
        tokens: Arc::new(Tokens::new(Arc::clone(&app.vault), PUBLIC_URL)),
        challenge_secs: 60,
        rate_limits,
    });
}

pub(crate) async fn enrol(world: &World, name: &str) -> Value {
    let body = json!({"publicKey": VECTORS["client"]["spki"]});
    let answer = world.admin("POST", &format!("/accounts/{name}/enrol"), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

pub(crate) fn ask(identity: &str, client_challenge: &[u8]) -> Forward {
    let challenge = STANDARD.encode(client_challenge).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    Forward::get(format!("/authentication/login-challenges?identity={identity}&clientChallenge={challenge}"))
}

pub(crate) fn new_client_challenge() -> ([u8; 64], Vec<u8>) {
    let mut secret = [0; 64];
    OsRng.fill_bytes(&mut secret);
    (secret, GATEWAY.encrypt(&mut OsRng, Oaep::new::<sha1::Sha1>(), &secret).unwrap())
}

/// The first two steps of the flow, with the gateway's proof checked and its challenge opened.
pub(crate) struct Asked {
    pub(crate) identity: String,
    pub(crate) challenge: Vec<u8>,
    pub(crate) text: String,
    pub(crate) response: [u8; 32],
}

impl Asked {
    pub(crate) async fn by(world: &World, identity: &str) -> Self {
        let (secret, ciphertext) = new_client_challenge();
        let answer = world.send(ask(identity, &ciphertext)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(decoded(&answer["base64EncodedClientChallengeResponse"]), sha256(&secret));
        let challenge = decoded(&answer["base64EncodedChallenge"]);
        // What is no ciphertext of ours opens to nothing: then the response is a guess.
        let opened = CLIENT.decrypt(Oaep::new::<sha1::Sha1>(), &challenge).unwrap_or_default();
        assert!(opened.is_empty() || opened.len() == 64);
        let text = answer["base64EncodedChallenge"].as_str().unwrap().to_owned();
        Self { identity: identity.to_owned(), challenge, text, response: sha256(&opened) }
    }

    pub(crate) fn body(&self, password: &str) -> Value {
        self.with_hashes(password, &STANDARD.encode(sha256(&self.challenge)), &STANDARD.encode(self.response))
    }

    pub(crate) fn with_hashes(&self, password: &str, challenge_hash: &str, response: &str) -> Value {
        json!({"identity": self.identity, "password": password, "base64EncodedChallengeHash": challenge_hash,
            "base64EncodedChallengeResponse": response})
    }
}

pub(crate) fn post(body: &Value) -> Forward {
    Forward::post("/authentication/login", body)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn audited(world: &World, action: &str) -> usize {
    let pages = world.admin("GET", "/audit/last/200", &Value::Null).await;
    assert_eq!(pages.status, 200, "{}", pages.text());
    pages.text().matches(&format!("\\\"action\\\":\\\"{action}\\\"")).count()
        + pages.text().matches(&format!("\"action\":\"{action}\"")).count()
}
