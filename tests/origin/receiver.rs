//! A merchant's receiver behind a real socket, which does what a test says: it answers, waits, cuts, or never ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scanvault_origin::app::notifications::Senders;
use scanvault_origin::outbox::{SettleFuture, Settles};
use scanvault_sandbox::dev_ca::DevCa;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::world::World;

/// What a receiver does with a message.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with this status.
    Answer(u16),
    /// Sends them elsewhere.
    Redirect(String),
    /// Answers after so many milliseconds.
    Late(u64, u16),
    /// Closes the connection without a word.
    Cut,
    /// Says 200 and then goes on for ever.
    Huge,
    /// Says nothing, and stays.
    Never,
}

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["scanvault-delivery"]
    }
}

#[derive(Default)]
struct Inner {
    received: Mutex<Vec<Received>>,
    acts: Mutex<VecDeque<Act>>,
    /// Bytes that were written of an answer without an end, before the other side closed.
    endless: Mutex<Option<usize>>,
    arrived: Notify,
}

/// A receiver; it ends with the test.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::with_tls(None).await
    }

    /// With a certificate of this CA, for localhost.
    pub(crate) async fn over_tls(ca: &DevCa) -> Self {
        let chain = CertificateDer::pem_slice_iter(ca.server.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(ca.server_key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self::with_tls(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn with_tls(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::<Inner>::default();
        let shared = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (inner, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, inner).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, inner).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, inner, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What it does with the next messages; afterwards it answers 200.
    pub(crate) fn will(&self, acts: &[Act]) {
        self.inner.acts.lock().unwrap().extend(acts.iter().cloned());
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    pub(crate) fn of(&self, path: &str) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.path == format!("/{path}")).collect()
    }

    pub(crate) fn endless_bytes(&self) -> Option<usize> {
        *self.inner.endless.lock().unwrap()
    }

    /// Waits until so many have arrived.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> impl Future<Output = Vec<Received>> {
        let inner = Arc::clone(&self.inner);
        async move {
            let enough = async {
                loop {
                    let arrived = inner.arrived.notified();
                    let received = inner.received.lock().unwrap().clone();
                    if received.len() >= count {
                        return received;
                    }
                    let _ = tokio::time::timeout(Duration::from_millis(50), arrived).await;
                }
            };
            let found = tokio::time::timeout(Duration::from_secs(20), enough).await;
            found.unwrap_or_else(|_| panic!("{count} messages did not arrive: {:?}", inner.received.lock().unwrap()))
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, inner: Arc<Inner>) {
    while let Some(received) = read(&mut stream).await {
        inner.received.lock().unwrap().push(received);
        inner.arrived.notify_waiters();
        let act = inner.acts.lock().unwrap().pop_front().unwrap_or(Act::Answer(200));
        match act {
            Act::Answer(status) => answer(&mut stream, status, "").await,
            Act::Redirect(to) => answer(&mut stream, 307, &format!("location: {to}\r\n")).await,
            Act::Late(ms, status) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                answer(&mut stream, status, "").await;
            }
            Act::Cut => return,
            Act::Huge => return endless(&mut stream, &inner).await,
            Act::Never => std::future::pending().await,
        }
    }
}

async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, status: u16, header: &str) {
    let text = format!("HTTP/1.1 {status} Status\r\n{header}content-length: 0\r\n\r\n");
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
}

async fn endless<S: AsyncWrite + Unpin>(stream: &mut S, inner: &Inner) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x1_0000], b"\r\n"].concat();
    let mut written = 0;
    while stream.write_all(&chunk).await.is_ok() && written < 1 << 30 {
        written += chunk.len();
    }
    *inner.endless.lock().unwrap() = Some(written);
}

/// One request with a content-length; `None` at the end of the connection.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers["content-length"].parse().unwrap();
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[end..end + length].to_vec()).unwrap();
    Some(Received { path, headers, body })
}

/// Writes down what it is told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<(i64, bool)>>);

impl Settles for Told {
    fn delivered(&self, transaction_id: i64) -> SettleFuture<'_> {
        self.0.lock().unwrap().push((transaction_id, true));
        Box::pin(async {})
    }

    fn gave_up(&self, transaction_id: i64) -> SettleFuture<'_> {
        self.0.lock().unwrap().push((transaction_id, false));
        Box::pin(async {})
    }
}

/// Running senders of a world. They end at once when they are dropped, as by kill -9.
pub(crate) struct Running {
    pub(crate) bell: Arc<Notify>,
    pub(crate) told: Arc<Told>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(world: &World) -> Self {
        let (bell, told) = (Arc::new(Notify::new()), Arc::new(Told::default()));
        let settles: Arc<dyn Settles> = Arc::<Told>::clone(&told);
        let (stop, stopped) = watch::channel(false);
        let tasks = Senders::new(&world.app, &bell, settles).start(&stopped).into();
        Self { bell, told, stop, tasks }
    }

    pub(crate) fn told(&self) -> Vec<(i64, bool)> {
        self.told.0.lock().unwrap().clone()
    }

    /// In good order: what is under way is finished.
    pub(crate) async fn finish(mut self) {
        self.stop.send(true).unwrap();
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Waits until it is so; what is looked at is in the database, and written a little after an answer.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// A merchant with a receiver at this path. Answers the webhook secret.
pub(crate) async fn merchant(world: &World, id: u64, url: &str) -> String {
    world.merchant(id).await;
    let path = format!("/accounts/merchant-{id}/set");
    let answer = world.admin("POST", &path, &json!({"webhookUrl": url})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = world.admin("POST", &format!("/accounts/merchant-{id}/webhook-secret"), &json!({})).await;
    answer.json()["webhookSecret"].as_str().unwrap().to_owned()
}

/// A delivery as `show` tells it.
pub(crate) async fn shown(world: &World, id: &str) -> Value {
    let answer = world.admin("GET", &format!("/outbox/{id}"), &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}
