use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::audit::testing::{Key, Memory, NOW, clock, database, items, now, process};
use crate::audit::{Audit, Entry};

/// Two processes with sealed and open stretches; each has countersigned the other. The second one's last link is known
/// from the log. So every link is covered by something.
struct Fixture {
    items: Vec<Item>,
    key: PublicKey,
    logged: GivenHead,
}

impl Fixture {
    async fn new() -> Self {
        let (db, key, clock) = (database().await, Key::new(false), clock());
        let first = process(&db, &key, &clock, 0x11).await;
        let second = process(&db, &key, &clock, 0xee).await;
        for (at, is_open) in [false, false, true, true, false, true, false].into_iter().enumerate() {
            key.open(is_open);
            note(&first, at).await;
            note(&second, at + 100).await;
            first.checkpoint_if_due(NOW + 70_000 * at as u64).await.unwrap();
            second.checkpoint_if_due(NOW + 70_000 * at as u64).await.unwrap();
        }
        note(&first, 7).await;
        key.open(true);
        note(&second, 107).await;
        assert!(second.checkpoint_if_due(NOW + 900_000).await.unwrap());
        let logged = GivenHead { chain: second.chain_id(), head: second.head().await };
        Self { items: items(&db).await, key: key.public(), logged }
    }

    fn verify(&self, items: Vec<Item>) -> Result<Report, VerifyError> {
        now(verify(&mut Memory::new(items), &[self.key], &[self.logged]))
    }

    fn fault(&self, items: Vec<Item>) -> Fault {
        match self.verify(items) {
            Err(VerifyError::Fault(fault)) => fault,
            other => panic!("no fault: {other:?}"),
        }
    }

    /// Where a chain's link stands among the items.
    fn place(&self, chain: u8, number: i64) -> usize {
        let chain = ChainId([chain; 16]).to_string();
        let start = self.items.iter().position(|item| matches!(item, Item::Chain(row) if row.id == chain)).unwrap();
        start + usize::try_from(number).unwrap()
    }
}

async fn note(audit: &Audit, n: usize) {
    audit.note(Entry::new("card.read", "merchant-25").with("purpose", format!("capture {n}"))).await.unwrap();
}

fn link(item: &mut Item) -> &mut LinkRow {
    match item {
        Item::Link(link) => link,
        Item::Chain(_) => panic!("a chain"),
    }
}

/// Numbers and hashes as if the links from `at` on had always been so; signatures are kept, or taken off.
fn rehash(items: &mut [Item], at: usize, keep_signatures: bool) {
    let (mut chain, mut before) = (ChainId([0; 16]), [0; 32]);
    for (place, item) in items.iter_mut().enumerate() {
        match item {
            Item::Chain(row) => (chain, before) = (row.id.parse().unwrap(), [0; 32]),
            Item::Link(link) => {
                if place >= at {
                    let (number, at_ms) = (link.number.try_into().unwrap(), link.at_ms.try_into().unwrap());
                    link.hash = link_hash(chain, number, at_ms, &before, link.entries.as_bytes()).unwrap().to_vec();
                    if !keep_signatures {
                        (link.key_id, link.signature) = (None, None);
                    }
                }
                before = link.hash.as_slice().try_into().unwrap();
            }
        }
        if place > at && matches!(item, Item::Chain(_)) {
            return;
        }
    }
}

#[tokio::test]
async fn whole_chains_are_proved_and_what_nothing_covers_is_counted() {
    let fixture = Fixture::new().await;
    let report = fixture.verify(fixture.items.clone()).unwrap();
    assert_eq!((report.chains.len(), report.unsigned), (2, 0), "{report:?}");
    assert_eq!(report.links, report.chains.iter().map(|chain| chain.links).sum::<u64>());
    // Without the second chain's last links, nothing covers the first one's unsigned end: link by link.
    let without = |count: usize| {
        let mut items = fixture.items.clone();
        items.truncate(items.len() - count);
        now(verify(&mut Memory::new(items), &[fixture.key], &[])).unwrap()
    };
    assert_eq!(without(0).unsigned, 0);
    // Its last link countersigns; the one before is signed; before that one the vault was sealed.
    let counts: Vec<_> = without(1).chains.iter().map(|chain| chain.unsigned).collect();
    assert_eq!(counts, [2, 0]);
    let counts: Vec<_> = without(2).chains.iter().map(|chain| chain.unsigned).collect();
    assert_eq!(counts, [2, 1]);
}

