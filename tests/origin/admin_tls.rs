//! The admin listener over TLS on loopback, as `serve` puts it together: who comes in, and who does not.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use scanvault_origin::app::router::answer_admin;
use scanvault_origin::ceremonies::operators::Operators;
use scanvault_origin::web::listener::{self, Peer, Service};
use scanvault_origin::web::tls::{Clients, Files, Tls};
use scanvault_sandbox::common::ids::Ids;
use scanvault_sandbox::dev_ca::{self, DevCa};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::World;

const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const DAY: u64 = 86_400;

/// Certificate chain and key, PEM.
type Shown<'a> = Option<(&'a str, &'a str)>;

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn identity(pem: &str) -> Peer {
    Peer::of_certificate(&certificates(pem)[0])
}

fn make(clients: &[&str], at: u64, seed: u8) -> DevCa {
    let clients: Vec<String> = clients.iter().map(|name| (*name).to_owned()).collect();
    dev_ca::generate(&[], &clients, at, &mut Ids::seeded([seed; 32])).unwrap()
}

fn shown(ca: &DevCa, at: usize) -> (&str, &str) {
    let client = &ca.clients[at];
    (&client.certificate, &client.key)
}

/// A running listener.
struct Listening {
    world: World,
    address: SocketAddr,
    server: DevCa,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Listening {
    /// Trusts clients of these CAs.
    async fn start(client_cas: &[&DevCa]) -> Self {
        let world = World::sqlite().await;
        let server = make(&[], now(), 1);
        let write = |name: &str, text: &str| {
            let path: PathBuf = world.folder().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let roots: String = client_cas.iter().map(|ca| ca.ca.as_str()).collect();
        let (cert, key) = (write("server.pem", &server.server), write("server.key", &server.server_key));
        let files = Files { certificate: cert, key, client_ca: Some(write("clients.pem", &roots)) };
        let tls = Arc::new(Tls::read(Clients::Operators, files).unwrap());
        let app = Arc::clone(&world.app);
        let service: Service = Arc::new(move |request, peer| Box::pin(answer_admin(Arc::clone(&app), request, peer)));
        let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, stopped)) = (bound.local_addr().unwrap(), watch::channel(false));
        let task = tokio::spawn(listener::serve_tls(bound, tls, service, stopped));
        Self { world, address, server, stop, task }
    }

    fn name_operators(&self, text: &str) {
        self.world.app.admin.operators.replace(Operators::parse(text).unwrap());
    }

