//! The load of `scripts/bench vault`: an internal system with many keep-alive TLS connections, each with one request in
//! flight, every request signed with the real link signature. One thread. It prints one row after the other.
//!
//! CPU times are those of `/proc`: the origin's, and of the whole PostgreSQL (postmaster and all its backends).

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that goes wrong ends here"
)]

mod process;
mod seal;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use process::Cpu;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use scanvault_protocol::link::{self, LinkKey, Message};
use seal::{Agreed, card_json, dir};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const CARDS: &str = "/pluto/internal/vault/cards";
const HOST: &str = "localhost";

/// What the command line says: `NAME=VALUE` each.
struct Settings {
    port: u16,
    ca: String,
    key: LinkKey,
    account: String,
    connections: usize,
    seconds: u64,
    cards: u64,
    origin: u32,
    postgres: u32,
}

struct Client {
    settings: Settings,
    connector: TlsConnector,
    session: String,
    session_key: [u8; 32],
    to_page: Agreed,
    own_jwk: Value,
    /// Numbers that were given out, over all rows.
    next: Cell<u64>,
    first: u64,
    tokens: RefCell<Vec<String>>,
    nonce: Cell<u128>,
}

/// What each request of a row does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Store,
    Known,
    Read,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Rc::new(Client::start(settings()).await);
    println!("| row | req/s | p50 ms | p99 ms | origin CPU us | PostgreSQL CPU us | both | load generator CPU us |");
    println!("|---|---|---|---|---|---|---|---|");
    let seconds = client.settings.seconds;
    client.run(Kind::Store, true, 2).await; // warm up: prepared statements, files, plans
    for (name, kind, is_dir) in [
        ("store unique cards, dir", Kind::Store, true),
        ("read, audited, dir", Kind::Read, true),
        ("store known cards, dir", Kind::Known, true),
        ("store unique cards, ECDH-ES", Kind::Store, false),
        ("read, audited, ECDH-ES", Kind::Read, false),
    ] {
        let row = client.run(kind, is_dir, seconds).await;
        println!("| {name} | {row} |");
    }
    client.fill().await;
    let (now, peak) = process::memory(client.settings.origin);
    println!("\n{} cards: origin RSS {} MB, peak {} MB", client.next.get() - client.first, now / 1024, peak / 1024);
}

fn settings() -> Settings {
    let given: Vec<(String, String)> = std::env::args()
        .skip(1)
        .map(|pair| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).expect("NAME=VALUE"))
        .collect();
    let text = |name: &str| given.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name}=?")).1.clone();
    let number = |name: &str| text(name).parse::<u64>().unwrap();
    Settings {
        port: text("port").parse().unwrap(),
        ca: text("ca"),
        // The secret is the bench's own, of one run.
        key: LinkKey::parse(&text("key-id"), &text("secret")).unwrap(),
        account: text("account"),
        connections: text("connections").parse().unwrap(),
        seconds: number("seconds"),
        cards: number("cards"),
        origin: text("origin-pid").parse().unwrap(),
        postgres: text("postgres-pid").parse().unwrap(),
    }
}

