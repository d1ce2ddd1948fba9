//! `sandbox`: the simulators as one binary. JSON log lines on standard output.

mod parties;

use std::{
    convert::Infallible,
    error::Error,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::Router;
use clap::{Parser, Subcommand, ValueEnum};
use scanvault_sandbox::{
    clearhaus::{self, Gateway, Options, UnknownId, credentials},
    common::{admin, book::Book, clock::Clock, faults::Faults, ids::Ids, secret::SecretText, serve},
    dev_ca,
    receiver::{self, Receiver},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use self::parties::{Folders, Parties};

#[derive(Parser)]
#[command(name = "sandbox", version, about = "Simulators of the acquirers, for development and tests")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The Clearhaus gateway, and the other parties each at its own address: the party's paths, its book at /_book,
    /// ordered faults at /_faults
    Serve(Box<Serve>),
    /// A merchant's webhook receiver: POST /webhook, GET /_log, POST /_fail
    Receiver(Receive),
    /// Makes a development CA and a server certificate for localhost (ca.pem, ca.key, server.pem, server.key)
    DevCa(DevCa),
    /// Makes api-key.txt, signing-key-id.txt, signing-key.pem, or keeps them when they are there
    ClearhausCredentials {
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(clap::Args)]
struct Listen {
    /// Address to listen on; port 0 takes a free one and prints it
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Allow an address that is not loopback
    #[arg(long)]
    public: bool,
}

#[derive(clap::Args)]
struct Serve {
    #[command(flatten)]
    listen: Listen,
    /// Keeps the book over restarts
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Directory of clearhaus-credentials; without it the state directory's are used or made
    #[arg(long, required_unless_present = "state_dir")]
    credentials: Option<PathBuf>,
    /// Card security codes may be left out
    #[arg(long)]
    trusted_partner: bool,
    /// HTTP status for an unknown transaction id (Clearhaus does not document it)
    #[arg(long, value_enum, default_value = "404")]
    unknown_id: Unknown,
    #[command(flatten)]
    parties: Parties,
}

#[derive(Clone, Copy, ValueEnum)]
enum Unknown {
    #[value(name = "404")]
    NotFound,
    #[value(name = "400")]
    BadRequest,
}

#[derive(clap::Args)]
struct Receive {
    #[command(flatten)]
    listen: Listen,
    /// File with the webhook secret's text
    #[arg(long)]
    secret_file: PathBuf,
    /// A JSON line is appended per delivery
    #[arg(long)]
    log: PathBuf,
}

#[derive(clap::Args)]
struct DevCa {
    #[arg(long)]
    dir: PathBuf,
    /// DNS names or addresses beside localhost, 127.0.0.1 and ::1
    #[arg(long = "name")]
    names: Vec<String>,
    /// Also a client certificate, NAME.pem and NAME.key; once for each
    #[arg(long = "client", value_name = "NAME")]
    clients: Vec<String>,
}

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("SCANVAULT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
    let outcome = match cli.command {
        Command::Serve(args) => serve_parties(*args).await,
        Command::Receiver(args) => serve_receiver(args).await,
        Command::DevCa(args) => make_ca(&args),
        Command::ClearhausCredentials { dir } => make_credentials(&dir),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "failed");
            ExitCode::FAILURE
        }
    }
}

async fn serve_parties(args: Serve) -> Outcome {
    let book = match &args.state_dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            Book::open(&dir.join("book.jsonl"))?
        }
        None => Book::default(),
    };
    let access = match (&args.credentials, &args.state_dir) {
        (Some(dir), _) => credentials::load(dir)?,
        (None, Some(dir)) => {
            credentials::ensure(dir)?;
            credentials::load(dir)?
        }
        (None, None) => return Err("--credentials or --state-dir is needed".into()),
    };
    let unknown_id = match args.unknown_id {
        Unknown::NotFound => UnknownId::NotFound,
        Unknown::BadRequest => UnknownId::BadRequest,
    };
    let options = Options { trusted_partner: args.trusted_partner, unknown_id };
    let (book, faults) = (Arc::new(book), Arc::new(Faults::default()));
    let gateway = Gateway::new(access, options, Clock::System, Ids::from_system(), book.clone(), faults.clone());
    let router = clearhaus::router(Arc::new(gateway)).merge(admin::router(book, faults));
    let (listener, address) = bind(&args.listen).await?;
    let mut listening = vec![("clearhaus", address)];
    if let Some(credentials) = args.credentials.as_deref().or(args.state_dir.as_deref()) {
        let folders = Folders { credentials, state: args.state_dir.as_deref(), public: args.listen.public };
        listening.extend(args.parties.start(&folders).await?);
    }
    // Told when all of them are there: scripts wait for the first line.
    for (party, listen) in listening {
        tracing::info!(party, %listen, "listening");
    }
    until_signal(listener, router).await
}

async fn serve_receiver(args: Receive) -> Outcome {
    let secret = SecretText::read(&args.secret_file)?;
    let receiver = Receiver::open(secret, Clock::System, &args.log)?;
    listen(&args.listen, receiver::router(Arc::new(receiver))).await
}

fn make_ca(args: &DevCa) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    dev_ca::create(&args.dir, &args.names, &args.clients, now)?;
    tracing::info!(dir = %args.dir.display(), "development CA made");
    Ok(())
}

fn make_credentials(dir: &Path) -> Outcome {
    let new = credentials::ensure(dir)?;
    tracing::info!(dir = %dir.display(), new, "credentials are there");
    Ok(())
}

async fn bind(args: &Listen) -> io::Result<(TcpListener, SocketAddr)> {
    let address = serve::check_address(args.listen, args.public)?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn listen(args: &Listen, router: Router) -> Outcome {
    let (listener, address) = bind(args).await?;
    tracing::info!(listen = %address, "listening");
    until_signal(listener, router).await
}

/// Nothing here needs a farewell: the book is on disk with every entry.
async fn until_signal(listener: TcpListener, router: Router) -> Outcome {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        never = serve::serve(listener, router) => never_ends(never),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

const fn never_ends(never: Infallible) {
    match never {}
}
