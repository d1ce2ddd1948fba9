//! Which acquirers are asked, and in what order.
//!
//! A merchant's routes name them by currency; a merchant without routes is asked for by the order in which this origin
//! has its acquirers, where they have credentials. Whoever cannot take the payment is left out before anything is
//! written. The second one is only asked when the first has certainly not booked:
//! [`Decline::is_certainly_not_booked`](crate::acquirers::Decline::is_certainly_not_booked).

use std::collections::VecDeque;
use std::sync::Arc;

use super::Payments;
use super::engine::{EngineError, Order, Routed, SeriesOf};
use crate::acquirers::{Call, Instrument, Party, Request};
use crate::identity::{Account, routes, secrets};
use crate::money::Amount;
use crate::vault::Unsealed;

/// What an acquirer must be able to do.
pub struct Need<'a> {
    /// How much.
    pub amount: Amount,
    /// With what.
    pub order: &'a Order,
}

/// At least one acquirer that takes the payment.
pub struct Routes {
    first: Routed,
    others: VecDeque<Routed>,
}

impl Routes {
    /// Who is asked first, by name.
    #[must_use]
    pub fn first(&self) -> &'static str {
        self.first.name()
    }

    /// This one alone, where it takes the payment.
    #[must_use]
    pub fn only(self, name: &str) -> Option<Self> {
        let mut all = std::iter::once(self.first).chain(self.others);
        Some(Self { first: all.find(|routed| routed.name() == name)?, others: VecDeque::new() })
    }

    pub(super) fn into_first_and_others(self) -> (Routed, impl Iterator<Item = Routed> + Send) {
        (self.first, self.others.into_iter())
    }
}

impl Payments {
    /// The acquirers that take a payment, with the merchant's credentials there.
    ///
    /// # Errors
    /// [`EngineError::NotConfigured`] when the merchant has none at all; [`EngineError::NotOffered`] when none of them
    /// takes this.
    pub async fn routes(&self, unsealed: &Unsealed, account: &Account, need: &Need<'_>) -> Result<Routes, EngineError> {
        let currency = need.amount.currency();
        let named = routes::acquirers(self.db.read(), &account.name, currency.as_str()).await?;
        let parties: Vec<Arc<Party>> = if named.is_empty() {
            self.acquirers.iter().cloned().collect()
        } else {
            named.iter().filter_map(|name| self.acquirers.find(name)).collect()
        };
        let (mut found, mut refusal) = (VecDeque::new(), None);
        for party in parties {
            let name = party.acquirer.name();
            let credentials = secrets::acquirer_credentials(&self.db, unsealed, &account.name, name).await?;
            let Some(credentials) = credentials else { continue };
            match check(&party, account, need) {
                Ok(()) => found.push_back(Routed { party, credentials: credentials.into() }),
                Err(why) => refusal = Some(why),
            }
        }
        match (found.pop_front(), refusal) {
            (Some(first), _) => Ok(Routes { first, others: found }),
            (None, Some(why)) => Err(EngineError::NotOffered(why)),
            (None, None) => Err(EngineError::NotConfigured),
        }
    }
}

/// Whether an acquirer takes the payment. Its decimals are checked with the fields: an amount that it has no unit for is
/// refused there.
fn check(party: &Party, account: &Account, need: &Need<'_>) -> Result<(), String> {
    let capabilities = party.acquirer.capabilities();
    let authorisation = need.order.authorisation();
    if matches!(authorisation.instrument, Instrument::NetworkToken { .. }) && !capabilities.network_tokens {
        return Err("network token".to_owned());
    }
    if need.order.series != SeriesOf::None && !capabilities.series {
        return Err("series of charges".to_owned());
    }
    if party.acquirer.exponent(need.amount.currency()).is_none() {
        return Err("currency".to_owned());
    }
    let request = Request {
        reference: "sv-0",
        act: 1,
        asked_at_ms: 0,
        amount: need.amount,
        text_on_statement: account.text_on_statement.as_deref(),
        call: Call::Authorise(authorisation),
    };
    party.acquirer.check(&request).map_err(|error| error.to_string())
}
