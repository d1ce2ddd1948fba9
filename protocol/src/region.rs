//! What an origin tells an edge of its region: the body of `GET /pluto/internal/region`.
//!
//! ```json
//! {"region":"a","version":"0.1.0","sealed":false,"serves":true,"epoch":3}
//! ```
//!
//! The origin says it from what the process knows, without a look into the database; only the link's door needs that, for
//! nonces that several processes share.

use serde::Deserialize;

use crate::link::is_name;

/// An answer that is longer is none of ours.
pub const MAX_STATE_BYTES: usize = 1024;
const MAX_VERSION_BYTES: usize = 32;
/// The largest integer that a JavaScript number holds exactly: epochs pass through pages and tools.
const MAX_EPOCH: u64 = (1 << 53) - 1;

/// How an origin stands. Fields that a newer release adds are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct State {
    /// Its region.
    pub region: String,
    /// Its release.
    pub version: String,
    /// Whether no key is in its memory: what needs one is refused.
    pub sealed: bool,
    /// Whether it takes requests; `false`: it stands by.
    pub serves: bool,
    /// One more with each decision of operators on who serves, 0 before the first: who says less was superseded.
    pub epoch: u64,
}

/// The body is not a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed state of a region")]
pub struct Malformed;

impl State {
    /// Reads an answer's body.
    ///
    /// # Errors
    /// [`Malformed`]: too long, not JSON, a field missing or of another form.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        if body.len() > MAX_STATE_BYTES {
            return Err(Malformed);
        }
        let state: Self = serde_json::from_slice(body).map_err(|_| Malformed)?;
        // The version is shown on the monitor's page: nothing in it that could be more than a version.
        let is_version = |text: &str| {
            (1..=MAX_VERSION_BYTES).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'))
        };
        let is_valid = is_name(&state.region) && is_version(&state.version) && state.epoch <= MAX_EPOCH;
        if is_valid { Ok(state) } else { Err(Malformed) }
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self { region, version, sealed, serves, epoch } = self;
        serde_json::json!({
            "region": region, "version": version, "sealed": sealed, "serves": serves, "epoch": epoch,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn example() -> Value {
        json!({"region": "a", "version": "0.1.0", "sealed": false, "serves": true, "epoch": 3})
    }

    fn parse(value: &Value) -> Result<State, Malformed> {
        State::parse(value.to_string().as_bytes())
    }

    #[test]
    fn whatever_is_said_is_read_back() {
        let state = State { region: "a".into(), version: "0.1.0".into(), sealed: false, serves: true, epoch: 3 };
        assert_eq!(parse(&example()), Ok(state.clone()));
        assert_eq!(serde_json::from_str::<Value>(&state.to_json()).unwrap(), example());
        for state in [State { epoch: MAX_EPOCH, ..state.clone() }, State { serves: false, sealed: true, ..state }] {
            assert_eq!(State::parse(state.to_json().as_bytes()), Ok(state));
        }
        let mut newer = example();
        newer["since"] = json!("2026-01-01");
        assert!(parse(&newer).is_ok());
    }

    #[test]
    fn other_forms_are_refused() {
        for (field, value) in [
            ("region", json!("")),
            ("region", json!("a b")),
            ("region", json!("<b>")),
            ("version", json!("")),
            ("version", json!("<script>")),
            ("version", json!("1".repeat(33))),
            ("sealed", json!(0)),
            ("serves", json!("true")),
            ("serves", json!(null)),
            ("epoch", json!(-1)),
            ("epoch", json!(1.5)),
            ("epoch", json!(MAX_EPOCH + 1)),
        ] {
            let mut state = example();
            state[field] = value;
            assert_eq!(parse(&state), Err(Malformed), "{state}");
            if let Some(map) = state.as_object_mut() {
                map.remove(field);
            }
            assert_eq!(parse(&state), Err(Malformed), "{state}");
        }
        assert_eq!(State::parse(b""), Err(Malformed));
        assert_eq!(State::parse(b"[]"), Err(Malformed));
        let mut long = example();
        long["more"] = json!("x".repeat(MAX_STATE_BYTES));
        assert_eq!(parse(&long), Err(Malformed));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = State::parse(text.as_bytes());
        }
    }
}
