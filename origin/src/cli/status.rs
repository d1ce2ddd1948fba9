//! What `vault status` prints for people.

use serde_json::Value;

/// One line a fact, one a custodian.
pub(super) fn text(status: &Value) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push(format!("{name:<14} {text}"));
    line("vault", state(status));
    if status.get("initialized").and_then(Value::as_bool) != Some(true) {
        line("memory", flags(status.get("memory")));
        return lines.join("\n");
    }
    line("takes cards", if is(status, "takesCards") { "yes".into() } else { "no".into() });
    line(
        "share set",
        format!(
            "{}, re-share {}: {} of {} open it",
            word(status, "setId"),
            word(status, "generation"),
            word(status, "threshold"),
            word(status, "shares")
        ),
    );
    for custodian in list(status, "custodians") {
        line("  custodian", holder(custodian));
    }
    line("ring", ring(status));
    if let Some(reshare) = status.get("reshare") {
        let (nonce, stage, by) = (word(reshare, "nonce"), word(reshare, "stage"), word(reshare, "startedBy"));
        line("re-share", format!("{nonce}, {stage}, started by {by}, threshold {}", word(reshare, "threshold")));
        for custodian in list(reshare, "custodians") {
            line("  custodian", holder(custodian));
        }
    }
    if let Some(job) = status.get("reencryption") {
        let (done, total, failed) = (word(job, "done"), word(job, "total"), word(job, "failed"));
        line("re-encryption", format!("{}, {done} of {total} records, {failed} failed", word(job, "state")));
    }
    if let Some(audit) = status.get("audit") {
        line("audit head", format!("{}:{}:{}", word(audit, "chain"), word(audit, "number"), word(audit, "hash")));
    }
    line("memory", flags(status.get("memory")));
    lines.join("\n")
}

fn state(status: &Value) -> String {
    match (is(status, "initialized"), is(status, "sealed")) {
        (false, _) => "not initialised".into(),
        (true, false) => "open".into(),
        (true, true) if word(status, "progress") == "0" => "sealed".into(),
        (true, true) => {
            let (have, need) = (word(status, "progress"), word(status, "threshold"));
            format!("sealed; {have} of {need} shares collected, nonce {}", word(status, "nonce"))
        }
    }
}

fn holder(custodian: &Value) -> String {
    let index = custodian.get("index").map_or_else(String::new, |index| format!("share {index}, "));
    let proved = match custodian.get("proved").and_then(Value::as_bool) {
        Some(true) => ", proved",
        Some(false) => ", not proved yet",
        None => "",
    };
    format!("{}: {index}key {}{proved}", word(custodian, "custodian"), word(custodian, "fingerprint"))
}

/// The keys in use, and how many retired ones there are.
fn ring(status: &Value) -> String {
    let (mut active, mut retired) = (Vec::new(), 0);
    for key in list(status, "keys") {
        match key.get("state").and_then(Value::as_str) {
            Some("active") => active.push(format!("{}/{}", word(key, "kind"), word(key, "id"))),
            Some("retired") => retired += 1,
            _ => {}
        }
    }
    let uses = word(status, "dataKeyUses");
    format!("{}; {retired} retired; the data key has sealed {uses} records at most", active.join(" "))
}

fn flags(memory: Option<&Value>) -> String {
    let Some(fields) = memory.and_then(Value::as_object) else { return String::new() };
    let flag = |(name, value): (&String, &Value)| format!("{name} {}", if value == true { "yes" } else { "NO" });
    fields.iter().map(flag).collect::<Vec<_>>().join(", ")
}

fn is(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool) == Some(true)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn word(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_reads_as_lines() {
        let memory = json!({"coreDumpsOff": true, "keyPagesLocked": false});
        let fresh = text(&json!({"initialized": false, "sealed": true, "memory": memory}));
        assert_eq!(fresh, "vault          not initialised\nmemory         coreDumpsOff yes, keyPagesLocked NO");
        let open = text(&json!({
            "initialized": true, "sealed": false, "takesCards": false, "setId": "ab", "generation": 0, "threshold": 2,
            "shares": 2, "progress": 0, "dataKeyUses": 65536, "memory": memory,
            "custodians": [{"custodian": "alice", "index": 1, "fingerprint": "f1", "proved": true},
                {"custodian": "bob", "index": 2, "fingerprint": "f2", "proved": false}],
            "keys": [{"kind": "data", "id": 2, "state": "active"}, {"kind": "data", "id": 1, "state": "retired"}],
            "audit": {"chain": "c", "number": 3, "hash": "h"},
        }));
        let lines: Vec<&str> = open.lines().collect();
        assert_eq!(
            lines[..3],
            ["vault          open", "takes cards    no", "share set      ab, re-share 0: 2 of 2 open it"]
        );
        assert_eq!(
            lines[3..5],
            ["  custodian    alice: share 1, key f1, proved", "  custodian    bob: share 2, key f2, not proved yet"]
        );
        assert_eq!(
            lines[5..7],
            ["ring           data/2; 1 retired; the data key has sealed 65536 records at most", "audit head     c:3:h"]
        );
        let half = text(&json!({"initialized": true, "sealed": true, "progress": 1, "threshold": 2, "nonce": "n"}));
        assert!(half.starts_with("vault          sealed; 1 of 2 shares collected, nonce n\n"), "{half}");
    }
}
