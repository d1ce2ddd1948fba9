//! `scanvault account …`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::Client;
use super::output::{Failure, Output, warn};
use super::settings;
use crate::calendar::Utc;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make an account; its password is printed once.
    Create(Box<Create>),
    /// Replace the API password: the old one ends, the new one is printed.
    Rotate {
        /// The account, such as merchant-25.
        name: String,
        /// How long the old one lives on, in seconds; at most seven days.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=604_800))]
        overlap_secs: u32,
    },
    /// List an account's API passwords: age, last use, and whether one is due to be replaced.
    Keys {
        /// The account, such as merchant-25.
        name: String,
    },
    /// Change how an account proves who it is: bearer ends its password at once, basic needs a second operator.
    Switch {
        /// The account, such as merchant-25.
        name: String,
        /// What it uses from now on.
        mode: Mode,
    },
    /// Stop an account's credentials: its password fails and its sessions end.
    Suspend {
        /// The account, such as merchant-25.
        name: String,
    },
    /// Let a suspended account's credentials count again.
    Resume {
        /// The account, such as merchant-25.
        name: String,
    },
    /// List all accounts.
    List,
    /// Enrol the RSA key that an account logs in with; the login's password is printed once.
    Enrol {
        /// The account, such as merchant-25.
        name: String,
        /// Base64 of the public key's DER, @FILE with that, or - for standard input.
        #[arg(long, allow_hyphen_values = true)]
        public_key: String,
    },
    /// Register the account's webhook at MobilePay; its secret is kept by the origin.
    MobilepayWebhook {
        /// The account, such as merchant-25.
        name: String,
    },
    /// Show an account.
    Show {
        /// The account, such as merchant-25.
        name: String,
    },
    /// Set how an account is told of its payments, and how they are made.
    Set(Box<settings::Set>),
    /// Keep what a third party wants to see of an account, in the place of what is there.
    Credentials(settings::Credentials),
    /// Make a new key of the webhook format pluto; printed once. The one before counts no more: there is no overlap.
    WebhookKey {
        /// The account, such as merchant-25.
        name: String,
    },
    /// Make a new secret of the webhooks' signature; printed once. The one before counts no more.
    WebhookSecret {
        /// The account, such as merchant-25.
        name: String,
    },
    /// Send {"result":"TEST"} to an account's receiver, unencrypted, and say what it answered.
    WebhookTest {
        /// The account, such as merchant-25.
        name: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Mode {
    Bearer,
    Basic,
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
        Command::Rotate { name, overlap_secs } => {
            let path = format!("/accounts/{}/rotate", segment(&name)?);
            let answer = client.post(&path, &json!({"overlapSecs": overlap_secs})).await?;
            password(output, &answer);
            if let Some(pings) = answer.get("pings").and_then(Value::as_str) {
                output.note(&format!("pings: {pings}"));
            }
        }
        Command::Keys { name } => keys(output, &client.get(&format!("/accounts/{}/keys", segment(&name)?)).await?),
        Command::Switch { name, mode } => switch(&name, mode, output, client).await?,
        Command::Suspend { name } => {
            output.object(&client.post(&format!("/accounts/{}/suspend", segment(&name)?), &json!({})).await?);
        }
        Command::Resume { name } => {
            output.object(&client.post(&format!("/accounts/{}/resume", segment(&name)?), &json!({})).await?);
        }
        Command::List => list(output, &client.get("/accounts").await?),
        Command::Enrol { name, public_key } => {
            super::identity::enrol(&segment(&name)?, &public_key, output, client).await?;
        }
        Command::MobilepayWebhook { name } => {
            let path = format!("/accounts/{}/mobilepay-webhook", segment(&name)?);
            output.object(&client.post(&path, &json!({})).await?);
        }
        Command::Show { name } => show(client.get(&format!("/accounts/{}", segment(&name)?)).await?, output),
        Command::Set(set) => settings::set(&set, output, client).await?,
        Command::Credentials(given) => settings::credentials(&given, output, client).await?,
        Command::WebhookKey { name } => {
            settings::renew(&name, ("webhook-key", "notificationKey"), output, client).await?;
        }
        Command::WebhookSecret { name } => {
            settings::renew(&name, ("webhook-secret", "webhookSecret"), output, client).await?;
        }
        Command::WebhookTest { name } => settings::test(&name, output, client).await?,
    }
    Ok(())
}

