//! HTTPS to a third party: no redirects, no proxy variables, nothing sent twice.

use bytes::BytesMut;
use http::{HeaderValue, Method};
use reqwest::{Certificate, Client, redirect, retry};

use super::{CALL_TIMEOUT, CONNECT_TIMEOUT, MAX_ANSWER_BYTES, TransportError};
use crate::acquirers::{Answer, WireRequest};

/// A client for one party's address.
pub struct Http {
    client: Client,
    base: String,
}

impl Http {
    /// See [`super::Transport::http`].
    ///
    /// # Errors
    /// When the TLS client cannot be set up.
    pub fn new(base: &str, extra_ca: &[Certificate]) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            // By default a request is sent again when HTTP/2 says that it was not taken: no call of ours is.
            .retry(retry::never())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .tls_certs_merge(extra_ca.iter().cloned())
            .user_agent("scanvault")
            .build()?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned() })
    }

    /// Sends a POST and reads the whole answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn post(&self, wire: WireRequest) -> Result<Answer, TransportError> {
        self.call(Method::POST, wire).await
    }

    /// Whether calls go out in clear: development only.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.base.starts_with("http://")
    }

    /// Sends a request of any method and reads the whole answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn call(&self, method: Method, wire: WireRequest) -> Result<Answer, TransportError> {
        let mut request = self.client.request(method, format!("{}{}", self.base, wire.path));
        for (name, value) in &wire.headers {
            let mut value = HeaderValue::from_str(value).map_err(|_| TransportError::NotSent)?;
            // Not for HPACK's tables, and not for a trace.
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        // reqwest owns the body from here; the wiping allocator clears its copy when it is freed.
        let mut response = request.body(wire.body.to_vec()).send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                TransportError::NotSent
            } else if error.is_timeout() {
                TransportError::NoAnswer("the acquirer did not answer in time")
            } else {
                TransportError::NoAnswer("the connection to the acquirer was cut")
            }
        })?;
        let mut answer = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.len() + chunk.len() <= MAX_ANSWER_BYTES => answer.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(TransportError::NoAnswer("the acquirer's answer was too long")),
                Ok(None) => return Ok(Answer { status: response.status().as_u16(), body: answer.freeze() }),
                Err(_) => return Err(TransportError::NoAnswer("the acquirer's answer was cut")),
            }
        }
    }
}
