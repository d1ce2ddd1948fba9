//! One POST to a merchant's receiver: to a checked address, no redirects, no proxy variables, bounded in time. The
//! answer's body is not read: nothing in it matters, and nothing bounds it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use reqwest::{Certificate, Client, redirect};

use super::target::{Checked, Lookup, Rules, Target};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that nothing is sent on is closed; its buffers, with the last message, go with it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The way to receivers.
pub struct Sender {
    client: Client,
    rules: Rules,
}

/// What is sent.
#[derive(Debug)]
pub struct Message<'a> {
    /// Where to, as it is stored: checked again, because the rules may have changed since.
    pub url: &'a str,
    /// What the body is.
    pub media_type: &'static str,
    /// What proves it: names and values.
    pub headers: &'a [(&'static str, String)],
    /// The exact bytes.
    pub body: String,
    /// How long the receiver may take.
    pub time_limit: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The rules do not let it through.
    NotAllowed,
    /// No connection, or it broke: the receiver may have it.
    NotReached,
    /// It took too long: the receiver may have it.
    TimedOut,
}

impl NoAnswer {
    /// For the log, the operator and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed => "the address is not allowed",
            Self::NotReached => "not reached",
            Self::TimedOut => "timed out",
        }
    }
}

impl Sender {
    /// Under these rules; `extra_ca` is trusted too (development).
    ///
    /// # Errors
    /// When the TLS client cannot be set up.
    pub fn new(rules: Rules, lookup: Arc<dyn Lookup>, extra_ca: &[Certificate]) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Checked { rules: rules.clone(), lookup }))
            .tls_certs_merge(extra_ca.iter().cloned())
            .user_agent("scanvault-webhook")
            .build()?;
        Ok(Self { client, rules })
    }

    /// Where receivers may be.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Sends it, and says what the receiver's status was.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn post(&self, message: Message<'_>) -> Result<StatusCode, NoAnswer> {
        let target = Target::parse(message.url, &self.rules).map_err(|_| NoAnswer::NotAllowed)?;
        let mut request = self.client.post(target.as_str()).header("content-type", message.media_type);
        for (name, value) in message.headers {
            request = request.header(*name, value);
        }
        let answer = request.body(message.body).timeout(message.time_limit).send().await;
        let answer =
            answer.map_err(|error| if error.is_timeout() { NoAnswer::TimedOut } else { NoAnswer::NotReached })?;
        Ok(answer.status())
    }
}
