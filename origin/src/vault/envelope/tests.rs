use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::vault::testing::{Failing, Seeded, decode_hex};

const PLACE: RecordContext<'_> =
    RecordContext { account: "merchant-25", table: "cards", row: "tok_1", column: "pan", row_version: 7 };

fn key(id: u32, byte: u8) -> EnvelopeKey {
    EnvelopeKey::new(id, &Key32::from_array([byte; 32]))
}

fn sealed() -> Vec<u8> {
    seal(&key(1, 1), &PLACE, b"4111111111111111", &mut Seeded::new(1)).unwrap()
}

#[derive(Deserialize)]
struct Published {
    #[serde(rename = "xaes-256-gcm")]
    xaes: PublishedSet,
}

#[derive(Deserialize)]
struct PublishedSet {
    vectors: Vec<PublishedVector>,
}

#[derive(Deserialize)]
struct PublishedVector {
    key: String,
    nonce: String,
    plaintext: String,
    aad: String,
    ciphertext: String,
}

#[test]
fn the_cipher_is_xaes_256_gcm_of_c2sp() {
    let published: Published = serde_json::from_str(include_str!("../../../vectors/published.json")).unwrap();
    assert_eq!(published.xaes.vectors.len(), 2);
    for vector in published.xaes.vectors {
        let key = EnvelopeKey::new(1, &Key32::from_slice(&decode_hex(&vector.key)).unwrap());
        let nonce: [u8; 24] = decode_hex(&vector.nonce).try_into().unwrap();
        let mut text = decode_hex(&vector.plaintext);
        let aad = decode_hex(&vector.aad);
        let tag = key.cipher.encrypt_inout_detached(&Nonce::from(nonce), &aad, text.as_mut_slice().into()).unwrap();
        text.extend_from_slice(&tag);
        assert_eq!(text, decode_hex(&vector.ciphertext));
    }
}

#[derive(Deserialize)]
struct Formats {
    envelopes: Vec<FormatVector>,
}

#[derive(Deserialize)]
struct FormatVector {
    key: String,
    key_id: u32,
    nonce: String,
    plaintext: String,
    context: Context,
    envelope: String,
}

#[derive(Deserialize)]
struct Context {
    account: String,
    table: String,
    row: String,
    column: String,
    row_version: u64,
}

/// Answers the vector's nonce.
struct Fixed(Vec<u8>);

impl Entropy for Fixed {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.copy_from_slice(&self.0);
        Ok(())
    }
}

#[test]
fn envelopes_are_those_of_the_second_implementation() {
    let formats: Formats = serde_json::from_str(include_str!("../../../vectors/formats.json")).unwrap();
    assert_eq!(formats.envelopes.len(), 4);
    for vector in &formats.envelopes {
        let key = EnvelopeKey::new(vector.key_id, &Key32::from_slice(&decode_hex(&vector.key)).unwrap());
        let Context { account, table, row, column, row_version } = &vector.context;
        let context = RecordContext { account, table, row, column, row_version: *row_version };
        let plaintext = decode_hex(&vector.plaintext);
        let envelope = seal(&key, &context, &plaintext, &mut Fixed(decode_hex(&vector.nonce))).unwrap();
        assert_eq!(envelope, decode_hex(&vector.envelope));
        assert_eq!(*open(&key, &context, &envelope).unwrap(), plaintext);
    }
}

#[test]
fn opens_where_it_was_sealed_and_says_its_key() {
    assert_eq!(*open(&key(1, 1), &PLACE, &sealed()).unwrap(), b"4111111111111111");
    assert_eq!(key_id_of(&sealed()), Ok(1));
    assert_eq!(sealed().len(), 16 + OVERHEAD);
    assert_eq!(open(&key(2, 1), &PLACE, &sealed()), Err(EnvelopeError::OtherKey { named: 1, given: 2 }));
    assert_eq!(open(&key(1, 2), &PLACE, &sealed()), Err(EnvelopeError::DoesNotOpen));
}

