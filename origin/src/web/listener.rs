//! Listeners with every time-out set: hyper has none of its own.
//!
//! HTTP/1.1 only: the edge speaks nothing else to us, and hyper has no idle limit for HTTP/2.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use super::peer::Peer;
use super::tls::{Clients, Tls};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Also ends idle keep-alive connections: the edge is the only client, and must not race with the close.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Where a connection carries one request there is nothing to be idle for.
const SINGLE_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// What is over it is answered by hyper itself, before the link check.
const MAX_HEADERS: usize = 128;
const MAX_CONNECTIONS: usize = 4096;
/// How long requests may run on after SIGTERM: longer than an acquirer call.
const DRAIN: Duration = Duration::from_secs(45);

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers one request; the peer is the Unix socket's other side, or the holder of the client certificate.
pub type Service = Arc<dyn Fn(Request<Body>, Option<Peer>) -> Answer + Send + Sync>;

/// Serves TLS on TCP until `stop` turns true, then drains. The peer is the holder of the client certificate, when one
/// was asked for.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<Tls>,
    service: Service,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let reuse = match tls.clients() {
        Clients::Signing => Reuse::Yes,
        Clients::Operators | Clients::Providers => Reuse::No,
    };
    let connections = Connections::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((stream, _)) = connections.take(accepted).await else { continue };
        let Ok(permit) = Arc::clone(&connections.limit).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let acceptor = TlsAcceptor::from(tls.config());
        let (service, watcher) = (Arc::clone(&service), connections.graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit;
            if let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                let peer = certified_peer(&tls);
                serve_connection(tls, service, peer, reuse, watcher).await;
            }
        });
    }
    drop(listener);
    connections.drain().await;
    Ok(())
}

/// Serves plain HTTP on a Unix socket until `stop` turns true, then drains.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve_unix(listener: UnixListener, service: Service, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let connections = Connections::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((stream, _)) = connections.take(accepted).await else { continue };
        let Ok(permit) = Arc::clone(&connections.limit).try_acquire_owned() else { continue };
        let Some(peer) = local_peer(&stream) else { continue };
        let (service, watcher) = (Arc::clone(&service), connections.graceful.watcher());
        tokio::spawn(async move {
            let _permit = permit; // the socket may be open to other users of the machine
            serve_connection(stream, service, Some(peer), Reuse::No, watcher).await;
        });
    }
    connections.drain().await;
    Ok(())
}

/// Whether a connection may carry another request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Yes,
    /// The admin listeners carry shares in clear, and providers network tokens: what was read goes with the connection,
    /// whatever its client does.
    No,
}

struct Connections {
    graceful: GracefulShutdown,
    limit: Arc<Semaphore>,
}

impl Connections {
    fn new() -> Self {
        Self { graceful: GracefulShutdown::new(), limit: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    /// An accept that fails (out of descriptors, a connection gone again) is waited out, not fatal.
    async fn take<T>(&self, accepted: io::Result<T>) -> Option<T> {
        match accepted {
            Ok(accepted) => Some(accepted),
            Err(error) => {
                tracing::warn!(cause = %error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }

    async fn drain(self) {
        if tokio::time::timeout(DRAIN, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were still open after the drain time");
        }
    }
}

async fn serve_connection<S>(
    stream: S,
    service: Service,
    peer: Option<Peer>,
    reuse: Reuse,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(if reuse == Reuse::Yes { HEADER_TIMEOUT } else { SINGLE_HEADER_TIMEOUT })
        .keep_alive(reuse == Reuse::Yes)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS);
    let handler = service_fn(move |request: Request<Incoming>| {
        let answer = service(request.map(Body::new), peer);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), handler);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(cause = %error, "connection ended");
    }
}

fn local_peer(stream: &UnixStream) -> Option<Peer> {
    stream.peer_cred().ok().map(|credentials| Peer::Uid(credentials.uid()))
}

/// The first certificate is the client's own; the handshake has verified it and its key.
fn certified_peer<S>(stream: &TlsStream<S>) -> Option<Peer> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(|certificate| Peer::of_certificate(certificate))
}
