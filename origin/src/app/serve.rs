//! The running origin: listeners, background work, and an orderly end.

use std::fs::Permissions;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Certificate;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, watch};
use zeroize::Zeroizing;

use super::config::{Config, ConfigError, Mode};
use super::router::{answer_admin, answer_public};
use super::{App, reload, telemetry};
use crate::acquirers::Transport;
use crate::acquirers::clearhaus::Clearhaus;
use crate::audit::Audit;
use crate::cards::Cards;
use crate::ceremonies::operators::Roster;
use crate::ceremonies::{Admin, Remembered, Step};
use crate::clock::{Clock, SystemClock};
use crate::db::{Db, DbError};
use crate::identity::secrets;
use crate::ops::Ops;
use crate::outbox::worker::{self, SecretError, Secrets, Worker};
use crate::payments::pay::Payments;
use crate::payments::settle;
use crate::vault::{MemoryProtection, SystemEntropy, Vault, store};
use crate::web::link_check::{Keys, LinkCheck};
use crate::web::listener::{self, Service};
use crate::web::nonces::Nonces;
use crate::web::tls::{Clients, Files, Tls, TlsError};

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
    let db = Db::open(&config.database_url).await?;
    let bell = Arc::new(Notify::new());
    let (running, mut all_done) = mpsc::channel(1);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let app = Arc::new(build(&config, db, clock, &bell, running, memory).await?);
    let public = bind_tcp(config.listen).await?;
    let admin_tls = bind_admin_tls(&config, &listeners).await?;
    let admin = bind_unix(&config.admin_socket, socket_mode(&app)).await?;
    let (stop_tx, stop) = watch::channel(false);
    let worker = Arc::new(outbox_worker(&config, &app, &bell)?);
    wait_for_full_second(&*app.clock, app.link.started_secs).await;

    let public_task =
        tokio::spawn(listener::serve_tls(public, Arc::clone(&listeners.public), public_service(&app), stop.clone()));
    let admin_task = tokio::spawn(listener::serve_unix(admin, admin_service(&app), stop.clone()));
    let admin_tls_task = tokio::spawn(serve_admin_tls(admin_tls, admin_service(&app), stop.clone()));
    let outbox_task = tokio::spawn(worker.run(stop.clone()));
    let sweep_task = tokio::spawn(sweep(Arc::clone(&app), Arc::clone(&bell), stop.clone()));
    let reencrypt_task = tokio::spawn(reencrypt(Arc::clone(&app), stop));
    let reload_task = tokio::spawn(reload::on_hangup(Arc::clone(&app), config.clone(), listeners));
    tracing::info!(operators = %app.admin.operators.live(), "operators");
    let (listen, admin_socket) = (config.listen, config.admin_socket.display());
    tracing::info!(%listen, %admin_socket, admin_listen = config.admin_listen.map(tracing::field::display), memory = ?memory, "listening");

    stop_signal().await;
    tracing::info!("stopping: no new connections, requests under way are finished");
    app.ops.drain();
    let _ = stop_tx.send(true);
    reload_task.abort();
    let admin = async { tokio::join!(admin_task, admin_tls_task) };
    let _ = tokio::join!(public_task, admin, outbox_task, sweep_task, reencrypt_task, reload_task);
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
    let vault = Arc::new(Vault::new(store::load(&db).await?));
    let audit = open_audit(config, &db, &clock, &vault).await?;
    let transport = Arc::new(Transport::new(&config.clearhaus_url, &extra_ca(config)?)?);
    let cards = Cards::start(db.clone(), Arc::clone(&vault), Arc::clone(&audit), Arc::clone(&clock), &running);
    let payments = Arc::new(Payments {
        db: db.clone(),
        vault: Arc::clone(&vault),
        clock: Arc::clone(&clock),
        acquirer: Arc::new(Clearhaus),
        transport,
        bell: Arc::clone(bell),
        card_retention_ms: i64::from(config.card_retention_days) * 86_400_000,
        running,
    });
    let link = LinkCheck {
        keys: Keys::new(config.read_link_keys()?),
        region: config.region.clone(),
        nonces: Nonces::new(&db),
        clock: Arc::clone(&clock),
        // The next full second: what was signed in this one may have been taken by the process before us.
        started_secs: clock.now_ms().div_ceil(1000),
    };
    let admin = Admin {
        db: db.clone(),
        vault: Arc::clone(&vault),
        audit: Arc::clone(&audit),
        clock: Arc::clone(&clock),
        operators: Roster::new(config.read_operators(own_uid())?),
        memory,
        allow_local_callbacks: config.allow_local_callbacks,
        bell: Arc::clone(bell),
        key_policy: config.key_policy(),
        remembered: Remembered::default(),
    };
    let ops = Ops::new(db.clone(), Arc::clone(&vault), Arc::clone(&audit), Arc::clone(&clock));
    Ok(App { db, vault, audit, clock, link, cards, payments, admin, ops, public_url: config.public_url.clone() })
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

/// The outbox's way to the secrets: identity's records, opened by the vault, when it is open.
struct WebhookSecrets {
    db: Db,
    vault: Arc<Vault>,
}

impl Secrets for WebhookSecrets {
    fn are_available(&self) -> bool {
        self.vault.unsealed().is_ok()
    }

    fn webhook_secret<'a>(&'a self, account: &'a str) -> worker::SecretFuture<'a> {
        Box::pin(async move {
            let Ok(unsealed) = self.vault.unsealed() else { return Ok(None) };
            let secret: Result<Zeroizing<Vec<u8>>, _> = secrets::webhook_secret(&self.db, &unsealed, account).await;
            secret.map(Some).map_err(|error| SecretError(error.to_string()))
        })
    }
}

