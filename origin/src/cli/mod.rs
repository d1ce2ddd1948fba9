//! The operators' and custodians' command line. Everything but `serve` talks to a running origin's admin listener, or
//! works on the custodian's own machine without one.
//!
//! Exit codes: 0 done, 1 refused, 2 usage, 3 unreachable. Shares and passwords are read from files, never from argv.

mod account;
mod audit;
mod client;
mod identity;
mod input;
mod keys;
mod login;
mod operator;
mod outbox;
mod output;
mod reconcile;
mod region;
mod reshare;
mod settings;
mod shares;
mod status;
mod transaction;
mod vault;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{Config, serve};
use crate::vault::memory;
use client::{AdminArgs, Client};
use output::{Failure, Output};

#[derive(Parser)]
#[command(name = "scanvault", version, about = "Scan-to-pay gateway: the origin and its operators' commands")]
struct Cli {
    #[command(flatten)]
    admin: AdminArgs,
    /// Print one JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the origin.
    Serve(Box<Config>),
    /// Ceremonies of the vault.
    #[command(subcommand)]
    Vault(vault::Command),
    /// The audit chain.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Accounts.
    #[command(subcommand)]
    Account(account::Command),
    /// The gateway's own key for logins.
    #[command(subcommand)]
    Identity(identity::Command),
    /// Log in with an RSA key, as a merchant does, and print the header of the session.
    Login(Box<login::Login>),
    /// Transactions that wait for an operator.
    #[command(subcommand)]
    Transaction(transaction::Command),
    /// Deliveries to merchants' receivers.
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// What has moved money, beside the acquirers' reports.
    #[command(subcommand)]
    Reconcile(reconcile::Command),
    /// Which region serves, where several share a database.
    #[command(subcommand)]
    Region(region::Command),
    /// Who may use the admin listeners.
    #[command(subcommand)]
    Operator(operator::Command),
    /// Print the metrics.
    Metrics,
    /// Print the health; refused (1) when not ready.
    Health,
    /// Print a QR code in the terminal.
    Qr {
        /// What it carries.
        text: String,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let protection = memory::protect();
    // One provider for every TLS client; rustls is built without a default of its own.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse(); // exits with 2 on wrong usage
    // A thread that goes to sleep leaves nothing of its last task on its stack.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().on_thread_park(memory::wipe_stack).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return output::report(&Failure::Refused(format!("no runtime: {error}"))),
    };
    let output = Output { json: cli.json };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(config) => {
                serve::serve(*config, protection).await.map_err(|error| Failure::Refused(error.to_string()))
            }
            Command::Vault(command) => vault::run(command, &output, &cli.admin).await,
            Command::Audit(command) => audit::run(command, &output, &cli.admin).await,
            Command::Account(command) => account::run(command, &output, &Client::new(&cli.admin)?).await,
            Command::Identity(command) => identity::run(&command, &output, &Client::new(&cli.admin)?).await,
            Command::Login(login) => login::run(&login, &output).await,
            Command::Transaction(command) => transaction::run(command, &output, &Client::new(&cli.admin)?).await,
            Command::Outbox(command) => outbox::run(command, &output, &Client::new(&cli.admin)?).await,
            Command::Reconcile(command) => reconcile::run(command, &output, &Client::new(&cli.admin)?).await,
            Command::Region(command) => region::run(&command, &output, &Client::new(&cli.admin)?).await,
            Command::Operator(command) => operator::run(command, &output, &cli.admin).await,
            Command::Metrics => {
                let text = Client::new(&cli.admin)?.get_text("/metrics").await?;
                output.text(&text);
                Ok(())
            }
            Command::Health => {
                let health = Client::new(&cli.admin)?.get("/health/ready").await?;
                output.object(&health);
                Ok(())
            }
            Command::Qr { text } => print_qr(&output, &text),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output::report(&failure),
    }
}

fn print_qr(output: &Output, text: &str) -> Result<(), Failure> {
    let matrix = scanvault_qr::Matrix::encode(text.as_bytes(), scanvault_qr::Ecc::Auto)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    output.text(&matrix.to_terminal());
    Ok(())
}
