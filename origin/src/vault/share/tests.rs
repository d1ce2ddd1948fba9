use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::vault::shamir::Quorum;
use crate::vault::share_set::ShareSet;
use crate::vault::testing::{Seeded, decode_hex};

fn share(seed: u64) -> Share {
    let mut entropy = Seeded::new(seed);
    let set_id = SetId::random(&mut entropy).unwrap();
    let y = Key32::random(&mut entropy).unwrap();
    Share::new(set_id, u16::try_from(seed % 65536).unwrap(), 1 + u8::try_from(seed % 255).unwrap(), y).unwrap()
}

fn same(a: &Share, b: &Share) -> bool {
    (a.set_id, a.generation, a.index) == (b.set_id, b.generation, b.index) && a.y == b.y
}

#[derive(Deserialize)]
struct Vector {
    set_id: String,
    generation: u16,
    index: u8,
    y: String,
    text: String,
    hash: String,
}

#[derive(Deserialize)]
struct Vectors {
    shares: Vec<Vector>,
}

#[test]
fn text_and_hash_are_those_of_the_second_implementation() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../vectors/formats.json")).unwrap();
    assert_eq!(vectors.shares.len(), 2);
    for vector in vectors.shares {
        let y = Key32::from_slice(&decode_hex(&vector.y)).unwrap();
        let set_id = SetId::try_from(vector.set_id).unwrap();
        let share = Share::new(set_id, vector.generation, vector.index, y).unwrap();
        assert_eq!(share.to_text().expose(), vector.text);
        assert_eq!(String::from(share.hash()), vector.hash);
        assert!(same(&Share::parse(&vector.text).unwrap(), &share));
    }
}

#[test]
fn reading_tolerates_case_spaces_line_breaks_and_dashes() {
    let share = share(7);
    let text = share.to_text();
    let plain: String = text.expose().chars().filter(|c| *c != '-').collect();
    let wrapped: String = plain.chars().flat_map(|c| [c, ' ', '\r', '\n', '\t', '–', '\u{a0}']).collect();
    for spelling in [plain.clone(), plain.to_uppercase(), format!("\n{} ", text.expose()), wrapped] {
        assert!(same(&Share::parse(&spelling).unwrap(), &share), "{spelling}");
    }
}

#[test]
fn every_single_replacement_and_swap_and_cut_is_refused() {
    let text = share(3).to_text().expose().replace('-', "");
    let mut tried = 0;
    for at in 0..text.len() {
        for symbol in "abcdefghijklmnopqrstuvwxyz0123456789.€".chars() {
            let mut typo = text.clone();
            typo.replace_range(at..=at, &symbol.to_string());
            if typo != text {
                tried += 1;
                assert!(Share::parse(&typo).is_err(), "{typo}");
            }
        }
        let mut shorter = text.clone();
        shorter.remove(at);
        assert!(Share::parse(&shorter).is_err());
        let mut swapped: Vec<char> = text.chars().collect();
        swapped.swap(at, (at + 1) % text.len());
        let swapped: String = swapped.into_iter().collect();
        assert!(swapped == text || Share::parse(&swapped).is_err());
    }
    assert_eq!(tried, 98 * 37);
}

#[test]
fn each_kind_of_slip_has_its_name_and_the_text_is_not_repeated() {
    let text = share(3).to_text().expose().replace('-', "");
    let error = |text: &str| Share::parse(text).unwrap_err();
    assert_eq!(error(""), ShareTextError::NotAShare);
    assert_eq!(error("AGE-SECRET-KEY-1QQ"), ShareTextError::NotAShare);
    assert_eq!(error(&"svshare1".repeat(200)), ShareTextError::NotAShare);
    assert_eq!(error(&text[..97]), ShareTextError::Length { found: 89 });
    assert_eq!(error(&format!("{text}a")), ShareTextError::Length { found: 91 });
    assert_eq!(error(&format!("svshare11{}", &text[9..])), ShareTextError::BadSymbol { position: 1 });
    for share in [ShareTextError::Mistyped, ShareTextError::BadSymbol { position: 3 }] {
        assert!(!share.to_string().contains(&text[8..20]));
    }
}

