use aes_gcm::Tag;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::vault::testing::Seeded;

const ACCOUNT: &str = "billing";
const CARD: &[u8] = br#"{"pan":"4111111111111111","exp":"1230"}"#;

fn key(byte: u8) -> Key32 {
    Key32::from_array([byte; 32])
}

fn session() -> Arc<SessionKey> {
    Arc::new(SessionKey::new("s-1".into(), &key(5)))
}

fn page() -> PageKey {
    PageKey::from_scalar(&key(3)).unwrap()
}

fn open_as(account: &str, compact: &str, typ: Typ) -> Result<Zeroizing<Vec<u8>>, JweError> {
    let page = page();
    open(compact, typ, account, |id| (id == "s-1").then(session), |kid| (kid == page.jwk().kid).then_some(&page))
}

fn open_card(compact: &str) -> Result<Zeroizing<Vec<u8>>, JweError> {
    open_as(ACCOUNT, compact, Typ::Card)
}

fn encrypt(secret: &Key32, header: &Value, text: &[u8]) -> String {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let mut text = text.to_vec();
    let tag: Tag = Aes256Gcm::new(secret.expose().into())
        .encrypt_inout_detached(&Nonce::from([9; 12]), protected.as_bytes(), text.as_mut_slice().into())
        .unwrap();
    let [iv, text, tag] = [[9; 12].as_slice(), &text, &tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{protected}..{iv}.{text}.{tag}")
}

fn dir(edit: impl FnOnce(&mut Value)) -> String {
    let mut header = json!({"alg": "dir", "enc": "A256GCM", "kid": "s-1", "typ": "scanvault-vault-card+json"});
    edit(&mut header);
    encrypt(&key(5), &header, CARD)
}

fn to_page(account: &str, edit: impl FnOnce(&mut Value)) -> String {
    let (ephemeral, page) = (PageKey::from_scalar(&key(0x17)).unwrap(), page());
    let theirs: EphemeralKey =
        serde_json::from_value(json!({"kty": "EC", "crv": "P-256", "x": page.jwk().x, "y": page.jwk().y})).unwrap();
    let ours = ephemeral.jwk();
    let mut header = json!({"alg": "ECDH-ES", "enc": "A256GCM", "kid": page.jwk().kid,
        "typ": "scanvault-vault-card+json", "apu": URL_SAFE_NO_PAD.encode(account),
        "epk": {"kty": "EC", "crv": "P-256", "x": ours.x, "y": ours.y}});
    edit(&mut header);
    encrypt(&agreed_key(&ephemeral, &theirs, account.as_bytes()).unwrap(), &header, CARD)
}

#[test]
fn opens_what_webcrypto_sealed() {
    let file: Value = serde_json::from_str(include_str!("../../../vectors/jwe-internal.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let secret = |name: &str| Key32::from_slice(&URL_SAFE_NO_PAD.decode(text(name)).unwrap()).unwrap();
        let typ: Typ = serde_json::from_value(vector["typ"].clone()).unwrap();
        let opened = if text("alg") == "dir" {
            let found = Arc::new(SessionKey::new(text("kid").into(), &secret("key")));
            open(text("jwe"), typ, "anybody", |kid| (kid == text("kid")).then_some(found), |_| None)
        } else {
            let page = PageKey::from_scalar(&secret("d")).unwrap();
            assert_eq!(page.jwk().kid, text("kid"));
            open(text("jwe"), typ, text("account"), |_| None, |_| Some(&page))
        };
        assert_eq!(*opened.unwrap(), text("plaintext").as_bytes());
    }
}

#[test]
fn what_one_account_sealed_opens_for_no_other_and_for_nothing_else() {
    for compact in [dir(|_| ()), to_page(ACCOUNT, |_| ())] {
        assert_eq!(*open_card(&compact).unwrap(), CARD);
        assert_eq!(open_as(ACCOUNT, &compact, Typ::Session).unwrap_err(), JweError::Header);
    }
    assert_eq!(open_as("other", &to_page(ACCOUNT, |_| ()), Typ::Card), Err(JweError::DoesNotOpen));
    // A header that says otherwise than the key: the name is in the key too.
    let renamed = to_page("other", |header| header["apu"] = json!(URL_SAFE_NO_PAD.encode(ACCOUNT)));
    assert_eq!(open_card(&renamed), Err(JweError::DoesNotOpen));
    assert_eq!(open_card(&dir(|header| header["kid"] = json!("s-2"))), Err(JweError::UnknownSession));
    assert_eq!(open_card(&to_page(ACCOUNT, |header| header["kid"] = json!("x"))), Err(JweError::UnknownKey));
}

#[test]
fn every_other_header_is_refused() {
    let edits: [(&str, Value); 17] = [
        ("alg", json!("A256GCMKW")),
        ("alg", json!("none")),
        ("alg", json!("RSA-OAEP")),
        ("alg", Value::Null),
        ("enc", json!("A128GCM")),
        ("enc", json!("A256CBC-HS512")),
        ("zip", json!("DEF")),
        ("crit", json!([])),
        ("apv", json!("")),
        ("typ", json!("scanvault-card+json")),
        ("typ", json!("scanvault-vault-answer+json")),
        ("typ", json!("JWT")),
        ("kid", json!(1)),
        ("jku", json!("https://evil.example")),
        ("cty", json!("JWT")),
        ("epk", json!([])),
        ("apu", json!(1)),
    ];
    for (name, value) in edits {
        for compact in [dir(|h| h[name] = value.clone()), to_page(ACCOUNT, |h| h[name] = value.clone())] {
            assert_eq!(open_card(&compact), Err(JweError::Header), "{name} {value}");
        }
    }
    // The members of one way do not go with the other.
    assert_eq!(open_card(&dir(|h| h["apu"] = json!("AA"))), Err(JweError::Header));
    assert_eq!(open_card(&to_page(ACCOUNT, |h| h["alg"] = json!("dir"))), Err(JweError::Header));
    for name in ["apu", "epk", "kid", "typ", "enc", "alg"] {
        let lacking = to_page(ACCOUNT, |header| drop(header.as_object_mut().unwrap().remove(name)));
        assert_eq!(open_card(&lacking), Err(JweError::Header), "without {name}");
    }
}

#[test]
fn a_point_off_the_curve_is_refused_both_ways() {
    let off = to_page(ACCOUNT, |header| header["epk"]["y"] = json!(URL_SAFE_NO_PAD.encode([1; 32])));
    assert_eq!(open_card(&off), Err(JweError::Point));
    for (x, y, error) in [
        ([1; 32].as_slice(), [1; 32], JweError::Point),
        (&[0; 32], [0; 32], JweError::Point),
        (&[1; 31], [1; 32], JweError::Header),
    ] {
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
        let jwk: EphemeralKey = serde_json::from_value(jwk).unwrap();
        assert_eq!(Sealer::agree(&jwk, &mut Seeded::new(1)).err(), Some(SealError::Jwe(error)));
    }
}

#[test]
fn an_answer_is_no_card_and_never_the_same_twice() {
    let mut entropy = Seeded::new(1);
    let sealer = Sealer::Session(session());
    let (first, second) = (sealer.seal(CARD, &mut entropy).unwrap(), sealer.seal(CARD, &mut entropy).unwrap());
    assert_ne!(first, second);
    assert_eq!(open_card(&first), Err(JweError::Header));
    assert!(!format!("{:?}", session()).contains('5'));
}

#[test]
fn every_cut_and_every_changed_symbol_is_refused() {
    for compact in [dir(|_| ()), to_page(ACCOUNT, |_| ())] {
        for at in 0..compact.len() {
            assert!(open_card(&compact[..at]).is_err());
            for symbol in ['A', 'B', '_', '.', '=', ' ', 'é'] {
                let mut changed = compact.clone();
                changed.replace_range(at..=at, &symbol.to_string());
                assert!(changed == compact || open_card(&changed).is_err(), "{at} {symbol}");
            }
        }
        for more in ["A", ".", ".AA", "="] {
            assert!(open_card(&format!("{compact}{more}")).is_err(), "{more}");
        }
    }
    assert_eq!(open_card(&"a".repeat(4097)), Err(JweError::TooLong));
}

proptest! {
    #[test]
    fn no_text_and_no_header_makes_it_panic(text in ".{0,300}", bytes in any::<[u8; 40]>(), json in "[{}\":,a-zA-Z0-9-]{0,120}") {
        prop_assert!(open_card(&text).is_err());
        for header in [bytes.as_slice(), json.as_bytes()] {
            let compact = format!("{}..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA", URL_SAFE_NO_PAD.encode(header));
            prop_assert!(open_card(&compact).is_err());
        }
    }

    #[test]
    fn whatever_is_sealed_under_a_session_opens_there_only(text in proptest::collection::vec(any::<u8>(), 0..400), seed: u64) {
        let compact = Sealer::Session(session()).seal(&text, &mut Seeded::new(seed)).unwrap();
        let parts = Compact::split(&compact).unwrap();
        prop_assert_eq!(&*parts.open(&session().cipher).unwrap(), &text);
        let other = SessionKey::new("s-1".into(), &key(6));
        prop_assert!(Compact::split(&compact).unwrap().open(&other.cipher).is_err());
    }
}
