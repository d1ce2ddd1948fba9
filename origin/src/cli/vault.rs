//! `scanvault vault …`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{AdminArgs, Client};
use super::output::{Failure, Output};
use super::{keys, reshare, shares, status};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make the vault: each custodian gets one share, encrypted to their key.
    Init {
        /// How many shares open it.
        #[arg(long)]
        threshold: u8,
        /// NAME=age1… or NAME=ssh-ed25519…; once for each custodian.
        #[arg(long = "custodian", required = true)]
        custodians: Vec<String>,
        /// Where NAME.share.age files are written.
        #[arg(long)]
        out: PathBuf,
    },
    /// Show whether it is sealed, who has proved their share, and how far a ceremony is.
    Status,
    /// Hand in one share; the last one needed opens the vault.
    Unseal {
        #[command(flatten)]
        share: ShareInput,
        /// Only if it is still this collection of shares (see the status).
        #[arg(long)]
        nonce: Option<String>,
        /// Forget the shares that were handed in so far.
        #[arg(long, conflicts_with_all = ["share_file", "nonce"])]
        reset: bool,
    },
    /// Show that you hold the share that was dealt to you; nothing is opened.
    Prove {
        #[command(flatten)]
        share: ShareInput,
    },
    /// Drop all keys. One person suffices.
    Seal,
    /// A custodian's own share, on the custodian's own machine.
    #[command(subcommand)]
    Share(ShareCommand),
    /// New custodians, a new threshold, a new unseal key.
    #[command(subcommand)]
    Reshare(reshare::Command),
    /// Show each key of the ring, and how many records need it.
    Keys,
    /// Make a new key; the one so far still opens what it sealed.
    Rotate {
        /// data, fingerprint, token, login, page, audit, rejection, backup or attempt.
        key: String,
    },
    /// End a retired key that nothing needs any more. Two operators have to say it.
    Destroy {
        /// Such as data/1.
        key: String,
    },
    /// Seal every record anew under the keys in use.
    Reencrypt {
        /// Records in a second, at most.
        #[arg(long)]
        rate: Option<u32>,
        /// Show the progress until it is done.
        #[arg(long)]
        wait: bool,
        /// Start nothing.
        #[arg(long, conflicts_with = "rate")]
        show: bool,
    },
}

/// Where a share comes from.
#[derive(clap::Args)]
pub(super) struct ShareInput {
    /// File with a share's text; `-` is standard input. Without it the share is asked for.
    #[arg(long)]
    share_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(super) enum ShareCommand {
    /// Decrypt a share with the custodian's identity and print its text.
    Show {
        /// age identity file, or an OpenSSH private key without passphrase.
        #[arg(long)]
        identity: PathBuf,
        /// The NAME.share.age file.
        share: PathBuf,
    },
    /// Write the NAME.share.age files again, as they were dealt.
    Fetch {
        /// Where they are written; none of them may exist.
        #[arg(long)]
        out: PathBuf,
        /// Those of the re-share under way.
        #[arg(long)]
        reshare: bool,
    },
    /// Make an age identity; the recipient to hand to the operator is printed.
    Keygen {
        /// Where the identity is written; must not exist.
        #[arg(long)]
        out: PathBuf,
    },
}

impl ShareInput {
    /// Whether a file was named.
    pub(super) const fn is_given(&self) -> bool {
        self.share_file.is_some()
    }

    /// The share's text.
    pub(super) fn read(&self) -> Result<zeroize::Zeroizing<String>, Failure> {
        shares::read(self.share_file.as_deref())
    }
}

pub(super) async fn run(command: Command, output: &Output, admin: &AdminArgs) -> Result<(), Failure> {
    // What a custodian does on a machine of their own needs no origin.
    let client = || Client::new(admin);
    match command {
        Command::Share(ShareCommand::Show { identity, share }) => shares::show(&identity, &share, output),
        Command::Share(ShareCommand::Keygen { out }) => shares::keygen(&out, output),
        Command::Share(ShareCommand::Fetch { out, reshare }) => fetch(&client()?, &out, reshare, output).await,
        Command::Init { threshold, custodians, out } => init(&client()?, threshold, &custodians, &out, output).await,
        Command::Reshare(command) => reshare::run(command, output, &client()?).await,
        Command::Status => show(output, client()?.get("/vault/status").await?),
        Command::Unseal { reset: true, .. } => show(output, client()?.post("/vault/unseal/reset", &json!({})).await?),
        Command::Unseal { share, nonce, .. } => {
            let (client, share) = (client()?, share.read()?);
            let body = json!({"share": share.trim(), "nonce": nonce});
            show(output, client.post("/vault/unseal", &body).await?)
        }
        Command::Prove { share } => {
            let (client, share) = (client()?, share.read()?);
            show(output, client.post("/vault/prove", &json!({"share": share.trim()})).await?)
        }
        Command::Seal => show(output, client()?.post("/vault/seal", &json!({})).await?),
        Command::Keys => keys::list(output, &client()?).await,
        Command::Rotate { key } => keys::rotate(&key, output, &client()?).await,
        Command::Destroy { key } => keys::destroy(&key, output, &client()?).await,
        Command::Reencrypt { rate, wait, show } => keys::reencrypt(rate, wait, show, output, &client()?).await,
    }
}

fn show(output: &Output, status: Value) -> Result<(), Failure> {
    if output.json {
        output.object(&status);
    } else {
        output.text(&status::text(&status));
    }
    Ok(())
}

async fn init(
    client: &Client,
    threshold: u8,
    custodians: &[String],
    out: &Path,
    output: &Output,
) -> Result<(), Failure> {
    let custodians = shares::parse_custodians(custodians)?;
    let names = custodians.iter().filter_map(|custodian| custodian.get("name")?.as_str());
    shares::prepare_folder(out, names)?;
    let mut answer = client.post("/vault/init", &json!({"threshold": threshold, "custodians": custodians})).await?;
    shares::write_all(&mut answer, out, output)?;
    if output.json {
        output.object(&answer);
    }
    Ok(())
}

/// The files that only the custodians can open, again: they are kept with the vault.
async fn fetch(client: &Client, out: &Path, reshare: bool, output: &Output) -> Result<(), Failure> {
    shares::prepare_folder(out, std::iter::empty())?;
    let mut answer = client.get(if reshare { "/vault/reshare/shares" } else { "/vault/shares" }).await?;
    shares::write_all(&mut answer, out, output)?;
    if output.json {
        output.object(&answer);
    }
    Ok(())
}
