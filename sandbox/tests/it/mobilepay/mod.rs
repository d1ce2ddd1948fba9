//! MobilePay's simulator, driven as a merchant's server and a shopper's browser drive it; the merchant's own listener
//! is real, too.

mod callbacks;
mod payments;
mod refusals;
mod webhooks;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use scanvault_sandbox::{
    common::{admin, book::Book, clock::Clock, faults::Faults, ids::Ids, out::Caller, secret::SecretText},
    mobilepay::{self, Access, Entry, Options, Service},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{self, Answer, START, send};

const CLIENT_SECRET: &str = "client-secret";
const MSN: &str = "123456";

pub(crate) struct Sim {
    pub(crate) server: support::Server,
    clock: Clock,
    book: Arc<Book<Entry>>,
    token: String,
    keys: AtomicU32,
}

impl Sim {
    pub(crate) async fn start() -> Self {
        Self::with(Options { webhook_second: Duration::from_millis(20), ..Options::default() }, Arc::default()).await
    }

    /// With a book of an earlier run.
    async fn with(options: Options, book: Arc<Book<Entry>>) -> Self {
        Self::calling(options, book, Caller::new(None).unwrap()).await
    }

    async fn calling(options: Options, book: Arc<Book<Entry>>, caller: Caller) -> Self {
        let (clock, faults) = (Clock::manual(START), Arc::new(Faults::default()));
        let secret = SecretText::new;
        let access = Access::new(secret("client-id"), secret(CLIENT_SECRET), secret("subscription"));
        let ids = Ids::seeded([4; 32]);
        let service = Service::new(access, options, clock.clone(), ids, book.clone(), faults.clone(), caller);
        let router = mobilepay::router(Arc::new(service.unwrap())).merge(admin::router(book.clone(), faults));
        let server = support::Server::start(router).await;
        let headers = [
            ("client_id", "client-id"),
            ("client_secret", CLIENT_SECRET),
            ("ocp-apim-subscription-key", "subscription"),
        ];
        let answer = send(server.address, "POST", "/accesstoken/get", &headers, b"").await.unwrap().json();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Self { server, clock, book, token, keys: AtomicU32::new(0) }
    }

    /// A call with the headers that every call has, and these.
    async fn call(&self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Option<Answer> {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("ocp-apim-subscription-key", "subscription"),
            ("merchant-serial-number", MSN),
            ("psp-id", "psp-1"),
            ("content-type", "application/json"),
        ];
        headers.extend(more);
        send(self.server.address, method, path, &headers, body.as_bytes()).await
    }

    async fn keyed(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.call("POST", path, &[("idempotency-key", key)], &body.to_string()).await.expect("an answer")
    }

    /// With a key of its own.
    async fn post(&self, path: &str, body: &Value) -> Answer {
        let key = format!("key-{}", self.keys.fetch_add(1, Ordering::SeqCst));
        self.keyed(path, &key, body).await
    }

