//! The parties beside Clearhaus: each has its own address, its own credentials and its own book.

use std::{
    error::Error,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use scanvault_sandbox::{
    common::{
        admin::{self, Shown},
        book::Book,
        clock::Clock,
        faults::Faults,
        files::write_private,
        ids::Ids,
        out::Caller,
        secret::SecretText,
        serve,
    },
    mobilepay, nets, threedsecure,
};
use tokio::net::TcpListener;

/// How often payments whose time is over are ended.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Parties {
    /// Also 3dsecure.io with its bank's pages; the API key is in threedsecure/api-key.txt
    #[arg(long, value_name = "ADDRESS")]
    threedsecure: Option<SocketAddr>,
    /// Where browsers reach it; without it, the host that is called, by http
    #[arg(long, value_name = "URL")]
    threedsecure_url: Option<String>,
    /// Require what Visa and Mastercard require beyond the protocol
    #[arg(long)]
    scheme_rules: bool,
    /// Also MobilePay (ePayment, card passthrough, webhooks); credentials are in mobilepay/
    #[arg(long, value_name = "ADDRESS")]
    mobilepay: Option<SocketAddr>,
    /// Where browsers reach it; without it, the host that is called, by http
    #[arg(long, value_name = "URL")]
    mobilepay_url: Option<String>,
    /// PEM file of a CA to trust for card callbacks and webhooks, beside the well-known ones
    #[arg(long, value_name = "FILE")]
    mobilepay_ca: Option<PathBuf>,
    /// Card callbacks in their older shape
    #[arg(long)]
    flat_callbacks: bool,
    /// Without the limits of 5 writes and 120 reads a minute per payment
    #[arg(long)]
    no_rate_limits: bool,
    /// Also Nets (PSIP); its book and faults are at --nets-admin
    #[arg(long, value_name = "ADDRESS", requires = "nets_admin")]
    nets: Option<SocketAddr>,
    /// Address of /_book and /_faults of Nets, which has no HTTP of its own
    #[arg(long, value_name = "ADDRESS")]
    nets_admin: Option<SocketAddr>,
    /// Directory with server.pem and server.key (see dev-ca); without it Nets listens without TLS
    #[arg(long, value_name = "DIR")]
    nets_tls: Option<PathBuf>,
}

/// Where a party's files are: credentials, and the book when there is a state directory.
pub(crate) struct Folders<'a> {
    pub(crate) credentials: &'a Path,
    pub(crate) state: Option<&'a Path>,
    /// Whether addresses other than loopback are allowed.
    pub(crate) public: bool,
}

/// A party's name and where it listens.
pub(crate) type Listening = (&'static str, SocketAddr);
type Started = Result<Listening, Box<dyn Error>>;

impl Parties {
    /// Starts those that were asked for, in tasks that end with the process.
    pub(crate) async fn start(&self, folders: &Folders<'_>) -> Result<Vec<Listening>, Box<dyn Error>> {
        let mut started = Vec::new();
        if let Some(address) = self.threedsecure {
            started.push(self.start_threedsecure(address, folders).await?);
        }
        if let Some(address) = self.mobilepay {
            started.push(self.start_mobilepay(address, folders).await?);
        }
        if let (Some(address), Some(admin)) = (self.nets, self.nets_admin) {
            started.extend(self.start_nets(address, admin, folders).await?);
        }
        Ok(started)
    }

    async fn start_threedsecure(&self, address: SocketAddr, folders: &Folders<'_>) -> Started {
        let key = api_key(&folders.credentials.join("threedsecure"))?;
        let (book, faults) = folders.book("threedsecure")?;
        let options =
            threedsecure::Options { public_url: self.threedsecure_url.clone(), scheme_rules: self.scheme_rules };
        let (clock, ids) = (Clock::System, Ids::from_system());
        let server = threedsecure::Server::new(key, options, clock, ids, book.clone(), faults.clone());
        let router = threedsecure::router(Arc::new(server)).merge(admin::router(book, faults));
        listen("3dsecure", address, folders.public, router).await
    }

    async fn start_mobilepay(&self, address: SocketAddr, folders: &Folders<'_>) -> Started {
        let dir = folders.credentials.join("mobilepay");
        mobilepay::credentials::ensure(&dir)?;
        let access = mobilepay::credentials::load(&dir)?;
        let (book, faults) = folders.book("mobilepay")?;
        let options = mobilepay::Options {
            public_url: self.mobilepay_url.clone(),
            rate_limits: !self.no_rate_limits,
            flat_callbacks: self.flat_callbacks,
            registrations: folders.state.map(|state| state.join("mobilepay/webhooks.json")),
            ..mobilepay::Options::default()
        };
        let caller = Caller::new(self.mobilepay_ca.as_deref())?;
        let (clock, ids) = (Clock::System, Ids::from_system());
        let service = mobilepay::Service::new(access, options, clock, ids, book.clone(), faults.clone(), caller);
        let service = Arc::new(service?);
        let swept = service.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                swept.sweep();
            }
        });
        let router = mobilepay::router(service).merge(admin::router(book, faults));
        listen("mobilepay", address, folders.public, router).await
    }

    async fn start_nets(
        &self,
        address: SocketAddr,
        admin: SocketAddr,
        folders: &Folders<'_>,
    ) -> Result<[Listening; 2], Box<dyn Error>> {
        let tls = self.nets_tls.as_deref().map(nets::Tls::load).transpose()?;
        let (book, faults) = folders.book("nets")?;
        let bank = nets::Bank::new(Clock::System, Ids::from_system(), book.clone(), faults.clone());
        let listener = bind(address, folders.public).await?;
        let nets = ("nets", listener.local_addr()?);
        tokio::spawn(nets::serve(listener, tls, Arc::new(bank)));
        Ok([nets, listen("nets-admin", admin, folders.public, admin::router(book, faults)).await?])
    }
}

impl Folders<'_> {
    /// The party's book, kept over restarts when there is a state directory, and its faults.
    fn book<E: Shown>(&self, party: &str) -> io::Result<(Arc<Book<E>>, Arc<Faults>)> {
        let book = match self.state.map(|state| state.join(party)) {
            Some(dir) => {
                fs::create_dir_all(&dir)?;
                Book::open(&dir.join("book.jsonl"))?
            }
            None => Book::default(),
        };
        Ok((Arc::new(book), Arc::default()))
    }
}

/// Made once.
fn api_key(dir: &Path) -> io::Result<SecretText> {
    let path = dir.join("api-key.txt");
    if !path.exists() {
        fs::create_dir_all(dir)?;
        let key = SecretText::new(format!("{}\n", Ids::from_system().uuid()));
        write_private(&path, key.expose().as_bytes())?;
    }
    SecretText::read(&path)
}

async fn bind(address: SocketAddr, public: bool) -> io::Result<TcpListener> {
    let address = serve::check_address(address, public)?;
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

async fn listen(party: &'static str, address: SocketAddr, public: bool, router: Router) -> Started {
    let listener = bind(address, public).await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve::serve(listener, router));
    Ok((party, address))
}
