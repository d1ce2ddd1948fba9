//! Cards at rest: number, expiry and name as vault records, found again by a keyed hash of the number.
//!
//! Many cards are stored, and many read, in one transaction. One that cannot be stored or does not open fails alone; a
//! failure of the database fails all. A card whose time is over is not there, whether or not it was swept yet.

pub mod recrypt;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::{
    CardError, CardExpiry, CardholderName, Entropy, EntropyError, EnvelopeError, Pan, RecordContext, Unsealed,
    VaultCard,
};
use crate::db::{DbError, Tx};
use rows::{NewRow, Row};

pub use rows::{Summary, any_expired, delete, keep, summary, sweep};

const TABLE: &str = "cards";
/// More rounds than a group has members: each round settles at least one, unless others keep changing the same cards.
const MAX_ROUNDS: usize = 80;

/// Why a card is not stored, or not to be had.
#[derive(Debug, thiserror::Error)]
pub enum CardStoreError {
    /// The database's word.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A field could not be sealed, or what is stored does not open where it stands.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// What is stored opens, but is no card.
    #[error("the stored card is not valid: {0}")]
    Corrupt(#[from] CardError),
    /// No token could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Others kept changing the same card.
    #[error("the card was changed by others at the same time")]
    Contended,
}

/// A card to be kept.
#[derive(Clone, Copy)]
pub struct Card<'a> {
    /// Whose customer's it is.
    pub account: &'a str,
    /// The number.
    pub pan: &'a Pan,
    /// Its expiry.
    pub expiry: &'a CardExpiry,
    /// The name on it, where given.
    pub holder: Option<&'a CardholderName>,
    /// Until when it is kept, in Unix milliseconds; `None`: until it is deleted.
    pub keep_until_ms: Option<i64>,
}

/// What storing a card did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The account did not have it.
    Created,
    /// The account had it, as it is.
    Known,
    /// The account had its number, with another expiry or name: those are replaced.
    Updated,
}

impl Outcome {
    /// As it is answered and audited.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Known => "known",
            Self::Updated => "updated",
        }
    }
}

/// A card that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Stands for it.
    pub token: String,
    /// What it took.
    pub outcome: Outcome,
}

/// What a group of cards came to, in its order.
pub struct StoredGroup {
    /// Of each.
    pub results: Vec<Result<Stored, CardStoreError>>,
    /// Cards whose time was over and that were in the way: deleted.
    pub expired: u64,
}

