//! `scanvault vault reshare …`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Failure, Output};
use super::shares;
use super::vault::ShareInput;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Say who the custodians will be. Nothing changes yet; the nonce that is printed names this re-share.
    Start {
        /// How many shares will open the vault.
        #[arg(long)]
        threshold: u8,
        /// NAME=age1… or NAME=ssh-ed25519…; once for each custodian.
        #[arg(long = "custodian", required = true)]
        custodians: Vec<String>,
        /// Shares got into wrong hands: replace the root key and the ring too, and re-encrypt. The vault is sealed at the
        /// end and opened with the new shares.
        #[arg(long)]
        compromised: bool,
    },
    /// Agree to it with a share of the present set. With enough of them the new shares are dealt.
    Submit {
        /// As the start and the status print it.
        #[arg(long)]
        nonce: String,
        #[command(flatten)]
        share: ShareInput,
        /// Where NAME.share.age files are written once the new shares are dealt; or `vault share fetch --reshare` later.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Show that you hold your new share. The last proof puts the new set into effect.
    Prove {
        /// As the start and the status print it.
        #[arg(long)]
        nonce: String,
        #[command(flatten)]
        share: ShareInput,
    },
    /// End it without effect. Once the new shares are dealt this takes a threshold of the present ones.
    Cancel {
        /// As the start and the status print it.
        #[arg(long)]
        nonce: String,
        /// With a share of the present set.
        #[arg(long)]
        authorise: bool,
        #[command(flatten)]
        share: ShareInput,
    },
    /// Show how far it is.
    Status,
}

pub(super) async fn run(command: Command, output: &Output, client: &Client) -> Result<(), Failure> {
    match command {
        Command::Start { threshold, custodians, compromised } => {
            let custodians = shares::parse_custodians(&custodians)?;
            let body = json!({"threshold": threshold, "custodians": custodians, "compromised": compromised});
            show(output, &client.post("/vault/reshare/start", &body).await?)
        }
        Command::Submit { nonce, share, out } => {
            let share = share.read()?;
            let body = json!({"nonce": nonce, "share": share.trim()});
            let mut answer = client.post("/vault/reshare/submit", &body).await?;
            if answer.get("shares").is_some()
                && let Some(out) = out
            {
                shares::prepare_folder(&out, std::iter::empty())?;
                shares::write_all(&mut answer, &out, output)?;
            }
            if let Some(fields) = answer.as_object_mut().filter(|_| !output.json) {
                fields.remove("shares");
            }
            show(output, &answer)
        }
        Command::Prove { nonce, share } => {
            let share = share.read()?;
            let body = json!({"nonce": nonce, "share": share.trim()});
            show(output, &client.post("/vault/reshare/prove", &body).await?)
        }
        Command::Cancel { nonce, authorise, share } => {
            let share = if authorise || share.is_given() { Some(share.read()?) } else { None };
            let body = json!({"nonce": nonce, "share": share.as_ref().map(|share| share.trim())});
            show(output, &client.post("/vault/reshare/cancel", &body).await?)
        }
        Command::Status => show(output, &client.get("/vault/reshare").await?),
    }
}

fn show(output: &Output, answer: &Value) -> Result<(), Failure> {
    match answer.get("reshare") {
        Some(Value::Null) if !output.json => output.text("no re-share is under way"),
        Some(reshare) if !output.json => output.object(reshare),
        _ => output.object(answer),
    }
    Ok(())
}
