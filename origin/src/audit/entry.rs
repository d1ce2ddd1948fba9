//! One entry: what was done, by whom, and what belongs to it.

use std::fmt::Write as _;

use serde_json::Value;

/// One thing that was done. Written as JSON at once; what must not be readable goes in concealed
/// ([`Audit::conceal`](super::Audit::conceal)), and card data never.
#[derive(Debug)]
pub struct Entry {
    /// A JSON object without its closing brace.
    json: String,
}

impl Entry {
    /// `action` as in `card.read`; `actor` is an operator, an account or a process.
    #[must_use]
    pub fn new(action: &'static str, actor: impl Into<String>) -> Self {
        let mut json = String::with_capacity(160);
        json.push_str("{\"action\":");
        write(&mut json, &Value::from(action));
        json.push_str(",\"actor\":");
        write(&mut json, &Value::from(actor.into()));
        Self { json }
    }

    /// Adds what belongs to it. A name is given once, and is neither `action` nor `actor`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        debug_assert!(!matches!(name, "action" | "actor"), "{name} is given twice");
        self.json.push(',');
        write(&mut self.json, &Value::from(name));
        self.json.push(':');
        write(&mut self.json, &value.into());
        self
    }
}

/// The entries of one link, as they will be stored.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// A JSON array without its closing bracket.
    json: String,
}

impl Entries {
    pub(super) fn push(&mut self, entry: &Entry) {
        self.json.push(if self.json.is_empty() { '[' } else { ',' });
        self.json.push_str(&entry.json);
        self.json.push('}');
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.json.is_empty()
    }

    /// The whole array.
    pub(super) fn finish(mut self) -> String {
        self.json.push(']');
        self.json
    }
}

/// `entries` with one more at its end.
pub(super) fn append(entries: &str, entry: &Entry) -> String {
    let rest = entries.strip_suffix(']').unwrap_or(entries);
    let mut json = String::with_capacity(entries.len() + entry.json.len() + 2);
    json.push_str(rest);
    json.push(',');
    json.push_str(&entry.json);
    json.push_str("}]");
    json
}

fn write(json: &mut String, value: &Value) {
    // Writing into a String cannot fail.
    let _ = write!(json, "{value}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_json_in_the_order_they_were_given() {
        let mut entries = Entries::default();
        assert!(entries.is_empty());
        entries.push(&Entry::new("card.read", "merchant-\"1\"").with("purpose", "charge\n").with("n", 3));
        entries.push(&Entry::new("card.expired", "origin").with("count", json!(null)));
        let text = entries.finish();
        let expected = r#"[{"action":"card.read","actor":"merchant-\"1\"","purpose":"charge\n","n":3},{"action":"card.expired","actor":"origin","count":null}]"#;
        assert_eq!(text, expected);
        let more = append(&text, &Entry::new("a", "b"));
        assert_eq!(more, expected.replace("null}]", r#"null},{"action":"a","actor":"b"}]"#));
    }
}
