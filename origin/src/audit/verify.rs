//! The proof: every number, hash, signature and checkpoint of every chain, one link after the other.
//!
//! Found: an edited, deleted, inserted, exchanged or renumbered link; a signature that was changed or taken off; a chain
//! that was cut, changed or taken away after another chain, or a head from the log, has named what is gone.
//!
//! NOT found: a tail that was cut, or unsigned links at the end that were written anew, when nothing outside names them;
//! so the links at the end that no signature covers are counted. Nor is found what the process itself was made to write,
//! and nothing holds against whoever has the audit key.
//!
//! Memory is for one page of links and a few numbers for each chain, however long the chains are.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::chain::{MAX_ENTRIES_BYTES, SIGNING, STARTED};
use super::checkpoint::CHECKPOINT;
use super::link::{ChainId, Head, PublicKey, Signature, link_hash, lower_hex, signed_message};
use super::report::{ChainReport, Fault, GivenHead, Report, VerifyError, What, Witness};
use crate::hex;

/// Statements that are looked up together.
const BATCH: usize = 256;

/// A chain as it is registered: as it is stored, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainRow {
    /// Its name.
    pub id: String,
    /// For people. `None`: there are links, but no such row.
    pub process: Option<String>,
    /// Unix time in milliseconds.
    pub started_at_ms: i64,
}

/// A link as it is stored, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Its place.
    pub number: i64,
    /// Unix time in milliseconds.
    pub at_ms: i64,
    /// JSON.
    pub entries: String,
    /// 32 bytes.
    pub hash: Vec<u8>,
    /// The audit key. `None`: the vault was sealed.
    pub key_id: Option<i64>,
    /// 64 bytes.
    pub signature: Option<Vec<u8>>,
}

/// What a source gives: a chain, and then its links in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The links after it are its own.
    Chain(ChainRow),
    /// The next link.
    Link(LinkRow),
}

/// Where chains are read from: chains in the order of their ids, links in the order of their numbers.
pub trait Source {
    /// The next item; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Item>, VerifyError>> + Send;

    /// The stored hashes of links anywhere, in the order of the places; `None` for one that is not there.
    fn hashes(
        &mut self,
        places: &[(ChainId, u64)],
    ) -> impl Future<Output = Result<Vec<Option<[u8; 32]>>, VerifyError>> + Send;
}

/// Proves all chains of a source. `heads`: what is known from outside. The first fault ends it.
///
/// # Errors
/// [`VerifyError::Fault`] says what is wrong and where.
pub async fn verify<S: Source>(source: &mut S, keys: &[PublicKey], heads: &[GivenHead]) -> Result<Report, VerifyError> {
    let mut verifier = Verifier::new(keys);
    while let Some(item) = source.next().await? {
        match item {
            Item::Chain(chain) => verifier.chain(chain)?,
            Item::Link(link) => verifier.link(&link)?,
        }
        if verifier.statements.len() >= BATCH {
            check_statements(source, &mut verifier.statements).await?;
        }
    }
    verifier.end_chain()?;
    let given = heads.iter().map(|given| Statement { by: Witness::Given, chain: given.chain, head: given.head });
    verifier.statements.extend(given);
    check_statements(source, &mut verifier.statements).await?;
    Ok(verifier.finish()?)
}

/// Somebody's word on where a chain stood.
struct Statement {
    by: Witness,
    chain: ChainId,
    head: Head,
}

async fn check_statements<S: Source>(source: &mut S, statements: &mut Vec<Statement>) -> Result<(), VerifyError> {
    let places: Vec<_> = statements.iter().map(|said| (said.chain, said.head.number)).collect();
    let found = source.hashes(&places).await?;
    for (said, found) in statements.drain(..).zip(found) {
        let what = match found {
            Some(hash) if hash == said.head.hash => continue,
            Some(_) => What::Replaced(said.by),
            None => What::Gone(said.by),
        };
        return Err(Fault { chain: said.chain.to_string(), number: said.head.number, what }.into());
    }
    Ok(())
}

