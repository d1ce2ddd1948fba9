//! Registrations, and a sender for each: in order, the head of the line first, again until it is taken.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::AbortHandle};

use super::{
    guesses::{WEBHOOK_ATTEMPTS, WEBHOOK_LIMIT},
    payment::{Entry, Name},
    problem::Problem,
    signature::Signed,
};
use crate::common::{
    book::Kind,
    clock::Clock,
    faults::{Fault, Faults},
    ids::Ids,
    out::{Caller, Target},
    secret::SecretText,
};

/// Registrations for one event.
const LIMIT: usize = 25;
/// In seconds; then hourly.
const PAUSES: [u32; 6] = [2, 2, 2, 2, 60, 120];
const HOUR: u32 = 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    url: String,
    events: Vec<String>,
}

struct Registration {
    id: String,
    /// None: for all serial numbers of the provider.
    msn: Option<String>,
    url: String,
    events: Vec<String>,
    queue: mpsc::UnboundedSender<Delivery>,
    sender: AbortHandle,
}

struct Delivery {
    body: String,
    amount: u64,
}

/// What a sender needs.
#[derive(Clone)]
struct Means {
    caller: Caller,
    clock: Clock,
    faults: Arc<Faults>,
    second: Duration,
}

pub(super) struct Webhooks {
    means: Means,
    registrations: Mutex<Vec<Registration>>,
}

impl Webhooks {
    pub(super) const fn new(caller: Caller, clock: Clock, faults: Arc<Faults>, second: Duration) -> Self {
        Self { means: Means { caller, clock, faults, second }, registrations: Mutex::new(Vec::new()) }
    }

    /// The secret is shown here and never again.
    pub(super) fn register(&self, msn: Option<String>, body: &[u8], ids: &mut Ids) -> Result<Value, Problem> {
        let wanted: Register = super::request::read(body)?;
        let target = Target::parse(&wanted.url).ok_or_else(|| Problem::new(4090, "url"))?;
        let known = [
            Name::Created,
            Name::Aborted,
            Name::Expired,
            Name::Cancelled,
            Name::Captured,
            Name::Refunded,
            Name::Authorized,
            Name::Terminated,
        ];
        let known = known.map(Name::event);
        if wanted.events.is_empty() || !wanted.events.iter().all(|event| known.contains(event)) {
            return Err(Problem::bad("events"));
        }
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = |event: &String| registrations.iter().filter(|other| other.events.contains(event)).count();
        if wanted.events.iter().any(|event| taken(event) >= LIMIT) {
            return Err(Problem::bad("25 registrations for an event are the limit"));
        }
        let (id, secret) = (ids.uuid(), format!("{}{}", ids.uuid(), ids.uuid()).replace('-', ""));
        let answer = json!({"id": id, "secret": secret});
        let (queue, deliveries) = mpsc::unbounded_channel();
        let sender = tokio::spawn(send(self.means.clone(), target, SecretText::new(secret), deliveries)).abort_handle();
        registrations.push(Registration { id, msn, url: wanted.url, events: wanted.events, queue, sender });
        Ok(answer)
    }

    pub(super) fn list(&self, msn: Option<&String>) -> Value {
        let registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        let own = registrations.iter().filter(|one| one.msn.as_ref() == msn);
        let shown: Vec<Value> = own.map(|one| json!({"id": one.id, "url": one.url, "events": one.events})).collect();
        json!({"webhooks": shown})
    }

    pub(super) fn remove(&self, msn: Option<&String>, id: &str) -> bool {
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        let before = registrations.len();
        registrations.retain(|one| {
            let stays = one.id != id || one.msn.as_ref() != msn;
            if !stays {
                one.sender.abort();
            }
            stays
        });
        registrations.len() < before
    }

    pub(super) fn dispatch(&self, entry: &Entry) {
        if !entry.success {
            return;
        }
        let mut event = entry.event();
        if let Some(object) = event.as_object_mut() {
            object.insert("msn".to_owned(), json!(entry.msn));
        }
        let name = entry.name.event();
        let registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        for one in registrations.iter().filter(|one| one.events.contains(&name)) {
            if one.msn.as_ref().is_none_or(|msn| *msn == entry.msn) {
                // The other end is gone only when the registration is.
                let _ = one.queue.send(Delivery { body: event.to_string(), amount: entry.amount });
            }
        }
    }
}

async fn send(means: Means, target: Target, secret: SecretText, mut queue: mpsc::UnboundedReceiver<Delivery>) {
    while let Some(delivery) = queue.recv().await {
        let drawn = means.faults.draw(Kind::Webhook, Some(delivery.amount));
        match drawn.map(|drawn| (drawn.fault, drawn.delay)) {
            Some((Fault::DropBefore, _)) => continue,
            Some((Fault::Delay | Fault::Timeout, delay)) => tokio::time::sleep(delay).await,
            // What was answered is lost, or it was sent twice on purpose: the merchant gets it once more.
            Some((Fault::DropAfter | Fault::Duplicate, _)) => {
                attempt(&means, &target, &secret, &delivery.body).await;
            }
            Some((Fault::ServerError | Fault::Garbage, _)) => {
                attempt(&means, &target, &SecretText::new("wrong"), &delivery.body).await;
            }
            None => {}
        }
        for number in 0..WEBHOOK_ATTEMPTS {
            if attempt(&means, &target, &secret, &delivery.body).await {
                break;
            }
            tokio::time::sleep(means.second * PAUSES.get(number).copied().unwrap_or(HOUR)).await;
        }
    }
}

async fn attempt(means: &Means, target: &Target, secret: &SecretText, body: &str) -> bool {
    let signed = Signed::new(secret, target, body, means.clock.now());
    let answer = means.caller.post(target, &signed.headers(), body.to_owned(), WEBHOOK_LIMIT).await;
    let taken = answer.is_some_and(|(status, _)| (200..300).contains(&status));
    tracing::info!(host = target.host, taken, "webhook");
    taken
}
