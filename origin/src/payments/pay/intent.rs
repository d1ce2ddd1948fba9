//! The commit that begins a payment: the code is locked, the card kept, the attempt used up.

use scanvault_protocol::Problem;

use super::super::Payments;
use super::super::engine::{self, Asked};
use super::super::state::{Kind, Method};
use super::super::store::transactions::CardShown;
use super::super::store::{self, CodeRecord, NewTransaction, Transaction};
use crate::db::{DbError, Tx};
use crate::fault;
use crate::money::Amount;
use crate::vault::cards::{self, Card};
use crate::vault::{CardExpiry, CardholderName, Entropy, Pan, SystemEntropy, Unsealed};
use crate::web::ApiError;

/// What a payment is made of, as far as it is kept.
pub(super) struct Intent<'a> {
    pub(super) record: &'a CodeRecord,
    pub(super) attempt: &'a str,
    pub(super) pan: &'a Pan,
    pub(super) expiry: &'a CardExpiry,
    pub(super) holder: Option<&'a CardholderName>,
    pub(super) amount: Amount,
    /// How long the payer is waited for, where something comes before the acquirer.
    pub(super) lease_until_ms: Option<i64>,
}

impl Payments {
    /// Writes the payment and that the acquirer is asked, in one commit.
    pub(super) async fn write_asked(
        &self,
        unsealed: &Unsealed,
        intent: &Intent<'_>,
        acquirer: &str,
    ) -> Result<Asked, ApiError> {
        let mut entropy = SystemEntropy::new();
        let mut tx = self.db.begin().await?;
        let before = self.add(&mut tx, unsealed, intent, &mut entropy).await?;
        let asked = engine::begin(&mut tx, &*self.clock, &mut entropy, &before, acquirer)
            .await
            .map_err(|error| ApiError::internal(&error))?;
        fault::point("intent.written");
        tx.commit().await?;
        fault::point("intent.committed");
        Ok(asked)
    }

    /// Writes the payment, and that its payer is waited for.
    pub(super) async fn write_waiting(
        &self,
        unsealed: &Unsealed,
        intent: &Intent<'_>,
    ) -> Result<Transaction, ApiError> {
        let mut tx = self.db.begin().await?;
        let waiting = self.add(&mut tx, unsealed, intent, &mut SystemEntropy::new()).await?;
        tx.commit().await?;
        fault::point("waiting.committed");
        Ok(waiting)
    }

    /// Adds the transaction, waiting, and locks its code for it.
    pub(super) async fn add(
        &self,
        tx: &mut Tx,
        unsealed: &Unsealed,
        intent: &Intent<'_>,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Transaction, ApiError> {
        let (now_ms, record) = (self.clock.now_db(), intent.record);
        if !store::codes::lock(tx, record, intent.lease_until_ms).await? {
            return Err(Problem::CodeBusy.into());
        }
        let stored = Card {
            account: &record.account,
            pan: intent.pan,
            expiry: intent.expiry,
            holder: intent.holder,
            keep_until_ms: Some(now_ms.saturating_add(self.card_retention_ms)),
        };
        let token = cards::tokenize(tx, unsealed, &stored, now_ms, entropy)
            .await
            .map_err(|error| ApiError::internal(&error))?;
        // A subscriber's card outlives every payment with it.
        if store::subscribers::is_kept(tx, &record.account, &token).await? {
            cards::keep(tx, &record.account, &token, None).await?;
        }
        let expiry = format!("{:04}-{:02}", intent.expiry.year(), intent.expiry.month());
        let (bin, last_four) = (intent.pan.bin(), intent.pan.last_four());
        let shown = CardShown { token: Some(&token), bin, last_four, expiry: &expiry };
        let new = NewTransaction {
            request_id: &record.request_id,
            account: &record.account,
            attempt: intent.attempt,
            dialect: record.dialect,
            kind: if record.only_keeps_card() { Kind::Verify } else { Kind::Payment },
            method: Method::Card,
            code: Some(&record.code),
            reference: &record.request.merchant_reference,
            order_id: record.order_id.as_deref(),
            subscriber_id: None,
            card: Some(shown),
            payer_msisdn: None,
            amount: intent.amount,
            autocapture: record.autocapture,
            lease_until_ms: intent.lease_until_ms,
        };
        let id = store::transactions::add(tx, &new, now_ms).await.map_err(|error| {
            if error.is_duplicate() {
                ApiError::because(Problem::Conflict, "This page was used already. Please reload it")
            } else {
                error.into()
            }
        })?;
        store::codes::tie(tx, &record.code, id).await?;
        let corrupt = || ApiError::internal(&DbError::Corrupt("transaction"));
        store::transactions::find_in(tx, id).await?.ok_or_else(corrupt)
    }
}
