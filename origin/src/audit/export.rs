//! The exported form: JSON lines, to be proved without an origin.
//!
//! ```text
//! {"header":{"format":"scanvault-audit/v1","exportedAtMs":…,"publicKeys":[{"keyId":1,"publicKey":"<64 hex>"}]}}
//! {"chain":{"id":"<32 hex>","process":"…","startedAtMs":…}}                     then its links, in order
//! {"link":{"number":1,"atMs":…,"entries":"<text>","hash":"<hex>","keyId":1,"signature":"<hex>"}}
//! {"end":{"chains":…,"links":…}}
//! ```
//!
//! Chains stand in the order of their ids. `keyId` and `signature` are null while the vault was sealed. The keys in the
//! header are for comparing: whoever made the file has made them too, so that a proof takes keys from elsewhere. The
//! line at the end is there for files that were cut by accident. Frozen by `origin/vectors/audit-export.jsonl`.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _, Seek, SeekFrom};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};

use super::link::{ChainId, PublicKey, lower_hex};
use super::report::{GivenHead, Report, VerifyError};
use super::source::Cursor;
use super::verify::{ChainRow, Item, LinkRow, Source, verify};
use crate::hex;

/// The first field of the first line.
pub const FORMAT: &str = "scanvault-audit/v1";
/// Entries of the greatest length, each byte escaped.
const MAX_LINE_BYTES: u64 = 2 * 1024 * 1024;
/// One place in the file is kept for as many links.
const STEP: usize = 256;
/// Runs of links whose hashes are kept at hand, of some 20 KiB each.
const MAX_RUNS: usize = 64;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// The first one.
    Header(Header),
    /// The links after it are its own.
    Chain(ChainRow),
    /// The next link.
    Link(LinkLine),
    /// The last one.
    End(Totals),
    /// Not in a file: the last line of one answer of the admin listener.
    Next(Option<Cursor>),
}

/// What the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// Unix time in milliseconds.
    pub exported_at_ms: u64,
    /// Of the live audit keys; none when the vault was sealed.
    pub public_keys: Vec<KeyLine>,
}

/// A public key as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyLine {
    /// The audit key's number.
    pub key_id: u32,
    /// Hexadecimal.
    pub public_key: String,
}

/// A link as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkLine {
    number: i64,
    at_ms: i64,
    entries: String,
    hash: String,
    key_id: Option<i64>,
    signature: Option<String>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Chains.
    pub chains: u64,
    /// Links, of all chains.
    pub links: u64,
}

impl Line {
    /// One line of text, without its end.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Every field has a JSON form: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads one line.
    ///
    /// # Errors
    /// When it is none of ours.
    pub fn parse(text: &str) -> Result<Self, VerifyError> {
        serde_json::from_str(text).map_err(|error| failed(&error))
    }
}

impl From<Item> for Line {
    fn from(item: Item) -> Self {
        match item {
            Item::Chain(chain) => Self::Chain(chain),
            Item::Link(link) => Self::Link(LinkLine {
                number: link.number,
                at_ms: link.at_ms,
                entries: link.entries,
                hash: hex::encode(&link.hash),
                key_id: link.key_id,
                signature: link.signature.as_deref().map(hex::encode),
            }),
        }
    }
}

impl From<LinkLine> for LinkRow {
    /// What is no hexadecimal of ours comes as what no link can have.
    fn from(line: LinkLine) -> Self {
        Self {
            number: line.number,
            at_ms: line.at_ms,
            entries: line.entries,
            hash: lower_hex::<32>(&line.hash).map(Vec::from).unwrap_or_default(),
            key_id: line.key_id,
            signature: line.signature.map(|text| lower_hex::<64>(&text).map(Vec::from).unwrap_or_default()),
        }
    }
}

impl From<&PublicKey> for KeyLine {
    fn from(key: &PublicKey) -> Self {
        Self { key_id: key.key_id, public_key: hex::encode(&key.bytes) }
    }
}

impl KeyLine {
    /// `None` when it is no key.
    #[must_use]
    pub fn parse(&self) -> Option<PublicKey> {
        Some(PublicKey { key_id: self.key_id, bytes: hex::decode(&self.public_key)? })
    }
}

/// Proves an exported file, without an origin. Reads it twice: first to find its way in it.
///
/// # Errors
/// As [`verify`].
pub fn verify_export<R: BufRead + Seek + Send>(
    reader: R,
    keys: &[PublicKey],
    heads: &[GivenHead],
) -> Result<Report, VerifyError> {
    let mut file = ExportFile::open(reader)?;
    let proof = pin!(verify(&mut file, keys, heads));
    // A file is never waited for.
    match proof.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(report) => report,
        Poll::Pending => Err(failed(&"the file is not to be read in one go")),
    }
}

