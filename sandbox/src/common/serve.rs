//! The listener. It differs from `axum::serve` in two points: it reads no connection for ever, and
//! a handler can order that a connection is cut without a single byte of an answer.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::Request,
    response::{IntoResponse, Response},
};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

const HEADER_TIME: Duration = Duration::from_secs(10);
/// What accept() may fail with for a moment (no free descriptors) is waited out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Marks a response that must never reach the wire.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the connection is cut on order")]
pub struct Cut;

/// The answer of a handler that wants its connection cut. Whoever calls the router without this
/// listener sees it as a 500 without a body that carries [`Cut`] among its extensions.
pub fn cut() -> Response {
    let mut response = http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
    response.extensions_mut().insert(Cut);
    response
}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A simulator knows no real secrets, but it also has nothing to say to the network.
pub fn check_address(listen: SocketAddr, public: bool) -> io::Result<SocketAddr> {
    if public || listen.ip().is_loopback() {
        return Ok(listen);
    }
    let message = format!("{listen} is not a loopback address; --public allows it");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, router: Router) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, router.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let service = router.map_request(|request: Request<Incoming>| request.map(Body::new)).map_result(
        |answer: Result<Response, Infallible>| match answer {
            Ok(response) if response.extensions().get::<Cut>().is_some() => Err(Cut),
            Ok(response) => Ok(response),
            Err(never) => Err(never.into()),
        },
    );
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    // An error of the service makes hyper drop the connection at once: that is the cut.
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await {
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_unless_told() {
        for (listen, public, allowed) in [
            ("127.0.0.1:0", false, true),
            ("127.9.9.9:80", false, true),
            ("[::1]:0", false, true),
            ("0.0.0.0:0", false, false),
            ("[::]:0", false, false),
            ("192.0.2.1:80", false, false),
            ("0.0.0.0:0", true, true),
        ] {
            assert_eq!(check_address(listen.parse().unwrap(), public).is_ok(), allowed, "{listen}");
        }
    }
}
