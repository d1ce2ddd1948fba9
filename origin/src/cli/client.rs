//! HTTP to the admin listeners: over the Unix socket, or over TLS with a client certificate.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::output::Failure;

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
const HTTPS_PORT: u16 = 443;

/// Where the origin is, and who we are to it. Files, never their contents.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct AdminArgs {
    /// The origin's admin listener: unix:///run/scanvault/admin.sock, or https://HOST:PORT.
    #[arg(long, env = "ADMIN_URL", global = true)]
    admin: Option<String>,
    /// https: our client certificate, PEM.
    #[arg(long, env = "ADMIN_CERT", global = true)]
    admin_cert: Option<PathBuf>,
    /// https: its key, PEM.
    #[arg(long, env = "ADMIN_KEY", global = true)]
    admin_key: Option<PathBuf>,
    /// https: the CA that the origin's certificate must be of, PEM. No other is trusted.
    #[arg(long, env = "ADMIN_CA", global = true)]
    admin_ca: Option<PathBuf>,
}

/// The way to a running origin.
pub(super) struct Client {
    way: Way,
}

enum Way {
    Unix(PathBuf),
    Tls(Box<Remote>),
}

struct Remote {
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Client {
    /// Reads the files, connects to nothing yet.
    pub(super) fn new(args: &AdminArgs) -> Result<Self, Failure> {
        let admin = args.admin.as_deref();
        let admin = admin.ok_or_else(|| Failure::Usage("--admin or ADMIN_URL says where the origin is".into()))?;
        if admin.starts_with("https://") {
            return Ok(Self { way: Way::Tls(Box::new(Remote::new(admin, args)?)) });
        }
        let path = admin.strip_prefix("unix://").or_else(|| admin.strip_prefix("unix:"));
        let path = path.filter(|path| path.starts_with('/'));
        let form = "the admin address has the form unix:///path or https://host:port";
        let path = path.ok_or_else(|| Failure::Usage(form.into()))?;
        Ok(Self { way: Way::Unix(PathBuf::from(path)) })
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
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "admin")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let answered = tokio::time::timeout(TIMEOUT, self.exchange(request)).await;
        let unreachable = |what: &str| Failure::Unreachable(format!("no origin on {}: {what}", self.address()));
        let (status, body) = answered
            .map_err(|_| unreachable("it does not answer"))?
            .map_err(|error| unreachable(&with_causes(&*error)))?;
        if status.is_success() { Ok(body) } else { Err(Failure::Refused(reason(&body, status))) }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        match &self.way {
            Way::Unix(socket) => exchange(UnixStream::connect(socket).await?, request).await,
            Way::Tls(remote) => {
                let stream = TcpStream::connect((remote.host.as_str(), remote.port)).await?;
                let connector = TlsConnector::from(Arc::clone(&remote.config));
                exchange(connector.connect(remote.name.clone(), stream).await?, request).await
            }
        }
    }

    fn address(&self) -> String {
        match &self.way {
            Way::Unix(socket) => socket.display().to_string(),
            Way::Tls(remote) => format!("{}:{}", remote.host, remote.port),
        }
    }
}

impl Remote {
    fn new(address: &str, args: &AdminArgs) -> Result<Self, Failure> {
        let form = || Failure::Usage("the admin address has the form https://host:port".into());
        let uri: Uri = address.parse().map_err(|_| form())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(form)?;
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(form());
        }
        // Without a port the authority is its host; a port that is no number is no port to this parser either.
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == authority.host() => HTTPS_PORT,
            None => return Err(form()),
        };
        let (Some(cert), Some(key), Some(ca)) = (&args.admin_cert, &args.admin_key, &args.admin_ca) else {
            return Err(Failure::Usage("an https admin address needs --admin-cert, --admin-key and --admin-ca".into()));
        };
        // A URI has an IPv6 address in brackets; nobody else does.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| form())?;
        Ok(Self { host, port, name, config: Arc::new(client_config(cert, key, ca)?) })
    }
}

/// Trusts one CA, and says who we are. TLS 1.3 only, as the listener does.
fn client_config(cert: &Path, key: &Path, ca: &Path) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(|error| wrong(ca, &error))?;
    }
    let chain = certificates(cert)?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key_der)
        .map_err(|error| wrong(key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// At least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| wrong(path, &error))?;
    if read.is_empty() { Err(wrong(path, &"no certificate in PEM")) } else { Ok(read) }
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{}: {error}", path.display()))
}

type Answer = (http::StatusCode, Bytes);

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) => {
            drop(sender);
            // Why the connection ended, such as a refused certificate, says more than that it did.
            return Err(match connection.await {
                Ok(Err(cause)) => cause.into(),
                _ => error.into(),
            });
        }
    };
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?;
    Ok((status, body.to_bytes()))
}

/// A TLS alert, such as that of a refused certificate, is a cause of hyper's own error.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

fn parse(body: &[u8]) -> Result<Value, Failure> {
    let text = Zeroizing::new(body.to_vec());
    serde_json::from_slice(&text).map_err(|error| Failure::Refused(format!("the answer is not readable: {error}")))
}

/// The problem document's text, where there is one.
pub(super) fn reason(body: &[u8], status: http::StatusCode) -> String {
    let problem: Option<Value> = serde_json::from_slice(body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")).and_then(Value::as_str);
    detail.map_or_else(|| status.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(address: Option<&str>) -> String {
        let args = AdminArgs { admin: address.map(str::to_owned), ..AdminArgs::default() };
        match Client::new(&args) {
            Err(Failure::Usage(text)) => text,
            Err(other) => panic!("{other:?}"),
            Ok(client) => client.address(),
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(usage(None), "--admin or ADMIN_URL says where the origin is");
        for socket in ["unix:///run/admin.sock", "unix:/run/admin.sock"] {
            assert_eq!(usage(Some(socket)), "/run/admin.sock");
        }
        for address in ["", "/run/admin.sock", "unix://admin.sock", "http://localhost:1", "HTTPS://localhost"] {
            let form = "the admin address has the form unix:///path or https://host:port";
            assert_eq!(usage(Some(address)), form, "{address}");
        }
        for address in ["https://", "https://a@b:1", "https://b:1/path", "https://b:1?x", "https://b:x"] {
            assert_eq!(usage(Some(address)), "the admin address has the form https://host:port", "{address}");
        }
        let files = "an https admin address needs --admin-cert, --admin-key and --admin-ca";
        assert_eq!(usage(Some("https://localhost:8444")), files);
    }

    #[test]
    fn causes_are_said_once() {
        let inner = std::io::Error::other("inner");
        let outer = std::io::Error::new(std::io::ErrorKind::InvalidData, Box::new(inner));
        assert_eq!(with_causes(&outer), "inner");
    }
}
