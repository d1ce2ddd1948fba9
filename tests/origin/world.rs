//! An origin in this process, a gateway beside it, and a client that signs like an edge.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use rsa::pkcs8::DecodePrivateKey;
use scanvault_origin::app::config::{Config, ErrorDialect, Mode, Switch};
use scanvault_origin::app::router::{answer_admin, answer_public};
use scanvault_origin::app::{App, serve};
use scanvault_origin::ceremonies::operators::Operators;
use scanvault_origin::clock::{Clock, ManualClock};
use scanvault_origin::db::Db;
use scanvault_origin::identity::store;
use scanvault_origin::vault::memory;
use scanvault_origin::web::listener::Peer;
use scanvault_protocol::link::{self, LinkKey, Message};
use scanvault_sandbox::clearhaus::{self, Access, Gateway, Options};
use scanvault_sandbox::common::book::{Book, Entry};
use scanvault_sandbox::common::faults::Faults;
use scanvault_sandbox::common::ids::Ids;
use scanvault_sandbox::common::secret::SecretText;
use scanvault_sandbox::common::{self, admin};
use serde_json::{Value, json};
use sqlx::Row;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

use crate::acs::Bank;

/// 2026-11-21T12:00:00Z, and a little: the origin refuses what was signed in its own starting second.
pub(crate) const START_MS: u64 = 1_795_262_400_500;
pub(crate) const KEY: [u8; 32] = [7; 32];
/// Keys of the link: name, secret, and the account that it is bound to.
pub(crate) const LINK_KEYS: [(&str, [u8; 32], &str); 4] =
    [("edge-1", KEY, ""), ("edge-2", [8; 32], ""), ("vault-1", [9; 32], "billing"), ("vault-2", [10; 32], "warehouse")];
pub(crate) const PUBLIC_URL: &str = "https://pay.example";
const API_KEY: &str = "1e5f0f0e-6a0d-4a36-9a1e-7f4a1d7f0f11";
const SIGNING_KEY_ID: &str = "4390aec7-f76a-4c2f-8597-c87c2d06cb4f";
pub(crate) const SIGNING_KEY_PEM: &str = include_str!("../../origin/vectors/test-signing-key.pem");

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A problem document, whole.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.json()["code"].as_str()), (status, Some(code)), "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json()["status"], status);
        assert_eq!(self.json()["requestId"], self.header("scanvault-request-id"));
        self.assert_hardened();
    }

    /// An error of Scanpay's interface: one line, ended.
    #[track_caller]
    pub(crate) fn assert_line(&self, status: u16, text: &str) {
        assert_eq!((self.status.as_u16(), self.text().as_str()), (status, format!("{text}\n").as_str()));
        assert_eq!(self.header("content-type"), "text/plain; charset=utf-8");
        self.assert_hardened();
    }

    #[track_caller]
    pub(crate) fn assert_hardened(&self) {
        assert_eq!(self.header("strict-transport-security"), "max-age=63072000; includeSubDomains; preload");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert!(!self.header("cache-control").is_empty());
        assert_eq!(self.header("scanvault-request-id").len(), 32);
    }
}

/// A request as the edge would forward it.
#[derive(Clone)]
pub(crate) struct Forward {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Vec<u8>,
    /// The link key that it is signed with.
    pub(crate) key: &'static str,
    /// What the edge thinks of the credentials; `None`: unverified, or none without any.
    pub(crate) mark: Option<&'static str>,
    /// The client's address.
    pub(crate) client: &'static str,
    /// What the client names the call by.
    pub(crate) idempotency_key: Option<String>,
}

impl Forward {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            authorization: None,
            content_type: None,
            body: Vec::new(),
            key: "edge-1",
            mark: None,
            client: "203.0.113.7",
            idempotency_key: None,
        }
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::post_text(path, body.to_string())
    }

    pub(crate) fn post_text(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST", content_type: Some("application/json"), body: body.into(), ..Self::get(path) }
    }

    /// A form, as a bank's page posts it.
    pub(crate) fn post_form(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { content_type: Some("application/x-www-form-urlencoded"), ..Self::post_text(path, body) }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", ..Self::get(path) }
    }

    pub(crate) fn put(path: impl Into<String>, body: &Value) -> Self {
        Self { method: "PUT", ..Self::post(path, body) }
    }

    /// A PUT without a body.
    pub(crate) fn put_nothing(path: impl Into<String>) -> Self {
        Self { method: "PUT", ..Self::get(path) }
    }

    pub(crate) fn by(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    pub(crate) fn marked(mut self, mark: &'static str) -> Self {
        self.mark = Some(mark);
        self
    }

    pub(crate) fn from(mut self, client: &'static str) -> Self {
        self.client = client;
        self
    }

    /// Names the call.
    pub(crate) fn named(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self
    }

    pub(crate) fn with(mut self, authorization: &str) -> Self {
        self.authorization = Some(authorization.to_owned());
        self
    }
}

pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) book: Arc<Book>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) bank: Bank,
    pub(crate) shares: Vec<String>,
    pub(crate) gateway: tokio::task::JoinHandle<()>,
    _running: mpsc::Receiver<()>,
    pub(crate) config: Config,
    folder: Folder,
}

impl World {
    pub(crate) async fn sqlite() -> Self {
        let folder = Folder::new();
        let url = format!("sqlite://{}", folder.0.join("db.sqlite").display());
        Self::on(&url, folder).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::on(&new_postgres_database().await, Folder::new()).await
    }

    async fn on(url: &str, folder: Folder) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (book, faults) = (Arc::new(Book::default()), Arc::new(Faults::default()));
        let (gateway_url, gateway) = start_gateway(&book, &faults).await;
        let bank = Bank::start().await;
        let config = config(url, &gateway_url, &bank.url(), &folder);
        let clock = Arc::new(ManualClock::at_ms(START_MS));
        let (running, _running) = mpsc::channel(1);
        let db = Db::open(url, "a").await.unwrap();
        let bell = Arc::new(Notify::new());
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let app = serve::build(&config, db, shared, &bell, running, memory::protect()).await.unwrap();
        clock.advance_ms(1_000);
        let app = Arc::new(app);
        Self { app, clock, book, faults, bank, shares: Vec::new(), gateway, _running, config, folder }
    }

    /// Another process on the same database, sealed.
    pub(crate) async fn beside(&self) -> App {
        self.beside_with(|_| ()).await
    }

    /// The same, with other settings.
    pub(crate) async fn beside_with(&self, change: impl FnOnce(&mut Config)) -> App {
        let mut config = self.config.clone();
        change(&mut config);
        let (running, _) = mpsc::channel(1);
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let bell = Arc::new(Notify::new());
        serve::build(&config, self.app.db.clone(), clock, &bell, running, memory::protect()).await.unwrap()
    }

    /// An origin of another region on the same database, sealed.
    pub(crate) async fn in_region(&self, region: &str) -> Arc<App> {
        let config = Config { region: region.to_owned(), ..self.config.clone() };
        let db = Db::open(&config.database_url, region).await.unwrap();
        let (running, _) = mpsc::channel(1);
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        let app = serve::build(&config, db, clock, &Arc::new(Notify::new()), running, memory::protect()).await.unwrap();
        self.clock.advance_ms(1_000);
        Arc::new(app)
    }

    /// Initialised and opened, with a merchant that takes cards; answers its `Authorization`.
    pub(crate) async fn ready(&mut self) -> String {
        self.init().await;
        self.unseal().await;
        self.merchant(25).await
    }

    pub(crate) async fn init(&mut self) {
        use scanvault_origin::vault::custodian;
        let people: Vec<_> = (1..=3).map(|_| custodian::generate_identity()).collect();
        let custodians: Vec<Value> = people
            .iter()
            .enumerate()
            .map(|(at, (_, recipient))| json!({"name": format!("c{at}"), "recipient": recipient.to_string()}))
            .collect();
        let answer = self.admin("POST", "/vault/init", &json!({"threshold": 2, "custodians": custodians})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        self.shares = people
            .iter()
            .zip(answer["shares"].as_array().unwrap())
            .map(|((identity, _), share)| {
                let armored = share["armored"].as_str().unwrap().as_bytes();
                custodian::decrypt(identity, armored).unwrap().to_string()
            })
            .collect();
    }

    pub(crate) async fn unseal(&self) {
        for share in &self.shares[..2] {
            let answer = self.admin("POST", "/vault/unseal", &json!({"share": share})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        // The third custodian shows theirs too: no card is taken before.
        let answer = self.admin("POST", "/vault/prove", &json!({"share": self.shares[2]})).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["takesCards"]), (200, &json!(true)), "{}", answer.text());
    }

    pub(crate) async fn merchant(&self, id: u64) -> String {
        self.merchant_of(id, None).await
    }

    /// A merchant that takes cards, and for which a PSP may act.
    pub(crate) async fn merchant_of(&self, id: u64, psp: Option<&str>) -> String {
        self.merchant_with(id, psp, "ZAR").await
    }

    /// A merchant whose prices are in another currency.
    pub(crate) async fn merchant_in(&self, id: u64, currency: &str) -> String {
        self.merchant_with(id, None, currency).await
    }

    async fn merchant_with(&self, id: u64, psp: Option<&str>, currency: &str) -> String {
        let account = json!({"name": format!("merchant-{id}"), "displayName": "Corner Shop", "psp": psp,
            "currency": currency,
            "webhookUrl": "http://127.0.0.1:9/hook",
            "clearhaus": {"apiKey": API_KEY, "signingKeyId": SIGNING_KEY_ID, "signingKeyPem": SIGNING_KEY_PEM}});
        self.account(&account).await
    }

    /// Makes an account; answers its `Authorization`.
    pub(crate) async fn account(&self, body: &Value) -> String {
        let answer = self.admin("POST", "/accounts", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        basic(answer.json()["account"].as_str().unwrap(), answer.json()["password"].as_str().unwrap())
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.admin_as(0, method, path, body).await
    }

    /// A call of the operator who has this user id.
    pub(crate) async fn admin_as(&self, uid: u32, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        Answer::of(answer_admin(Arc::clone(&self.app), request, Some(Peer::Uid(uid))).await).await
    }

    /// Time passes for the origin and for the bank.
    pub(crate) fn pass_secs(&self, secs: u32) {
        self.clock.advance_ms(u64::from(secs) * 1000);
        self.bank.clock.advance(i64::from(secs));
    }

    pub(crate) fn clock_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Two operators besides root.
    pub(crate) fn name_two_operators(&self) {
        let text = format!(
            "root operator {}\nalice operator {}\nbob operator {}",
            Peer::Uid(0),
            Peer::Uid(1001),
            Peer::Uid(1003)
        );
        self.app.admin.operators.replace(Operators::parse(&text).unwrap());
    }

    /// What a login leaves behind: a session, and its token. Answers the `Authorization` and the session's id.
    pub(crate) async fn session(&self, account: &str) -> (String, String) {
        let account = store::find(&self.app.db, &account.parse().unwrap()).await.unwrap().unwrap();
        let id = format!("c056b2d8-d6d1-4ea6-8752-{:012x}", NEXT.fetch_add(1, Ordering::SeqCst));
        let issued = self.app.identity.tokens.issue(&account, &id, self.clock.now_secs()).unwrap();
        let statement = "INSERT INTO sessions (id, account, credential_version, created_at_ms, expires_at_ms) \
                         VALUES ($1, $2, $3, $4, $5)";
        let expires_at_ms = i64::try_from(issued.expires_at_secs * 1000).unwrap();
        let query = sqlx::query(statement).bind(id.clone()).bind(account.name.to_string());
        let query = query.bind(account.credential_version).bind(self.clock.now_db()).bind(expires_at_ms);
        query.execute(self.app.db.write()).await.unwrap();
        (format!("Bearer {}", issued.token.as_str()), id)
    }

    /// An enrolled account, as far as the switch looks at it.
    pub(crate) async fn enrolled(&self, account: &str, last_dry_run_at_ms: Option<i64>) {
        let statement = "INSERT INTO enrolments (account, public_key, password_verifier, enrolled_by, enrolled_at_ms, \
                         last_dry_run_at_ms, failures, blocked_until_ms) VALUES ($1, $2, $3, 'owner', $4, $5, 0, 0)";
        let query = sqlx::query(statement).bind(account.to_owned()).bind(vec![1_u8]).bind(vec![0_u8; 32]);
        let query = query.bind(self.clock.now_db()).bind(last_dry_run_at_ms);
        query.execute(self.app.db.write()).await.unwrap();
    }

    /// Enrolled and switched: from here on a session proves it.
    pub(crate) async fn in_bearer_mode(&self, account: &str) {
        self.enrolled(account, None).await;
        let answer = self.admin("POST", &format!("/accounts/{account}/switch"), &json!({"mode": "bearer"})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Sends a request through the link.
    pub(crate) async fn send(&self, forward: Forward) -> Answer {
        let answer = self.raw(self.signed(&forward)).await;
        answer.assert_hardened();
        answer
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> Answer {
        Answer::of(answer_public(Arc::clone(&self.app), request).await).await
    }

    /// The request, signed now with a new nonce.
    pub(crate) fn signed(&self, forward: &Forward) -> Request<Body> {
        let digest = link::content_digest(&forward.body);
        let (path, query) = forward.path.split_once('?').map_or((forward.path.as_str(), None), |(p, q)| (p, Some(q)));
        let message = Message {
            method: forward.method,
            authority: "origin.example",
            path,
            query,
            content_digest: &digest,
            public_host: "pay.example",
            client_address: forward.client,
            request_id: "0123456789abcdef0123456789abcdef",
            credential: forward.mark.unwrap_or(if forward.authorization.is_some() { "unverified" } else { "none" }),
            authorization: forward.authorization.as_deref(),
            idempotency_key: forward.idempotency_key.as_deref(),
            content_type: forward.content_type,
        };
        let (id, secret, _) = LINK_KEYS.into_iter().find(|(id, ..)| *id == forward.key).unwrap();
        let key = LinkKey::new(id, secret).unwrap();
        let nonce = u128::from(NEXT.fetch_add(1, Ordering::SeqCst)).to_be_bytes();
        let signature = link::sign(&key, &message, &self.app.link.region, self.clock.now_secs(), &nonce).unwrap();
        let mut request = Request::builder().method(forward.method).uri(&forward.path);
        let covered = [
            ("host", Some(message.authority)),
            ("content-digest", Some(digest.as_str())),
            ("scanvault-host", Some(message.public_host)),
            ("scanvault-client", Some(message.client_address)),
            ("scanvault-request-id", Some(message.request_id)),
            ("scanvault-credential", Some(message.credential)),
            ("authorization", message.authorization),
            ("idempotency-key", message.idempotency_key),
            ("content-type", message.content_type),
            ("signature-input", Some(signature.input.as_str())),
            ("signature", Some(signature.signature.as_str())),
        ];
        for (name, value) in covered {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.body(Body::from(forward.body.clone())).unwrap()
    }

    /// A folder that goes with this world.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    pub(crate) fn booked(&self) -> Vec<Entry> {
        self.book.entries().into_iter().filter(|entry| entry.booked).collect()
    }

    /// The first column of the first row, as an integer.
    pub(crate) async fn number(&self, statement: &'static str) -> i64 {
        sqlx::query(statement).fetch_one(self.app.db.read()).await.unwrap().try_get(0).unwrap()
    }

    pub(crate) async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.app.db.write()).await.unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.gateway.abort();
    }
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The address of an empty database of the server that `scripts/test` has started.
pub(crate) async fn new_postgres_database() -> String {
    let base = std::env::var("SCANVAULT_TEST_POSTGRES")
        .expect("SCANVAULT_TEST_POSTGRES: scripts/test starts a PostgreSQL and names it there");
    let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    sqlx::any::install_default_drivers();
    let server = sqlx::AnyPool::connect(&base).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&server).await.unwrap();
    server.close().await;
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

async fn start_gateway(book: &Arc<Book>, faults: &Arc<Faults>) -> (String, tokio::task::JoinHandle<()>) {
    let key = rsa::RsaPrivateKey::from_pkcs8_pem(SIGNING_KEY_PEM).unwrap();
    let access = Access::new(&SecretText::new(API_KEY), SIGNING_KEY_ID.to_owned(), key.to_public_key());
    let clock = common::clock::Clock::manual(i64::try_from(START_MS / 1000).unwrap());
    let ids = Ids::seeded([1; 32]);
    let gateway = Gateway::new(access, Options::default(), clock, ids, Arc::clone(book), Arc::clone(faults));
    let router = clearhaus::router(Arc::new(gateway)).merge(admin::router(Arc::clone(book), Arc::clone(faults)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { match common::serve::serve(listener, router).await {} });
    (url, task)
}

fn config(database_url: &str, gateway_url: &str, bank_url: &str, folder: &Folder) -> Config {
    let link_keys = folder.0.join("link-keys");
    let lines = LINK_KEYS.map(|(id, secret, account)| format!("{id} {} {account}\n", STANDARD.encode(secret)));
    std::fs::write(&link_keys, lines.concat()).unwrap();
    Config {
        mode: Mode::Development,
        database_url: database_url.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        tls_cert: PathBuf::new(),
        tls_key: PathBuf::new(),
        tls_client_ca: None,
        admin_socket: folder.0.join("admin.sock"),
        admin_listen: None,
        admin_client_ca: None,
        operators: None,
        link_keys,
        region: "a".to_owned(),
        public_url: PUBLIC_URL.to_owned(),
        clearhaus_url: gateway_url.to_owned(),
        threedsecure_url: bank_url.to_owned(),
        mobilepay_url: "http://127.0.0.1:9".to_owned(),
        callback_listen: None,
        callback_url: None,
        callback_tls_cert: None,
        callback_tls_key: None,
        nets_address: None,
        nets_ca: None,
        nets_plain: false,
        extra_ca: None,
        allow_local_callbacks: true,
        callback_allow: Vec::new(),
        data_key_max_age_days: 365,
        data_key_max_uses: 1 << 28,
        card_retention_days: 90,
        rate_limits: Switch::On,
        security_violation_513: false,
        pluto_errors: ErrorDialect::Standard,
        password_reminder_days: 90,
        login_challenge_secs: None,
        log: "off".to_owned(),
    }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("scanvault-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
