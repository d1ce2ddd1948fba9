//! Which region serves, and the fence around the one that does.
//!
//! Operators decide it, in one row. A session of PostgreSQL that may write for a region says so when it is opened, by a
//! shared advisory lock and by its name, and only then reads the row: where another region serves, it gives the lock back
//! and can only read. Who decides writes the row first, then ends every session of other regions that holds the lock and
//! waits until none does. A session that was opened before is ended, one that is opened later sees the row: nothing that the
//! others had begun is committed after that, and a process that was stopped finds its sessions gone when it wakes up.
//! No transaction costs more for it.
//!
//! It holds for this database and no other: of one that is only replicated here, nothing is fenced. It says nothing of
//! what was sent to an acquirer; an intent that is too old is not sent (`payments::engine`).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, Row};
use tokio::sync::watch;

use super::{Db, DbError, Kind, Tx};

/// One key for each schema: the number is ours, the other half is the table's own.
macro_rules! lock_key {
    () => {
        "(7236428::bigint << 32) | 'serving_region'::regclass::oid::bigint"
    };
}

const SIGN_IN: &str = concat!(
    "SELECT set_config('application_name', $1, false), pg_try_advisory_lock_shared(",
    lock_key!(),
    ") AS is_signed_in"
);
const ONLY_READ: &str =
    concat!("SET default_transaction_read_only = on; SELECT pg_advisory_unlock_shared(", lock_key!(), ")");
const READ: &str = "SELECT region, epoch, since_ms FROM serving_region";
/// Locks are seen by every role, names by those of the same role only: who cannot be seen to be ours is not.
const END_OTHERS: &str = "SELECT held.pid, pg_terminate_backend(held.pid) FROM pg_locks held \
    LEFT JOIN pg_stat_activity session ON session.pid = held.pid \
    WHERE held.locktype = 'advisory' AND held.objsubid = 1 AND held.classid = 7236428 \
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    AND held.objid = 'serving_region'::regclass AND session.application_name IS DISTINCT FROM $1 \
    AND EXISTS (SELECT 1 FROM serving_region WHERE epoch = $2)";
/// How long the one row may take to be read. It takes a millisecond.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// How long sessions are given to end.
const END_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// No connection takes longer to be opened: those of the pool are given up before.
const OPENED_WITHIN: Duration = Duration::from_secs(6);

/// What operators decided last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Who serves; `None`: every region.
    pub region: Option<String>,
    /// How many decisions there were.
    pub epoch: u64,
    /// When, Unix time in milliseconds.
    pub since_ms: i64,
}

/// How this process stands, as far as it knows.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Whether its region serves.
    pub serves: bool,
    /// By which decision.
    pub epoch: u64,
    /// When that changed.
    since: Instant,
}

/// Others that may write are left: the fence is not whole.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// From the database; it may have refused to end a session of another role.
    #[error(transparent)]
    Db(#[from] DbError),
    /// They were told to end and have not.
    #[error("{0} sessions of other regions have not ended")]
    Left(usize),
    /// Somebody decided after it: who serves now is not to be fenced by who no longer does.
    #[error("another decision was made meanwhile")]
    Overtaken,
}

/// The region of this process, and what it knows of who serves.
#[derive(Debug)]
pub(super) struct Fence {
    pub(super) region: String,
    standing: watch::Sender<Standing>,
}

impl Fence {
    pub(super) fn new(region: &str) -> Self {
        let standing = Standing { serves: true, epoch: 0, since: Instant::now() };
        Self { region: region.to_owned(), standing: watch::Sender::new(standing) }
    }

    pub(super) fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Takes a decision in; one that is older than what is known was read before it.
    pub(super) fn note(&self, decision: &Decision) {
        let serves = decision.lets(&self.region);
        self.standing.send_if_modified(|known| {
            if decision.epoch <= known.epoch {
                return false;
            }
            if known.serves != serves {
                let (region, epoch) = (&self.region, decision.epoch);
                tracing::warn!(region, epoch, serves, "who serves has changed");
                known.since = Instant::now();
            }
            (known.serves, known.epoch) = (serves, decision.epoch);
            true
        });
    }

    /// Whether an idle connection of this age was opened, or may have been, before this process's standing changed: it may
    /// be able to write when it should not, or the other way round.
    pub(super) fn is_outdated(&self, age: Duration) -> bool {
        let (now, since) = (Instant::now(), self.standing().since);
        let Some(opened) = now.checked_sub(age) else { return true };
        let (is_before, is_doubtful) = (opened < since, opened < since + OPENED_WITHIN);
        // While doubtful ones are still being opened, closing them would bring others of their kind.
        self.standing().epoch > 0 && (is_before || (is_doubtful && now >= since + OPENED_WITHIN))
    }

    /// What a connection does first: see the module.
    pub(super) async fn admit(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let row = sqlx::query(SIGN_IN).bind(self.session_name()).fetch_one(&mut *connection).await?;
        let is_signed_in: bool = row.try_get("is_signed_in")?;
        if !is_signed_in {
            return Err(sqlx::Error::Protocol("the fence's lock is held by somebody else".to_owned()));
        }
        let decision = read(&mut *connection).await?;
        self.note(&decision);
        if !decision.lets(&self.region) {
            sqlx::raw_sql(ONLY_READ).execute(connection).await?;
        }
        Ok(())
    }

