//! Logs: a JSON object a line on standard output, with the request id that the edge's lines have too.
//!
//! Never logged: card data, passwords, tokens, shares, keys, bodies, `Authorization`.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter, fmt};

/// Libraries that write what they carry at their lower levels: statements with values, headers, bodies.
const QUIET: &[&str] = &["sqlx", "hyper", "hyper_util", "reqwest", "rustls", "h2"];

/// Starts logging; `filter` as in `info,scanvault_origin=debug`.
pub fn start(filter: &str) {
    let asked = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(LevelFilter::INFO.to_string()));
    let lines = fmt::layer().json().flatten_event(true).with_target(false);
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter::filter_fn(may_log))).with(asked).try_init();
}

/// Whatever was asked for: libraries say no more than their warnings.
fn may_log(about: &Metadata<'_>) -> bool {
    let library = about.target().split("::").next().unwrap_or_default();
    *about.level() <= Level::WARN || !QUIET.contains(&library)
}

#[cfg(test)]
mod tests {
    use tracing::Callsite;

    use super::*;

    #[test]
    fn libraries_stay_quiet_whatever_is_asked() {
        let about = |event: &'static dyn Callsite| may_log(event.metadata());
        assert!(!about(
            tracing::callsite!(name: "q", kind: tracing::metadata::Kind::EVENT, target: "sqlx::query", level: Level::DEBUG, fields: )
        ));
        assert!(!about(
            tracing::callsite!(name: "q", kind: tracing::metadata::Kind::EVENT, target: "hyper::proto", level: Level::TRACE, fields: )
        ));
        assert!(about(
            tracing::callsite!(name: "q", kind: tracing::metadata::Kind::EVENT, target: "sqlx::query", level: Level::WARN, fields: )
        ));
        assert!(about(
            tracing::callsite!(name: "q", kind: tracing::metadata::Kind::EVENT, target: "scanvault_origin::web", level: Level::DEBUG, fields: )
        ));
    }
}