fn outbox_worker(config: &Config, app: &App, bell: &Arc<Notify>) -> Result<Worker, ServeError> {
    Ok(Worker {
        db: app.db.clone(),
        clock: Arc::clone(&app.clock),
        secrets: Arc::new(WebhookSecrets { db: app.db.clone(), vault: Arc::clone(&app.vault) }),
        bell: Arc::clone(bell),
        allow_local: config.allow_local_callbacks,
        client: worker::client(config.allow_local_callbacks, &extra_ca(config)?)?,
    })
}

fn extra_ca(config: &Config) -> Result<Vec<Certificate>, ServeError> {
    let Some(path) = &config.extra_ca else { return Ok(Vec::new()) };
    let pem = std::fs::read(path).map_err(|error| ConfigError::File(path.clone(), error))?;
    Ok(Certificate::from_pem_bundle(&pem)?)
}

fn public_service(app: &Arc<App>) -> Service {
    let app = Arc::clone(app);
    Arc::new(move |request, _| Box::pin(answer_public(Arc::clone(&app), request)))
}

fn admin_service(app: &Arc<App>) -> Service {
    let app = Arc::clone(app);
    Arc::new(move |request, peer| Box::pin(answer_admin(Arc::clone(&app), request, peer)))
}

/// The user that this process runs as.
pub(super) fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Listen(address.to_string(), error))
}

/// The TLS of the listeners on TCP.
pub(super) struct Listeners {
    pub(super) public: Arc<Tls>,
    pub(super) admin: Option<Arc<Tls>>,
}

impl Listeners {
    /// The configuration was checked: with an admin address a CA is named.
    fn read(config: &Config) -> Result<Self, ServeError> {
        let read = |clients, client_ca: Option<&PathBuf>| {
            let (certificate, key) = (config.tls_cert.clone(), config.tls_key.clone());
            let files = Files { certificate, key, client_ca: client_ca.cloned() };
            config.check_tls(&files)?;
            Ok::<_, ServeError>(Arc::new(Tls::read(clients, files)?))
        };
        let public = read(Clients::Signing, config.tls_client_ca.as_ref())?;
        let admin = match config.admin_listen {
            Some(_) => Some(read(Clients::Operators, config.admin_client_ca.as_ref())?),
            None => None,
        };
        Ok(Self { public, admin })
    }
}

type AdminTls = (TcpListener, Arc<Tls>);

/// `None` when no address is set.
async fn bind_admin_tls(config: &Config, listeners: &Listeners) -> Result<Option<AdminTls>, ServeError> {
    let (Some(address), Some(tls)) = (config.admin_listen, &listeners.admin) else { return Ok(None) };
    Ok(Some((bind_tcp(address).await?, Arc::clone(tls))))
}

async fn serve_admin_tls(
    admin: Option<AdminTls>,
    service: Service,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    match admin {
        Some((listener, tls)) => listener::serve_tls(listener, tls, service, stop).await,
        None => Ok(()),
    }
}

/// A socket that a killed process left behind is removed; one that answers is somebody's.
async fn bind_unix(path: &Path, mode: u32) -> Result<UnixListener, ServeError> {
    let failed = |error| ServeError::Listen(path.display().to_string(), error);
    if UnixStream::connect(path).await.is_ok() {
        return Err(ServeError::AlreadyRunning(path.display().to_string()));
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(failed)?;
    set_mode(path, mode).map_err(failed)?;
    Ok(listener)
}

/// The kernel's word on who connects is the check. The mode only keeps others from knocking, where no other user is an
/// operator; where one is, everybody may knock. What keeps strangers from filling the socket with connections then is the
/// mode of the folder it lies in: that is the host's to set.
pub(super) fn socket_mode(app: &App) -> u32 {
    if app.admin.operators.live().have_other_users(own_uid()) { 0o666 } else { 0o600 }
}

pub(super) fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

async fn wait_for_full_second(clock: &dyn Clock, started_secs: u64) {
    let wait_ms = (started_secs * 1000).saturating_sub(clock.now_ms());
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
}

/// What has to be looked after now and then: abandoned transactions, the key ring, old nonces, cards whose time is over,
/// chains to countersign.
async fn sweep(app: Arc<App>, bell: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    loop {
        let mut entropy = SystemEntropy::new();
        match settle::settle_abandoned(&app.db, &*app.clock, &mut entropy).await {
            Ok(0) => {}
            Ok(_) => bell.notify_one(),
            Err(error) => tracing::error!(cause = %error, "abandoned transactions not settled"),
        }
        if let Err(error) = app.admin.look_after_keys().await {
            tracing::error!(?error, "the key ring was not looked after");
        }
        if let Err(error) = app.link.nonces.sweep(app.clock.now_secs()).await {
            tracing::error!(cause = %error, "old nonces not removed");
        }
        if let Err(error) = app.audit.checkpoint_if_due(app.clock.now_ms()).await {
            tracing::error!(cause = %error, "audit checkpoint not written");
        }
        match app.cards.sweep().await {
            Ok(swept) => app.ops.cards_expired(swept),
            Err(error) => tracing::error!(cause = %error, "expired cards not removed"),
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Works on a re-encryption, when there is one, at its own rate.
async fn reencrypt(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut entropy = SystemEntropy::new();
    loop {
        let wait = match app.admin.reencrypt_step(&mut entropy).await {
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
