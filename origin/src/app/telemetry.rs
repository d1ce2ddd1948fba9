//! Logs: a JSON object a line on standard output, with the request id that the edge's lines have too.
//!
//! Never logged: card data, passwords, tokens, shares, keys, bodies, `Authorization`.

use tracing_subscriber::EnvFilter;

/// Starts logging; `filter` as in `info,scanvault_origin=debug`.
pub fn start(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // sqlx logs statements with their values at debug level: never, whatever the filter says.
    let filter = ["sqlx=warn", "hyper=warn", "reqwest=warn", "rustls=warn"]
        .into_iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let _ = tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_env_filter(filter).try_init();
}
