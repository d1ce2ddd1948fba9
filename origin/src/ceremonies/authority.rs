//! What the present custodians agree to: a threshold of their shares, for one ceremony and one purpose.

use std::sync::PoisonError;

use super::{Admin, AdminCall};
use crate::audit::Entry;
use crate::fault;
use crate::vault::reshare_store::Ceremony;
use crate::vault::state::COLLECTION_TIMEOUT_MS;
use crate::vault::{Collector, Share, SubmitError, UnsealKey};
use crate::web::ApiError;

/// What the present custodians agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Deal,
    Cancel,
}

/// Shares of the present set, for one ceremony and one purpose.
#[derive(Debug)]
pub(super) struct Authority {
    nonce: String,
    purpose: Purpose,
    started_at_ms: u64,
    collector: Collector,
}

impl Admin {
    /// The indices of the shares that were given for a ceremony, while they count; `None` without any.
    pub(super) fn authority_given(&self, ceremony: &Ceremony) -> Option<Vec<u8>> {
        let held = self.remembered.authority.lock().unwrap_or_else(PoisonError::into_inner);
        let current = held.as_ref().filter(|authority| authority.is_for(ceremony, self.clock.now_ms()));
        current.map(|authority| authority.collector.progress().submitted)
    }

    pub(super) fn forget_authority(&self) {
        *self.remembered.authority.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes a share of the present set; answers the key once there are enough.
    pub(super) async fn collect(
        &self,
        call: &AdminCall<'_>,
        ceremony: &Ceremony,
        purpose: Purpose,
        share: &str,
    ) -> Result<Option<UnsealKey>, ApiError> {
        self.check_throttle(call)?;
        let taken = self.collect_now(ceremony, purpose, share);
        let (index, key) = match taken {
            Ok(taken) => taken,
            Err(error) => return Err(self.share_refused(call, "reshare", &error).await),
        };
        self.remembered.throttle.accepted(&call.operator.name);
        tracing::warn!(operator = call.operator.name, share = index, ?purpose, "share accepted for the re-share");
        let noted = self.audit.note(entry("vault.share.accepted", call, ceremony).with("share", index)).await;
        noted.inspect_err(|_| self.forget_authority())?;
        fault::point("reshare.share.taken");
        Ok(key)
    }

    fn collect_now(
        &self,
        ceremony: &Ceremony,
        purpose: Purpose,
        share: &str,
    ) -> Result<(u8, Option<UnsealKey>), SubmitError> {
        let share = Share::parse(share)?;
        let set = self.vault.share_set().ok_or(SubmitError::NotInitialised)?;
        let now_ms = self.clock.now_ms();
        let mut held = self.remembered.authority.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = |authority: &Authority| {
            authority.is_for(ceremony, now_ms) && authority.purpose == purpose && *authority.collector.set() == set
        };
        if !held.as_ref().is_some_and(is_current) {
            let nonce = ceremony.nonce.clone();
            *held = Some(Authority { nonce, purpose, started_at_ms: now_ms, collector: Collector::new(set) });
        }
        let Some(authority) = held.as_mut() else { return Err(SubmitError::NotInitialised) };
        let index = share.index();
        authority.collector.submit(share)?;
        let key = authority.collector.combine();
        if key.is_some() {
            *held = None;
        }
        Ok((index, key))
    }
}

impl Authority {
    fn is_for(&self, ceremony: &Ceremony, now_ms: u64) -> bool {
        self.nonce == ceremony.nonce && now_ms.saturating_sub(self.started_at_ms) <= COLLECTION_TIMEOUT_MS
    }
}

/// What the audit will say of a step of this ceremony.
pub(super) fn entry(action: &'static str, call: &AdminCall<'_>, ceremony: &Ceremony) -> Entry {
    Entry::new(action, call.operator.name.as_str()).with("nonce", ceremony.nonce.as_str())
}
