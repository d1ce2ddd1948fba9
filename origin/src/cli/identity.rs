//! `scanvault identity …` and `scanvault account enrol`: the keys of logins.

use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Client;
use super::input;
use super::output::{Failure, Output};

/// A key is 736 characters; a certificate that was meant to be one is let through, so that the origin can say what it is.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the gateway's public key for logins, base64 of its DER, and its fingerprint. The first time it makes the key.
    PublicKey,
}

pub(super) async fn run(command: &Command, output: &Output, client: &Client) -> Result<(), Failure> {
    match command {
        Command::PublicKey => public_key(output, client).await,
    }
}

async fn public_key(output: &Output, client: &Client) -> Result<(), Failure> {
    let mut answer = client.get("/identity/public-key").await?;
    let is_new = answer.get("publicKey").is_none_or(Value::is_null);
    if is_new {
        client.post("/vault/keys/rotate", &json!({"kind": "login"})).await?;
        answer = client.get("/identity/public-key").await?;
    }
    if output.json {
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("created".into(), json!(is_new));
        }
        output.object(&answer);
        return Ok(());
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    if is_new {
        output.note("there was no login key yet: this one was made now");
    }
    output.note(&format!("SHA-256 fingerprint: {}", text("fingerprint")));
    output.text(text("publicKey"));
    Ok(())
}

/// Hands a key in and prints the login's password, once.
pub(super) async fn enrol(name: &str, public_key: &str, output: &Output, client: &Client) -> Result<(), Failure> {
    let body = json!({"publicKey": key_text(public_key)?});
    let answer = client.post(&format!("/accounts/{name}/enrol"), &body).await?;
    if output.json {
        output.object(&answer);
        return Ok(());
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    output.note(&format!("SHA-256 fingerprint of the key: {}", text("keyFingerprint")));
    if answer.get("replaced").and_then(Value::as_bool) == Some(true) {
        output.note("it replaces another one: the account's sessions have ended, and so has the login password before");
    }
    output.text(text("loginPassword"));
    Ok(())
}

/// A public key: the text itself, `@FILE`, or `-` for standard input.
pub(super) fn key_text(argument: &str) -> Result<String, Failure> {
    let file = argument.strip_prefix('@').or((argument == "-").then_some("-"));
    let Some(file) = file else { return Ok(argument.trim().to_owned()) };
    let text = input::read(Path::new(file), MAX_KEY_FILE_BYTES)?;
    Ok(text.trim().to_owned())
}
