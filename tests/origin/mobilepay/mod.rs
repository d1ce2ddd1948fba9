//! MobilePay from the pay page to its own book: an origin with its provider listener on a real TLS socket, the wallet's
//! simulator and the acquirer's behind sockets of theirs, a shopper who presses the simulator's buttons.

mod callbacks;
mod ends;
mod listener;
mod reports;
mod start;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use scanvault_origin::app::provider::Provider;
use scanvault_origin::app::{App, config};
use scanvault_origin::identity::secrets::acquirer_context;
use scanvault_origin::vault::SystemEntropy;
use scanvault_origin::web::listener as serving;
use scanvault_origin::web::listener::Service;
use scanvault_origin::web::tls::{Clients, Files, Tls};
use scanvault_sandbox::common::book::{Book, Kind};
use scanvault_sandbox::common::clock::Clock;
use scanvault_sandbox::common::faults::{Fault, Faults, Match, Order};
use scanvault_sandbox::common::ids::Ids;
use scanvault_sandbox::common::out::Caller;
use scanvault_sandbox::common::secret::SecretText;
use scanvault_sandbox::common::{self, admin};
use scanvault_sandbox::dev_ca::{self, DevCa};
use scanvault_sandbox::mobilepay::{self, Access, Entry, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::card::Page;
use crate::world::{Answer, Forward, START_MS, World};

pub(super) const CLIENT_SECRET: &str = "client-secret";
pub(super) const MSN: &str = "123456";

static SEED: AtomicU64 = AtomicU64::new(1);

/// An origin that takes MobilePay, and MobilePay.
pub(super) struct Shop {
    pub(super) world: World,
    pub(super) auth: String,
    /// MobilePay's.
    pub(super) book: Arc<Book<Entry>>,
    pub(super) faults: Arc<Faults>,
    pub(super) sim: SocketAddr,
    pub(super) sim_clock: Clock,
    pub(super) provider: SocketAddr,
    pub(super) ca: DevCa,
    /// Who takes the callbacks.
    taking: Arc<RwLock<Arc<Provider>>>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Shop {
    pub(super) async fn open(world: World) -> Self {
        Self::with(world, Options::default()).await
    }

    pub(super) async fn with(world: World, options: Options) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let seed = u8::try_from(SEED.fetch_add(1, Ordering::SeqCst) % 250).unwrap();
        let ca = dev_ca::generate(&[], &[], now, &mut Ids::seeded([seed; 32])).unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = world.folder().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (cert, key, root) =
            (write("cb.pem", &ca.server), write("cb.key", &ca.server_key), write("cb-ca.pem", &ca.ca));
        let bound = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = bound.local_addr().unwrap();
        let (book, faults) = (Arc::new(Book::default()), Arc::new(Faults::default()));
        let sim_clock = Clock::manual(i64::try_from(START_MS / 1000).unwrap() + 1);
        let options = Options { webhook_second: Duration::from_millis(20), ..options };
        let secret = SecretText::new;
        let access = Access::new(secret("client-id"), secret(CLIENT_SECRET), secret("subscription"));
        let service = mobilepay::Service::new(
            access,
            options,
            sim_clock.clone(),
            Ids::seeded([seed; 32]),
            Arc::clone(&book),
            Arc::clone(&faults),
            Caller::new(Some(&root)).unwrap(),
        );
        let router =
            mobilepay::router(Arc::new(service.unwrap())).merge(admin::router(Arc::clone(&book), Arc::clone(&faults)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sim = listener.local_addr().unwrap();
        let sim_task = tokio::spawn(async move { match common::serve::serve(listener, router).await {} });
        let mut world = world;
        world.app = Arc::new(world.beside_with(|config| configure(config, sim, provider)).await);
        // An origin takes nothing that was signed before it began.
        world.clock.advance_ms(1_000);
        sim_clock.advance(1);
        world.init().await;
        world.unseal().await;
        let auth = merchant(&world).await;
        let (stop, stopped) = watch::channel(false);
        let tls = Arc::new(Tls::read(Clients::Providers, Files { certificate: cert, key, client_ca: None }).unwrap());
        let taking = Arc::new(RwLock::new(Arc::new(Provider::new(Arc::clone(&world.app.wallet)))));
        let serving = serving::serve_tls(bound, tls, service_of(&taking), stopped);
        let tasks = vec![sim_task, tokio::spawn(async move { serving.await.unwrap() })];
        Self { world, auth, book, faults, sim, sim_clock, provider, ca, taking, stop, tasks }
    }

    /// Another process takes over, its listener too: nothing but rows is left of the first.
    pub(super) async fn restart(&mut self) {
        let (sim, provider) = (self.sim, self.provider);
        self.world.app = Arc::new(self.world.beside_with(|config| configure(config, sim, provider)).await);
        *self.taking.write().unwrap() = Arc::new(Provider::new(Arc::clone(&self.world.app.wallet)));
        self.wait(1_000);
        self.world.unseal().await;
    }

    pub(super) fn fault(&self, kind: Kind, fault: Fault) {
        self.fault_for(kind, fault, 0, 1);
    }

    pub(super) fn fault_for(&self, kind: Kind, fault: Fault, delay_ms: u64, times: u32) {
        self.faults.order(Order { r#match: Match { kind: Some(kind), amount: None }, fault, delay_ms, times });
    }

    /// Both clocks.
    pub(super) fn wait(&self, ms: u64) {
        self.world.clock.advance_ms(ms);
        self.sim_clock.advance(i64::try_from(ms / 1000).unwrap());
    }

    /// What the origin's worker does, now and once.
    pub(super) async fn work(&self) {
        self.world.app.wallet.work_off().await.unwrap();
    }

    /// The worker over the next minutes.
    pub(super) async fn work_for(&self, rounds: usize, pause_ms: u64) {
        for _ in 0..rounds {
            self.work().await;
            self.wait(pause_ms);
        }
        self.work().await;
    }

    pub(super) async fn code(&self, reference: &str, amount: &str) -> String {
        crate::card::code(&self.world, &self.auth, reference, amount).await
    }

    /// What the pay page sends; answers the attempt.
    pub(super) async fn order(&self, code: &str, body: &Value) -> (String, Answer) {
        let attempt = Page::load(&self.world, code).await.data("attempt");
        let answer = self.order_again(code, &attempt, body).await;
        (attempt, answer)
    }

    pub(super) async fn order_again(&self, code: &str, attempt: &str, body: &Value) -> Answer {
        let mut body = body.clone();
        body["attempt"] = json!(attempt);
        self.world.send(Forward::post(format!("/pluto/public/pay/{code}/mobilepay"), &body)).await
    }

    /// A payer who has been sent to MobilePay.
    pub(super) async fn sent(&self, reference: &str, amount: &str) -> Sent {
        let code = self.code(reference, amount).await;
        let (attempt, answer) = self.order(&code, &json!({"phone": "+45 12 34 56 78"})).await;
        let answer = answer.json();
        assert_eq!(answer["state"], "redirect", "{answer}");
        let url = answer["url"].as_str().unwrap();
        let landing = url.split_once("/landing/").map(|(_, token)| format!("/landing/{token}")).unwrap();
        Sent { code, attempt, landing, id: answer["transactionId"].as_i64().unwrap() }
    }

    /// One who has paid, all done and told.
    pub(super) async fn paid(&self, reference: &str, amount: &str) -> Sent {
        let sent = self.sent(reference, amount).await;
        assert_eq!(self.press(&sent, "approve").await, 303);
        self.wait(1_000);
        self.work().await;
        assert_eq!(self.state(&sent).await, json!({"state": "paid", "transactionId": sent.id}));
        sent
    }

    /// Presses a button of the wallet; the status of its page.
    pub(super) async fn press(&self, sent: &Sent, outcome: &str) -> u16 {
        let body = format!("phoneNumber=4512345678&outcome={outcome}");
        let (status, _) = plain(self.sim, "POST", &sent.landing, "application/x-www-form-urlencoded", &body).await;
        status
    }

    /// What the page is told, without what is only in the first answer.
    pub(super) async fn state(&self, sent: &Sent) -> Value {
        let path = format!("/pluto/public/pay/{}/state?attempt={}", sent.code, sent.attempt);
        let mut answer = self.world.send(Forward::get(path)).await.json();
        for needless in ["paidAtMs", "message"] {
            answer.as_object_mut().unwrap().remove(needless);
        }
        answer
    }

    /// What the page is told while the payer is at MobilePay: where that is.
    pub(super) fn waits(&self, sent: &Sent) -> Value {
        json!({"state": "redirect", "transactionId": sent.id, "url": format!("http://{}{}", self.sim, sent.landing)})
    }

    /// The code, and what the merchant reads of the transaction.
    pub(super) async fn seen(&self, sent: &Sent) -> (String, String) {
        let code = self.world.send(Forward::get(format!("/pluto/code/{}", sent.code)).with(&self.auth)).await.json();
        let path = format!("/pluto/code/transaction/state/{}", sent.id);
        let state = self.world.send(Forward::get(path).with(&self.auth)).await.json();
        (code["codeState"].as_str().unwrap().to_owned(), state["status"].as_str().unwrap().to_owned())
    }

    /// What moved money at MobilePay: names and amounts of one payment, in order.
    pub(super) fn moved(&self, id: i64) -> Vec<(String, u64)> {
        let start = format!("sv-{id}-");
        let entries = self.book.entries();
        let own = entries.iter().filter(|entry| entry.booked && entry.reference.starts_with(&start));
        own.map(|entry| (json!(entry.name).as_str().unwrap().to_owned(), entry.amount)).collect()
    }

    /// What moved money at the acquirer.
    pub(super) fn acquired(&self, id: i64) -> Vec<(Kind, u64)> {
        let reference = format!("sv-{id}");
        let entries = self.world.book.entries();
        let authorisations: Vec<&str> = entries
            .iter()
            .filter(|entry| entry.reference.as_deref() == Some(&reference))
            .map(|entry| entry.id.as_str())
            .collect();
        let is_own = |entry: &&common::book::Entry| {
            authorisations.contains(&entry.id.as_str())
                || entry.authorization.as_deref().is_some_and(|of| authorisations.contains(&of))
        };
        entries.iter().filter(|entry| entry.booked).filter(is_own).map(|entry| (entry.kind, entry.amount)).collect()
    }

    /// MobilePay's sums of a payment equal ours: captured, refunded, and what is neither any more.
    pub(super) async fn assert_books_agree(&self) {
        let rows = sqlx::query(
            "SELECT t.id, t.state, t.authorised_minor, t.captured_minor, t.refunded_minor FROM transactions t \
             JOIN wallet_payments w ON w.transaction_id = t.id ORDER BY t.id",
        );
        for row in rows.fetch_all(self.world.app.db.read()).await.unwrap() {
            use sqlx::Row;
            let (id, state) = (row.get::<i64, _>(0), row.get::<String, _>(1));
            let [authorised, captured, refunded] = [2, 3, 4].map(|at| u64::try_from(row.get::<i64, _>(at)).unwrap());
            let moved = self.moved(id);
            let sum = |name: &str| moved.iter().filter(|(of, _)| of == name).map(|(_, minor)| minor).sum::<u64>();
            let there = (sum("CAPTURED"), sum("REFUNDED"));
            assert_eq!(there, (captured, refunded), "{id} {state}: {moved:?}");
            let left_there = sum("AUTHORIZED").saturating_sub(sum("CAPTURED")).saturating_sub(sum("CANCELLED"));
            let left = if state == "authorised" { authorised - captured } else { 0 };
            assert_eq!(left_there, left, "{id} {state}: {moved:?}");
        }
        let open = self.world.number("SELECT COUNT(*) FROM wallet_reports WHERE state <> 'done'").await;
        assert_eq!(open, 0, "reports are open");
        let looked_at =
            self.world.number("SELECT COUNT(*) FROM wallet_payments WHERE next_look_at_ms IS NOT NULL").await;
        assert_eq!(looked_at, 0, "payments are looked at");
    }
}

/// A payer at MobilePay.
pub(super) struct Sent {
    pub(super) code: String,
    pub(super) attempt: String,
    /// The wallet's page.
    pub(super) landing: String,
    pub(super) id: i64,
}

fn configure(config: &mut config::Config, sim: SocketAddr, provider: SocketAddr) {
    config.mobilepay_url = format!("http://{sim}");
    config.callback_listen = Some(provider);
    config.callback_url = Some(format!("https://{provider}"));
}

fn service_of(taking: &Arc<RwLock<Arc<Provider>>>) -> Service {
    let taking = Arc::clone(taking);
    Arc::new(move |request, _| {
        let provider = Arc::clone(&*taking.read().unwrap());
        Box::pin(async move { provider.answer(request).await })
    })
}

/// A merchant in kroner, with MobilePay.
async fn merchant(world: &World) -> String {
    let auth = world.merchant_in(25, "DKK").await;
    set_credentials(&world.app, "merchant-25", &credentials()).await;
    auth
}

pub(super) fn credentials() -> Value {
    json!({"clientId": "client-id", "clientSecret": CLIENT_SECRET, "subscriptionKey": "subscription",
        "pspId": "psp-1", "merchantSerialNumber": MSN,
        "allowedCardTypes": ["VISA_DEBIT", "VISA_CREDIT", "MC_CREDIT", "MC_DEBIT"]})
}

/// As the ceremony stores them.
pub(super) async fn set_credentials(app: &App, account: &str, credentials: &Value) {
    let context = acquirer_context(account, "mobilepay", 1);
    let unsealed = app.vault.unsealed().unwrap();
    let sealed = unsealed.seal_record(&context, credentials.to_string().as_bytes(), &mut SystemEntropy::new()).unwrap();
    let key_id = i64::from(u32::from_be_bytes(sealed[1..5].try_into().unwrap()));
    let statement = "INSERT INTO acquirer_credentials (account, acquirer, sealed, key_id, row_version) VALUES ($1, 'mobilepay', $2, $3, 1)";
    let query = sqlx::query(statement).bind(account.to_owned()).bind(sealed).bind(key_id);
    query.execute(app.db.write()).await.unwrap();
}

/// A request in clear over a socket: status and body.
pub(super) async fn plain(to: SocketAddr, method: &str, path: &str, kind: &str, body: &str) -> (u16, String) {
    let stream = TcpStream::connect(to).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(stream, &request).await
}

/// Sends and reads to the end.
pub(super) async fn exchange(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without a farewell has said what it had to say.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}
