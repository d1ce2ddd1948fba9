//! `scanvault region …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{Failure, Output};
use crate::calendar::Utc;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Show which region serves.
    Show,
    /// This origin's region serves from now on; the others are fenced before this returns.
    Serve,
    /// Every region serves again.
    Release,
}

pub(super) async fn run(command: &Command, output: &Output, client: &Client) -> Result<(), Failure> {
    let answer = match command {
        Command::Show => client.get("/region").await?,
        Command::Serve => client.post("/region/serve", &json!({})).await?,
        Command::Release => client.post("/region/release", &json!({})).await?,
    };
    if output.json {
        output.object(&answer);
    } else {
        output.text(&text(&answer));
    }
    Ok(())
}

/// One line a fact.
fn text(answer: &Value) -> String {
    let word = |name: &str| answer.get(name).and_then(Value::as_str);
    let is = |name: &str| answer.get(name).and_then(Value::as_bool) == Some(true);
    let number = |name: &str| answer.get(name).and_then(Value::as_u64);
    let state = if is("serves") { "serves" } else { "stands by" };
    let sealed = if is("sealed") { ", SEALED" } else { "" };
    let mut lines = vec![
        format!("this region   {}: {state}{sealed}", word("region").unwrap_or("-")),
        format!("serving       {}", word("serving").unwrap_or("every region")),
        format!("epoch         {}", number("epoch").unwrap_or_default()),
    ];
    lines.extend(number("sinceMs").map(|at| format!("since         {}", Utc::from_unix_ms(at))));
    lines.extend(number("sessionsEnded").map(|ended| format!("fenced        {ended} sessions ended")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_lines() {
        let never =
            json!({"region": "a", "serves": true, "serving": null, "epoch": 0, "sinceMs": null, "sealed": true});
        assert_eq!(text(&never), "this region   a: serves, SEALED\nserving       every region\nepoch         0");
        let told = json!({"region": "b", "serves": true, "serving": "b", "epoch": 3, "sinceMs": 0, "sealed": false,
            "sessionsEnded": 2});
        let expected = "this region   b: serves\nserving       b\nepoch         3\nsince         1970-01-01T00:00:00.000Z\n\
            fenced        2 sessions ended";
        assert_eq!(text(&told), expected);
    }
}
