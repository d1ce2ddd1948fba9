//! The running origin: listeners, background work, and an orderly end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::config::{Config, ConfigError, Mode, Switch};
use super::listeners::{Listeners, bind_tcp, bind_tls, bind_unix, own_uid, serve_bound, socket_mode};
use super::notifications::{HeldPayments, Senders};
use super::parties::{acquirers, extra_ca, threeds};
use super::provider::Provider;
use super::router::{answer_admin, answer_public};
use super::{App, region, reload, telemetry};
use crate::acquirers::mobilepay::MobilePay;
use crate::acquirers::transport::FramedError;
use crate::audit::Audit;
use crate::cards::Cards;
use crate::ceremonies::operators::Roster;
use crate::ceremonies::{Admin, Remembered, Step};
use crate::clock::{Clock, SystemClock};
use crate::db::{Db, DbError};
use crate::identity::Identity;
use crate::identity::last_use::LastUse;
use crate::identity::login::{Logins, Parts};
use crate::identity::passwords::Reminder;
use crate::identity::throttle::Throttle;
use crate::identity::tokens::Tokens;
use crate::ops::Ops;
use crate::outbox;
use crate::outbox::target::SystemLookup;
use crate::outbox::{Counts, Sender};
use crate::payments::limits::Limits;
use crate::payments::pluto::Polls;
use crate::payments::wallet::Wallet;
use crate::payments::{Payments, idempotency, resolver};
use crate::vault::{MemoryProtection, SystemEntropy, Vault, store};
use crate::web::link_check::{Keys, LinkCheck};
use crate::web::listener::{self, Service};
use crate::web::nonces::Nonces;
use crate::web::tls::TlsError;

const SWEEP_EVERY: Duration = Duration::from_secs(5);
const LOOK_FOR_WORK_EVERY: Duration = Duration::from_secs(1);
/// How long payments may run on after the listeners are closed.
const DRAIN_PAYMENTS: Duration = Duration::from_secs(60);

/// Why the origin does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Its certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its outgoing client.
    #[error("outgoing client: {0}")]
    Client(#[from] reqwest::Error),
    /// The way to Nets.
    #[error("Nets: {0}")]
    Nets(#[from] FramedError),
    /// A listener.
    #[error("{0}: {1}")]
    Listen(String, std::io::Error),
    /// Another origin answers on the admin socket.
    #[error("another origin is running on {0}")]
    AlreadyRunning(String),
}

/// Runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(config: Config, memory: MemoryProtection) -> Result<(), ServeError> {
    telemetry::start(&config.log);
    config.check()?;
    let listeners = Listeners::read(&config)?;
    if config.mode == Mode::Production && config.operators.is_none() {
        tracing::warn!("no file of operators: the origin's own user and root are one operator, `owner`");
    }
    let db = Db::open(&config.database_url, &config.region).await?;
    let bell = Arc::new(Notify::new());
    let (running, mut all_done) = mpsc::channel(1);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let app = Arc::new(build(&config, db, clock, &bell, running, memory).await?);
    let public = bind_tcp(config.listen).await?;
    let admin_tls = bind_tls(config.admin_listen, listeners.admin.as_ref()).await?;
    let callback = bind_tls(config.callback_listen, listeners.callback.as_ref()).await?;
    let admin = bind_unix(&config.admin_socket, socket_mode(&app)).await?;
    let (stop_tx, stop) = watch::channel(false);
    if app.db.serves() {
        outbox::store::take_over(&app.db, app.clock.now_db()).await?;
    }
    let senders = Senders::new(&app, &bell, Arc::new(HeldPayments(Arc::clone(&app.payments))));
    wait_for_full_second(&*app.clock, app.link.started_secs).await;

    let public_task =
        tokio::spawn(listener::serve_tls(public, Arc::clone(&listeners.public), public_service(&app), stop.clone()));
    let admin_task = tokio::spawn(listener::serve_unix(admin, admin_service(&app), stop.clone()));
    let admin_tls_task = tokio::spawn(serve_bound(admin_tls, admin_service(&app), stop.clone()));
    let callback_task = tokio::spawn(serve_bound(callback, provider_service(&app), stop.clone()));
    let wallet_task = tokio::spawn(Arc::clone(&app.wallet).run(stop.clone()));
    let [outbox_task, ping_task] = senders.start(&stop);
    drop(senders);
    let sweep_task = tokio::spawn(sweep(Arc::clone(&app), stop.clone()));
    let resolver_task = tokio::spawn(resolver::run(Payments::clone(&app.payments), stop.clone()));
    let reencrypt_task = tokio::spawn(reencrypt(Arc::clone(&app), stop.clone()));
    let region_task = tokio::spawn(region::watch_who_serves(app.db.clone(), stop));
    let reload_task = tokio::spawn(reload::on_hangup(Arc::clone(&app), config.clone(), listeners));
    tracing::info!(operators = %app.admin.operators.live(), "operators");
    let (listen, admin_socket) = (config.listen, config.admin_socket.display());
    let [admin_listen, callback_listen] =
        [config.admin_listen, config.callback_listen].map(|it| it.map(tracing::field::display));
    tracing::info!(%listen, %admin_socket, admin_listen, callback_listen, memory = ?memory, "listening");

    stop_signal().await;
    tracing::info!("stopping: no new connections, requests under way are finished");
    app.ops.drain();
    let _ = stop_tx.send(true);
    reload_task.abort();
    let admin = async { tokio::join!(admin_task, admin_tls_task) };
    let wallet = async { tokio::join!(callback_task, wallet_task) };
    let looking_after = async { tokio::join!(sweep_task, resolver_task, reencrypt_task, region_task) };
    let _ = tokio::join!(public_task, admin, wallet, outbox_task, ping_task, looking_after, reload_task);
    if app.db.serves()
        && let Err(error) = app.identity.write_last_uses(true).await
    {
        tracing::error!(cause = %error, "last uses of passwords not written");
    }
    let (db, audit) = (app.db.clone(), Arc::clone(&app.audit));
    drop(app);
    // Payments whose shopper has gone run in tasks of their own: each holds a sender.
    let _ = tokio::time::timeout(DRAIN_PAYMENTS, all_done.recv()).await;
    audit.log_head().await;
    db.close().await;
    let _ = std::fs::remove_file(&config.admin_socket);
    tracing::info!("stopped");
    Ok(())
}