impl Client {
    async fn start(settings: Settings) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&settings.ca).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // Numbers that no earlier run has stored: 9 digits of the time, then 6 that count and run over.
        let first = 400_000_000_000_000 + u64::try_from(since.as_millis()).unwrap() % 1_000_000_000 * 100_000;
        let account = settings.account.clone();
        let mut client = Self {
            connector: TlsConnector::from(Arc::new(config)),
            session: String::new(),
            session_key: *b"of a bench: 32 bytes, not secret",
            to_page: Agreed::nobody(),
            own_jwk: seal::own_jwk(),
            next: Cell::new(first),
            first,
            tokens: RefCell::default(),
            nonce: Cell::new(since.as_nanos() << 32),
            settings,
        };
        let mut connection = client.connect().await;
        let jwk = connection.call(&client, "GET", "/pluto/internal/vault/key", "").await;
        client.to_page = Agreed::with(&jwk, &account);
        let text = json!({"key": URL_SAFE_NO_PAD.encode(client.session_key)}).to_string();
        let jwe = client.to_page.seal("scanvault-vault-session+json", text.as_bytes(), 1);
        let body = json!({"jwe": jwe}).to_string();
        let opened = connection.call(&client, "POST", "/pluto/internal/vault/sessions", &body).await;
        client.session = opened["session"].as_str().unwrap().to_owned();
        client
    }

    /// One row of the table, after its name.
    async fn run(self: &Rc<Self>, kind: Kind, is_dir: bool, seconds: u64) -> String {
        let before = (Cpu::of(self.settings.origin), Cpu::of_all(self.settings.postgres), Cpu::of(std::process::id()));
        let began = Instant::now();
        let mut latencies = self.drive(kind, is_dir, began + Duration::from_secs(seconds), u64::MAX).await;
        let took = began.elapsed().as_secs_f64();
        let after = (Cpu::of(self.settings.origin), Cpu::of_all(self.settings.postgres), Cpu::of(std::process::id()));
        latencies.sort_unstable();
        let done = latencies.len();
        let millis = |share: usize| f64::from(latencies[(done * share / 100).min(done - 1)]) / 1000.0;
        let each = |before: Cpu, after: Cpu| after.micros_since(before) / done as u64;
        let (origin, postgres) = (each(before.0, after.0), each(before.1, after.1));
        format!(
            "{:.0} | {:.2} | {:.2} | {origin} | {postgres} | {} | {}",
            done as f64 / took,
            millis(50),
            millis(99),
            origin + postgres,
            each(before.2, after.2)
        )
    }

    /// Stores cards until there are as many as asked for.
    async fn fill(self: &Rc<Self>) {
        let there = self.next.get() - self.first;
        let missing = self.settings.cards.saturating_sub(there);
        let far = Instant::now() + Duration::from_secs(3600);
        self.drive(Kind::Store, true, far, missing).await;
    }

    async fn drive(self: &Rc<Self>, kind: Kind, is_dir: bool, deadline: Instant, most: u64) -> Vec<u32> {
        let (left, all) = (Rc::new(Cell::new(most)), Rc::new(RefCell::new(Vec::new())));
        let local = tokio::task::LocalSet::new();
        for at in 0..self.settings.connections {
            let (client, left, all) = (Rc::clone(self), Rc::clone(&left), Rc::clone(&all));
            local.spawn_local(async move {
                let mut connection = client.connect().await;
                let mut turn = at as u64;
                while Instant::now() < deadline && left.get() > 0 {
                    left.set(left.get() - 1);
                    let began = Instant::now();
                    client.once(&mut connection, kind, is_dir, turn).await;
                    all.borrow_mut().push(u32::try_from(began.elapsed().as_micros()).unwrap());
                    turn += client.settings.connections as u64;
                }
            });
        }
        local.await;
        Rc::try_unwrap(all).unwrap().into_inner()
    }

    async fn once(&self, connection: &mut Connection, kind: Kind, is_dir: bool, turn: u64) {
        if kind == Kind::Read {
            let token = {
                let tokens = self.tokens.borrow();
                tokens[usize::try_from(turn).unwrap() % tokens.len()].clone()
            };
            let to = if is_dir { json!({"session": self.session}) } else { json!({"jwk": self.own_jwk}) };
            let mut body = to;
            body["purpose"] = json!("bench");
            let answer = connection.call(self, "POST", &format!("{CARDS}/{token}/read"), &body.to_string()).await;
            // Every thousandth is opened: the others are as long.
            assert!(answer["card"].as_str().unwrap().len() > 100);
            if is_dir && turn.is_multiple_of(1000) {
                let card = seal::open_dir(&self.session_key, answer["card"].as_str().unwrap());
                assert_eq!(card["token"], token.as_str());
            }
            return;
        }
        let number = match kind {
            Kind::Known => self.first + turn % (self.next.get() - self.first),
            _ => self.next.replace(self.next.get() + 1),
        };
        let card = card_json(number);
        let nonce = self.nonce.replace(self.nonce.get() + 1);
        let jwe = if is_dir {
            dir(&self.session_key, &self.session, card.as_bytes(), nonce)
        } else {
            self.to_page.seal("scanvault-vault-card+json", card.as_bytes(), nonce)
        };
        let body = format!("{{\"card\":\"{jwe}\"}}");
        let answer = connection.call(self, "POST", CARDS, &body).await;
        let expected = if kind == Kind::Known { "known" } else { "created" };
        assert_eq!(answer["outcome"], expected, "{answer}");
        if kind == Kind::Store && self.tokens.borrow().len() < 100_000 {
            self.tokens.borrow_mut().push(answer["token"].as_str().unwrap().to_owned());
        }
    }

    async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.settings.port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = self.connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap();
        Connection { stream, buffer: Vec::with_capacity(8192) }
    }

    /// The whole request, signed now.
    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let nonce = self.nonce.replace(self.nonce.get() + 1);
        let (digest, authority) = (link::content_digest(body.as_bytes()), format!("{HOST}:{}", self.settings.port));
        let request_id = format!("{nonce:032x}");
        let message = Message {
            method,
            authority: &authority,
            path,
            query: None,
            content_digest: &digest,
            public_host: "internal",
            client_address: "unknown",
            request_id: &request_id,
            credential: "none",
            authorization: None,
            idempotency_key: None,
            content_type: (!body.is_empty()).then_some("application/json"),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signature = link::sign(&self.settings.key, &message, "a", now, &nonce.to_be_bytes()).unwrap();
        let content_type = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\n{content_type}content-length: {}\r\n\
             content-digest: {digest}\r\nscanvault-host: internal\r\nscanvault-client: unknown\r\n\
             scanvault-request-id: {request_id}\r\nscanvault-credential: none\r\n\
             signature-input: {}\r\nsignature: {}\r\n\r\n{body}",
            body.len(),
            signature.input,
            signature.signature
        )
    }
}

struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Anything but 200 ends the bench.
    async fn call(&mut self, client: &Client, method: &str, path: &str, body: &str) -> Value {
        self.stream.write_all(client.request(method, path, body).as_bytes()).await.unwrap();
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the origin closed the connection");
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if self.buffer.len() < end + 4 + length {
                continue;
            }
            let answer = &self.buffer[end + 4..end + 4 + length];
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}\n{}", String::from_utf8_lossy(answer));
            return serde_json::from_slice(answer).unwrap();
        }
    }
}
