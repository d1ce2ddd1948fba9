//! SIGHUP: what is read again from its files while the origin runs, so that it changes with the vault open.
//!
//! Each part stands alone: a file that is broken changes nothing, is said in the log, and does not keep the others from
//! being read.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::App;
use super::config::Config;
use super::listeners::{Listeners, own_uid, set_mode, socket_mode};
use super::serve::ServeError;
use crate::web::tls::Tls;

pub(super) async fn on_hangup(app: Arc<App>, config: Config, listeners: Listeners) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        link_keys(&app, &config);
        if config.operators.is_some() {
            operators(&app, &config);
        }
        certificate("public", &listeners.public, &config);
        if let Some(admin) = &listeners.admin {
            certificate("admin", admin, &config);
        }
        if let Some(callback) = &listeners.callback {
            certificate("callback", callback, &config);
        }
    }
}

fn link_keys(app: &App, config: &Config) {
    match config.read_link_keys() {
        Ok(keys) => {
            tracing::warn!(keys = ?keys, "link keys replaced");
            app.link.keys.replace(keys);
        }
        Err(error) => tracing::error!(cause = %error, "link keys not replaced: the old ones stay"),
    }
}

fn operators(app: &App, config: &Config) {
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

/// A listener's certificate, key and client CA. Connections that are open go on.
fn certificate(listener: &'static str, tls: &Tls, config: &Config) {
    let read = config.check_tls(tls.files()).map_err(ServeError::from).and_then(|()| Ok(tls.reload()?));
    match read {
        Ok(()) => tracing::warn!(listener, certificate = %tls.certificate(), "certificate replaced"),
        Err(error) => tracing::error!(listener, cause = %error, "certificate not replaced: the old one stays"),
    }
}
