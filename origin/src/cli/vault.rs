//! `scanvault vault …`

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{AdminArgs, Client};
use super::output::{Failure, Output};
use crate::vault::custodian;

/// A share is 90 characters; an age file around it is under 2 KiB.
const MAX_SHARE_FILE_BYTES: u64 = 64 * 1024;

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
    /// Show whether it is sealed, and how far an unsealing is.
    Status,
    /// Hand in one share.
    Unseal {
        /// File with a share's text; `-` is standard input.
        #[arg(long)]
        share_file: PathBuf,
    },
    /// Drop all keys. One person suffices.
    Seal,
    /// A custodian's own share, on the custodian's own machine.
    #[command(subcommand)]
    Share(ShareCommand),
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
    /// Write the NAME.share.age files again, as they were made at init.
    Fetch {
        /// Where they are written; none of them may exist.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make an age identity; the recipient to hand to the operator is printed.
    Keygen {
        /// Where the identity is written; must not exist.
        #[arg(long)]
        out: PathBuf,
    },
}

pub(super) async fn run(command: Command, output: &Output, admin: &AdminArgs) -> Result<(), Failure> {
    match command {
        Command::Share(ShareCommand::Show { identity, share }) => show_share(&identity, &share, output),
        Command::Share(ShareCommand::Keygen { out }) => keygen(&out, output),
        Command::Share(ShareCommand::Fetch { out }) => fetch(&Client::new(admin)?, &out, output).await,
        Command::Init { threshold, custodians, out } => {
            init(&Client::new(admin)?, threshold, &custodians, &out, output).await
        }
        Command::Status => {
            output.object(&Client::new(admin)?.get("/vault/status").await?);
            Ok(())
        }
        Command::Unseal { share_file } => {
            let share = read_share(&share_file)?;
            let answer = Client::new(admin)?.post("/vault/unseal", &json!({"share": share.trim()})).await?;
            output.object(&answer);
            Ok(())
        }
        Command::Seal => {
            output.object(&Client::new(admin)?.post("/vault/seal", &json!({})).await?);
            Ok(())
        }
    }
}

async fn init(
    client: &Client,
    threshold: u8,
    custodians: &[String],
    out: &Path,
    output: &Output,
) -> Result<(), Failure> {
    let custodians: Vec<Value> = custodians
        .iter()
        .map(|text| {
            let (name, recipient) =
                text.split_once('=').ok_or_else(|| Failure::Usage("a custodian is given as NAME=RECIPIENT".into()))?;
            Ok(json!({"name": name, "recipient": recipient}))
        })
        .collect::<Result<_, Failure>>()?;
    // Before anything is dealt: shares that cannot be written down would be lost.
    fs::create_dir_all(out).map_err(|error| Failure::Usage(format!("{}: {error}", out.display())))?;
    for name in custodians.iter().filter_map(|custodian| custodian.get("name")?.as_str()) {
        let file = share_file(out, name);
        if file.exists() {
            return Err(Failure::Usage(format!("{} is there already", file.display())));
        }
    }
    let mut answer = client.post("/vault/init", &json!({"threshold": threshold, "custodians": custodians})).await?;
    write_shares(&mut answer, out, output)?;
    if output.json {
        output.object(&answer);
    }
    Ok(())
}

/// The files that only the custodians can open, again: they are kept with the vault.
async fn fetch(client: &Client, out: &Path, output: &Output) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(|error| Failure::Usage(format!("{}: {error}", out.display())))?;
    let mut answer = client.get("/vault/shares").await?;
    write_shares(&mut answer, out, output)?;
    if output.json {
        output.object(&answer);
    }
    Ok(())
}

fn share_file(out: &Path, custodian: &str) -> PathBuf {
    out.join(format!("{custodian}.share.age"))
}

/// Writes each share's file and puts its path in the place of its text.
fn write_shares(answer: &mut Value, out: &Path, output: &Output) -> Result<(), Failure> {
    let shares = answer.get_mut("shares").and_then(Value::as_array_mut);
    for share in shares.ok_or_else(|| Failure::Refused("the answer holds no shares".into()))? {
        let text = |name: &str| share.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let file = share_file(out, &text("custodian"));
        write_new(&file, text("armored").as_bytes())?;
        if !output.json {
            output.text(&format!(
                "share {} for {} (key {}): {}",
                share.get("index").cloned().unwrap_or_default(),
                text("custodian"),
                text("fingerprint"),
                file.display()
            ));
        }
        if let Some(fields) = share.as_object_mut() {
            fields.remove("armored");
            fields.insert("file".into(), json!(file.display().to_string()));
        }
    }
    Ok(())
}

fn show_share(identity: &Path, share: &Path, output: &Output) -> Result<(), Failure> {
    let identity = Zeroizing::new(
        fs::read_to_string(identity).map_err(|error| Failure::Usage(format!("{}: {error}", identity.display())))?,
    );
    let encrypted = fs::read(share).map_err(|error| Failure::Usage(format!("{}: {error}", share.display())))?;
    let text = custodian::decrypt(&identity, &encrypted).map_err(|error| Failure::Refused(error.to_string()))?;
    if output.json {
        output.object(&json!({"share": text.trim()}));
    } else {
        output.text(text.trim());
    }
    Ok(())
}

fn keygen(out: &Path, output: &Output) -> Result<(), Failure> {
    let (identity, recipient) = custodian::generate_identity();
    write_new(out, identity.as_bytes())?;
    if output.json {
        output.object(&json!({"recipient": recipient.to_string()}));
    } else {
        output.text(&recipient.to_string());
    }
    Ok(())
}

fn read_share(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().take(MAX_SHARE_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = fs::File::open(path).map_err(failed)?;
        file.take(MAX_SHARE_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}

/// Readable by its owner only; never over a file that is there.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}
