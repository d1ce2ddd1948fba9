//! HTTP over the admin socket.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::output::Failure;

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The way to a running origin.
pub(super) struct Client {
    socket: PathBuf,
}

impl Client {
    /// For an address such as `unix:///run/scanvault/admin.sock`.
    pub(super) fn new(admin: Option<&str>) -> Result<Self, Failure> {
        let admin = admin.ok_or_else(|| Failure::Usage("--admin or ADMIN_URL says where the origin is".into()))?;
        let path = admin.strip_prefix("unix://").or_else(|| admin.strip_prefix("unix:"));
        let path = path.filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| Failure::Usage("the admin address has the form unix:///path".into()))?;
        Ok(Self { socket: PathBuf::from(path) })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        parse(&self.send(Method::GET, path, Vec::new()).await?)
    }

    pub(super) async fn get_text(&self, path: &str) -> Result<String, Failure> {
        let body = self.send(Method::GET, path, Vec::new()).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    pub(super) async fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<Value, Failure> {
        let json = serde_json::to_vec(body).map_err(|error| Failure::Refused(error.to_string()))?;
        parse(&self.send(Method::POST, path, json).await?)
    }

    pub(super) async fn post_text<T: Serialize>(&self, path: &str, body: &T) -> Result<String, Failure> {
        let json = serde_json::to_vec(body).map_err(|error| Failure::Refused(error.to_string()))?;
        let body = self.send(Method::POST, path, json).await?;
        String::from_utf8(body.into()).map_err(|_| Failure::Refused("the answer is not readable".into()))
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, Failure> {
        let unreachable = |what: &dyn std::fmt::Display| {
            Failure::Unreachable(format!("no origin on {}: {what}", self.socket.display()))
        };
        let exchange = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&error))?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| unreachable(&error))?;
            tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "admin")
                .body(Full::new(Bytes::from(body)))
                .map_err(|error| Failure::Usage(error.to_string()))?;
            let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| unreachable(&error))?.to_bytes();
            if status.is_success() { Ok(body) } else { Err(Failure::Refused(reason(&body, status))) }
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| unreachable(&"it does not answer"))?
    }
}

fn parse(body: &[u8]) -> Result<Value, Failure> {
    let text = Zeroizing::new(body.to_vec());
    serde_json::from_slice(&text).map_err(|error| Failure::Refused(format!("the answer is not readable: {error}")))
}

/// The problem document's text, where there is one.
fn reason(body: &[u8], status: http::StatusCode) -> String {
    let problem: Option<Value> = serde_json::from_slice(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")).and_then(Value::as_str);
    detail.map_or_else(|| status.to_string(), str::to_owned)
}