    /// A payment that is waiting for its shopper; the path of the shopper's page.
    async fn created(&self, body: &Value) -> String {
        let answer = self.post(PAYMENTS, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let url = answer.json()["redirectUrl"].as_str().unwrap().to_owned();
        crate::browser::path(&url, self.server.address)
    }

    async fn press(&self, landing: &str, button: &str) -> Answer {
        crate::browser::post(self.server.address, landing, &format!("phoneNumber=4512345678&outcome={button}")).await
    }

    async fn payment(&self, reference: &str) -> Value {
        let answer = self.call("GET", &format!("{PAYMENTS}/{reference}"), &[], "").await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn state(&self, reference: &str) -> String {
        self.payment(reference).await["state"].as_str().unwrap().to_owned()
    }

    /// A wallet payment that has been approved.
    async fn authorized(&self, reference: &str, value: u64) {
        let landing = self.created(&wallet(reference, value)).await;
        assert_eq!(self.press(&landing, "approve").await.status, 303);
        assert_eq!(self.state(reference).await, "AUTHORIZED");
    }

    /// What a card callback hands over for this amount.
    pub(crate) async fn network_token(&self, reference: &str, value: u64) -> Value {
        let merchant = Merchant::start().await;
        let landing = self.created(&passthrough(reference, value, &merchant)).await;
        self.press(&landing, "approve").await;
        merchant.received()[0].json()["cardInfo"]["networkToken"].clone()
    }

    async fn modify(&self, reference: &str, act: &str, value: u64) -> Answer {
        self.post(&format!("{PAYMENTS}/{reference}/{act}"), &modification(value)).await
    }

    async fn order(&self, order: &str) {
        let kind = [("content-type", "application/json")];
        let answer = send(self.server.address, "POST", "/_faults", &kind, order.as_bytes()).await;
        assert_eq!(answer.unwrap().status, 204, "{order}");
    }

    /// Names and amounts of what moved money.
    fn moved(&self) -> Vec<(String, u64)> {
        let entries = self.book.entries();
        let booked = entries.iter().filter(|entry| entry.booked);
        booked.map(|entry| (json!(entry.name).as_str().unwrap().to_owned(), entry.amount)).collect()
    }
}

const PAYMENTS: &str = "/epayment/v1/payments";

fn wallet(reference: &str, value: u64) -> Value {
    json!({
        "amount": {"currency": "DKK", "value": value},
        "paymentMethod": {"type": "WALLET"},
        "reference": reference,
        "userFlow": "WEB_REDIRECT",
        "returnUrl": "https://shop.example/back?a=1&b=2",
        "customer": {"phoneNumber": "4512345678"},
        "paymentDescription": "Two <b>coffees</b>",
    })
}

fn passthrough(reference: &str, value: u64, merchant: &Merchant) -> Value {
    let mut body = wallet(reference, value);
    body["paymentMethod"]["type"] = json!("CARD_PASSTHROUGH");
    body["cardPassthrough"] = json!({
        "pspReference": format!("ours-{reference}"),
        "cardCallbackUrl": format!("http://{}/card?x=1", merchant.server.address),
        "allowedCardTypes": ["VISA_DEBIT", "VISA_CREDIT", "MC_CREDIT", "MC_DEBIT"],
        "preferVisaPartOfVisaDankort": false,
    });
    body
}

fn modification(value: u64) -> Value {
    json!({"modificationAmount": {"currency": "DKK", "value": value}})
}

/// RFC 7807 with Vipps' number.
fn problem(answer: &Answer, status: u16, code: &str) {
    let body = answer.json();
    assert_eq!((answer.status, &body["status"]), (status, &json!(status)), "{body}");
    assert_eq!(body["extraDetails"], json!([{"name": "ErrorCode", "reason": code}]), "{body}");
}

/// The merchant's listener: it keeps what it got and answers as it was told.
pub(crate) struct Merchant {
    pub(crate) server: support::Server,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    answers: Mutex<Vec<(u16, String)>>,
}

#[derive(Clone)]
pub(crate) struct Received {
    path: String,
    headers: HashMap<String, String>,
    body: String,
}

impl Merchant {
    async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let take = async |State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes| {
            let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
            let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            let (path, body) = (uri.to_string(), String::from_utf8(body.to_vec()).unwrap());
            shared.received.lock().unwrap().push(Received { path, headers, body });
            let mut answers = shared.answers.lock().unwrap();
            let (status, body) = if answers.is_empty() { (200, String::new()) } else { answers.remove(0) };
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let router = Router::new().route("/{*path}", post(take)).with_state(shared.clone());
        Self { server: support::Server::start(router).await, shared }
    }

    fn will_answer(&self, status: u16, body: &Value) {
        self.shared.answers.lock().unwrap().push((status, body.to_string()));
    }

    fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits for so many of them.
    async fn wait(&self, count: usize) -> Vec<Received> {
        for _ in 0..400 {
            if self.received().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let received = self.received();
        assert_eq!(received.len(), count);
        received
    }
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The reference's rule, written down a second time.
    fn verified(&self, secret: &str) -> bool {
        let header = |name: &str| self.headers[name].as_str();
        let digest = STANDARD.encode(Sha256::digest(&self.body));
        assert_eq!(header("x-ms-content-sha256"), digest);
        let text = format!("POST\n{}\n{};{};{digest}", self.path, header("x-ms-date"), header("host"));
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(text).finalize();
        let expected = format!(
            "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={}",
            STANDARD.encode(mac.into_bytes())
        );
        header("authorization") == expected
    }
}
