//! What operators watch: metrics in the Prometheus text format, liveness, readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use scanvault_protocol::link::LinkError;
use scanvault_protocol::record::Mark;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::db::Db;
use crate::identity::passwords::{self, Reminder};
use crate::outbox::{self, Counts};
use crate::payments;
use crate::payments::limits::Refused;
use crate::vault::Vault;

type Labels = Vec<(&'static str, String)>;

/// The counters, and what is read when they are asked for.
pub struct Ops {
    /// Counted by the outbox.
    pub outbox: Counts,
    registry: Registry,
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
    link_refusals: Family<Labels, Counter>,
    credentials: Family<Labels, Counter>,
    cards_expired: Counter,
    passwords_due: Gauge,
    sealed: Gauge,
    stands_by: Gauge,
    region_epoch: Gauge,
    unknown: Gauge,
    lost: Gauge,
    unknown_age: Gauge,
    repeating: Gauge,
    reports_pending: Gauge,
    reports_parked: Gauge,
    outbox_pending: Gauge,
    outbox_parked: Gauge,
    outbox_age: Gauge,
    audit_links: Counter,
    audit_failures: Counter,
    audit_checked: Gauge,
    draining: AtomicI64,
    db: Db,
    vault: Arc<Vault>,
    audit: Arc<Audit>,
    clock: Arc<dyn Clock>,
    reminder: Reminder,
}

impl Ops {
    /// Registers every metric.
    #[must_use]
    pub fn new(
        db: Db,
        vault: Arc<Vault>,
        audit: Arc<Audit>,
        clock: Arc<dyn Clock>,
        reminder: Reminder,
        (outbox, refused): (Counts, Refused),
    ) -> Self {
        let mut registry = Registry::with_prefix("scanvault");
        let help = "Attempts refused against the testing of cards, by limit: codes, address, card, code";
        registry.register("limited_attempts", help, refused);
        registry.register("deliveries", "Attempts to deliver a webhook, by outcome", outbox.deliveries.clone());
        registry.register("pings", "Attempts to ping a merchant, by outcome", outbox.pings.clone());
        let requests = Family::default();
        registry.register("requests", "Requests answered, by route and status", requests.clone());
        // 0.5 ms to 65 s: from a look-up to the longest wait for an acquirer.
        let durations = Family::new_with_constructor(
            (|| Histogram::new(exponential_buckets(0.000_5, 2.0, 18))) as fn() -> Histogram,
        );
        let help = "Time to answer, by route";
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations.clone());
        let link_refusals = Family::default();
        registry.register("link_refusals", "Requests refused at the door, by reason", link_refusals.clone());
        let credentials = Family::default();
        let help = "Credentials judged, by what became of them and by what the edge thought of them";
        registry.register("credentials", help, credentials.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let audit_links = counter("audit_links", "Links written to the audit chain of this process");
        let cards_expired = counter("cards_expired", "Cards deleted because their time was over");
        let audit_failures = counter("audit_failures", "Audited actions that failed because the database did");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self {
            outbox,
            sealed: gauge("sealed", "1 while no key is in memory"),
            stands_by: gauge("stands_by", "1 while another region serves"),
            region_epoch: gauge("region_epoch", "How often it was decided which region serves"),
            unknown: gauge(
                "unknown_transactions",
                "Captures and voids without an answer, to be settled by an operator",
            ),
            lost: gauge("lost_authorisations", "Authorisations without an answer; never captured, nothing to settle"),
            unknown_age: gauge("unknown_transactions_oldest_seconds", "Age of the oldest of them"),
            repeating: gauge("repeating_acts", "Those of them that the acquirer is asked again by itself, for now"),
            reports_pending: gauge(
                "wallet_reports_pending",
                "Captures, refunds and releases MobilePay is still to be told",
            ),
            reports_parked: gauge("wallet_reports_parked", "Those it would not take, waiting for an operator"),
            outbox_pending: gauge("outbox_pending", "Deliveries still to be made"),
            outbox_parked: gauge("outbox_parked", "Deliveries given up, waiting for an operator"),
            outbox_age: gauge("outbox_oldest_seconds", "Age of the oldest delivery still to be made"),
            audit_checked: gauge(
                "audit_checkpoint_age_seconds",
                "Time since the other processes' audit chains were looked at and countersigned; grows while sealed",
            ),
            passwords_due: gauge("api_passwords_due", "Accounts whose API password is older than the reminder's days"),
            credentials,
            audit_links,
            audit_failures,
            registry,
            requests,
            durations,
            link_refusals,
            cards_expired,
            draining: AtomicI64::new(0),
            db,
            vault,
            audit,
            clock,
            reminder,
        }
    }

    /// Counts an answered request.
    pub fn answered(&self, route: &str, status: u16, took: Duration) {
        let labels = vec![("route", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&vec![("route", route.to_owned())]).observe(took.as_secs_f64());
    }

    /// Counts a request that was not let in. Replays are those of a nonce that was seen.
    pub fn link_refused(&self, reason: LinkError) {
        let reason = match reason {
            LinkError::Malformed => "malformed",
            LinkError::UnknownKey => "unknown_key",
            LinkError::WrongRegion => "wrong_region",
            LinkError::OutOfWindow => "out_of_window",
            LinkError::BadSignature => "bad_signature",
            LinkError::BadDigest => "bad_digest",
            LinkError::Replayed => "nonce_replayed",
        };
        self.link_refusals.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    /// Counts a credential: how it was taken, or the problem that its client was told.
    pub fn credential_judged(&self, verdict: &str, mark: Mark) {
        let labels = vec![("verdict", verdict.to_owned()), ("edge", mark.as_str().to_owned())];
        self.credentials.get_or_create(&labels).inc();
    }

    /// Counts cards that were swept.
    pub fn cards_expired(&self, count: u64) {
        self.cards_expired.inc_by(count);
    }

    /// From now on readiness says no: nothing new should be sent here.
    pub fn drain(&self) {
        self.draining.store(1, Ordering::SeqCst);
    }

    /// `GET /metrics`.
    pub async fn metrics(&self) -> Response {
        self.read_gauges().await;
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let mut response = Response::new(Body::from(text));
        let media_type = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    }

    /// `GET /health/live`: the process answers. Nothing else is looked at, or a slow database would get it killed.
    #[must_use]
    pub fn live(&self) -> Response {
        Json(serde_json::json!({"status": "ok"})).into_response()
    }

    /// `GET /health/ready`: 200 when it can take requests. Sealed is ready: what needs no key works. So is one that stands
    /// by: it is in order.
    pub async fn ready(&self) -> Response {
        let database = sqlx::query("SELECT 1").fetch_one(self.db.read()).await.is_ok();
        let draining = self.draining.load(Ordering::SeqCst) != 0;
        let sealed = self.vault.unsealed().is_err();
        let status = if database && !draining { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = serde_json::json!({"database": database, "draining": draining, "sealed": sealed,
            "standsBy": !self.db.serves()});
        (status, Json(body)).into_response()
    }

    async fn read_gauges(&self) {
        let now_ms = self.clock.now_db();
        let age_secs = |since: Option<i64>| since.map_or(0, |at| (now_ms - at).max(0) / 1000);
        let counts = self.audit.counts();
        self.audit_links.inner().store(counts.links, Ordering::Relaxed);
        self.audit_failures.inner().store(counts.failures, Ordering::Relaxed);
        self.audit_checked.set(age_secs(i64::try_from(counts.checked_at_ms).ok()));
        self.sealed.set(i64::from(self.vault.unsealed().is_err()));
        let standing = self.db.standing();
        self.stands_by.set(i64::from(!standing.serves));
        self.region_epoch.set(i64::try_from(standing.epoch).unwrap_or(i64::MAX));
        if let Ok(due) = passwords::count_due(&self.db, self.reminder, now_ms).await {
            self.passwords_due.set(due);
        }
        if let Ok((count, oldest)) = payments::store::transactions::count_unknown(&self.db).await {
            self.unknown.set(count);
            self.unknown_age.set(age_secs(oldest));
        }
        if let Ok(lost) = payments::store::transactions::count_lost(&self.db).await {
            self.lost.set(lost);
        }
        if let Ok(repeating) = payments::store::acts::count_to_repeat(&self.db).await {
            self.repeating.set(repeating);
        }
        if let Ok((pending, parked)) = payments::store::wallet_reports::backlog(&self.db).await {
            self.reports_pending.set(pending);
            self.reports_parked.set(parked);
        }
        if let Ok(backlog) = outbox::store::backlog(&self.db).await {
            self.outbox_pending.set(backlog.pending);
            self.outbox_parked.set(backlog.parked);
            self.outbox_age.set(age_secs(backlog.oldest_at_ms));
        }
    }
}