async fn switch(name: &str, mode: Mode, output: &Output, client: &Client) -> Result<(), Failure> {
    let name = segment(name)?;
    let mode = match mode {
        Mode::Bearer => "bearer",
        Mode::Basic => "basic",
    };
    let answer = client.post(&format!("/accounts/{name}/switch"), &json!({"mode": mode})).await?;
    if answer.get("proved").and_then(Value::as_bool) == Some(false) {
        warn("nobody has logged in with the enrolled key yet: whether the merchant can, the first login will show");
    }
    if answer.get("pending").is_some() && !output.json {
        output.text(&format!("{name} stays as it is until a second operator gives the same command within an hour"));
        return Ok(());
    }
    password(output, &answer);
    Ok(())
}

/// A password alone on its line, so that a script can take it.
fn password(output: &Output, answer: &Value) {
    match answer.get("password").and_then(Value::as_str) {
        Some(password) if !output.json => output.text(password),
        _ => output.object(answer),
    }
}

fn keys(output: &Output, answer: &Value) {
    if output.json {
        return output.object(answer);
    }
    output
        .text(&format!("{:>6} {:<6} {:>8} {:<24} {:<24} {}", "number", "state", "age days", "made", "last used", "by"));
    for key in rows(answer, "keys") {
        let number = |name: &str| key.get(name).map(Value::to_string).unwrap_or_default();
        let is = |name: &str| key.get(name).and_then(Value::as_bool).unwrap_or(false);
        let state = if is("due") {
            "due"
        } else if is("live") {
            "live"
        } else {
            "ended"
        };
        let by = key.get("createdBy").and_then(Value::as_str).unwrap_or_default();
        let (made, used) = (time(key, "createdAtMs"), time(key, "lastUsedAtMs"));
        output.text(&format!("{:>6} {state:<6} {:>8} {made:<24} {used:<24} {by}", number("number"), number("ageDays")));
    }
}

fn list(output: &Output, answer: &Value) {
    if output.json {
        return output.object(answer);
    }
    output.text(&format!("{:<24} {:<9} {:<7} {:<10} {:>12}", "account", "role", "mode", "state", "password age"));
    for account in rows(answer, "accounts") {
        let text = |name: &str| account.get(name).and_then(Value::as_str).unwrap_or_default();
        let is = |name: &str| account.get(name).and_then(Value::as_bool).unwrap_or(false);
        let state = if is("active") { "active" } else { "suspended" };
        let age = account.get("passwordAgeDays").and_then(Value::as_i64);
        let age = age.map_or_else(String::new, |days| format!("{days} d{}", if is("due") { ", due" } else { "" }));
        output.text(&format!("{:<24} {:<9} {:<7} {state:<10} {age:>12}", text("account"), text("role"), text("mode")));
    }
    if answer.get("truncated").and_then(Value::as_bool) == Some(true) {
        warn("there are more accounts than are listed");
    }
}

fn rows<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn time(row: &Value, name: &str) -> String {
    let at_ms = row.get(name).and_then(Value::as_i64).and_then(|at_ms| u64::try_from(at_ms).ok());
    at_ms.map_or_else(|| "-".to_owned(), |at_ms| Utc::from_unix_ms(at_ms).to_string())
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
pub(super) fn segment(name: &str) -> Result<String, Failure> {
    let name = name.parse::<scanvault_protocol::AccountName>();
    name.map(|name| name.to_string()).map_err(|error| Failure::Usage(error.to_string()))
}