#[test]
fn every_truncation_and_extension_is_an_error() {
    let sealed = sealed();
    for length in 0..sealed.len() {
        let error = open(&key(1, 1), &PLACE, &sealed[..length]).unwrap_err();
        let expected = if length < OVERHEAD { EnvelopeError::Truncated } else { EnvelopeError::DoesNotOpen };
        assert_eq!(error, expected, "{length}");
        assert_eq!(key_id_of(&sealed[..length]).is_err(), length < OVERHEAD);
        // Cut at the front, too.
        assert!(open(&key(1, 1), &PLACE, &sealed[sealed.len() - length..]).is_err());
    }
    for extra in 0..=255 {
        let longer = [sealed.as_slice(), &[extra]].concat();
        assert_eq!(open(&key(1, 1), &PLACE, &longer), Err(EnvelopeError::DoesNotOpen));
    }
}

#[test]
fn every_bit_flip_is_an_error() {
    let sealed = sealed();
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = open(&key(1, 1), &PLACE, &flipped).unwrap_err();
        match bit / 8 {
            0 => assert!(matches!(error, EnvelopeError::UnknownVersion(_))),
            1..5 => assert!(matches!(error, EnvelopeError::OtherKey { .. })),
            _ => assert_eq!(error, EnvelopeError::DoesNotOpen),
        }
    }
}

#[test]
fn every_transplant_is_an_error() {
    let elsewhere = [
        RecordContext { account: "merchant-26", ..PLACE },
        RecordContext { account: "", ..PLACE },
        RecordContext { table: "card", ..PLACE },
        RecordContext { row: "tok_2", ..PLACE },
        RecordContext { column: "name", ..PLACE },
        RecordContext { row_version: 6, ..PLACE },
        RecordContext { row_version: 8, ..PLACE },
        // The same text with the borders of the fields moved.
        RecordContext { account: "merchant-25c", table: "ards", ..PLACE },
        RecordContext { row: "tok_1p", column: "an", ..PLACE },
        RecordContext { account: "cards", table: "merchant-25", ..PLACE },
    ];
    for place in elsewhere {
        assert_eq!(open(&key(1, 1), &place, &sealed()), Err(EnvelopeError::DoesNotOpen), "{place:?}");
    }
    // Under another number the very same key does not open it either: the number is authenticated.
    let mut renumbered = sealed();
    renumbered[4] = 2;
    assert_eq!(open(&key(2, 1), &PLACE, &renumbered), Err(EnvelopeError::DoesNotOpen));
}

#[test]
fn two_seals_of_one_text_differ_and_a_failing_source_seals_nothing() {
    let mut entropy = Seeded::new(1);
    let first = seal(&key(1, 1), &PLACE, b"x", &mut entropy).unwrap();
    assert_ne!(first, seal(&key(1, 1), &PLACE, b"x", &mut entropy).unwrap());
    assert_eq!(seal(&key(1, 1), &PLACE, b"x", &mut Failing), Err(EnvelopeError::Entropy(EntropyError)));
}

proptest! {
    #[test]
    fn any_record_comes_back_and_only_at_its_place(
        account in ".{0,20}", table in ".{0,20}", row in ".{0,20}", column in ".{0,20}", row_version in any::<u64>(),
        id in any::<u32>(), plaintext in proptest::collection::vec(any::<u8>(), 0..300), seed in any::<u64>(),
    ) {
        let place = RecordContext { account: &account, table: &table, row: &row, column: &column, row_version };
        let sealed = seal(&key(id, 1), &place, &plaintext, &mut Seeded::new(seed)).unwrap();
        prop_assert_eq!(&*open(&key(id, 1), &place, &sealed).unwrap(), &plaintext);
        prop_assume!(place != PLACE);
        prop_assert!(open(&key(id, 1), &PLACE, &sealed).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = key_id_of(&bytes);
        prop_assert!(open(&key(1, 1), &PLACE, &bytes).is_err());
        prop_assert!(open(&key(1, 1), &PLACE, &[[1, 0, 0, 0, 1].as_slice(), &bytes].concat()).is_err());
    }
}