#[tokio::test]
async fn the_first_fault_is_named_exactly() {
    let fixture = Fixture::new().await;
    let (first, second) = (ChainId([0x11; 16]).to_string(), ChainId([0xee; 16]).to_string());
    let at = |chain: &str, number, what| Fault { chain: chain.to_owned(), number, what };
    let changed = |change: &dyn Fn(&mut Vec<Item>)| {
        let mut items = fixture.items.clone();
        change(&mut items);
        fixture.fault(items)
    };
    let three = fixture.place(0x11, 3);
    let fault = changed(&|items| link(&mut items[three]).entries = r#"[{"action":"x","actor":"y"}]"#.to_owned());
    assert_eq!(fault, at(&first, 3, What::Hash));
    assert_eq!(changed(&|items| drop(items.remove(three))), at(&first, 4, What::Gap(3)));
    assert_eq!(changed(&|items| items.swap(three, three + 1)), at(&first, 4, What::Gap(3)));
    let fault = changed(&|items| link(&mut items[three]).signature.as_mut().unwrap()[7] ^= 1);
    assert_eq!(fault, at(&first, 3, What::Signature(3)));
    let fault = changed(&|items| link(&mut items[three]).key_id = Some(4));
    assert_eq!(fault, at(&first, 3, What::UnknownKey(4)));
    let strip =
        |items: &mut Vec<Item>| (link(&mut items[three]).key_id, link(&mut items[three]).signature) = (None, None);
    assert_eq!(changed(&strip), at(&first, 3, What::Signing));
    let fault = changed(&|items| link(&mut items[three]).signature = None);
    assert_eq!(fault, at(&first, 3, What::Malformed("signature")));
    let Item::Chain(row) = fixture.items[0].clone() else { panic!() };
    let fault = changed(&|items| items[0] = Item::Chain(ChainRow { process: Some("x".into()), ..row.clone() }));
    assert_eq!(fault, at(&first, 1, What::Registration));
    let fault = changed(&|items| items[0] = Item::Chain(ChainRow { process: None, ..row.clone() }));
    assert_eq!(fault, at(&first, 0, What::NotRegistered));

    // Cut tails and chains that are gone: only another chain, or the log, can tell.
    let (last, whole) = (fixture.place(0xee, 0), fixture.items.len());
    let fault = changed(&|items| drop(items.remove(last - 1)));
    let count = u64::try_from(last - 1).unwrap();
    assert!(matches!(fault.what, What::Gone(Witness::Checkpoint(by, _)) if by == ChainId([0xee; 16])), "{fault}");
    assert_eq!((fault.chain.as_str(), fault.number), (first.as_str(), count));
    assert!(matches!(changed(&|items| drop(items.drain(..last))).what, What::Gone(_)));
    let fault = changed(&|items| drop(items.pop()));
    assert_eq!(fault, at(&second, u64::try_from(whole - 1 - last).unwrap(), What::Gone(Witness::Given)));
    assert_eq!(changed(&|items| items.truncate(last + 1)), at(&second, 0, What::NoLinks));
    // The unsigned end, written anew without a flaw.
    let fault = changed(&|items| {
        link(&mut items[last - 1]).entries = r#"[{"action":"x","actor":"y"}]"#.to_owned();
        rehash(items, last - 1, true);
    });
    assert!(matches!(fault.what, What::Replaced(Witness::Checkpoint(..))), "{fault}");
    let text = fault.to_string();
    assert!(
        text.starts_with(&format!("chain {first}, link {count}: it is not the link that the checkpoint")),
        "{text}"
    );
}

#[tokio::test]
async fn forged_entries_cannot_end_the_signing_before_a_signed_link() {
    // From a signed link on, everything rewritten as unsigned, with the mark that makes that look right.
    let fixture = Fixture::new().await;
    let mut items = fixture.items.clone();
    let three = fixture.place(0x11, 3);
    let mark = r#"[{"action":"audit.signing","actor":"origin","signed":false}]"#;
    link(&mut items[three]).entries = mark.to_owned();
    for item in &mut items[three + 1..fixture.place(0xee, 0)] {
        link(item).entries = r#"[{"action":"x","actor":"y"}]"#.to_owned();
    }
    rehash(&mut items, three, false);
    let fault = fixture.fault(items);
    assert!(matches!(fault.what, What::Replaced(Witness::Checkpoint(..)) | What::Gone(_)), "{fault}");
}

#[test]
fn other_entries_may_use_our_names_for_their_own() {
    let row = ChainRow { id: ChainId([1; 16]).to_string(), process: Some("p".into()), started_at_ms: 5 };
    let entries = r#"[{"action":"process.started","actor":"origin","process":"p","startedAtMs":5},
        {"action":"x","actor":"y","heads":"none","signed":7,"process":{"a":1}}]"#;
    let hash = link_hash(ChainId([1; 16]), 1, 9, &[0; 32], entries.as_bytes()).unwrap().to_vec();
    let link = LinkRow { number: 1, at_ms: 9, entries: entries.to_owned(), hash, key_id: None, signature: None };
    let items = vec![Item::Chain(row), Item::Link(link)];
    assert_eq!(now(verify(&mut Memory::new(items), &[], &[])).unwrap().unsigned, 1);
}

#[test]
fn heads_are_given_as_in_the_log() {
    let text = format!("{}:7:{}", "0a".repeat(16), "0b".repeat(32));
    let head = Head { number: 7, hash: [0x0b; 32] };
    assert_eq!(text.parse(), Ok(GivenHead { chain: ChainId([0x0a; 16]), head }));
    for bad in ["", "a:1:b", &text[1..], &text.replace(":7:", ":-7:"), &format!("{text}:"), &text.replace(':', ";")] {
        assert!(bad.parse::<GivenHead>().is_err(), "{bad}");
    }
}

