//! `scanvault account …`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::Client;
use super::output::{Failure, Output};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make an account; its password is printed once.
    Create(Box<Create>),
    /// Replace the password: the old one ends, the new one is printed.
    Rotate {
        /// The account, such as merchant-25.
        name: String,
    },
    /// Enrol the RSA key that an account logs in with; the login's password is printed once.
    Enrol {
        /// The account, such as merchant-25.
        name: String,
        /// Base64 of the public key's DER, @FILE with that, or - for standard input.
        #[arg(long, allow_hyphen_values = true)]
        public_key: String,
    },
    /// Show an account.
    Show {
        /// The account, such as merchant-25.
        name: String,
    },
}

#[derive(Args)]
pub(super) struct Create {
    /// merchant-N, psp-N, or a name of its own.
    name: String,
    /// For a name of its own: STK, INTERNAL or WALLET.
    #[arg(long)]
    role: Option<String>,
    /// What shoppers read.
    #[arg(long)]
    display_name: Option<String>,
    /// ISO 4217 letters; fixed for the account's life.
    #[arg(long, default_value = "ZAR")]
    currency: String,
    /// The PSP that may act for this merchant.
    #[arg(long)]
    psp: Option<String>,
    /// Where webhooks go: https on port 443.
    #[arg(long)]
    webhook_url: Option<String>,
    /// File with the merchant's API key at Clearhaus.
    #[arg(long, requires = "clearhaus_signing_key_id", requires = "clearhaus_signing_key_file")]
    clearhaus_api_key_file: Option<PathBuf>,
    /// Id of the signing key at Clearhaus.
    #[arg(long, requires = "clearhaus_api_key_file")]
    clearhaus_signing_key_id: Option<String>,
    /// File with the signing key, PKCS#8 PEM.
    #[arg(long, requires = "clearhaus_api_key_file")]
    clearhaus_signing_key_file: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Clearhaus<'a> {
    api_key: &'a str,
    signing_key_id: &'a str,
    signing_key_pem: &'a str,
}

pub(super) async fn run(command: Command, output: &Output, client: &Client) -> Result<(), Failure> {
    match command {
        Command::Create(create) => {
            let answer = client.post("/accounts", &body(&create)?).await?;
            output.object(&answer);
        }
        Command::Rotate { name } => {
            let answer = client.post(&format!("/accounts/{}/rotate", segment(&name)?), &json!({})).await?;
            match answer.get("password").and_then(Value::as_str) {
                Some(password) if !output.json => output.text(password),
                _ => output.object(&answer),
            }
        }
        Command::Enrol { name, public_key } => {
            super::identity::enrol(&segment(&name)?, &public_key, output, client).await?;
        }
        Command::Show { name } => show(client.get(&format!("/accounts/{}", segment(&name)?)).await?, output),
    }
    Ok(())
}

/// For people, the enrolment's fields stand in a line each, like the others.
fn show(mut account: Value, output: &Output) {
    if !output.json
        && let Some(fields) = account.as_object_mut()
        && let Some(Value::Object(enrolment)) = fields.remove("enrolment")
    {
        fields.extend(enrolment.into_iter().map(|(name, value)| (format!("enrolment.{name}"), value)));
    }
    output.object(&account);
}

fn body(create: &Create) -> Result<Value, Failure> {
    let clearhaus =
        match (&create.clearhaus_api_key_file, &create.clearhaus_signing_key_id, &create.clearhaus_signing_key_file) {
            (Some(api_key), Some(id), Some(key)) => {
                let (api_key, key) = (read(api_key)?, read(key)?);
                json!(Clearhaus { api_key: api_key.trim(), signing_key_id: id, signing_key_pem: &key })
            }
            _ => Value::Null,
        };
    Ok(json!({
        "name": create.name,
        "role": create.role,
        "displayName": create.display_name,
        "currency": create.currency,
        "psp": create.psp,
        "webhookUrl": create.webhook_url,
        "clearhaus": clearhaus,
    }))
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = std::fs::read_to_string(path);
    text.map(Zeroizing::new).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

/// A name goes into a path: what is no name of an account must not become another path.
fn segment(name: &str) -> Result<String, Failure> {
    let name = name.parse::<scanvault_protocol::AccountName>();
    name.map(|name| name.to_string()).map_err(|error| Failure::Usage(error.to_string()))
}
