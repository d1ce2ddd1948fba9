//! The ways to third parties: bounded in time and size, and honest about what may have arrived.
//!
//! Each call has a connection of its own. What was written stays in a connection's buffers until other bytes take its
//! place (hyper, h2), so an idle one would keep the last card and the API key; a closed one is freed, and so wiped.

mod framed;
mod http;

use std::time::Duration;

use reqwest::Certificate;

pub use self::framed::{Framed, FramedError};
pub use self::http::Http;

use super::{Answer, Wire};

/// One call. Three of them (authorise, capture, void) fit into the edge's 55 s for paying.
const CALL_TIMEOUT: Duration = Duration::from_secs(16);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The way to one acquirer.
pub enum Transport {
    /// HTTPS.
    Http(Http),
    /// One frame on a TLS connection.
    Framed(Framed),
}

/// What went wrong on the way; it decides whether the call may have been booked.
#[derive(Debug, PartialEq, Eq)]
pub enum TransportError {
    /// There was no connection: certainly not booked.
    NotSent,
    /// It was sent, or may have been.
    NoAnswer(&'static str),
}

impl Transport {
    /// For an address such as `https://gateway.example`; `extra_ca` is trusted too (development).
    ///
    /// # Errors
    /// When the TLS client cannot be set up.
    pub fn http(base: &str, extra_ca: &[Certificate]) -> Result<Self, reqwest::Error> {
        Http::new(base, extra_ca).map(Self::Http)
    }

    /// For `host:port`, where a certificate of one of these CAs (PEM) answers.
    ///
    /// # Errors
    /// See [`FramedError`].
    pub fn framed(address: &str, ca_pem: &[u8]) -> Result<Self, FramedError> {
        Framed::tls(address, ca_pem).map(Self::Framed)
    }

    /// For `host:port` without TLS: development only, on one machine.
    ///
    /// # Errors
    /// See [`FramedError`].
    pub fn framed_plain(address: &str) -> Result<Self, FramedError> {
        Framed::plain(address).map(Self::Framed)
    }

    /// Sends a call and reads the whole answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    pub async fn send(&self, wire: Wire) -> Result<Answer, TransportError> {
        match (self, wire) {
            (Self::Http(http), Wire::Post(request)) => http.post(request).await,
            (Self::Framed(framed), Wire::Frame(frame)) => framed.exchange(&frame).await,
            // A connector with the wrong transport: nothing is sent.
            (Self::Http(_), Wire::Frame(_)) | (Self::Framed(_), Wire::Post(_)) => Err(TransportError::NotSent),
        }
    }
}
