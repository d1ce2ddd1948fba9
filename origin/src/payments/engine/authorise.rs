//! A payment from its authorisation to where it rests: taken, held, refused, given back, or unknown.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::super::Payments;
use super::super::ledger::{ActEnd, ActKind, Illegal};
use super::super::routing::{Need, Routes};
use super::super::state::Method;
use super::super::steps::{self, End, Step};
use super::super::store::{Transaction, acts};
use super::super::threeds::LEASE_MS;
use super::ask::{Asked, Routed, Telling, begin};
use super::outcome::{Word, nothing};
use super::terms;
use super::{EngineError, Hook, no_hook};
use crate::acquirers::{Authentication, Authorisation, Call, Decline, Instrument, Outcome, Refusal, Series};
use crate::db::DbError;
use crate::fault;
use crate::identity::Account;
use crate::outbox::strict;
use crate::vault::{CardExpiry, Csc, Pan, SystemEntropy, Unsealed};

/// How long a wallet may take for its word on a hold; what asks it looks far more often.
const CONFIRMED_BY_MS: i64 = 15 * 60 * 1000;
/// How often a hold is given back by itself, before an operator has to look at it.
const MAX_VOIDS: usize = 10;
/// A capture that could not even be sent is tried again after these: the payer waits.
const CAPTURE_AGAIN_MS: [u64; 2] = [500, 1_500];

/// What is charged. It is wiped as soon as the authorisation has its answer.
pub enum Means {
    /// A card's own number.
    Card {
        /// Its number.
        pan: Pan,
        /// Its expiry.
        expiry: CardExpiry,
        /// Its security code; there is none where the cardholder is not there.
        csc: Option<Csc>,
    },
    /// A number that a wallet's scheme made for a card.
    NetworkToken {
        /// The token's number.
        pan: Pan,
        /// Its expiry.
        expiry: CardExpiry,
        /// One use's proof, base64.
        cryptogram: Zeroizing<String>,
        /// Two digits, where there is one.
        eci: Option<String>,
        /// Whether the scheme is Mastercard.
        is_mastercard: bool,
    },
}

/// Charges that belong together; [`Series`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeriesOf {
    /// One payment.
    None,
    /// The cardholder agrees to later charges.
    First,
    /// One of them: what the first one's `series` says.
    Next(String),
}

/// What an authorisation is made of.
pub struct Order {
    /// What is charged.
    pub means: Means,
    /// What the bank's server said of the cardholder.
    pub authentication: Option<Authentication>,
    /// Whether it begins or continues a series.
    pub series: SeriesOf,
    /// The payer's address, where known.
    pub payer_address: Option<String>,
    /// What is written besides.
    pub hook: Arc<dyn Hook>,
}

impl Order {
    /// One payment, with nothing besides.
    #[must_use]
    pub fn of(means: Means) -> Self {
        Self { means, authentication: None, series: SeriesOf::None, payer_address: None, hook: no_hook() }
    }

    /// As an acquirer is told it.
    #[must_use]
    pub fn authorisation(&self) -> Authorisation<'_> {
        Authorisation {
            instrument: self.means.instrument(),
            payer_address: self.payer_address.as_deref(),
            authentication: self.authentication.as_ref(),
            series: match &self.series {
                SeriesOf::None => Series::None,
                SeriesOf::First => Series::First,
                SeriesOf::Next(previous) => Series::Next(previous),
            },
        }
    }
}

impl Means {
    fn instrument(&self) -> Instrument<'_> {
        match self {
            Self::Card { pan, expiry, csc } => Instrument::Card { pan, expiry, csc: csc.as_ref() },
            Self::NetworkToken { pan, expiry, cryptogram, eci, is_mastercard } => {
                Instrument::NetworkToken { pan, expiry, cryptogram, eci: eci.as_deref(), is_mastercard: *is_mastercard }
            }
        }
    }
}

impl Payments {
    /// Authorises a transaction that waits, and carries it to where it rests. In a task of its own.
    ///
    /// # Errors
    /// See [`EngineError`]. Before the intent is committed nothing was done; afterwards the transaction is where the
    /// last write left it, and is looked after.
    pub async fn authorise(&self, waiting: Transaction, order: Order) -> Result<Transaction, EngineError> {
        let payments = self.clone();
        self.to_its_end(async move {
            let unsealed = payments.vault.unsealed_for_cards()?;
            let account = terms::account(&payments.db, &waiting).await?;
            let need = Need { amount: waiting.amount(), order: &order };
            let routes = payments.routes(&unsealed, &account, &need).await?;
            let mut tx = payments.db.begin().await?;
            order.hook.intent(&mut tx, &waiting).await?;
            let mut entropy = SystemEntropy::new();
            let asked = begin(&mut tx, &*payments.clock, &mut entropy, &waiting, routes.first()).await?;
            fault::point("intent.written");
            tx.commit().await.map_err(DbError::from)?;
            payments.carry_out(&unsealed, &account, asked, routes, order).await
        })
        .await?
    }

