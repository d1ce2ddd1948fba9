//! Nets' simulator over real TLS: the messages are built with the codec, the bytes travel whole.

mod faults;
mod movements;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use scanvault_sandbox::{
    common::{book::Book, clock::Clock, faults::Faults, ids::Ids},
    dev_ca::generate,
    nets::{
        self, Bank, Entry, Tls,
        codec::{Frame, Message, Status},
    },
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use crate::support::START;

const CARD: &str = "4571123412341234";

pub(crate) struct Sim {
    address: SocketAddr,
    connector: TlsConnector,
    book: Arc<Book<Entry>>,
    faults: Arc<Faults>,
    task: JoinHandle<()>,
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sim {
    pub(crate) async fn start() -> Self {
        Self::with(Arc::default()).await
    }

    /// With a book of an earlier run.
    async fn with(book: Arc<Book<Entry>>) -> Self {
        let faults = Arc::new(Faults::default());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let ca = generate(&[], &[], now, &mut Ids::seeded([2; 32])).unwrap();
        let tls = Tls::from_pem(ca.server.as_bytes(), ca.server_key.as_bytes()).unwrap();
        let bank = Bank::new(Clock::manual(START), Ids::seeded([3; 32]), book.clone(), faults.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { match nets::serve(listener, Some(tls), Arc::new(bank)).await {} });
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.ca.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Self { address, connector: TlsConnector::from(Arc::new(config)), book, faults, task }
    }

    /// What comes back for these bytes, up to the end of the connection.
    async fn bytes(&self, request: &[u8]) -> Vec<u8> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = self.connector.connect(name, stream).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A cut connection ends without TLS's farewell.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    async fn try_send(&self, message: &Message) -> Option<Message> {
        let answer = self.bytes(&Frame::new(message.encode().to_vec()).encode().unwrap()).await;
        let frame = Frame::decode(&answer).ok()?;
        assert_eq!(frame.response, 0);
        Message::decode(&frame.payload).ok()
    }

    async fn send(&self, message: &Message) -> Message {
        self.try_send(message).await.expect("an answer")
    }

    /// Sends it and expects this field 39.
    async fn expect(&self, message: &Message, action: &str) -> Message {
        let answer = self.send(message).await;
        assert_eq!((answer.status, answer.get(39)), (Status::Ok, Some(action)), "{answer:?}");
        answer
    }

    async fn authorized(&self, order: &str, amount: u64) -> Message {
        self.expect(&authorization(order, amount), "000").await
    }

    fn order(&self, order: &str) {
        self.faults.order(serde_json::from_str(order).unwrap());
    }

    /// Kinds and amounts of what was booked.
    fn moved(&self) -> Vec<(String, u64)> {
        let entries = self.book.entries();
        let booked = entries.iter().filter(|entry| entry.booked);
        booked.map(|entry| (json!(entry.kind).as_str().unwrap().to_owned(), entry.amount)).collect()
    }
}

fn message(kind: &str, order: &str, amount: u64, fields: &[(u8, &str)]) -> Message {
    let mut message = Message::new(kind);
    let location = format!("{:<96}DNK", "Smith Radio\\Boulevard 4\\Broby\\3266");
    for (number, text) in [
        (2, CARD),
        (3, "0"),
        (4, &amount.to_string()),
        (12, "261121120000"),
        (26, "5732"),
        (31, order),
        (41, "term1"),
        (42, "1234567"),
        (43, &location),
        (49, "DKK"),
    ] {
        message.set(number, text).unwrap();
    }
    for (number, text) in fields {
        message.set(*number, text).unwrap();
    }
    message
}

fn authorization(order: &str, amount: u64) -> Message {
    let fields = [(14, "3012"), (22, "K00500K00130"), (24, "100"), (25, "0000"), (47, "V503123")];
    message("1100", order, amount, &fields)
}

/// After an answer, whose ticket and approval code it carries.
fn advice(kind: &str, order: &str, amount: u64, after: &Message, approval: &str, fields: &[(u8, &str)]) -> Message {
    let ticket = after.get(56).unwrap();
    let mut all = vec![(38, approval), (56, ticket)];
    match kind {
        "1220" => all.extend([(14, "3012"), (22, "K00500K00130"), (39, "000"), (47, "V503123")]),
        _ => all.push((25, "4000")),
    }
    all.extend(fields);
    message(kind, order, amount, &all)
}

fn capture(order: &str, amount: u64, function: &str, after: &Message, approval: &str) -> Message {
    advice("1220", order, amount, after, approval, &[(24, function)])
}

fn credit(order: &str, amount: u64, after: &Message, approval: &str) -> Message {
    advice("1220", order, amount, after, approval, &[(24, "200"), (3, "200000")])
}

fn reversal(order: &str, amount: u64, after: &Message, approval: &str) -> Message {
    advice("1420", order, amount, after, approval, &[(24, "400")])
}

/// How long a test waits to see that nothing comes.
const SILENCE: Duration = Duration::from_millis(60);
