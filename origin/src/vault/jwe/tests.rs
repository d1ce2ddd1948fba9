use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::vault::testing::Seeded;

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn page_key(byte: u8) -> PageKey {
    PageKey::from_scalar(&Key32::from_array([byte; 32])).unwrap()
}

/// Seals with RustCrypto's P-256, independent of the AWS-LC that opens.
fn seal_to(jwk: &PublicJwk, edit_header: impl FnOnce(&mut Value), plaintext: &[u8]) -> String {
    let ephemeral = p256::SecretKey::from_slice(&[0x17; 32]).unwrap();
    let point = ephemeral.public_key().to_sec1_point(false);
    let (x, y) = (URL_SAFE_NO_PAD.encode(point.x().unwrap()), URL_SAFE_NO_PAD.encode(point.y().unwrap()));
    let mut header = json!({"alg": "ECDH-ES", "enc": "A256GCM", "kid": jwk.kid, "typ": "scanvault-card+json",
        "epk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}});
    edit_header(&mut header);
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());

    let theirs = [[4].as_slice(), &decode(&jwk.x), &decode(&jwk.y)].concat();
    let theirs = p256::PublicKey::from_sec1_bytes(&theirs).unwrap();
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

fn open_with(compact: &str, key: &PageKey) -> Result<Zeroizing<Vec<u8>>, JweError> {
    open(compact, |kid| (kid == key.jwk().kid).then_some(key))
}

#[test]
fn concat_kdf_and_agreement_of_rfc_7518_appendix_c() {
    let published: Value = serde_json::from_str(include_str!("../../../vectors/published.json")).unwrap();
    let vector = &published["ecdh-es"];
    let text = |pointer: &str| vector.pointer(pointer).unwrap().as_str().unwrap();
    let bob = PageKey::from_scalar(&Key32::from_slice(&decode(text("/bob/d"))).unwrap()).unwrap();
    assert_eq!((bob.jwk().x.as_str(), bob.jwk().y.as_str()), (text("/bob/x"), text("/bob/y")));

    let alice = [vec![4], decode(text("/alice/x")), decode(text("/alice/y"))].concat();
    let alice = UnparsedPublicKey::new(&ECDH_P256, alice);
    let names = [text("/algorithm"), text("/party_u"), text("/party_v")].map(str::as_bytes);
    let derived = agree(&bob.private, alice, (), |z| Ok(concat_kdf(z, names[0], names[1], names[2], 128))).unwrap();
    // keydatalen 128: the first 16 bytes of the one block.
    assert_eq!(URL_SAFE_NO_PAD.encode(&derived.expose()[..16]), text("/derived"));
}

#[test]
fn opens_what_webcrypto_sealed() {
    let file: Value = serde_json::from_str(include_str!("../../../vectors/jwe.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let key = PageKey::from_scalar(&Key32::from_slice(&decode(text("d"))).unwrap()).unwrap();
        assert_eq!((key.jwk().kid.as_str(), key.jwk().x.as_str()), (text("kid"), text("x")));
        let plaintext = open_with(text("jwe"), &key).unwrap();
        assert_eq!(*plaintext, text("plaintext").as_bytes());
        let card = crate::vault::card::SealedCard::parse(&plaintext).unwrap();
        assert_eq!((card.pan.expose(), card.amount_minor), ("4111111111111111", 1000));
    }
}

#[test]
fn opens_what_rustcrypto_sealed_and_serves_only_public_members() {
    let key = page_key(3);
    assert_eq!(*open_with(&seal_to(key.jwk(), |_| (), b"{}"), &key).unwrap(), b"{}");
    assert!(open_with(&seal_to(key.jwk(), |_| (), b""), &key).unwrap().is_empty());
    let Value::Object(members) = serde_json::to_value(key.jwk()).unwrap() else { panic!() };
    let names: Vec<_> = members.keys().map(String::as_str).collect();
    assert_eq!(names, ["crv", "kid", "kty", "x", "y"]);
}

#[test]
fn the_kid_selects_and_nothing_is_tried() {
    let (key, other) = (page_key(3), page_key(4));
    let compact = seal_to(key.jwk(), |_| (), b"{}");
    assert_eq!(open_with(&compact, &other), Err(JweError::UnknownKey));
    // The right kid over the wrong key, as a swapped row would give it.
    assert_eq!(open(&compact, |_| Some(&other)), Err(JweError::DoesNotOpen));
}

#[test]
fn every_other_header_is_refused() {
    let key = page_key(3);
    let edits: [(&str, Value); 22] = [
        ("/alg", json!("ECDH-ES+A256KW")),
        ("/alg", json!("dir")),
        ("/alg", json!("none")),
        ("/alg", json!("ecdh-es")),
        ("/alg", Value::Null),
        ("/enc", json!("A128GCM")),
        ("/enc", json!("A256CBC-HS512")),
        ("/zip", json!("DEF")),
        ("/crit", json!(["exp"])),
        ("/crit", json!([])),
        ("/apu", json!("")),
        ("/apv", json!("Qm9i")),
        ("/jku", json!("https://evil.example")),
        ("/typ", json!("JWT")),
        ("/kid", json!(1)),
        ("/epk/crv", json!("P-384")),
        ("/epk/crv", json!("X25519")),
        ("/epk/kty", json!("OKP")),
        ("/epk/d", json!("AA")),
        ("/epk/x", json!("AA")),
        ("/epk/y", json!(URL_SAFE_NO_PAD.encode([0; 33]))),
        ("/epk", json!([])),
    ];
    for (pointer, value) in edits {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let edited = seal_to(key.jwk(), |header| header.pointer_mut(parent).unwrap()[name] = value.clone(), b"{}");
        assert_eq!(open_with(&edited, &key), Err(JweError::Header), "{pointer} {value}");
    }
    for name in ["alg", "enc", "kid", "epk", "typ"] {
        let lacking = seal_to(key.jwk(), |header| drop(header.as_object_mut().unwrap().remove(name)), b"{}");
        assert_eq!(open_with(&lacking, &key), Err(JweError::Header), "without {name}");
    }
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    let key = page_key(3);
    let compact = seal_to(key.jwk(), |_| (), b"{}");
    let (protected, rest) = compact.split_once('.').unwrap();
    let json = String::from_utf8(decode(protected)).unwrap();
    let twice = json.replacen('{', r#"{"alg":"ECDH-ES","#, 1);
    assert_eq!(open_with(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(twice)), &key), Err(JweError::Header));
}

#[test]
fn an_ephemeral_key_off_the_curve_is_refused() {
    let key = page_key(3);
    let coordinates = [[0; 32], [1; 32], [0xff; 32]];
    for x in coordinates {
        let off = |header: &mut Value| header["epk"]["x"] = json!(URL_SAFE_NO_PAD.encode(x));
        assert_eq!(open_with(&seal_to(key.jwk(), off, b"{}"), &key), Err(JweError::Point));
    }
    let zero = |header: &mut Value| {
        for name in ["x", "y"] {
            header["epk"][name] = json!(URL_SAFE_NO_PAD.encode([0; 32]));
        }
    };
    assert_eq!(open_with(&seal_to(key.jwk(), zero, b"{}"), &key), Err(JweError::Point));
}

#[test]
fn every_cut_and_every_changed_symbol_is_refused() {
    let key = page_key(3);
    let compact = seal_to(key.jwk(), |_| (), b"{\"pan\":\"4111111111111111\"}");
    assert!(open_with(&compact, &key).is_ok());
    for at in 0..compact.len() {
        assert!(open_with(&compact[..at], &key).is_err());
        for symbol in ['A', 'B', '_', '.', '=', ' ', 'é'] {
            let mut changed = compact.clone();
            changed.replace_range(at..=at, &symbol.to_string());
            assert!(changed == compact || open_with(&changed, &key).is_err(), "{at} {symbol}");
        }
    }
    for more in ["A", ".", ".AA", "="] {
        assert!(open_with(&format!("{compact}{more}"), &key).is_err(), "{more}");
    }
    assert_eq!(open_with(&compact.replacen("..", ".AA.", 1), &key), Err(JweError::Malformed));
}

#[test]
fn the_length_is_bounded() {
    let key = page_key(3);
    let long = seal_to(key.jwk(), |_| (), &[b'x'; 2600]);
    assert!(long.len() < MAX_JWE && open_with(&long, &key).is_ok());
    assert_eq!(open_with(&seal_to(key.jwk(), |_| (), &[b'x'; 3000]), &key), Err(JweError::TooLong));
}

#[test]
fn scalars_outside_the_order_are_no_keys() {
    for bytes in [[0; 32], [0xff; 32]] {
        assert!(PageKey::from_scalar(&Key32::from_array(bytes)).is_none());
    }
    let scalar = PageKey::random_scalar(&mut Seeded::new(1)).unwrap();
    assert!(PageKey::from_scalar(&scalar).is_some());
    assert!(!format!("{:?}", page_key(3)).contains("3, 3"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,300}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 0..7)) {
        let key = page_key(3);
        prop_assert!(open_with(&text, &key).is_err());
        prop_assert!(open_with(&parts.join("."), &key).is_err());
    }

    #[test]
    fn no_header_makes_it_panic(header in any::<[u8; 40]>(), json in "[{}\":,a-zA-Z0-9-]{0,120}") {
        let key = page_key(3);
        for bytes in [header.as_slice(), json.as_bytes()] {
            let protected = URL_SAFE_NO_PAD.encode(bytes);
            let compact = format!("{protected}..AAAAAAAAAAAAAAAA.AA.AAAAAAAAAAAAAAAAAAAAAA");
            prop_assert!(open_with(&compact, &key).is_err());
        }
    }
}