    /// Carries an authorisation whose intent the caller has committed to where it rests. The caller runs it in a task of
    /// its own; `routes` are those whose first one the intent names.
    ///
    /// # Errors
    /// See [`EngineError`]: the transaction is where the last write left it, and is looked after.
    pub async fn carry_out(
        &self,
        unsealed: &Unsealed,
        account: &Account,
        asked: Asked,
        routes: Routes,
        order: Order,
    ) -> Result<Transaction, EngineError> {
        Ok(self.carry_out_or_wait(unsealed, account, asked, routes, (order, false)).await?.0)
    }

    /// The same; when the issuer wants 3-D Secure first and it is to be had, the transaction waits again, and the order
    /// comes back for another try. Anywhere else the order is wiped as soon as it has its answer.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub(in super::super) async fn carry_out_or_wait(
        &self,
        unsealed: &Unsealed,
        account: &Account,
        asked: Asked,
        routes: Routes,
        (order, may_wait): (Order, bool),
    ) -> Result<(Transaction, Option<Order>), EngineError> {
        let hook = Arc::clone(&order.hook);
        let (asked, routed, word) = self.ask_in_turn(account, asked, routes, &order).await?;
        let wants_proof = word.refusal().is_some_and(|refusal| refusal.reason == Decline::StepUp);
        if may_wait && wants_proof {
            return Ok((self.wait_for_proof(&asked, &word).await?, Some(order)));
        }
        drop(order); // number and security code are needed no more
        let is_held = terms::is_held(account, &asked);
        let held_until_ms = self.clock.now_db().saturating_add(strict::ANSWER_WITHIN_MS);
        let confirmed_by_ms = self.clock.now_db().saturating_add(CONFIRMED_BY_MS);
        let held = self
            .write_outcome(&asked, &word, &*hook, &|after| match word.end {
                // Neither held nor taken before the wallet has said that it has our answer.
                ActEnd::Done if after.method == Method::MobilePay => {
                    after.lease_until_ms = Some(confirmed_by_ms);
                    Ok(())
                }
                ActEnd::Done if is_held => {
                    after.held_until_ms = Some(held_until_ms);
                    Ok(())
                }
                ActEnd::Done => take(after),
                _ => Ok(()),
            })
            .await?;
        if held.ledger.pending.is_none() {
            return Ok((held, None));
        }
        Ok((self.take_or_give_back(unsealed, account, &routed, held, &*hook).await?, None))
    }

    /// The issuer's refusal, and the payer's time to prove who they are.
    async fn wait_for_proof(&self, before: &Transaction, word: &Word) -> Result<Transaction, EngineError> {
        let lease_until_ms = Some(self.clock.now_db().saturating_add(LEASE_MS));
        let after = Transaction { ledger: before.ledger.settle_and_wait()?, lease_until_ms, ..before.clone() };
        let step = Step { before, after, end: Some(self.end_of(before, word)) };
        Ok(steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await?)
    }

    /// Asks one acquirer after another, until one has said something about the card.
    async fn ask_in_turn(
        &self,
        account: &Account,
        asked: Asked,
        routes: Routes,
        order: &Order,
    ) -> Result<(Transaction, Routed, Word), EngineError> {
        let (mut routed, mut others) = routes.into_first_and_others();
        let Asked(mut asked) = asked;
        loop {
            fault::point("authorise.asked");
            let telling = Telling::now(&asked, account.text_on_statement.as_deref());
            let outcome = self.ask(&routed, &asked, &telling, Call::Authorise(order.authorisation())).await;
            fault::point("authorise.answered");
            let next = match &outcome {
                Outcome::Declined(refusal) if refusal.reason.is_certainly_not_booked() => others.next(),
                _ => None,
            };
            let (Outcome::Declined(refusal), Some(next)) = (&outcome, next) else {
                return Ok((asked, routed, Word::of(outcome)));
            };
            tracing::warn!(transaction = asked.id, from = routed.name(), to = next.name(), "another acquirer is asked");
            asked = match self.ask_another(&asked, refusal, &next).await {
                Ok(asked) => asked,
                // The refusal is what is known: it is written for as long as the database may take.
                Err(EngineError::Db(error)) => {
                    tracing::warn!(transaction = asked.id, cause = %error, "no other acquirer could be asked");
                    return Ok((asked, routed, Word::of(outcome)));
                }
                Err(error) => return Err(error),
            };
            routed = next;
        }
    }

    /// The refusal of one acquirer and the intent at the next, in one step.
    async fn ask_another(
        &self,
        before: &Transaction,
        refusal: &Refusal,
        next: &Routed,
    ) -> Result<Transaction, EngineError> {
        let ledger = before.ledger.settle_and_ask_another()?;
        let after = Transaction { ledger, acquirer: Some(next.name().to_owned()), ..before.clone() };
        let end = End { outcome: Some(ActEnd::Refused), decline: Some(refusal.reason), next_try_at_ms: None };
        let step = Step { before, after, end: Some(end) };
        Ok(steps::make(&self.db, &*self.clock, &mut SystemEntropy::new(), step).await?)
    }

    /// Asks for the capture that is written down; when it is refused for certain, the hold is given back.
    pub(super) async fn take_or_give_back(
        &self,
        unsealed: &Unsealed,
        account: &Account,
        routed: &Routed,
        held: Transaction,
        hook: &dyn Hook,
    ) -> Result<Transaction, EngineError> {
        let telling = Telling::now(&held, account.text_on_statement.as_deref());
        let mut pauses = CAPTURE_AGAIN_MS.into_iter();
        let word = loop {
            fault::point("capture.asked");
            let outcome = self.ask_later(unsealed, routed, &held, &telling).await;
            fault::point("capture.answered");
            let was_not_sent =
                matches!(&outcome, Outcome::Declined(refusal) if refusal.reason.is_certainly_not_booked());
            match pauses.next().filter(|_| was_not_sent) {
                Some(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
                None => break Word::of(outcome),
            }
        };
        if word.end != ActEnd::Refused {
            return self.write_outcome(&held, &word, hook, &nothing).await;
        }
        let voiding = self.write_outcome(&held, &word, hook, &give_back).await?;
        self.finish_void(unsealed, account, routed, voiding, hook).await
    }

    /// Asks for the void that is written down.
    pub(in super::super) async fn finish_void(
        &self,
        unsealed: &Unsealed,
        account: &Account,
        routed: &Routed,
        voiding: Transaction,
        hook: &dyn Hook,
    ) -> Result<Transaction, EngineError> {
        let telling = Telling::now(&voiding, account.text_on_statement.as_deref());
        fault::point("void.asked");
        let word = Word::of(self.ask_later(unsealed, routed, &voiding, &telling).await);
        fault::point("void.answered");
        // A void that was not sent is tried again by the resolver, so often. One that was refused leaves a hold that
        // nobody can explain: an operator looks at it.
        let was_not_sent = word.refusal().is_some_and(|refusal| refusal.reason.is_certainly_not_booked());
        let is_tried_again = was_not_sent && self.may_void_again(voiding.id).await;
        let word = if word.end == ActEnd::Refused && !is_tried_again { word.into_unknown() } else { word };
        self.write_outcome(&voiding, &word, hook, &|after| {
            after.decline = voiding.decline.or(after.decline);
            after.bank_code = voiding.bank_code.clone();
            Ok(())
        })
        .await
    }

    /// Whether a hold whose void came to nothing may be given back by itself once more; where its acts cannot be read it
    /// may.
    pub(in super::super) async fn may_void_again(&self, id: i64) -> bool {
        let acts = acts::list(&self.db, id).await.unwrap_or_default();
        acts.iter().filter(|act| act.kind == ActKind::Void).count() <= MAX_VOIDS
    }
}

/// Everything that is held is taken; or, where the merchant takes it later, is theirs to take.
pub(super) fn take(after: &mut Transaction) -> Result<(), Illegal> {
    after.held_until_ms = None;
    if after.takes_at_once() {
        after.ledger = after.ledger.capture(after.ledger.capturable_minor())?;
    }
    Ok(())
}

/// Everything that is held is given back.
pub(in super::super) fn give_back(after: &mut Transaction) -> Result<(), Illegal> {
    after.held_until_ms = None;
    after.ledger = after.ledger.void()?;
    Ok(())
}
