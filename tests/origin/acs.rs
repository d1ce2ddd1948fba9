//! 3dsecure.io's simulator beside an origin, and as much of a browser as stands between the two.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use scanvault_sandbox::common::book::{Book, Kind};
use scanvault_sandbox::common::clock::Clock;
use scanvault_sandbox::common::faults::{Fault, Faults, Match, Order};
use scanvault_sandbox::common::ids::Ids;
use scanvault_sandbox::common::secret::SecretText;
use scanvault_sandbox::common::serve;
use scanvault_sandbox::threedsecure::{self, Entry, Options, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::world::START_MS;

const API_KEY: &str = "0d1c8a4e-9d4a-4f0e-9b57-8b0f5d6a3c21";

/// The simulator, with a clock, a book and faults of its own.
pub(crate) struct Bank {
    pub(crate) clock: Clock,
    pub(crate) book: Arc<Book<Entry>>,
    faults: Arc<Faults>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Bank {
    pub(crate) async fn start() -> Self {
        let clock = Clock::manual(i64::try_from(START_MS / 1000).unwrap());
        let (book, faults) = (Arc::new(Book::default()), Arc::new(Faults::default()));
        let (key, ids) = (SecretText::new(API_KEY), Ids::seeded([9; 32]));
        let server = Server::new(key, Options::default(), clock.clone(), ids, Arc::clone(&book), Arc::clone(&faults));
        let router: Router = threedsecure::router(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { match serve::serve(listener, router).await {} });
        Self { clock, book, faults, address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a merchant's record of it is.
    pub(crate) fn credentials() -> Value {
        json!({"apiKey": API_KEY, "acquirerBin": {"visa": "438309", "mastercard": "526571"},
            "acquirerMerchantId": "000000003000001", "mcc": "5411", "merchantCountryCode": "208",
            "merchantName": "Corner Shop", "requestorUrl": "https://shop.example"})
    }

    pub(crate) fn fault(&self, kind: Kind, fault: Fault, times: u32) {
        self.faults.order(Order { r#match: Match { kind: Some(kind), amount: None }, fault, delay_ms: 0, times });
    }

    pub(crate) fn is_without_faults(&self) -> bool {
        self.faults.pending().iter().all(|order| order.times == 0)
    }

    /// What was done here, in order: `preauth`, `auth Y`, `challenge N`.
    pub(crate) fn done(&self) -> Vec<String> {
        let name = |entry: &Entry| format!("{:?} {}", entry.kind, entry.status).to_lowercase().trim().to_owned();
        self.book.entries().iter().map(name).collect()
    }

    /// Posts a form to one of the bank's pages, and answers the form that the page holds.
    pub(crate) async fn post(&self, url: &str, fields: &[(&str, &str)]) -> Result<Form, String> {
        let url = if url.starts_with('/') { format!("{}{url}", self.url()) } else { url.to_owned() };
        let path = url.strip_prefix(&self.url()).expect("a page of the bank");
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let body = body.join("&");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        if head.starts_with("HTTP/1.1 200 ") && text.contains("<form ") {
            Ok(Form::read(text))
        } else {
            Err(text.to_owned())
        }
    }

    /// The bank's challenge, with a button pressed where the card's script does not answer for the cardholder. What the
    /// browser brings back.
    pub(crate) async fn challenge(&self, answer: &Value, button: &str) -> Result<Form, String> {
        let page = self.post(answer["url"].as_str().unwrap(), &[("creq", answer["creq"].as_str().unwrap())]).await?;
        if page.field("cres").is_some() {
            return Ok(page);
        }
        let mut fields: Vec<(&str, &str)> =
            page.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.push(("outcome", button));
        self.post(&page.action, &fields).await
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The one form of a page.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Form {
    fn read(page: &str) -> Self {
        let attribute = |tag: &str, name: &str| {
            let value = tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
            Some(value.replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&"))
        };
        let form = page.split("<form ").nth(1).unwrap().split("</form>").next().unwrap();
        let inputs = form.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap());
        let fields = inputs.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?))).collect();
        Self { action: attribute(form, "action").unwrap(), fields }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The body of its post.
    pub(crate) fn body(&self) -> String {
        let pairs: Vec<String> = self.fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        pairs.join("&")
    }
}

/// A CRes that a browser made up.
pub(crate) fn made_up(id: &str) -> String {
    let json =
        json!({"messageType": "CRes", "threeDSServerTransID": id, "transStatus": "Y", "challengeCompletionInd": "Y"});
    format!("cres={}", encode(&URL_SAFE.encode(json.to_string())))
}

fn encode(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escaped).collect()
}