/// Goes along the links of one chain after the other.
struct Verifier<'k> {
    keys: &'k [PublicKey],
    report: Report,
    /// The chain before has a lower id.
    last: Option<ChainId>,
    current: Option<Current>,
    /// Not yet looked up.
    statements: Vec<Statement>,
    /// Up to which number a signed checkpoint elsewhere covers a chain.
    covered: BTreeMap<ChainId, u64>,
}

/// The chain that is being read.
struct Current {
    id: ChainId,
    process: String,
    started_at_ms: u64,
    head: Head,
    is_signed: bool,
    signed_through: u64,
    /// Named by links that no signature covers yet.
    uncovered: BTreeMap<ChainId, u64>,
}

/// What is looked at in an entry; the rest is its own business.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow, rename = "actor")]
    _actor: Cow<'a, str>,
    #[serde(borrow)]
    heads: Option<&'a RawValue>,
    #[serde(borrow)]
    signed: Option<&'a RawValue>,
    #[serde(borrow)]
    process: Option<&'a RawValue>,
    #[serde(borrow)]
    started_at_ms: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct SaidHead<'a> {
    #[serde(borrow)]
    chain: Cow<'a, str>,
    number: u64,
    #[serde(borrow)]
    hash: Cow<'a, str>,
}

/// A link's numbers, as they are in ours.
struct Parsed {
    head: Head,
    at_ms: u64,
    signature: Option<Signature>,
}

impl<'k> Verifier<'k> {
    const fn new(keys: &'k [PublicKey]) -> Self {
        let report = Report { links: 0, unsigned: 0, chains: Vec::new() };
        Self { keys, report, last: None, current: None, statements: Vec::new(), covered: BTreeMap::new() }
    }

    fn chain(&mut self, row: ChainRow) -> Result<(), Fault> {
        self.end_chain()?;
        let fault = |what| Fault { chain: row.id.clone(), number: 0, what };
        let id: ChainId = row.id.parse().map_err(|_| fault(What::Malformed("chain id")))?;
        if self.last.is_some_and(|last| last >= id) {
            return Err(fault(What::Order));
        }
        let process = row.process.clone().ok_or_else(|| fault(What::NotRegistered))?;
        let started_at_ms = u64::try_from(row.started_at_ms).map_err(|_| fault(What::Malformed("start")))?;
        self.last = Some(id);
        self.current = Some(Current {
            id,
            process,
            started_at_ms,
            head: Head::START,
            is_signed: false,
            signed_through: 0,
            uncovered: BTreeMap::new(),
        });
        Ok(())
    }

    fn link(&mut self, link: &LinkRow) -> Result<(), Fault> {
        let number = u64::try_from(link.number).unwrap_or_default();
        let Some(current) = &mut self.current else {
            return Err(Fault { chain: String::new(), number, what: What::Order });
        };
        let chain = current.id;
        let fault = |what| Fault { chain: chain.to_string(), number, what };
        let said = current.check(link, self.keys).map_err(fault)?;
        for entry in said.iter().filter(|entry| entry.action == CHECKPOINT) {
            for (of, head) in entry.heads().ok_or_else(|| fault(What::Malformed("checkpoint")))? {
                self.statements.push(Statement { by: Witness::Checkpoint(chain, number), chain: of, head });
                raise(&mut current.uncovered, of, head.number);
            }
        }
        if current.is_signed {
            current.signed_through = number;
            for (of, number) in std::mem::take(&mut current.uncovered) {
                raise(&mut self.covered, of, number);
            }
        }
        self.report.links += 1;
        Ok(())
    }

