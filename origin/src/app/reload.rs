//! What changes while the origin runs, without the vault being sealed: the link's secrets, and who the operators are.

use std::sync::Arc;

use super::App;
use super::config::Config;
use super::serve::{own_uid, set_mode, socket_mode};

/// SIGHUP: the link's secrets and the operators are read again, so that both change with the vault open. A file that is
/// broken changes nothing, and does not keep the other from being read.
pub(super) async fn reload(app: Arc<App>, config: Config) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        reload_link_keys(&app, &config);
        if config.operators.is_some() {
            reload_operators(&app, &config);
        }
    }
}

fn reload_link_keys(app: &App, config: &Config) {
    match config.read_link_keys() {
        Ok(keys) => {
            tracing::warn!(keys = ?keys, "link keys replaced");
            app.link.keys.replace(keys);
        }
        Err(error) => tracing::error!(cause = %error, "link keys not replaced: the old ones stay"),
    }
}

fn reload_operators(app: &App, config: &Config) {
    match config.read_operators(own_uid()) {
        Ok(operators) => {
            tracing::warn!(operators = %operators, "operators replaced");
            app.admin.operators.replace(operators);
            if let Err(error) = set_mode(&config.admin_socket, socket_mode(app)) {
                tracing::error!(cause = %error, "the admin socket's mode could not be set");
            }
        }
        Err(error) => tracing::error!(cause = %error, "operators not replaced: the old ones stay"),
    }
}
