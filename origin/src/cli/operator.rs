//! `scanvault operator …`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{AdminArgs, Client, certificates};
use super::output::{Failure, Output};
use crate::web::listener::Peer;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List who may use the admin listeners, and in which roles.
    List,
    /// Show who we are to the origin.
    Whoami,
    /// Print a certificate's identity for the file of operators. Needs no origin.
    Fingerprint {
        /// The client certificate, PEM; the first one in it.
        #[arg(long)]
        cert: PathBuf,
    },
}

pub(super) async fn run(command: Command, output: &Output, admin: &AdminArgs) -> Result<(), Failure> {
    match command {
        Command::List => list(&Client::new(admin)?.get("/operators").await?, output),
        Command::Whoami => output.object(&Client::new(admin)?.get("/operators/self").await?),
        Command::Fingerprint { cert } => {
            let identity = certificates(&cert)?.first().map(|own| Peer::of_certificate(own).to_string());
            if output.json {
                output.object(&json!({"identity": identity}));
            } else {
                output.text(&identity.unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// As the file has it, a line each; then what cannot be done with so few.
fn list(answer: &Value, output: &Output) {
    if output.json {
        return output.object(answer);
    }
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let rows = answer.get("operators").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let width = rows.iter().map(|row| text(row, "name").len()).max().unwrap_or(0);
    for row in rows {
        let roles = row.get("roles").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let roles: Vec<&str> = roles.iter().filter_map(Value::as_str).collect();
        output.text(&format!("{:width$}  {:16}  {}", text(row, "name"), roles.join(","), text(row, "identity")));
    }
    let is = |name: &str| answer.get(name).and_then(Value::as_bool).unwrap_or_default();
    if !is("fromFile") {
        output.text("The origin has no file of operators: its own user and root are one operator.");
    }
    if !is("twoCanAct") {
        output.text("Fewer than two have the role operator: nothing that needs two operators can be done.");
    }
}
