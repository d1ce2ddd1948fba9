//! `scanvault account set|credentials|webhook-…`: how an account is told of its payments, and how they are made.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::client::Client;
use super::input;
use super::output::{Failure, Output};

const MAX_KEY_BYTES: u64 = 256;
const MAX_CREDENTIALS_BYTES: u64 = 64 * 1024;

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Json,
    Pluto,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnOff {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum ThreeDSecure {
    Off,
    On,
    Required,
}

#[derive(Args)]
pub(super) struct Set {
    /// The account, such as merchant-25.
    name: String,
    /// Where webhooks go: https on port 443; none: nowhere, and what waits is parked.
    #[arg(long, value_name = "URL|none")]
    webhook_url: Option<String>,
    /// json, or pluto: encrypted as Scan to Pay's; its key is printed once.
    #[arg(long)]
    webhook_format: Option<Format>,
    /// on: a payment is captured when the receiver has answered 200 within 45 seconds, and undone when it has not.
    #[arg(long)]
    strict: Option<OnOff>,
    /// Where Scanpay's pings go: https on port 443 (port 80, which Scanpay takes, is refused); none: nowhere.
    #[arg(long, value_name = "URL|none")]
    ping_url: Option<String>,
    /// File with the account's whole API key, NUMBER:PASSWORD, that pings are proved with; - for standard input.
    #[arg(long, value_name = "FILE|-", allow_hyphen_values = true)]
    api_key: Option<PathBuf>,
    /// on: where the card takes part; required: a card that does not is declined.
    #[arg(long = "3d-secure")]
    three_d_secure: Option<ThreeDSecure>,
    /// What payers read on their statements: 2 to 22 characters; none: the acquirer's own text.
    #[arg(long, value_name = "TEXT|none")]
    text_on_statement: Option<String>,
    /// Which acquirers are asked for a currency, in order; * for any other, none for no route. May be repeated.
    #[arg(long = "route", value_name = "CURRENCY=ACQUIRER,…", value_parser = route)]
    routes: Vec<(String, Vec<String>)>,
}

#[derive(Args)]
pub(super) struct Credentials {
    /// The account, such as merchant-25.
    name: String,
    /// The party: clearhaus, nets, mobilepay or 3dsecure.
    party: String,
    /// File with the party's JSON; - for standard input.
    #[arg(allow_hyphen_values = true)]
    file: PathBuf,
}

pub(super) async fn set(set: &Set, output: &Output, client: &Client) -> Result<(), Failure> {
    let path = format!("/accounts/{}/set", super::account::segment(&set.name)?);
    output.object(&client.post(&path, &body(set)?).await?);
    Ok(())
}

pub(super) async fn credentials(given: &Credentials, output: &Output, client: &Client) -> Result<(), Failure> {
    let path = format!("/accounts/{}/credentials", super::account::segment(&given.name)?);
    let text = input::read(&given.file, MAX_CREDENTIALS_BYTES)?;
    // Not into a tree of values: what is secret goes through as the text that it is.
    let raw: &serde_json::value::RawValue = serde_json::from_str(text.trim())
        .map_err(|_| Failure::Usage(format!("{}: JSON is expected", given.file.display())))?;
    let body = GivenCredentials { party: &given.party, credentials: raw };
    output.object(&client.post(&path, &body).await?);
    Ok(())
}

#[derive(serde::Serialize)]
struct GivenCredentials<'a> {
    party: &'a str,
    credentials: &'a serde_json::value::RawValue,
}

/// A new secret of the webhooks, alone on its line.
pub(super) async fn renew(
    name: &str,
    (path, field): (&str, &str),
    output: &Output,
    client: &Client,
) -> Result<(), Failure> {
    let answer = client.post(&format!("/accounts/{}/{path}", super::account::segment(name)?), &json!({})).await?;
    match answer.get(field).and_then(Value::as_str) {
        Some(secret) if !output.json => {
            output.text(secret);
            output.note("from now on; what was sent before this was made with the one before, and there is no overlap");
        }
        _ => output.object(&answer),
    }
    Ok(())
}

/// Refused (1) when the receiver does not answer with a success.
pub(super) async fn test(name: &str, output: &Output, client: &Client) -> Result<(), Failure> {
    let path = format!("/accounts/{}/webhook-test", super::account::segment(name)?);
    let answer = client.post(&path, &json!({})).await?;
    output.object(&answer);
    if answer.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    Err(Failure::Refused("the receiver did not take the test".to_owned()))
}

fn body(set: &Set) -> Result<Value, Failure> {
    let mut body = Map::new();
    let nullable = |text: &String| if text == "none" { Value::Null } else { Value::from(text.as_str()) };
    if let Some(url) = &set.webhook_url {
        body.insert("webhookUrl".to_owned(), nullable(url));
    }
    if let Some(format) = set.webhook_format {
        let format = match format {
            Format::Json => "json",
            Format::Pluto => "pluto",
        };
        body.insert("webhookFormat".to_owned(), format.into());
    }
    if let Some(strict) = set.strict {
        body.insert("strict".to_owned(), (strict == OnOff::On).into());
    }
    if let Some(url) = &set.ping_url {
        body.insert("pingUrl".to_owned(), nullable(url));
    }
    if let Some(file) = &set.api_key {
        let key: Zeroizing<String> = input::read(file, MAX_KEY_BYTES)?;
        body.insert("apiKey".to_owned(), key.trim().into());
    }
    if let Some(setting) = set.three_d_secure {
        let setting = match setting {
            ThreeDSecure::Off => "off",
            ThreeDSecure::On => "on",
            ThreeDSecure::Required => "required",
        };
        body.insert("threeDSecure".to_owned(), setting.into());
    }
    if let Some(text) = &set.text_on_statement {
        body.insert("textOnStatement".to_owned(), nullable(text));
    }
    if !set.routes.is_empty() {
        let routes: Map<String, Value> =
            set.routes.iter().map(|(currency, list)| (currency.clone(), json!(list))).collect();
        body.insert("routes".to_owned(), routes.into());
    }
    Ok(Value::Object(body))
}

/// `DKK=nets,clearhaus`, `*=clearhaus`, `DKK=none`.
fn route(text: &str) -> Result<(String, Vec<String>), String> {
    let form = || "CURRENCY=ACQUIRER,ACQUIRER… is expected".to_owned();
    let (currency, acquirers) = text.split_once('=').ok_or_else(form)?;
    if currency.is_empty() || acquirers.is_empty() {
        return Err(form());
    }
    let acquirers = if acquirers == "none" { Vec::new() } else { acquirers.split(',').map(str::to_owned).collect() };
    Ok((currency.to_owned(), acquirers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read() {
        let of = |text| route(text).unwrap();
        assert_eq!(of("DKK=nets,clearhaus"), ("DKK".to_owned(), vec!["nets".to_owned(), "clearhaus".to_owned()]));
        assert_eq!(of("*=clearhaus"), ("*".to_owned(), vec!["clearhaus".to_owned()]));
        assert_eq!(of("DKK=none"), ("DKK".to_owned(), vec![]));
        for bad in ["", "DKK", "=nets", "DKK="] {
            assert!(route(bad).is_err(), "{bad}");
        }
    }
}