/// A well-formed text around any body, as a forger could write it.
fn with_body(body: &[u8]) -> Zeroizing<String> {
    base32::encode_grouped(PREFIX, &[body, &checksum(body)].concat())
}

#[test]
fn index_zero_and_other_versions_are_refused_though_the_checksum_fits() {
    let mut body = [1; BODY_LEN];
    assert!(Share::parse(&with_body(&body)).is_ok());
    body[19] = 0;
    assert_eq!(Share::parse(&with_body(&body)).unwrap_err(), ShareTextError::ZeroIndex);
    for version in [0, 2, 255] {
        body[0] = version;
        assert_eq!(Share::parse(&with_body(&body)).unwrap_err(), ShareTextError::UnknownVersion(version));
    }
}

#[test]
fn spare_bits_make_no_second_spelling() {
    let text = share(3).to_text().expose().to_owned();
    let last = text.chars().last().unwrap();
    let value = base32::symbol_value(last).unwrap();
    assert_eq!(value & 3, 0);
    for spare in 1..4 {
        let mut other = text[..text.len() - 1].to_owned();
        other.push(char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(value | spare)]));
        assert_eq!(Share::parse(&other).unwrap_err(), ShareTextError::Mistyped);
    }
}

#[test]
fn debug_shows_no_secret() {
    let share = share(3);
    let shown = format!("{share:?} {:?}", share.to_text());
    assert!(!shown.contains(&hex::encode(share.y().expose())) && !shown.contains("svshare1"), "{shown}");
}

#[test]
fn a_share_set_survives_json_and_refuses_what_is_no_set() {
    let hashes = vec![share(1).hash(), share(2).hash()];
    let set = ShareSet::new(SetId([5; 16]), 3, Quorum::new(2, 2).unwrap(), hashes).unwrap();
    let json = serde_json::to_value(&set).unwrap();
    assert_eq!(serde_json::from_value::<ShareSet>(json.clone()).unwrap(), set);
    for (field, bad) in [
        ("threshold", serde_json::json!(1)),
        ("threshold", serde_json::json!(3)),
        ("total", serde_json::json!(3)),
        ("hashes", serde_json::json!([])),
        ("setId", serde_json::json!("00")),
        ("other", serde_json::json!(1)),
    ] {
        let mut changed = json.clone();
        changed[field] = bad;
        assert!(serde_json::from_value::<ShareSet>(changed).is_err(), "{field}");
    }
}

proptest! {
    #[test]
    fn any_share_survives_its_text(
        set in any::<[u8; 16]>(), generation in any::<u16>(), index in 1..=255_u8, y in any::<[u8; 32]>(),
    ) {
        let share = Share::new(SetId(set), generation, index, Key32::from_array(y)).unwrap();
        let text = share.to_text();
        prop_assert_eq!(text.expose().len(), 8 + 90 + 15);
        prop_assert!(same(&Share::parse(text.expose()).unwrap(), &share));
    }

    #[test]
    fn any_one_character_typo_is_refused(
        seed in any::<u64>(),
        at in 0..98_usize,
        symbol in prop_oneof![any::<char>(), proptest::char::range('a', 'z'), proptest::char::range('2', '7')],
    ) {
        let text = share(seed).to_text().expose().replace('-', "");
        let mut replaced: Vec<char> = text.chars().collect();
        let mut inserted = replaced.clone();
        let original = replaced[at];
        replaced[at] = symbol;
        inserted.insert(at, symbol);
        if symbol.to_ascii_lowercase() != original {
            prop_assert!(Share::parse(&replaced.iter().collect::<String>()).is_err());
        }
        if !is_separator(symbol) {
            prop_assert!(Share::parse(&inserted.iter().collect::<String>()).is_err());
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}", tail in "[a-z2-7]{80,100}") {
        let _ = Share::parse(&text);
        let _ = Share::parse(&format!("svshare1{tail}"));
    }
}
