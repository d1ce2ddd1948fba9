//! The listeners: what they are bound to, and the TLS of those on TCP.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;

use super::App;
use super::config::Config;
use super::serve::ServeError;
use crate::web::listener::{self, Service};
use crate::web::tls::{Clients, Files, Tls};

/// The user that this process runs as.
pub(super) fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

pub(super) async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|error| ServeError::Listen(address.to_string(), error))
}

/// The TLS of the listeners on TCP.
pub(super) struct Listeners {
    pub(super) public: Arc<Tls>,
    pub(super) admin: Option<Arc<Tls>>,
    pub(super) callback: Option<Arc<Tls>>,
}

impl Listeners {
    /// The configuration was checked: with an admin address a CA is named.
    pub(super) fn read(config: &Config) -> Result<Self, ServeError> {
        let own = (&config.tls_cert, &config.tls_key);
        let read = |clients, (certificate, key): (&PathBuf, &PathBuf), client_ca: Option<&PathBuf>| {
            let (certificate, key) = (certificate.clone(), key.clone());
            let files = Files { certificate, key, client_ca: client_ca.cloned() };
            config.check_tls(&files)?;
            Ok::<_, ServeError>(Arc::new(Tls::read(clients, files)?))
        };
        let public = read(Clients::Signing, own, config.tls_client_ca.as_ref())?;
        let admin = match config.admin_listen {
            Some(_) => Some(read(Clients::Operators, own, config.admin_client_ca.as_ref())?),
            None => None,
        };
        let callback = match config.callback_listen {
            Some(_) => Some(read(Clients::Providers, config.callback_tls(), None)?),
            None => None,
        };
        Ok(Self { public, admin, callback })
    }
}

pub(super) type BoundTls = (TcpListener, Arc<Tls>);

/// `None` when no address is set.
pub(super) async fn bind_tls(
    address: Option<SocketAddr>,
    tls: Option<&Arc<Tls>>,
) -> Result<Option<BoundTls>, ServeError> {
    let (Some(address), Some(tls)) = (address, tls) else { return Ok(None) };
    Ok(Some((bind_tcp(address).await?, Arc::clone(tls))))
}

/// Nothing to serve where nothing is bound.
pub(super) async fn serve_bound(
    bound: Option<BoundTls>,
    service: Service,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    match bound {
        Some((listener, tls)) => listener::serve_tls(listener, tls, service, stop).await,
        None => Ok(()),
    }
}

/// A socket that a killed process left behind is removed; one that answers is somebody's.
pub(super) async fn bind_unix(path: &Path, mode: u32) -> Result<UnixListener, ServeError> {
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
