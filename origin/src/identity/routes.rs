//! Which acquirer is asked first, by merchant and currency.

use scanvault_protocol::AccountName;
use sqlx::{Any, Executor, Row};

use crate::db::{DbError, Tx};

/// In the place of a currency: every one that has no route of its own.
pub const ANY_CURRENCY: &str = "*";

/// The acquirers of one currency, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// ISO 4217 letters, or [`ANY_CURRENCY`].
    pub currency: String,
    /// By name.
    pub acquirers: Vec<String>,
}

/// Lists an account's routes, by currency.
///
/// # Errors
/// From the database.
pub async fn list(on: impl Executor<'_, Database = Any>, name: &AccountName) -> Result<Vec<Route>, DbError> {
    let statement = "SELECT currency, acquirer FROM acquirer_routes WHERE account = $1 ORDER BY currency, position";
    let rows = sqlx::query(statement).bind(name.to_string()).fetch_all(on).await?;
    let mut routes: Vec<Route> = Vec::new();
    for row in &rows {
        let (currency, acquirer): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match routes.last_mut().filter(|route| route.currency == currency) {
            Some(route) => route.acquirers.push(acquirer),
            None => routes.push(Route { currency, acquirers: vec![acquirer] }),
        }
    }
    Ok(routes)
}

/// The acquirers that are asked for a currency, in order; empty when the account has no route for it, nor one for any.
///
/// # Errors
/// From the database.
pub async fn acquirers(
    on: impl Executor<'_, Database = Any>,
    name: &AccountName,
    currency: &str,
) -> Result<Vec<String>, DbError> {
    let mut routes = list(on, name).await?;
    let at = [currency, ANY_CURRENCY]
        .into_iter()
        .find_map(|wanted| routes.iter().position(|route| route.currency == wanted));
    Ok(at.map_or_else(Vec::new, |at| routes.swap_remove(at).acquirers))
}

/// Replaces the route of a currency, in the caller's transaction; without acquirers there is none any more.
///
/// # Errors
/// From the database.
pub async fn put(tx: &mut Tx, name: &AccountName, currency: &str, acquirers: &[String]) -> Result<(), DbError> {
    let account = name.to_string();
    let statement = "DELETE FROM acquirer_routes WHERE account = $1 AND currency = $2";
    sqlx::query(statement).bind(account.clone()).bind(currency).execute(&mut **tx).await?;
    for (position, acquirer) in (0_i64..).zip(acquirers) {
        let statement = "INSERT INTO acquirer_routes (account, currency, position, acquirer) VALUES ($1, $2, $3, $4)";
        let query = sqlx::query(statement).bind(account.clone()).bind(currency).bind(position).bind(acquirer.clone());
        query.execute(&mut **tx).await?;
    }
    Ok(())
}
