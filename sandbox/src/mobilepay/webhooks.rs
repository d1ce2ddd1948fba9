//! Registrations, and a sender for each: in order, the head of the line first, again until it is taken.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::AbortHandle};
use zeroize::Zeroizing;

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
    files::write_private,
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

/// As it is kept, when it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    /// None: for all serial numbers of the provider.
    msn: Option<String>,
    url: String,
    events: Vec<String>,
    secret: Zeroizing<String>,
}

struct Registration {
    kept: Kept,
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
    /// Where registrations survive a restart; what was on its way does not.
    file: Option<PathBuf>,
    registrations: Mutex<Vec<Registration>>,
}

impl Webhooks {
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) fn open(
        caller: Caller,
        clock: Clock,
        faults: Arc<Faults>,
        second: Duration,
        file: Option<PathBuf>,
    ) -> io::Result<Self> {
        let means = Means { caller, clock, faults, second };
        let kept: Vec<Kept> = match &file {
            Some(path) if path.exists() => serde_json::from_slice(&Zeroizing::new(fs::read(path)?))?,
            _ => Vec::new(),
        };
        let started = kept.into_iter().filter_map(|kept| Registration::start(&means, kept)).collect();
        Ok(Self { means, file, registrations: Mutex::new(started) })
    }

    /// The secret is shown here and never again.
    pub(super) fn register(&self, msn: Option<String>, body: &[u8], ids: &mut Ids) -> Result<Value, Problem> {
        let wanted: Register = super::request::read(body)?;
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
        let taken = |event: &String| registrations.iter().filter(|other| other.kept.events.contains(event)).count();
        if wanted.events.iter().any(|event| taken(event) >= LIMIT) {
            return Err(Problem::bad("25 registrations for an event are the limit"));
        }
        let (id, secret) = (ids.uuid(), format!("{}{}", ids.uuid(), ids.uuid()).replace('-', ""));
        let answer = json!({"id": id, "secret": secret});
        let kept = Kept { id, msn, url: wanted.url, events: wanted.events, secret: Zeroizing::new(secret) };
        let started = Registration::start(&self.means, kept).ok_or_else(|| Problem::new(4090, "url"))?;
        registrations.push(started);
        self.keep(&registrations);
        Ok(answer)
    }

    pub(super) fn list(&self, msn: Option<&String>) -> Value {
        let registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        let own = registrations.iter().filter(|one| one.kept.msn.as_ref() == msn);
        let shown: Vec<Value> =
            own.map(|one| json!({"id": one.kept.id, "url": one.kept.url, "events": one.kept.events})).collect();
        json!({"webhooks": shown})
    }

    pub(super) fn remove(&self, msn: Option<&String>, id: &str) -> bool {
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        let before = registrations.len();
        registrations.retain(|one| {
            let stays = one.kept.id != id || one.kept.msn.as_ref() != msn;
            if !stays {
                one.sender.abort();
            }
            stays
        });
        self.keep(&registrations);
        registrations.len() < before
    }

    /// A sandbox that cannot write goes on without.
    fn keep(&self, registrations: &[Registration]) {
        let Some(path) = &self.file else {
            return;
        };
        let kept: Vec<&Kept> = registrations.iter().map(|one| &one.kept).collect();
        let text = serde_json::to_vec(&kept).map(Zeroizing::new).map_err(io::Error::from);
        if let Err(error) = text.and_then(|text| write_private(path, &text)) {
            tracing::error!(%error, "registrations cannot be kept");
        }
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
        for one in registrations.iter().filter(|one| one.kept.events.contains(&name)) {
            if one.kept.msn.as_ref().is_none_or(|msn| *msn == entry.msn) {
                // The other end is gone only when the registration is.
                let _ = one.queue.send(Delivery { body: event.to_string(), amount: entry.amount });
            }
        }
    }
}

impl Registration {
    /// None when the address is none.
    fn start(means: &Means, kept: Kept) -> Option<Self> {
        let (target, secret) = (Target::parse(&kept.url)?, SecretText::new(kept.secret.as_str()));
        let (queue, deliveries) = mpsc::unbounded_channel();
        let sender = tokio::spawn(send(means.clone(), target, secret, deliveries)).abort_handle();
        Some(Self { kept, queue, sender })
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