    fn end_chain(&mut self) -> Result<(), Fault> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let Current { id, process, head, signed_through, .. } = current;
        if head.number == 0 {
            return Err(Fault { chain: id.to_string(), number: 0, what: What::NoLinks });
        }
        self.report.chains.push(ChainReport {
            chain: id.to_string(),
            process,
            links: head.number,
            hash: hex::encode(&head.hash),
            unsigned: head.number - signed_through,
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Report, Fault> {
        self.end_chain()?;
        for chain in &mut self.report.chains {
            let covered = chain.chain.parse().ok().and_then(|id| self.covered.get(&id)).copied().unwrap_or(0);
            chain.unsigned = chain.unsigned.min(chain.links.saturating_sub(covered));
            self.report.unsigned += chain.unsigned;
        }
        Ok(self.report)
    }
}

impl Current {
    fn check<'l>(&mut self, link: &'l LinkRow, keys: &[PublicKey]) -> Result<Vec<Said<'l>>, What> {
        let expected = self.head.number.saturating_add(1);
        if u64::try_from(link.number) != Ok(expected) {
            return Err(What::Gap(expected));
        }
        let parsed = link.parse(expected)?;
        let hash = link_hash(self.id, expected, parsed.at_ms, &self.head.hash, link.entries.as_bytes());
        if hash != Some(parsed.head.hash) {
            return Err(What::Hash);
        }
        if let Some(signature) = &parsed.signature {
            check_signature(&parsed.head.hash, signature, keys)?;
        }
        let said: Vec<Said<'_>> = serde_json::from_str(&link.entries).map_err(|_| What::Malformed("entries"))?;
        self.check_signing(&said, parsed.signature.is_some())?;
        if expected == 1 {
            self.check_registration(said.first())?;
        }
        self.head = parsed.head;
        Ok(said)
    }

    /// Signed as the link before, unless the link itself says otherwise.
    fn check_signing(&mut self, said: &[Said<'_>], is_signed: bool) -> Result<(), What> {
        let mark = said.iter().rfind(|entry| entry.action == SIGNING);
        let expected = mark.map_or(Some(self.is_signed), |mark| read(mark.signed));
        if expected != Some(is_signed) {
            return Err(What::Signing);
        }
        self.is_signed = is_signed;
        Ok(())
    }

    fn check_registration(&self, first: Option<&Said<'_>>) -> Result<(), What> {
        let first = first.filter(|first| first.action == STARTED).ok_or(What::Registration)?;
        let process: Option<String> = read(first.process);
        let is_same =
            process.as_deref() == Some(self.process.as_str()) && read(first.started_at_ms) == Some(self.started_at_ms);
        if is_same { Ok(()) } else { Err(What::Registration) }
    }
}

impl LinkRow {
    fn parse(&self, number: u64) -> Result<Parsed, What> {
        if self.entries.len() > MAX_ENTRIES_BYTES {
            return Err(What::Malformed("length of the entries"));
        }
        let at_ms = u64::try_from(self.at_ms).map_err(|_| What::Malformed("time"))?;
        let hash = self.hash.as_slice().try_into().map_err(|_| What::Malformed("hash"))?;
        let signature = match (self.key_id, &self.signature) {
            (None, None) => None,
            (Some(id), Some(bytes)) => {
                let key_id = u32::try_from(id).map_err(|_| What::Malformed("key number"))?;
                let bytes = bytes.as_slice().try_into().map_err(|_| What::Malformed("signature"))?;
                Some(Signature { key_id, bytes })
            }
            _ => return Err(What::Malformed("signature")),
        };
        Ok(Parsed { head: Head { number, hash }, at_ms, signature })
    }
}

impl Said<'_> {
    fn heads(&self) -> Option<Vec<(ChainId, Head)>> {
        let heads: Vec<SaidHead<'_>> = serde_json::from_str(self.heads?.get()).ok()?;
        heads.iter().map(SaidHead::parse).collect()
    }
}

fn read<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

fn check_signature(hash: &[u8; 32], signature: &Signature, keys: &[PublicKey]) -> Result<(), What> {
    let id = signature.key_id;
    let key = keys.iter().find(|key| key.key_id == id).ok_or(What::UnknownKey(id))?;
    let key = UnparsedPublicKey::new(&ED25519, key.bytes);
    key.verify(&signed_message(hash), &signature.bytes).map_err(|_| What::Signature(id))
}

fn raise(numbers: &mut BTreeMap<ChainId, u64>, chain: ChainId, number: u64) {
    let known = numbers.entry(chain).or_default();
    *known = number.max(*known);
}

impl SaidHead<'_> {
    fn parse(&self) -> Option<(ChainId, Head)> {
        Some((self.chain.parse().ok()?, Head { number: self.number, hash: lower_hex(&self.hash)? }))
    }
}

#[cfg(test)]
mod tests;
