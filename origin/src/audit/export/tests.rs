use std::io::Cursor as Bytes;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::audit::testing::{Key, clock, database, items, process};
use crate::audit::{Entry, Fault, Head, What};

const EXPORT: &str = include_str!("../../../vectors/audit-export.jsonl");

fn key() -> PublicKey {
    let Ok(Line::Header(header)) = Line::parse(EXPORT.lines().next().unwrap()) else { panic!("no header") };
    header.public_keys[0].parse().unwrap()
}

/// The first one is named by the second one, and the second one by this.
fn heads() -> Vec<GivenHead> {
    let text = "f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1:2:07b23e31dca2fedafc9158813052e1e7370a6383f0d3600de8a9a1a5a15d2afb";
    vec![text.parse().unwrap()]
}

fn verified(text: &str) -> Result<Report, VerifyError> {
    verify_export(Bytes::new(text.as_bytes()), &[key()], &heads())
}

#[test]
fn the_export_of_the_second_implementation_is_proved_and_written_alike() {
    let report = verified(EXPORT).unwrap();
    assert_eq!((report.links, report.unsigned, report.chains.len()), (6, 0, 2));
    assert_eq!(report.chains[0].process, "host-1/a/17");
    for line in EXPORT.lines() {
        assert_eq!(Line::parse(line).unwrap().to_text(), line);
    }
    let without = verify_export(Bytes::new(EXPORT.as_bytes()), &[], &[]).unwrap_err();
    assert!(matches!(without, VerifyError::Fault(Fault { number: 2, what: What::UnknownKey(2), .. })), "{without}");
}

#[test]
fn an_export_that_is_not_whole_is_no_export() {
    let lines: Vec<&str> = EXPORT.split_inclusive('\n').collect();
    for cut in 0..lines.len() {
        let error = verified(&lines[..cut].concat()).unwrap_err();
        assert!(matches!(error, VerifyError::Source(_)), "{cut}: {error}");
        let left_out = [&lines[..cut], &lines[cut + 1..]].concat().concat();
        assert!(verified(&left_out).is_err(), "{cut}");
    }
    assert!(verified(&format!("{EXPORT}{{}}\n")).is_err());
    assert!(verified(EXPORT.trim_end()).is_err());
    let long = format!("{}\n", " ".repeat(3 << 20));
    assert!(verified(&format!("{}{long}{}", lines[0], lines[1..].concat())).is_err());
    let other = EXPORT.replacen(FORMAT, "scanvault-audit/v2", 1);
    assert!(verified(&other).is_err());
}

#[tokio::test]
async fn links_far_back_are_found_in_a_long_file() {
    let (db, key, clock) = (database().await, Key::new(true), clock());
    let first = process(&db, &key, &clock, 0x11).await;
    let mut heads = Vec::new();
    for n in 1..=2 * STEP as u64 + 9 {
        first.note(Entry::new("x", "y").with("n", n)).await.unwrap();
        heads.push(GivenHead { chain: first.chain_id(), head: first.head().await });
    }
    let mut text =
        Line::Header(Header { format: FORMAT.into(), exported_at_ms: 1, public_keys: vec![] }).to_text() + "\n";
    for item in items(&db).await {
        text += &(Line::from(item).to_text() + "\n");
    }
    text += &(Line::End(Totals { chains: 1, links: 2 * STEP as u64 + 9 }).to_text() + "\n");
    let prove = |heads: &[GivenHead]| verify_export(Bytes::new(text.as_bytes()), &[key.public()], heads);
    assert_eq!(prove(&heads).unwrap().links, 2 * STEP as u64 + 9);
    for (head, gone) in [(0, true), (2 * STEP as u64 + 10, true), (u64::MAX, true), (STEP as u64 + 1, false)] {
        let wrong = GivenHead { chain: first.chain_id(), head: Head { number: head, hash: [1; 32] } };
        let VerifyError::Fault(fault) = prove(&[wrong]).unwrap_err() else { panic!("no fault") };
        assert_eq!((matches!(fault.what, What::Gone(_)), fault.number), (gone, head));
    }
}

static HEADER_BYTES: LazyLock<usize> = LazyLock::new(|| EXPORT.find('\n').unwrap() + 1);

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_other_byte_after_the_header_is_found(at in 0..EXPORT.len(), byte in any::<u8>()) {
        let mut bytes = EXPORT.as_bytes().to_vec();
        prop_assume!(at >= *HEADER_BYTES && bytes[at] != byte);
        bytes[at] = byte;
        prop_assert!(verify_export(Bytes::new(bytes.as_slice()), &[key()], &heads()).is_err());
    }

    /// The entry point of the fuzz target `audit`.
    #[test]
    fn whatever_is_read_is_refused_or_proved(text in r#"(\{"(header|chain|link|end|next)":[^\n]{0,40}\}\n){0,6}"#, cut in 0..EXPORT.len()) {
        let _ = verify_export(Bytes::new(text.as_bytes()), &[key()], &[]);
        let mixed = format!("{}{text}", EXPORT.get(..cut).unwrap_or_default());
        prop_assert!(verify_export(Bytes::new(mixed.as_bytes()), &[key()], &[]).is_err());
    }
}