    /// Connects, asks who we are, and reads one answer; the text of the failure otherwise.
    async fn ask(&self, show: Shown<'_>, versions: &[&'static SupportedProtocolVersion]) -> Result<String, String> {
        let mut stream = self.connect(show, versions).await?;
        whoami(&mut stream).await
    }

    /// Why we are not let in. Nothing is written: a closed socket with unread bytes would lose the alert. Who is let in
    /// hears nothing until the time for the headers is over.
    async fn refusal(&self, show: Shown<'_>, versions: &[&'static SupportedProtocolVersion]) -> String {
        match self.connect(show, versions).await {
            Ok(mut stream) => stream.read_u8().await.unwrap_err().to_string(),
            Err(refused) => refused,
        }
    }

    async fn connect(
        &self,
        show: Shown<'_>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<TlsStream<TcpStream>, String> {
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&self.server.ca).remove(0)).unwrap();
        let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
        let config = match show {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(certificates(chain), key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connected.map_err(|error| error.to_string())
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

async fn whoami(stream: &mut TlsStream<TcpStream>) -> Result<String, String> {
    let request = b"GET /operators/self HTTP/1.1\r\nhost: admin\r\n\r\n";
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        // Our answers are short JSON objects with a known end.
        if text.contains("\r\n\r\n{") && text.ends_with('}') {
            return Ok(text);
        }
        if stream.read_buf(&mut answer).await.map_err(|error| error.to_string())? == 0 {
            return Err(format!("closed after: {text}"));
        }
    }
}

#[tokio::test]
async fn a_listed_certificate_comes_in_by_name_and_others_do_not() {
    let (clients, other) = (make(&["alice", "mallory"], now(), 2), make(&["alice"], now(), 3));
    let old = make(&["carol"], now() - 91 * DAY, 4);
    let listening = Listening::start(&[&clients, &old]).await;
    let (alice, stranger, carol) = (shown(&clients, 0), shown(&other, 0), shown(&old, 0));
    // All but mallory stand in the file: what refuses them is the handshake.
    let server = (clients.server.as_str(), clients.server_key.as_str());
    listening.name_operators(&format!(
        "alice operator {}\nstranger operator {}\ncarol operator {}\nserver operator {}",
        identity(alice.0),
        identity(stranger.0),
        identity(carol.0),
        identity(server.0)
    ));

    let answer = listening.ask(Some(alice), TLS13).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"name":"alice","roles":["operator"]}"#),
        "{answer}"
    );

    let mallory = shown(&clients, 1);
    let answer = listening.ask(Some(mallory), TLS13).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains(&format!("{} is not an operator", identity(mallory.0))), "{answer}");

    for (show, versions, alert, who) in [
        (None, TLS13, "CertificateRequired", "without a certificate"),
        (Some(stranger), TLS13, "UnknownCA", "of another CA"),
        (Some(carol), TLS13, "CertificateExpired", "out of time"),
        (Some(server), TLS13, "UnsupportedCertificate", "for servers only"),
        (Some(alice), TLS12, "ProtocolVersion", "TLS 1.2"),
    ] {
        let refused = listening.refusal(show, versions).await;
        assert!(refused.contains(alert), "{who}: {refused}");
    }
    listening.end().await;
}

#[tokio::test]
async fn who_is_struck_off_is_out_on_the_next_request() {
    let clients = make(&["alice", "bob"], now(), 2);
    let listening = Listening::start(&[&clients]).await;
    let (alice, bob) = (shown(&clients, 0), shown(&clients, 1));
    listening.name_operators(&format!("alice operator {}", identity(alice.0)));
    let mut stream = listening.connect(Some(alice), TLS13).await.unwrap();
    assert!(whoami(&mut stream).await.unwrap().starts_with("HTTP/1.1 200 "));
    listening.name_operators(&format!("bob operator {}", identity(bob.0)));
    // No connection outlives its answer: its buffers could hold a share.
    assert!(whoami(&mut stream).await.is_err());
    let mut stream = listening.connect(Some(alice), TLS13).await.unwrap();
    assert!(whoami(&mut stream).await.unwrap().starts_with("HTTP/1.1 403 "));
    drop(stream);
    listening.end().await;
}

#[tokio::test]
async fn a_session_is_not_resumed() {
    let clients = make(&["alice"], now(), 2);
    let listening = Listening::start(&[&clients]).await;
    let alice = shown(&clients, 0);
    listening.name_operators(&format!("alice operator {}", identity(alice.0)));
    let mut stream = listening.connect(Some(alice), TLS13).await.unwrap();
    whoami(&mut stream).await.unwrap();
    assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
    drop(stream);
    listening.end().await;
}

#[test]
fn a_ca_file_without_a_ca_is_refused() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = std::env::temp_dir().join(format!("scanvault-admin-tls-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let server = make(&[], now(), 1);
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (file("server.pem", &server.server), file("server.key", &server.server_key));
    let refused = |ca: Option<&Path>| {
        let files = Files { certificate: cert.clone(), key: key.clone(), client_ca: ca.map(Path::to_owned) };
        Tls::read(Clients::Operators, files).err().unwrap().to_string()
    };
    let empty = file("empty.pem", "# nothing\n");
    assert_eq!(refused(Some(&empty)), format!("{}: no root trust anchors were provided", empty.display()));
    assert!(refused(Some(&dir.join("none.pem"))).contains("none.pem"));
    assert_eq!(refused(None), "a listener for operators needs the CA of their certificates");
    fs::remove_dir_all(&dir).unwrap();
}
