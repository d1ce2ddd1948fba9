//! What edges are told of this origin's region.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use scanvault_protocol::region::State;

use super::App;

impl App {
    /// How this origin stands. Nothing is waited for: it answers in any state.
    pub(super) fn region_state(&self) -> Response {
        let state = State {
            region: self.link.region.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sealed: self.vault.unsealed().is_err(),
            serves: true,
            epoch: 0,
        };
        let mut response = Response::new(Body::from(state.to_json()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
