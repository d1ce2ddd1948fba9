//! The binary as scripts use it.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::{
    RsaPrivateKey,
    pkcs1v15::SigningKey,
    pkcs8::DecodePrivateKey,
    sha2::Sha256,
    signature::{SignatureEncoding, Signer},
};
use serde_json::Value;

use crate::support::{Answer, card, send};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("scanvault-sandbox-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A started simulator; killed (not asked) when it goes.
struct Process {
    child: Child,
    log: BufReader<ChildStdout>,
}

impl Process {
    fn start(args: &[&str]) -> (Self, SocketAddr) {
        let mut child = sandbox(args).stdout(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self { child, log };
        let mut line = String::new();
        process.log.read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["message"], "listening", "{line}");
        let address: SocketAddr = line["listen"].as_str().unwrap().parse().unwrap();
        assert_ne!(address.port(), 0, "the real port");
        (process, address)
    }

    /// Kills it and returns what it logged after the first line.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sandbox(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command.args(args).env_remove("SCANVAULT_LOG").stdin(Stdio::null());
    command
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A POST with what the credentials directory holds.
async fn post(address: SocketAddr, dir: &Dir, path: &str, body: &str) -> Answer {
    let read = |name: &str| fs::read_to_string(dir.0.join(name)).unwrap().trim().to_owned();
    let key = SigningKey::<Sha256>::new(RsaPrivateKey::from_pkcs8_pem(&read("signing-key.pem")).unwrap());
    let hex: String = key.sign(body.as_bytes()).to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = format!("{} RS256-hex {hex}", read("signing-key-id.txt"));
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:", read("api-key.txt"))));
    let form = "application/x-www-form-urlencoded";
    let headers = [("authorization", &*basic), ("signature", &*signature), ("content-type", form)];
    send(address, "POST", path, &headers, body.as_bytes()).await.unwrap()
}

#[tokio::test]
async fn credentials_a_payment_a_kill_and_the_book_again() {
    let dir = Dir::new("serve");
    assert!(sandbox(&["clearhaus-credentials", "--dir", dir.path()]).stdout(Stdio::null()).status().unwrap().success());
    let args = ["serve", "--listen", "127.0.0.1:0", "--credentials", dir.path(), "--state-dir", dir.path()];
    let (process, address) = Process::start(&args);
    let answer = post(address, &dir, "/authorizations", &card(1000)).await;
    assert_eq!(answer.json()["status"]["code"], 20000, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let captures = format!("/authorizations/{id}/captures");
    assert_eq!(post(address, &dir, &captures, "amount=600").await.status, 201);
    assert_eq!(post(address, &dir, "/authorizations", &card(1).replace("=06", "=66")).await.status, 400);
    let log = process.kill();
    assert!(log.contains("invalid 'card[expire_month]'"), "{log}");
    for secret in ["4111111111111111", "card[csc]=987", fs::read_to_string(dir.0.join("api-key.txt")).unwrap().trim()] {
        assert!(!log.contains(secret), "{log}");
    }

    let (_process, address) = Process::start(&args);
    let book = send(address, "GET", "/_book", &[], b"").await.unwrap().json();
    assert_eq!(book.as_array().unwrap().len(), 2);
    assert_eq!(post(address, &dir, &captures, "amount=401").await.status, 400, "600 are gone");
    assert_eq!(post(address, &dir, &captures, "amount=400").await.status, 201);
    assert_eq!(mode(&dir.0.join("book.jsonl")), 0o600);
}

#[tokio::test]
async fn a_state_directory_brings_its_own_credentials() {
    let dir = Dir::new("state");
    let (_process, address) = Process::start(&["serve", "--state-dir", dir.path()]);
    assert_eq!(post(address, &dir, "/authorizations", &card(1)).await.status, 201);
}

#[tokio::test]
async fn all_parties_and_their_books_again() {
    let dir = Dir::new("parties");
    let tls = dir.0.join("tls");
    let made = sandbox(&["dev-ca", "--dir", tls.to_str().unwrap()]).stdout(Stdio::null()).status();
    assert!(made.unwrap().success());
    let any = "127.0.0.1:0";
    let args = ["serve", "--state-dir", dir.path(), "--threedsecure", any, "--mobilepay", any, "--nets", any];
    let args = [args.as_slice(), &["--nets-admin", any, "--nets-tls", tls.to_str().unwrap()]].concat();
    for entries in [1, 2] {
        let (mut process, _) = Process::start(&args);
        let mut addresses = HashMap::new();
        for _ in 0..4 {
            let mut line = String::new();
            process.log.read_line(&mut line).unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            let address: SocketAddr = line["listen"].as_str().unwrap().parse().unwrap();
            addresses.insert(line["party"].as_str().unwrap().to_owned(), address);
        }
        let key = fs::read_to_string(dir.0.join("threedsecure/api-key.txt")).unwrap();
        let headers = [("apikey", key.trim()), ("content-type", "application/json")];
        let body = br#"{"acctNumber":"4000100511112003"}"#;
        let answer = send(addresses["3dsecure"], "POST", "/preauth", &headers, body).await.unwrap();
        assert_eq!(answer.json()["messageType"], "CRD");
        let book = send(addresses["3dsecure"], "GET", "/_book", &[], b"").await.unwrap().json();
        assert_eq!(book.as_array().unwrap().len(), entries);
        let file = |name: &str| fs::read_to_string(dir.0.join("mobilepay").join(name)).unwrap().trim().to_owned();
        let files = [file("client-id.txt"), file("client-secret.txt"), file("subscription-key.txt")];
        let headers =
            [("client_id", &*files[0]), ("client_secret", &*files[1]), ("ocp-apim-subscription-key", &*files[2])];
        assert_eq!(send(addresses["mobilepay"], "POST", "/accesstoken/get", &headers, b"").await.unwrap().status, 200);
        assert_eq!(send(addresses["nets-admin"], "GET", "/_book", &[], b"").await.unwrap().text(), "[]");
        assert!(std::net::TcpStream::connect(addresses["nets"]).is_ok());
        let log = process.kill();
        assert!(!files.iter().any(|secret| log.contains(secret)) && !log.contains("4000100511112003"), "{log}");
    }
    for file in ["threedsecure/api-key.txt", "threedsecure/book.jsonl", "mobilepay/client-secret.txt"] {
        assert_eq!(mode(&dir.0.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn the_receiver_starts() {
    let dir = Dir::new("receiver");
    let (secret, log) = (dir.0.join("secret"), dir.0.join("log.jsonl"));
    fs::write(&secret, "whsec_test\n").unwrap();
    let args = ["receiver", "--secret-file", secret.to_str().unwrap(), "--log", log.to_str().unwrap()];
    let (_process, address) = Process::start(&args);
    assert_eq!(send(address, "GET", "/_log", &[], b"").await.unwrap().text(), "[]");
}

#[test]
fn the_development_ca_in_files() {
    let dir = Dir::new("ca");
    let args = ["dev-ca", "--dir", dir.path(), "--name", "pay.test", "--client", "alice", "--client", "bob"];
    assert!(sandbox(&args).stdout(Stdio::null()).status().unwrap().success());
    let read = |name: &str| fs::read_to_string(dir.0.join(name)).unwrap();
    assert_eq!(read("server.pem").matches("BEGIN CERTIFICATE").count(), 2, "the chain");
    assert!(read("server.pem").ends_with(&read("ca.pem")));
    assert_ne!(read("alice.pem"), read("bob.pem"));
    for key in ["ca.key", "server.key", "alice.key", "bob.key"] {
        assert!(read(key).starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS#8");
        assert_eq!(mode(&dir.0.join(key)), 0o600);
    }
    let first = read("ca.pem");
    assert!(sandbox(&args).stdout(Stdio::null()).status().unwrap().success());
    assert_ne!(read("ca.pem"), first, "made anew");
}

#[test]
fn refusals_and_their_exit_codes() {
    let dir = Dir::new("refusals");
    let code = |args: &[&str]| {
        let output = sandbox(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, log) = code(&["serve", "--listen", "0.0.0.0:0", "--state-dir", dir.path()]);
    assert_eq!(status, Some(1));
    assert!(log.contains("0.0.0.0:0 is not a loopback address; --public allows it"), "{log}");
    let (status, log) = code(&["serve", "--state-dir", dir.path(), "--mobilepay", "0.0.0.0:0"]);
    assert!(status == Some(1) && log.contains("is not a loopback address"), "{log}");
    assert_eq!(code(&["serve", "--state-dir", dir.path(), "--nets", "127.0.0.1:0"]).0, Some(2), "no admin address");
    assert_eq!(code(&["serve"]).0, Some(2), "neither credentials nor state");
    assert_eq!(code(&["serve", "--credentials", dir.0.join("none").to_str().unwrap()]).0, Some(1));
    assert_eq!(code(&["nothing"]).0, Some(2));
}