/// Puts an origin together, without its listeners.
///
/// # Errors
/// See [`ServeError`].
pub async fn build(
    config: &Config,
    db: Db,
    clock: Arc<dyn Clock>,
    bell: &Arc<Notify>,
    running: mpsc::Sender<()>,
    memory: MemoryProtection,
) -> Result<App, ServeError> {
    // What a region that stands by does too: it is unsealed, and operators look after it.
    let unfenced = db.unfenced();
    let vault = Arc::new(Vault::new(store::load(&unfenced).await?));
    let audit = open_audit(config, &db, &clock, &vault).await?;
    let cards = Cards::start(db.clone(), Arc::clone(&vault), Arc::clone(&audit), Arc::clone(&clock), &running);
    let acquirers = acquirers(config)?;
    let payments = Arc::new(Payments {
        db: db.clone(),
        vault: Arc::clone(&vault),
        clock: Arc::clone(&clock),
        acquirers: acquirers.clone(),
        threeds: Arc::new(threeds(config)?),
        bell: Arc::clone(bell),
        card_retention_ms: i64::from(config.card_retention_days) * 86_400_000,
        limits: Arc::new(Limits::new(config.rate_limits == Switch::On)),
        running,
    });
    let wallet = Arc::new(wallet(config, &payments)?);
    let link = LinkCheck {
        keys: Keys::new(config.read_link_keys()?),
        region: config.region.clone(),
        nonces: Nonces::new(&unfenced),
        clock: Arc::clone(&clock),
        // The next full second: what was signed in this one may have been taken by the process before us.
        started_secs: clock.now_ms().div_ceil(1000),
    };
    let identity = identity(config, &db, &clock, &vault);
    let admin = Admin {
        db: unfenced,
        identity: Arc::clone(&identity),
        vault: Arc::clone(&vault),
        audit: Arc::clone(&audit),
        clock: Arc::clone(&clock),
        wallet: Arc::clone(&wallet),
        operators: Roster::new(config.read_operators(own_uid())?),
        memory,
        acquirers,
        sender: Arc::new(Sender::new(config.callback_rules(), Arc::new(SystemLookup), &extra_ca(config)?)?),
        bell: Arc::clone(bell),
        key_policy: config.key_policy(),
        remembered: Remembered::default(),
    };
    let logins = logins(config, &identity, &db, &vault, &audit);
    let counts = (Counts::default(), payments.limits.refused());
    let ops =
        Ops::new(db.clone(), Arc::clone(&vault), Arc::clone(&audit), Arc::clone(&clock), identity.reminder, counts);
    Ok(App {
        db,
        vault,
        audit,
        clock,
        link,
        identity,
        cards,
        logins,
        wallet,
        payments,
        polls: Polls::new(config.rate_limits == Switch::On),
        pluto_errors: config.pluto_errors.into(),
        admin,
        ops,
        public_url: config.public_url.clone(),
        is_development: config.mode == Mode::Development,
    })
}

fn wallet(config: &Config, payments: &Payments) -> Result<Wallet, ServeError> {
    Ok(Wallet {
        client: MobilePay::new(&config.mobilepay_url, &extra_ca(config)?, Arc::clone(&payments.clock))?,
        payments: payments.clone(),
        callback_url: config.callback_url.clone(),
        public_url: config.public_url.trim_end_matches('/').to_owned(),
        bell: Notify::new(),
    })
}