/// A file of lines, with what it takes to find a link in it.
struct ExportFile<R> {
    reader: R,
    /// Where the next line of the reading begins.
    at: u64,
    /// Where the reader is.
    reader_at: u64,
    /// Where the links 1, 1 + STEP, … of each chain begin.
    index: BTreeMap<String, Vec<u64>>,
    /// Hashes of runs of links, by chain and run.
    runs: BTreeMap<(String, usize), BTreeMap<i64, String>>,
}

/// What a look-up needs of a line.
#[derive(Deserialize)]
enum Found {
    #[serde(rename = "link")]
    Link { number: i64, hash: String },
}

impl<R: BufRead + Seek> ExportFile<R> {
    fn open(reader: R) -> Result<Self, VerifyError> {
        let mut file = Self { reader, at: 0, reader_at: u64::MAX, index: BTreeMap::new(), runs: BTreeMap::new() };
        let (mut totals, mut chain, mut header_end) = (Totals::default(), None, 0);
        loop {
            let begins = file.at;
            let text = file.line_at(begins)?.ok_or_else(|| failed(&"it has no end: it was cut"))?;
            file.at = file.reader_at;
            match (Line::parse(&text)?, begins) {
                (Line::Header(header), 0) if header.format == FORMAT => header_end = file.at,
                (_, 0) | (Line::Header(_) | Line::Next(_), _) => return Err(failed(&"it is no export of this format")),
                (Line::Chain(row), _) => {
                    totals.chains += 1;
                    file.index.insert(row.id.clone(), Vec::new());
                    chain = Some((row.id, 0));
                }
                (Line::Link(_), _) => {
                    totals.links += 1;
                    let Some((id, count)) = &mut chain else { return Err(failed(&"a link stands before any chain")) };
                    if *count % STEP == 0
                        && let Some(places) = file.index.get_mut(id)
                    {
                        places.push(begins);
                    }
                    *count += 1;
                }
                (Line::End(end), _) if end == totals => break,
                (Line::End(_), _) => return Err(failed(&"lines are missing: its end counts others")),
            }
        }
        if file.line_at(file.at)?.is_some() {
            return Err(failed(&"something stands after its end"));
        }
        file.at = header_end;
        Ok(file)
    }

    fn line_at(&mut self, place: u64) -> Result<Option<String>, VerifyError> {
        if self.reader_at != place {
            self.reader.seek(SeekFrom::Start(place)).map_err(|error| failed(&error))?;
        }
        let mut text = String::new();
        let mut limited = (&mut self.reader).take(MAX_LINE_BYTES);
        let length = limited.read_line(&mut text).map_err(|error| failed(&error))?;
        self.reader_at = place.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if length == 0 {
            return Ok(None);
        }
        if text.ends_with('\n') { Ok(Some(text)) } else { Err(failed(&"a line is cut, or too long")) }
    }

    fn hash(&mut self, chain: ChainId, number: u64) -> Result<Option<[u8; 32]>, VerifyError> {
        let (Ok(wanted), Some(ordinal)) = (i64::try_from(number), number.checked_sub(1)) else { return Ok(None) };
        let run = usize::try_from(ordinal).unwrap_or(usize::MAX) / STEP;
        let key = (chain.to_string(), run);
        if !self.runs.contains_key(&key) {
            let Some(place) = self.index.get(&key.0).and_then(|places| places.get(run)).copied() else {
                return Ok(None);
            };
            let hashes = self.read_run(place)?;
            if self.runs.len() == MAX_RUNS {
                self.runs.clear();
            }
            self.runs.insert(key.clone(), hashes);
        }
        let found = self.runs.get(&key).and_then(|hashes| hashes.get(&wanted));
        Ok(found.map(|hash| hex::decode(hash).unwrap_or_default()))
    }

    fn read_run(&mut self, mut place: u64) -> Result<BTreeMap<i64, String>, VerifyError> {
        let mut hashes = BTreeMap::new();
        for _ in 0..STEP {
            let Some(text) = self.line_at(place)? else { break };
            place = self.reader_at;
            let Ok(Found::Link { number, hash }) = serde_json::from_str(&text) else { break };
            hashes.insert(number, hash);
        }
        Ok(hashes)
    }
}

impl<R: BufRead + Seek + Send> Source for ExportFile<R> {
    async fn next(&mut self) -> Result<Option<Item>, VerifyError> {
        let Some(text) = self.line_at(self.at)? else { return Ok(None) };
        self.at = self.reader_at;
        Ok(match Line::parse(&text)? {
            Line::Chain(chain) => Some(Item::Chain(chain)),
            Line::Link(link) => Some(Item::Link(link.into())),
            Line::Header(_) | Line::End(_) | Line::Next(_) => None,
        })
    }

    async fn hashes(&mut self, places: &[(ChainId, u64)]) -> Result<Vec<Option<[u8; 32]>>, VerifyError> {
        places.iter().map(|(chain, number)| self.hash(*chain, *number)).collect()
    }
}

fn failed(error: &dyn std::fmt::Display) -> VerifyError {
    VerifyError::Source(error.to_string())
}

#[cfg(test)]
mod tests;
