//! HTTPS to a third party: bounded in time and size, no redirects, no proxy variables.
//!
//! Each call has a connection of its own. What was written stays in a connection's buffers until other bytes take its
//! place (hyper, h2), so an idle one would keep the last card and the API key; a closed one is freed, and so wiped.

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderValue, Method};
use reqwest::{Certificate, Client, redirect};

use super::{Answer, Wire, WireRequest};

/// One call. Three of them (authorise, capture, void) fit into the edge's 55 s for paying.
const CALL_TIMEOUT: Duration = Duration::from_secs(16);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The way to one acquirer.
pub enum Transport {
    /// HTTPS.
    Http(Http),
}

impl Transport {
    /// For an address such as `https://gateway.example`; `extra_ca` is trusted too (development).
    ///
    /// # Errors
    /// When the TLS client cannot be set up.
    pub fn http(base: &str, extra_ca: &[Certificate]) -> Result<Self, reqwest::Error> {
        Http::new(base, extra_ca).map(Self::Http)
    }

    /// Sends a call and reads the whole answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn send(&self, wire: Wire) -> Result<Answer, TransportError> {
        match (self, wire) {
            (Self::Http(http), Wire::Post(request)) => http.post(request).await,
            (Self::Http(_), Wire::Frame(_)) => Err(TransportError::NotSent),
        }
    }
}

/// A client for one party's address.
pub struct Http {
    client: Client,
    base: String,
}

/// What went wrong on the way; it decides whether the call may have been booked.
#[derive(Debug, PartialEq, Eq)]
pub enum TransportError {
    /// There was no connection: certainly not booked.
    NotSent,
    /// It was sent, or may have been.
    NoAnswer(&'static str),
}

impl Http {
    /// See [`Transport::http`].
    ///
    /// # Errors
    /// When the TLS client cannot be set up.
    pub fn new(base: &str, extra_ca: &[Certificate]) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
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