fn identity(config: &Config, db: &Db, clock: &Arc<dyn Clock>, vault: &Arc<Vault>) -> Arc<Identity> {
    Arc::new(Identity {
        db: db.clone(),
        clock: Arc::clone(clock),
        tokens: Arc::new(Tokens::new(Arc::clone(vault), &config.public_url)),
        throttle: Throttle::new(config.rate_limits == Switch::On),
        last_use: LastUse::default(),
        reminder: Reminder::after_days(config.password_reminder_days),
        reminded_on_day: AtomicI64::new(0),
        is_513_asked_for: config.security_violation_513,
    })
}

fn logins(config: &Config, identity: &Identity, db: &Db, vault: &Arc<Vault>, audit: &Arc<Audit>) -> Logins {
    Logins::new(Parts {
        db: db.clone(),
        vault: Arc::clone(vault),
        audit: Arc::clone(audit),
        clock: Arc::clone(&identity.clock),
        tokens: Arc::clone(&identity.tokens),
        challenge_secs: config.challenge_secs(),
        rate_limits: config.rate_limits == Switch::On,
    })
}

async fn open_audit(
    config: &Config,
    db: &Db,
    clock: &Arc<dyn Clock>,
    vault: &Arc<Vault>,
) -> Result<Arc<Audit>, ServeError> {
    let host = rustix::system::uname();
    let process = format!("{}/{}/{}", host.nodename().to_string_lossy(), config.region, std::process::id());
    let sealer = Arc::<Vault>::clone(vault);
    let audit = Audit::open(db.clone(), Arc::clone(clock), sealer, &process, &mut SystemEntropy::new()).await?;
    Ok(Arc::new(audit))
}

fn public_service(app: &Arc<App>) -> Service {
    let app = Arc::clone(app);
    Arc::new(move |request, _| Box::pin(answer_public(Arc::clone(&app), request)))
}

fn provider_service(app: &App) -> Service {
    let provider = Arc::new(Provider::new(Arc::clone(&app.wallet)));
    Arc::new(move |request, _| {
        let provider = Arc::clone(&provider);
        Box::pin(async move { provider.answer(request).await })
    })
}

fn admin_service(app: &Arc<App>) -> Service {
    let app = Arc::clone(app);
    Arc::new(move |request, peer| Box::pin(answer_admin(Arc::clone(&app), request, peer)))
}

async fn wait_for_full_second(clock: &dyn Clock, started_secs: u64) {
    let wait_ms = (started_secs * 1000).saturating_sub(clock.now_ms());
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
}

/// What has to be looked after now and then. A region that stands by keeps its ring up to date, and its part of the audit.
async fn sweep(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = app.admin.look_after_keys().await {
            tracing::error!(?error, "the key ring was not looked after");
        }
        if let Err(error) = app.link.nonces.sweep(app.clock.now_secs()).await {
            tracing::error!(cause = %error, "old nonces not removed");
        }
        if let Err(error) = app.audit.checkpoint_if_due(app.clock.now_ms()).await {
            tracing::error!(cause = %error, "audit checkpoint not written");
        }
        if app.db.serves() {
            sweep_what_is_served(&app).await;
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            _ = stop.changed() => return,
        }
    }
}

/// What is over: answers that were remembered, cards, deliveries, sessions.
async fn sweep_what_is_served(app: &App) {
    if let Err(error) = idempotency::sweep(&app.db, app.clock.now_db()).await {
        tracing::error!(cause = %error, "old idempotency keys not removed");
    }
    if let Err(error) = app.identity.write_last_uses(false).await {
        tracing::error!(cause = %error, "last uses of passwords not written");
    }
    if let Err(error) = app.identity.remind().await {
        tracing::error!(cause = %error, "passwords that are due not counted");
    }
    match app.cards.sweep().await {
        Ok(swept) => app.ops.cards_expired(swept),
        Err(error) => tracing::error!(cause = %error, "expired cards not removed"),
    }
    if let Err(error) = outbox::upkeep::sweep(&app.db, app.clock.now_db()).await {
        tracing::error!(cause = %error, "old deliveries not removed");
    }
    if let Err(error) = app.logins.sweep().await {
        tracing::error!(cause = %error, "old sessions and challenges not removed");
    }
}

/// Works on a re-encryption, when there is one, at its own rate.
async fn reencrypt(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut entropy = SystemEntropy::new();
    loop {
        let step = if app.db.serves() { app.admin.reencrypt_step(&mut entropy).await } else { Ok(Step::Idle) };
        let wait = match step {
            Ok(Step::Worked { records, per_second }) => Duration::from_secs_f64(records as f64 / f64::from(per_second)),
            Ok(Step::Idle) => LOOK_FOR_WORK_EVERY,
            Err(error) => {
                tracing::error!(?error, "re-encryption");
                LOOK_FOR_WORK_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.changed() => return,
        }
    }
}

fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    async {
        let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        match (term, int) {
            (Ok(mut term), Ok(mut int)) => {
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            }
            _ => std::future::pending().await,
        }
    }
}
