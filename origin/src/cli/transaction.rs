//! `scanvault transaction …`

use clap::{ArgGroup, Subcommand};
use serde_json::json;

use super::client::Client;
use super::output::{Failure, Output};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the transactions whose outcome nobody knows.
    Unsettled,
    /// List what MobilePay could not be told: captures, refunds, releases.
    Reports,
    /// Tell MobilePay again.
    Report {
        /// The transaction's number.
        id: u64,
    },
    /// Write down what the acquirer's report says of one of them.
    #[command(group(ArgGroup::new("outcome").required(true)))]
    Settle {
        /// The transaction's number; the acquirer knows it as sv-NUMBER.
        id: u64,
        /// What was asked was done: the money was taken, or given back.
        #[arg(long, group = "outcome")]
        booked: bool,
        /// It was not.
        #[arg(long, group = "outcome")]
        not_booked: bool,
        /// Only when this act (actNumber in the list) is still the one that is open.
        #[arg(long)]
        act: Option<u32>,
    },
}

pub(super) async fn run(command: Command, output: &Output, client: &Client) -> Result<(), Failure> {
    let answer = match command {
        Command::Unsettled => client.get("/transactions/unsettled").await?,
        Command::Reports => client.get("/transactions/reports").await?,
        Command::Report { id } => client.post(&format!("/transactions/{id}/report"), &json!({})).await?,
        Command::Settle { id, booked, not_booked: _, act } => {
            client.post(&format!("/transactions/{id}/settle"), &json!({"booked": booked, "act": act})).await?
        }
    };
    output.object(&answer);
    Ok(())
}
