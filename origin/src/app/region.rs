//! What edges are told of this origin's region, and how it learns who serves.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use scanvault_protocol::region::State;
use tokio::sync::watch;

use super::App;
use crate::db::{Db, Kind};

/// Who is fenced learns it sooner, from its next connection; who serves anew when it was decided in another process.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl App {
    /// How this origin stands, as far as the process knows: nothing is asked for it.
    pub(super) fn region_state(&self) -> Response {
        let standing = self.db.standing();
        let state = State {
            region: self.link.region.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sealed: self.vault.unsealed().is_err(),
            serves: standing.serves,
            epoch: standing.epoch,
        };
        let mut response = Response::new(Body::from(state.to_json()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// Looks who serves until the process stops. While the database does not answer, what was known stays so.
pub(super) async fn watch_who_serves(db: Db, mut stop: watch::Receiver<bool>) {
    if db.kind() == Kind::Sqlite {
        return; // one process has it, and serves
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.changed() => return,
        }
        if let Err(error) = db.look_who_serves().await {
            tracing::error!(cause = %error, "who serves could not be read");
        }
    }
}
