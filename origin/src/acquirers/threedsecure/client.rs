//! The three calls. Each has a limit of its own besides the transport's: a payer waits behind them.

use std::time::Duration;

use reqwest::Certificate;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::messages::{self, Ares, CardRange, Rreq};
use super::version::Version;
use crate::acquirers::transport::{Http, TransportError};
use crate::acquirers::{Answer, WireRequest};
use crate::vault::Pan;

pub use super::messages::Failure;

/// The way to a 3-D Secure server.
pub struct Server {
    http: Http,
}

impl Server {
    /// For an address such as `https://service.3dsecure.io`; `extra_ca` is trusted too (development).
    ///
    /// # Errors
    /// When the TLS client cannot be set up.
    pub fn new(base: &str, extra_ca: &[Certificate]) -> Result<Self, reqwest::Error> {
        Ok(Self { http: Http::new(base, extra_ca)? })
    }

    /// What is known of a card: safe to repeat. A directory that was named and does not know the card is no answer for
    /// the others: then all are asked.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn preauth(&self, credentials: &Credentials, pan: &Pan, limit: Duration) -> Result<CardRange, Failure> {
        let ask = async |ds: Option<&str>| {
            let answer = self.post(credentials, "/preauth", messages::preauth(pan, ds), limit).await?;
            messages::read_preauth(&answer)
        };
        match (credentials.ds.as_deref(), ask(credentials.ds.as_deref()).await) {
            (Some(_), Err(Failure::Erro { .. })) => ask(None).await,
            (_, outcome) => outcome,
        }
    }

    /// Asks the bank. Never repeated with the same id: the server takes it once.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn auth(
        &self,
        credentials: &Credentials,
        areq: Zeroizing<Vec<u8>>,
        id: &str,
        version: Version,
        limit: Duration,
    ) -> Result<Ares, Failure> {
        messages::read_ares(&self.post(credentials, "/auth", areq, limit).await?, id, version)
    }

    /// The result of a challenge: safe to repeat.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn postauth(
        &self,
        credentials: &Credentials,
        id: &str,
        acs_id: &str,
        limit: Duration,
    ) -> Result<Rreq, Failure> {
        let answer = self.post(credentials, "/postauth", messages::postauth(id), limit).await?;
        messages::read_rreq(&answer, id, acs_id)
    }

    async fn post(
        &self,
        credentials: &Credentials,
        path: &str,
        body: Zeroizing<Vec<u8>>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let request = WireRequest {
            path: path.to_owned(),
            headers: vec![
                ("apikey", Zeroizing::new(credentials.api_key.expose().to_owned())),
                ("content-type", Zeroizing::new("application/json; charset=utf-8".to_owned())),
            ],
            body,
        };
        match timeout(limit, self.http.post(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(TransportError::NotSent)) => Err(Failure::NotSent),
            Ok(Err(TransportError::NoAnswer(_))) => Err(Failure::NoAnswer("the 3-D Secure server's answer was lost")),
            Err(_) => Err(Failure::NoAnswer("the 3-D Secure server did not answer in time")),
        }
    }
}
