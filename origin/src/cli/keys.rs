//! `scanvault vault keys|rotate|destroy|reencrypt`

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::output::{Failure, Output};

const LOOK_AGAIN: Duration = Duration::from_millis(500);
const BAR_WIDTH: u64 = 40;

pub(super) async fn list(output: &Output, client: &Client) -> Result<(), Failure> {
    let answer = client.get("/vault/keys").await?;
    if output.json {
        output.object(&answer);
        return Ok(());
    }
    let empty = Vec::new();
    let keys = answer.get("keys").and_then(Value::as_array).unwrap_or(&empty);
    output.text(&format!("{:<16} {:<10} {:>10} {:>12}", "key", "state", "records", "uses"));
    for key in keys {
        let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| key.get(name).and_then(Value::as_u64).map_or_else(String::new, |n| n.to_string());
        let name = format!("{}/{}", text("kind"), number("id"));
        output.text(&format!("{name:<16} {:<10} {:>10} {:>12}", text("state"), number("records"), number("uses")));
    }
    Ok(())
}

pub(super) async fn rotate(kind: &str, output: &Output, client: &Client) -> Result<(), Failure> {
    output.object(&client.post("/vault/keys/rotate", &json!({"kind": kind})).await?);
    Ok(())
}

pub(super) async fn destroy(key: &str, output: &Output, client: &Client) -> Result<(), Failure> {
    let parts = key.split_once('/').and_then(|(kind, id)| Some((kind, id.parse::<u32>().ok()?)));
    let (kind, id) = parts.ok_or_else(|| Failure::Usage("a key is named like data/1".into()))?;
    output.object(&client.post("/vault/keys/destroy", &json!({"kind": kind, "id": id})).await?);
    Ok(())
}

pub(super) async fn reencrypt(
    rate: Option<u32>,
    wait: bool,
    show: bool,
    output: &Output,
    client: &Client,
) -> Result<(), Failure> {
    let mut answer = if show {
        client.get("/vault/reencrypt").await?
    } else {
        client.post("/vault/reencrypt", &json!({"perSecond": rate})).await?
    };
    let draws = !output.json && std::io::stderr().is_terminal();
    while wait && is_running(&answer) {
        if draws {
            let _ = write!(std::io::stderr(), "\r{}", bar(&answer));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        answer = client.get("/vault/reencrypt").await?;
    }
    if draws && wait {
        let _ = writeln!(std::io::stderr(), "\r{}", bar(&answer));
    }
    match answer.get("reencryption") {
        Some(Value::Null) if !output.json => output.text("nothing has been re-encrypted yet"),
        Some(job) if !output.json => output.object(job),
        _ => output.object(&answer),
    }
    Ok(())
}

fn is_running(answer: &Value) -> bool {
    answer.pointer("/reencryption/state").and_then(Value::as_str) == Some("running")
}

fn bar(answer: &Value) -> String {
    let number = |name: &str| answer.pointer(&format!("/reencryption/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let (total, looked_at) = (number("total"), number("done") + number("failed"));
    let part = if is_running(answer) { looked_at.min(total) } else { total };
    let filled = (part * BAR_WIDTH).checked_div(total).unwrap_or(BAR_WIDTH);
    let full: String = (0..BAR_WIDTH).map(|at| if at < filled { '#' } else { '.' }).collect();
    format!("[{full}] {looked_at}/{total}, {} failed", number("failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_how_far_it_is() {
        let at = |state: &str, done: u64, total: u64| {
            bar(&json!({"reencryption": {"state": state, "done": done, "failed": 1, "total": total}}))
        };
        assert_eq!(at("running", 49, 100), format!("[{}{}] 50/100, 1 failed", "#".repeat(20), ".".repeat(20)));
        assert_eq!(at("running", 200, 100), format!("[{}] 201/100, 1 failed", "#".repeat(40)));
        assert_eq!(at("done", 0, 0), format!("[{}] 1/0, 1 failed", "#".repeat(40)));
    }
}