    fn session_name(&self) -> String {
        format!("scanvault region {}", self.region)
    }
}

impl Decision {
    /// Whether a region serves by it.
    #[must_use]
    pub fn lets(&self, region: &str) -> bool {
        self.region.as_deref().is_none_or(|serving| serving == region)
    }
}

impl Db {
    /// The region that this process is of.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.fence.region
    }

    /// How this process stands. It knows of a change within a second.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.fence.standing()
    }

    /// Whether this process takes requests and works off what is due; otherwise it stands by.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.fence.standing().serves
    }

    /// For what a region that stands by does too: the vault's own, the audit, operators, nonces. What moves money or tells
    /// of it is not written here, but for what operators say themselves (settle, replay).
    #[must_use]
    pub fn unfenced(&self) -> Self {
        let pool = &self.unfenced;
        match self.kind {
            Kind::Sqlite => self.clone(),
            Kind::Postgres => Self { writer: pool.clone(), reader: pool.clone(), aside: pool.clone(), ..self.clone() },
        }
    }

    /// Reads what was decided and takes it in. A session that does not answer is closed, so that none of the pool's few stays
    /// behind with it.
    ///
    /// # Errors
    /// From the database, [`DbError::Late`] when it says nothing.
    pub async fn look_who_serves(&self) -> Result<Decision, DbError> {
        let mut connection = self.unfenced.acquire().await?;
        let Ok(decision) = tokio::time::timeout(READ_WITHIN, read(&mut *connection)).await else {
            drop(connection.detach());
            return Err(DbError::Late("who serves"));
        };
        let decision = decision?;
        self.fence.note(&decision);
        Ok(decision)
    }

    /// Decides that this process's region serves, or that every one does, in the caller's transaction. Once it is committed,
    /// [`Self::fence_others`] makes it so.
    ///
    /// # Errors
    /// From the database.
    pub async fn decide(&self, tx: &mut Tx, region: Option<&str>, now_ms: i64) -> Result<Decision, DbError> {
        sqlx::query(
            "INSERT INTO serving_region (one, region, epoch, since_ms) VALUES (1, $1, 1, $2) ON CONFLICT (one) DO UPDATE \
             SET region = excluded.region, epoch = serving_region.epoch + 1, since_ms = excluded.since_ms \
             WHERE serving_region.region IS DISTINCT FROM excluded.region",
        )
        .bind(region.map(str::to_owned))
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
        Ok(read(&mut **tx).await?)
    }

    /// Ends the sessions of other regions that may write, and waits until there are none. How many there were. It is for
    /// the decision that was just made for this region: where there is a later one, nothing is ended.
    ///
    /// # Errors
    /// See [`FenceError`]; it may be called again.
    pub async fn fence_others(&self, decision: &Decision) -> Result<usize, FenceError> {
        let epoch = i64::try_from(decision.epoch).unwrap_or(i64::MAX);
        let until = Instant::now() + END_WITHIN;
        let mut ended = HashSet::new();
        loop {
            let found = sqlx::query(END_OTHERS).bind(self.fence.session_name()).bind(epoch).fetch_all(&self.unfenced);
            let found = found.await.map_err(DbError::from)?;
            if found.is_empty() {
                let is_overtaken = self.look_who_serves().await?.epoch != decision.epoch;
                return if is_overtaken { Err(FenceError::Overtaken) } else { Ok(ended.len()) };
            }
            for row in &found {
                ended.insert(row.try_get::<i32, _>("pid").map_err(DbError::from)?);
            }
            if Instant::now() >= until {
                return Err(FenceError::Left(found.len()));
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// Takes in what was decided here.
    pub fn note_decision(&self, decision: &Decision) {
        self.fence.note(decision);
    }
}

async fn read<'e, E>(executor: E) -> Result<Decision, sqlx::Error>
where
    E: sqlx::Executor<'e, Database = sqlx::Any>,
{
    let Some(row) = sqlx::query(READ).fetch_optional(executor).await? else { return Ok(Decision::default()) };
    let epoch: i64 = row.try_get("epoch")?;
    Ok(Decision {
        region: row.try_get("region")?,
        epoch: u64::try_from(epoch).unwrap_or(0),
        since_ms: row.try_get("since_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(region: Option<&str>, epoch: u64) -> Decision {
        Decision { region: region.map(str::to_owned), epoch, since_ms: 0 }
    }

    #[test]
    fn who_serves_is_who_was_decided_last() {
        let fence = Fence::new("a");
        let told = |decision: &Decision| {
            fence.note(decision);
            (fence.standing().serves, fence.standing().epoch)
        };
        assert_eq!(told(&Decision::default()), (true, 0));
        assert_eq!(told(&decided(Some("b"), 2)), (false, 2));
        assert_eq!(told(&decided(Some("a"), 1)), (false, 2), "read before it");
        assert_eq!(told(&decided(None, 3)), (true, 3));
        assert_eq!(told(&decided(Some("a"), 4)), (true, 4));
    }

    #[test]
    fn a_connection_that_is_older_than_the_change_is_not_used() {
        let fence = Fence::new("a");
        assert!(!fence.is_outdated(Duration::from_secs(1)), "nothing was ever decided");
        fence.note(&decided(Some("b"), 1));
        assert!(fence.is_outdated(Duration::from_secs(1)));
        assert!(!fence.is_outdated(Duration::ZERO));
    }
}