/// Stores one card in the caller's transaction and answers the token that stands for it. The same number of the same
/// account keeps its token; the newest expiry, name and time to keep it win.
///
/// # Errors
/// See [`CardStoreError`].
pub async fn tokenize(
    tx: &mut Tx,
    unsealed: &Unsealed,
    card: &Card<'_>,
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<String, CardStoreError> {
    let mut group = store(tx, unsealed, std::slice::from_ref(card), now_ms, entropy).await?;
    let result = group.results.pop().unwrap_or(Err(CardStoreError::Contended));
    Ok(result?.token)
}

/// Stores cards in the caller's transaction.
///
/// In rounds: what is there already is looked up and renewed, the rest is inserted. Who loses an insert or an update to
/// somebody else, in this group or in another process, finds the winner's row in the next round.
///
/// # Errors
/// From the database, for all.
pub async fn store(
    tx: &mut Tx,
    unsealed: &Unsealed,
    cards: &[Card<'_>],
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<StoredGroup, DbError> {
    let prints: Vec<Vec<Print>> = cards.iter().map(|card| prints(unsealed, card)).collect();
    // One order for all processes, so that two groups never wait for each other.
    let mut pending: Vec<usize> = (0..cards.len()).collect();
    pending.sort_by(|a, b| prints.get(*a).cmp(&prints.get(*b)));
    let mut group = StoredGroup { results: cards.iter().map(|_| Err(CardStoreError::Contended)).collect(), expired: 0 };
    for _ in 0..MAX_ROUNDS {
        if pending.is_empty() {
            break;
        }
        let members: Vec<Member<'_>> = pending
            .iter()
            .filter_map(|at| Some(Member { at: *at, card: *cards.get(*at)?, prints: prints.get(*at)? }))
            .collect();
        let settled = round(tx, unsealed, &members, now_ms, entropy, &mut group.expired).await?;
        pending.retain(|at| !settled.contains_key(at));
        for (at, result) in settled {
            if let Some(slot) = group.results.get_mut(at) {
                *slot = result;
            }
        }
    }
    Ok(group)
}

/// Which card of which account.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose.
    pub account: &'a str,
    /// Stands for it.
    pub token: &'a str,
}

/// Opens cards, in their order; `None` where the account has no such card. The caller audits it before anybody sees one.
///
/// # Errors
/// From the database, for all.
pub async fn read(
    tx: &mut Tx,
    unsealed: &Unsealed,
    wanted: &[Wanted<'_>],
    now_ms: i64,
) -> Result<Vec<Result<Option<VaultCard>, CardStoreError>>, DbError> {
    let tokens: Vec<&str> = wanted.iter().map(|one| one.token).collect();
    let found = rows::by_token(tx, &tokens, now_ms).await?;
    let found: HashMap<&str, &Row> = found.iter().map(|row| (row.token.as_str(), row)).collect();
    Ok(wanted
        .iter()
        .map(|one| match found.get(one.token).filter(|row| row.account == one.account) {
            Some(row) => open(unsealed, row).map(Some),
            None => Ok(None),
        })
        .collect())
}

/// Whether a token stands for a card with this number: compared by the keyed hash, nothing is opened.
///
/// # Errors
/// From the database.
pub async fn is_of(
    tx: &mut Tx,
    unsealed: &Unsealed,
    wanted: Wanted<'_>,
    pan: &Pan,
    now_ms: i64,
) -> Result<bool, DbError> {
    let found = rows::by_token(tx, &[wanted.token], now_ms).await?;
    let mut own = found.iter().filter(|row| row.account == wanted.account);
    let is_same = |row: &Row| {
        unsealed.fingerprints(wanted.account, pan).any(|(_, print)| bool::from(print.ct_eq(row.fingerprint.as_slice())))
    };
    Ok(own.any(is_same))
}

/// The number of a fingerprint key and the card's hash under it.
type Print = (u32, [u8; 32]);

fn prints(unsealed: &Unsealed, card: &Card<'_>) -> Vec<Print> {
    unsealed.fingerprints(card.account, card.pan).collect()
}

/// A card of the group that is not settled yet.
struct Member<'a> {
    at: usize,
    card: Card<'a>,
    /// Under the active key first.
    prints: &'a [Print],
}

type Settled = BTreeMap<usize, Result<Stored, CardStoreError>>;

async fn round(
    tx: &mut Tx,
    unsealed: &Unsealed,
    members: &[Member<'_>],
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
    expired: &mut u64,
) -> Result<Settled, DbError> {
    let rows = lookup(tx, members).await?;
    let (mut settled, mut touched, mut new, mut over) = (Settled::new(), HashSet::new(), Vec::new(), Vec::new());
    for member in members {
        let row = member.prints.iter().find_map(|(_, print)| rows.get(print.as_slice()));
        let fate = Fate::of(unsealed, member, row, now_ms);
        // The first of several with one number goes ahead, the others meet its row in the next round.
        let waits = !matches!(fate, Fate::Settled(_)) && !touched.insert(member.prints.first());
        let result = match fate {
            _ if waits => continue,
            Fate::Settled(result) => result,
            Fate::New => {
                new.push(member);
                continue;
            }
            Fate::Over(row) => {
                over.push(row.token.as_str());
                new.push(member);
                continue;
            }
            Fate::Renewed(row, change) => match renew(tx, unsealed, member, row, change, entropy).await {
                Ok(None) => continue,
                Ok(Some(stored)) => Ok(stored),
                Err(CardStoreError::Db(error)) => return Err(error),
                Err(error) => Err(error),
            },
        };
        settled.insert(member.at, result);
    }
    if !over.is_empty() {
        *expired += rows::delete_expired(tx, &over, now_ms).await?;
    }
    insert(tx, unsealed, &new, now_ms, entropy, &mut settled).await?;
    Ok(settled)
}

/// What becomes of a member in a round.
enum Fate<'r> {
    /// Nothing is to be written.
    Settled(Result<Stored, CardStoreError>),
    New,
    /// The time of the stored one is over: deleted, then as new.
    Over(&'r Row),
    Renewed(&'r Row, Change),
}

impl<'r> Fate<'r> {
    fn of(unsealed: &Unsealed, member: &Member<'_>, row: Option<&'r Row>, now_ms: i64) -> Self {
        let Some(row) = row else { return Self::New };
        if row.is_expired(now_ms) {
            return Self::Over(row);
        }
        match Change::of(unsealed, member, row) {
            Err(error) => Self::Settled(Err(error)),
            Ok(Change::None) => Self::Settled(Ok(stored(row, Outcome::Known))),
            Ok(change) => Self::Renewed(row, change),
        }
    }
}

/// What is stored under any of the members' fingerprints.
async fn lookup(tx: &mut Tx, members: &[Member<'_>]) -> Result<HashMap<Vec<u8>, Row>, DbError> {
    let prints: BTreeSet<&[u8]> =
        members.iter().flat_map(|member| member.prints.iter().map(|print| print.1.as_slice())).collect();
    let prints: Vec<&[u8]> = prints.into_iter().collect();
    let rows = rows::by_fingerprint(tx, &prints).await?;
    Ok(rows.into_iter().map(|row| (row.fingerprint.clone(), row)).collect())
}

/// What a stored card needs to become the one that was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    /// When it ends, or the key of its fingerprint.
    Clear,
    /// Its expiry or name.
    Sealed,
}

impl Change {
    fn of(unsealed: &Unsealed, member: &Member<'_>, row: &Row) -> Result<Self, CardStoreError> {
        let (card, kept) = (&member.card, open(unsealed, row)?);
        // The fingerprint's column is not authenticated: somebody may have moved it to another card.
        if row.account != card.account || kept.pan != *card.pan {
            return Err(EnvelopeError::DoesNotOpen.into());
        }
        if kept.expiry != *card.expiry || kept.name.as_ref() != card.holder {
            return Ok(Self::Sealed);
        }
        let is_active = member.prints.first().is_some_and(|(_, print)| print.as_slice() == row.fingerprint);
        Ok(if is_active && row.expires_at_ms == card.keep_until_ms { Self::None } else { Self::Clear })
    }
}

/// Writes a known card anew, unless it has changed since it was read.
async fn renew(
    tx: &mut Tx,
    unsealed: &Unsealed,
    member: &Member<'_>,
    row: &Row,
    change: Change,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Option<Stored>, CardStoreError> {
    let Some((print_key, print)) = member.prints.first() else { return Ok(None) };
    if change == Change::Sealed {
        let version = row.row_version.saturating_add(1);
        let new = seal(unsealed, member, row.token.clone(), version, entropy)?;
        let done = rows::replace(tx, &new, row.row_version).await?;
        return Ok(done.then(|| stored(row, Outcome::Updated)));
    }
    // The sealed columns are bound to the row version: it stays.
    let done = rows::touch(tx, row, i64::from(*print_key), print, member.card.keep_until_ms).await?;
    Ok(done.then(|| stored(row, Outcome::Known)))
}

async fn insert(
    tx: &mut Tx,
    unsealed: &Unsealed,
    members: &[&Member<'_>],
    now_ms: i64,
    entropy: &mut (dyn Entropy + Send),
    settled: &mut Settled,
) -> Result<(), DbError> {
    let mut new = Vec::with_capacity(members.len());
    for member in members {
        match new_token(entropy).map_err(Into::into).and_then(|token| seal(unsealed, member, token, 1, entropy)) {
            Ok(row) => new.push((member.at, row)),
            Err(error) => drop(settled.insert(member.at, Err(error))),
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let inserted = rows::insert(tx, new.iter().map(|(_, row)| row), now_ms).await?;
    for (at, row) in new {
        if inserted.contains(&row.token) {
            settled.insert(at, Ok(Stored { token: row.token, outcome: Outcome::Created }));
        }
    }
    Ok(())
}

fn stored(row: &Row, outcome: Outcome) -> Stored {
    Stored { token: row.token.clone(), outcome }
}

fn seal<'a>(
    unsealed: &Unsealed,
    member: &Member<'a>,
    token: String,
    version: i64,
    entropy: &mut (dyn Entropy + Send),
) -> Result<NewRow<'a>, CardStoreError> {
    let card = &member.card;
    let (print_key, print) = member.prints.first().copied().unwrap_or_default();
    let mut column = |column, plaintext: &[u8]| {
        unsealed.seal_record(&context(card.account, &token, column, version), plaintext, entropy)
    };
    let (pan, expiry) =
        (column("pan", card.pan.expose().as_bytes())?, column("expiry", card.expiry.to_mmyy().as_bytes())?);
    let holder = card.holder.map(|name| column("holder", name.expose().as_bytes())).transpose()?;
    Ok(NewRow {
        account: card.account,
        bin: card.pan.bin(),
        last_four: card.pan.last_four(),
        print,
        print_key: i64::from(print_key),
        key_id: i64::from(super::envelope::key_id_of(&pan)?),
        row_version: version,
        expires_at_ms: card.keep_until_ms,
        pan,
        expiry,
        holder,
        token,
    })
}

fn open(unsealed: &Unsealed, row: &Row) -> Result<VaultCard, CardStoreError> {
    let column = |column, envelope: &[u8]| {
        unsealed.open_record(&context(&row.account, &row.token, column, row.row_version), envelope)
    };
    let pan = Pan::parse(text(&column("pan", &row.pan)?))?;
    let expiry = CardExpiry::parse(text(&column("expiry", &row.expiry)?))?;
    let name = match &row.holder {
        Some(sealed) => CardholderName::parse(text(&column("holder", sealed)?))?,
        None => None,
    };
    Ok(VaultCard { pan, expiry, name })
}

/// What is not UTF-8 is no card either.
fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

fn context<'a>(account: &'a str, token: &'a str, column: &'a str, version: i64) -> RecordContext<'a> {
    RecordContext { account, table: TABLE, row: token, column, row_version: u64::try_from(version).unwrap_or(0) }
}

fn new_token(entropy: &mut (dyn Entropy + Send)) -> Result<String, EntropyError> {
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    Ok(format!("card_{}", URL_SAFE_NO_PAD.encode(random)))
}
