//! The merchant's webhook receiver.

use std::{fs, path::PathBuf, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use scanvault_sandbox::{
    common::{clock::Clock, secret::SecretText},
    receiver::{Receiver, router},
};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{START, Server, send};

const SECRET: &str = "whsec_merchant_25";

struct Running {
    server: Server,
    log: PathBuf,
}

impl Running {
    async fn start(name: &str) -> Self {
        let log = std::env::temp_dir().join(format!("scanvault-receiver-{name}-{}.jsonl", std::process::id()));
        let _ = fs::remove_file(&log);
        Self::on(log).await
    }

    async fn on(log: PathBuf) -> Self {
        let receiver = Receiver::open(SecretText::new(SECRET), Clock::manual(START), &log).unwrap();
        Self { server: Server::start(router(Arc::new(receiver))).await, log }
    }

    async fn deliver(&self, id: &str, t: i64, secret: &str, body: &str) -> u16 {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{t}.{id}.{body}").as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = format!("t={t},v1={hex}");
        let headers = [("scanvault-signature", &*signature), ("scanvault-delivery", id)];
        send(self.server.address, "POST", "/webhook", &headers, body.as_bytes()).await.unwrap().status
    }

    async fn log(&self) -> Value {
        let answer = send(self.server.address, "GET", "/_log", &[], b"").await.unwrap().json();
        let file = fs::read_to_string(&self.log).unwrap();
        let lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answer, Value::Array(lines), "the file says the same");
        answer
    }
}

#[tokio::test]
async fn a_delivery_and_its_repetitions() {
    let running = Running::start("repetitions").await;
    let body = r#"{"event":"payment.paid","amount":1000}"#;
    for _ in 0..4 {
        assert_eq!(running.deliver("d1", START, SECRET, body).await, 200);
    }
    assert_eq!(running.deliver("d2", START + 300, SECRET, "{}").await, 200);
    let line = json!({
        "delivery": "d1",
        "verified": true,
        "t": START,
        "answered": 200,
        "body": {"event": "payment.paid", "amount": 1000},
    });
    let mut repeated = line.clone();
    repeated["duplicate"] = json!(true);
    let other = json!({"delivery": "d2", "verified": true, "t": START + 300, "answered": 200, "body": {}});
    assert_eq!(running.log().await, json!([line, repeated, other]));

    // A receiver that starts again still knows what it took.
    let again = Running::on(running.log.clone()).await;
    assert_eq!(again.deliver("d1", START, SECRET, body).await, 200);
    assert_eq!(again.deliver("d2", START, SECRET, "{}").await, 200);
    let log = again.log().await;
    assert_eq!(log.as_array().unwrap().len(), 4);
    assert_eq!((&log[3]["delivery"], &log[3]["duplicate"]), (&json!("d2"), &json!(true)));
    fs::remove_file(&again.log).unwrap();
}

#[tokio::test]
async fn what_is_not_verified() {
    let running = Running::start("unverified").await;
    assert_eq!(running.deliver("d1", START, "another secret", "{}").await, 401);
    assert_eq!(running.deliver("d2", START - 301, SECRET, "{}").await, 401);
    assert_eq!(running.deliver("d3", START + 301, SECRET, "{}").await, 401);
    assert_eq!(send(running.server.address, "POST", "/webhook", &[], b"{}").await.unwrap().status, 401);
    let expected: Vec<_> = [("d1", Some(START)), ("d2", Some(START - 301)), ("d3", Some(START + 301)), ("", None)]
        .into_iter()
        .map(|(id, t)| json!({"delivery": id, "verified": false, "t": t, "answered": 401, "body": {}}))
        .collect();
    assert_eq!(running.log().await, Value::Array(expected));
    assert_eq!(running.deliver("d1", START, SECRET, "{}").await, 200, "an unverified one does not count as seen");
    assert_eq!(running.log().await[4]["duplicate"], Value::Null);
    assert_eq!(running.deliver("d9", START, SECRET, "not json").await, 400);
    fs::remove_file(&running.log).unwrap();
}

#[tokio::test]
async fn failing_on_order() {
    let running = Running::start("failing").await;
    let json = [("content-type", "application/json")];
    let fail = async |order: &str| {
        send(running.server.address, "POST", "/_fail", &json, order.as_bytes()).await.unwrap().status
    };
    assert_eq!(fail(r#"{"times":2,"status":503}"#).await, 204);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(running.deliver("d1", START, SECRET, "{}").await);
    }
    assert_eq!(answers, [503, 503, 200, 200]);
    let log = running.log().await;
    let seen: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["answered"].as_u64().unwrap(), line["duplicate"] == true))
        .collect();
    assert_eq!(seen, [(503, false), (503, false), (200, false), (200, true)]);
    assert_eq!(fail(r#"{"times":1}"#).await, 204);
    assert_eq!(running.deliver("d2", START, SECRET, "{}").await, 500);
    for bad in [r#"{"times":1,"status":99}"#, r#"{"times":1,"status":100}"#, r#"{"status":500}"#] {
        assert_eq!(fail(bad).await, 400, "{bad}");
    }
    fs::remove_file(&running.log).unwrap();
}
