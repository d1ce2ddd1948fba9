//! What a command prints, and how it ends.

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

/// Where answers go.
pub(super) struct Output {
    pub(super) json: bool,
}

/// How a command fails.
#[derive(Debug)]
pub(super) enum Failure {
    /// The origin, or this command, said no.
    Refused(String),
    /// The arguments do not fit together.
    Usage(String),
    /// No origin answers.
    Unreachable(String),
}

impl Output {
    /// Prints an object: as JSON on one line, or a line a field.
    pub(super) fn object(&self, value: &Value) {
        if self.json {
            self.text(&value.to_string());
            return;
        }
        let Some(fields) = value.as_object() else { return self.text(&value.to_string()) };
        let width = fields.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.text(&format!("{name:width$}  {text}"));
        }
    }

    /// Says something beside the answer, on standard error: the answer itself can be piped on.
    pub(super) fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Prints text. Whoever closed our standard output does not want to hear of it.
    pub(super) fn text(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
    }
}

/// Says on standard error what is to be known, though the command has done what it should.
pub(super) fn warn(text: &str) {
    let _ = writeln!(std::io::stderr(), "scanvault: {text}");
}

/// Says on standard error why a command failed.
pub(super) fn report(failure: &Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Refused(text) => (text, 1),
        Failure::Usage(text) => (text, 2),
        Failure::Unreachable(text) => (text, 3),
    };
    let _ = writeln!(std::io::stderr(), "scanvault: {text}");
    ExitCode::from(code)
}
