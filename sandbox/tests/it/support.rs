//! A running simulator, and the smallest HTTP/1.1 client that can tell "no answer" from an answer.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::Router;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::{
    RsaPrivateKey,
    pkcs1::DecodeRsaPrivateKey,
    pkcs1v15::SigningKey,
    sha2::Sha256,
    signature::{SignatureEncoding, Signer},
};
use scanvault_sandbox::{
    clearhaus::{self, Access, Gateway, Options},
    common::{admin, book::Book, clock::Clock, faults::Faults, ids::Ids, secret::SecretText, serve},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// 2026-11-21T12:00:00Z.
pub(crate) const START: i64 = 1_795_262_400;
pub(crate) const API_KEY: &str = "1e5f0f0e-6a0d-4a36-9a1e-7f4a1d7f0f11";
pub(crate) const KEY_ID: &str = "4390aec7-f76a-4c2f-8597-c87c2d06cb4f";
pub(crate) const HAL: &str = "application/vnd.clearhaus-gateway.hal+json; version=0.10.0; charset=utf-8";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A router on a loopback port; it stops with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { match serve::serve(listener, router).await {} });
        Self { address, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends one request on its own connection; none when it ended without a byte of an answer.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Answer> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    // A server may answer (413) and close before it has read everything.
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes).await;
    if bytes.is_empty() {
        return None;
    }
    assert!(read.is_ok() || bytes.starts_with(b"HTTP/1.1 413"), "{read:?}");
    Some(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a complete header");
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: HashMap<String, String> = lines.filter_map(header).collect();
    assert!(!headers.contains_key("transfer-encoding"), "the client knows only lengths");
    Answer { status, headers, body: bytes[end + 4..].to_vec() }
}

pub(crate) struct Sim {
    pub(crate) server: Server,
    pub(crate) clock: Clock,
    key: SigningKey<Sha256>,
}

impl Sim {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let vector: Value = serde_json::from_str(include_str!("../../vectors/clearhaus-signature.json")).unwrap();
        let der = STANDARD.decode(vector["private_key_pkcs1"].as_str().unwrap()).unwrap();
        let key = RsaPrivateKey::from_pkcs1_der(&der).unwrap();
        let access = Access::new(&SecretText::new(API_KEY), KEY_ID.to_owned(), key.to_public_key());
        let clock = Clock::manual(START);
        let (book, faults) = (Arc::new(Book::default()), Arc::new(Faults::default()));
        let ids = Ids::seeded([1; 32]);
        let gateway = Gateway::new(access, options, clock.clone(), ids, book.clone(), faults.clone());
        let router = clearhaus::router(Arc::new(gateway)).merge(admin::router(book, faults));
        Self { server: Server::start(router).await, clock, key: SigningKey::new(key) }
    }

    pub(crate) fn sign(&self, body: &str) -> String {
        let signature = self.key.sign(body.as_bytes()).to_bytes();
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{KEY_ID} RS256-hex {hex}")
    }

    /// A signed POST; none when the connection was cut.
    pub(crate) async fn try_post(&self, path: &str, body: &str) -> Option<Answer> {
        let (basic, signature) = (basic(), self.sign(body));
        let headers = [
            ("authorization", basic.as_str()),
            ("signature", signature.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        send(self.server.address, "POST", path, &headers, body.as_bytes()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.try_post(path, body).await.expect("an answer")
    }

    /// The id of an approved transaction.
    pub(crate) async fn approved(&self, path: &str, body: &str) -> String {
        let answer = self.post(path, body).await;
        assert_eq!((answer.status, &answer.json()["status"]["code"]), (201, &20000.into()), "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, b"").await
    }

    /// An unsigned request with the right API key.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = [("authorization", &*basic()), ("content-type", "application/json")];
        send(self.server.address, method, path, &headers, body).await.expect("an answer")
    }

    pub(crate) async fn book(&self) -> Vec<Value> {
        let answer = send(self.server.address, "GET", "/_book", &[], b"").await.unwrap();
        assert_eq!(answer.status, 200);
        answer.json().as_array().unwrap().clone()
    }
}

pub(crate) fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{API_KEY}:")))
}

/// A good request of 20.50 with the card security code that matches.
pub(crate) fn card(amount: u64) -> String {
    format!("amount={amount}&currency=ZAR&ip=1.1.1.1&reference=order-1&{}&card[csc]=987", pan("4111111111111111"))
}

pub(crate) fn pan(number: &str) -> String {
    format!("card[pan]={number}&card[expire_month]=06&card[expire_year]=2030")
}

/// Clearhaus' own refusal.
pub(crate) fn refused(answer: &Answer, http: u16, code: u32, message: &str) {
    let expected = json!({"status": {"code": code, "message": message}});
    assert_eq!((answer.status, answer.json()), (http, expected));
    assert_eq!(answer.headers["content-type"], HAL);
}