#[derive(Clone, Debug)]
enum Tampering {
    Entries(Index, Index, u8),
    Hash(Index, Index, u8),
    Signature(Index, Index, u8),
    Strip(Index),
    KeyId(Index, u32),
    Time(Index, i64),
    Number(Index, i64),
    Delete(Index, usize),
    Swap(Index, Index),
    Repeat(Index, Index),
    /// Edits, and makes all hashes after it fit.
    Rewrite(Index, Index, u8, bool),
    /// Deletes, and closes the gap.
    Close(Index, bool),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let at = any::<Index>;
    let bit = 1_u8..=255;
    prop_oneof![
        (at(), at(), bit.clone()).prop_map(|(a, b, c)| Tampering::Entries(a, b, c)),
        (at(), at(), bit.clone()).prop_map(|(a, b, c)| Tampering::Hash(a, b, c)),
        (at(), at(), bit.clone()).prop_map(|(a, b, c)| Tampering::Signature(a, b, c)),
        at().prop_map(Tampering::Strip),
        (at(), any::<u32>()).prop_map(|(a, b)| Tampering::KeyId(a, b)),
        (at(), 1_i64..1000).prop_map(|(a, b)| Tampering::Time(a, b)),
        (at(), -9_i64..9).prop_map(|(a, b)| Tampering::Number(a, b)),
        (at(), 1_usize..9).prop_map(|(a, b)| Tampering::Delete(a, b)),
        (at(), at()).prop_map(|(a, b)| Tampering::Swap(a, b)),
        (at(), at()).prop_map(|(a, b)| Tampering::Repeat(a, b)),
        (at(), at(), bit, any::<bool>()).prop_map(|(a, b, c, d)| Tampering::Rewrite(a, b, c, d)),
        (at(), any::<bool>()).prop_map(|(a, b)| Tampering::Close(a, b)),
    ]
}

/// Another byte in the place of one, so that it is text still.
fn other_byte(text: &mut String, at: Index, by: u8) {
    let mut bytes = std::mem::take(text).into_bytes();
    let place = at.index(bytes.len());
    bytes[place] = 0x20 + (bytes[place].wrapping_add(by) % 0x5f);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

fn tamper(items: &mut Vec<Item>, how: &Tampering) {
    let places: Vec<usize> = (0..items.len()).filter(|at| matches!(items[*at], Item::Link(_))).collect();
    let pick = |at: &Index| places[at.index(places.len())];
    match how {
        Tampering::Entries(at, byte, by) => other_byte(&mut link(&mut items[pick(at)]).entries, *byte, *by),
        Tampering::Hash(at, byte, by) => link(&mut items[pick(at)]).hash[byte.index(32)] ^= by,
        Tampering::Signature(at, byte, by) => {
            let link = link(&mut items[pick(at)]);
            link.signature.get_or_insert_with(|| vec![0; 64])[byte.index(64)] ^= by;
            link.key_id = Some(3);
        }
        Tampering::Strip(at) => {
            let link = link(&mut items[pick(at)]);
            (link.key_id, link.signature) = (None, None);
        }
        Tampering::KeyId(at, id) => link(&mut items[pick(at)]).key_id = Some((*id).into()),
        Tampering::Time(at, by) => link(&mut items[pick(at)]).at_ms += by,
        Tampering::Number(at, by) => link(&mut items[pick(at)]).number += by,
        Tampering::Delete(at, count) => {
            let at = at.index(items.len());
            items.drain(at..(at + count).min(items.len()));
        }
        Tampering::Swap(one, other) => {
            let count = items.len();
            items.swap(one.index(count), other.index(count));
        }
        Tampering::Repeat(one, other) => {
            let item = items[one.index(items.len())].clone();
            items.insert(other.index(items.len()), item);
        }
        Tampering::Rewrite(at, byte, by, keep) => {
            let at = pick(at);
            other_byte(&mut link(&mut items[at]).entries, *byte, *by);
            rehash(items, at, *keep);
        }
        Tampering::Close(at, keep) => {
            let at = pick(at);
            items.remove(at);
            for item in items[at..].iter_mut().map_while(|item| match item {
                Item::Link(link) => Some(link),
                Item::Chain(_) => None,
            }) {
                item.number -= 1;
            }
            rehash(items, at, *keep);
        }
    }
}

#[test]
fn whatever_is_done_to_the_rows_is_found() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = Arc::new(runtime.block_on(Fixture::new()));
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 4000, ..ProptestConfig::default() });
    let done = runner.run(&tampering(), |how| {
        let mut items = fixture.items.clone();
        tamper(&mut items, &how);
        // Other text may be the same text, and a swap may be none.
        if items != fixture.items {
            prop_assert!(matches!(fixture.verify(items), Err(VerifyError::Fault(_))));
        }
        Ok(())
    });
    done.unwrap();
}
