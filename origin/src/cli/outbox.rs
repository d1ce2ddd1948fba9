//! `scanvault outbox …`

use clap::{ArgGroup, Subcommand};
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Failure, Output};
use crate::calendar::Utc;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List deliveries, the newest first, without what they say.
    List {
        /// Only of this account.
        #[arg(long)]
        account: Option<String>,
        /// Only these: pending, delivered, parked or withdrawn.
        #[arg(long)]
        state: Option<String>,
        /// At most so many, up to 1000.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show one delivery and what it says; written down in the audit.
    Show {
        /// The delivery's id.
        id: String,
    },
    /// Send again: one delivery, or what was given up.
    #[command(group(ArgGroup::new("which").required(true)))]
    Replay {
        /// The delivery's id; it is sent again though it was delivered.
        #[arg(group = "which")]
        id: Option<String>,
        /// Whatever is parked of this account.
        #[arg(long, group = "which")]
        account: Option<String>,
        /// Whatever is parked.
        #[arg(long, group = "which")]
        parked: bool,
    },
}

pub(super) async fn run(command: Command, output: &Output, client: &Client) -> Result<(), Failure> {
    match command {
        Command::List { account, state, limit } => {
            let asked = json!({"account": account, "state": state, "limit": limit});
            list(output, &client.post("/outbox/list", &asked).await?);
        }
        Command::Show { id } => output.object(&client.get(&format!("/outbox/{}", segment(&id)?)).await?),
        Command::Replay { id, account, parked } => {
            let asked = json!({"id": id, "account": account, "parked": parked});
            output.object(&client.post("/outbox/replay", &asked).await?);
        }
    }
    Ok(())
}

fn list(output: &Output, answer: &Value) {
    if output.json {
        return output.object(answer);
    }
    output.text(&format!(
        "{:<28} {:<20} {:<10} {:>8} {:<24} {}",
        "delivery", "account", "state", "attempts", "made", "last error"
    ));
    let rows = answer.get("deliveries").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for row in rows {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or_default();
        let made = Utc::from_unix_ms(number("createdAtMs")).to_string();
        let (id, account, state) = (text("delivery"), text("account"), text("state"));
        let (attempts, error) = (number("attempts"), text("lastError"));
        output.text(&format!("{id:<28} {account:<20} {state:<10} {attempts:>8} {made:<24} {error}"));
    }
}

/// An id goes into a path: what is none must not become another path.
fn segment(id: &str) -> Result<&str, Failure> {
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_id { Ok(id) } else { Err(Failure::Usage("this is not the id of a delivery".to_owned())) }
}
