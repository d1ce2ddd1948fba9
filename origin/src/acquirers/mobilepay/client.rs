//! The calls, over HTTPS. Each one that writes has an idempotency key, so that it can be made again with the same bytes.

use std::sync::Arc;

use http::Method;
use reqwest::Certificate;
use zeroize::Zeroizing;

use super::super::transport::Http;
use super::super::{Answer, WireRequest};
use super::access::{Owner, Token, TokenAnswer, Tokens};
use super::credentials::Credentials;
use super::error::WalletError;
use super::messages::{self, Created, NewPayment, Registered, Registrations, WalletPayment};
use crate::clock::Clock;
use crate::money::Amount;

const PAYMENTS: &str = "/epayment/v1/payments";
const WEBHOOKS: &str = "/webhooks/v1/webhooks";
/// An idempotency key has at most so many characters.
const MAX_KEY_CHARS: usize = 50;

/// The way to Vipps MobilePay.
pub struct MobilePay {
    http: Http,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
}

/// What a modification does to a payment there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modify {
    /// What was captured at the acquirer.
    Capture(Amount),
    /// What was refunded there.
    Refund(Amount),
    /// Whatever is left is released; before the payer has agreed, the payment ends.
    Cancel,
}

impl Modify {
    fn path(self) -> &'static str {
        match self {
            Self::Capture(_) => "capture",
            Self::Refund(_) => "refund",
            Self::Cancel => "cancel",
        }
    }
}

/// A webhook that was registered; its secret is known here and there, nowhere else.
pub struct NewWebhook {
    /// Theirs.
    pub id: String,
    /// The key of its signatures.
    pub secret: Zeroizing<String>,
}

impl MobilePay {
    /// For an address such as `https://api.vipps.no`; `extra_ca` is trusted too (development).
    ///
    /// # Errors
    /// When the TLS client cannot be set up.
    pub fn new(base: &str, extra_ca: &[Certificate], clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        Ok(Self { http: Http::new(base, extra_ca)?, clock, tokens: Tokens::default() })
    }

    /// Makes a payment; the answer is where the payer is sent. The same again with the same key gives the same answer.
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn create(
        &self,
        credentials: &Credentials,
        key: &str,
        new: &NewPayment<'_>,
    ) -> Result<String, WalletError> {
        const UNREADABLE: WalletError = WalletError::NoAnswer("the new payment's answer could not be read");
        let body = messages::create(credentials, new)?;
        let answer = self.call(credentials, Method::POST, PAYMENTS.to_owned(), Some(key), body).await?;
        let created: Created = serde_json::from_slice(&answer.body).map_err(|_| UNREADABLE)?;
        let is_safe = created.redirect_url.starts_with("https://")
            || (self.http.is_plain() && created.redirect_url.starts_with("http://"));
        let is_url = created.redirect_url.len() <= 2048 && created.redirect_url.bytes().all(|b| b.is_ascii_graphic());
        if created.reference != new.reference || !is_safe || !is_url {
            return Err(UNREADABLE);
        }
        Ok(created.redirect_url)
    }

    /// How a payment stands.
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn payment(&self, credentials: &Credentials, reference: &str) -> Result<WalletPayment, WalletError> {
        messages::check_reference(reference)?;
        let path = format!("{PAYMENTS}/{reference}");
        let answer = self.call(credentials, Method::GET, path, None, Vec::new()).await?;
        WalletPayment::parse(&answer.body, reference).ok_or(WalletError::NoAnswer("the payment could not be read"))
    }

    /// Tells of a capture, a refund or a release. The same again with the same key changes nothing more.
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn modify(
        &self,
        credentials: &Credentials,
        reference: &str,
        key: &str,
        what: Modify,
    ) -> Result<WalletPayment, WalletError> {
        messages::check_reference(reference)?;
        let path = format!("{PAYMENTS}/{reference}/{}", what.path());
        let body = match what {
            Modify::Capture(amount) | Modify::Refund(amount) => messages::modification(amount)?,
            Modify::Cancel => Vec::new(),
        };
        let answer = self.call(credentials, Method::POST, path, Some(key), body).await?;
        WalletPayment::parse(&answer.body, reference).ok_or(WalletError::NoAnswer("the answer could not be read"))
    }

    /// Registers a webhook. It is not idempotent: what was registered for the address before is removed afterwards, with
    /// [`Self::remove_other_webhooks`].
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn register_webhook(&self, credentials: &Credentials, url: &str) -> Result<NewWebhook, WalletError> {
        let body = messages::registration(url)?;
        let answer = self.call(credentials, Method::POST, WEBHOOKS.to_owned(), None, body).await?;
        let unreadable = WalletError::NoAnswer("the registration's answer could not be read");
        let registered: Registered = serde_json::from_slice(&answer.body).map_err(|_| unreadable)?;
        Ok(NewWebhook { id: registered.id, secret: registered.secret })
    }

    /// Removes registrations for an address, but for the one that is to stay. Says how many went.
    ///
    /// # Errors
    /// See [`WalletError`].
    pub async fn remove_other_webhooks(
        &self,
        credentials: &Credentials,
        url: &str,
        stays: &str,
    ) -> Result<usize, WalletError> {
        let answer = self.call(credentials, Method::GET, WEBHOOKS.to_owned(), None, Vec::new()).await?;
        let unreadable = WalletError::NoAnswer("the list of registrations could not be read");
        let found: Registrations = serde_json::from_slice(&answer.body).map_err(|_| unreadable)?;
        let is_id =
            |id: &str| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let mut removed = 0;
        for old in found.webhooks.iter().filter(|one| one.url == url && one.id != stays && is_id(&one.id)) {
            let path = format!("{WEBHOOKS}/{}", old.id);
            self.call(credentials, Method::DELETE, path, None, Vec::new()).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// One call. A token that is refused is replaced once: a 401 comes before anything is looked at.
    async fn call(
        &self,
        credentials: &Credentials,
        method: Method,
        path: String,
        key: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Answer, WalletError> {
        if key.is_some_and(|key| !(1..=MAX_KEY_CHARS).contains(&key.len())) {
            return Err(WalletError::NotMade("idempotency key"));
        }
        let body = Zeroizing::new(body);
        let owner = Owner::of(credentials);
        for attempt in 1..=2 {
            let token = self.token(credentials, owner).await?;
            let wire = request(credentials, &token, path.clone(), key, body.clone());
            let answer = self.http.call(method.clone(), wire).await?;
            if answer.status == 401 && attempt == 1 {
                self.tokens.forget(owner, &token);
                continue;
            }
            return if (200..300).contains(&answer.status) { Ok(answer) } else { Err(WalletError::of(&answer)) };
        }
        Err(WalletError::Credentials)
    }

    async fn token(&self, credentials: &Credentials, owner: Owner) -> Result<Token, WalletError> {
        let now_secs = self.clock.now_secs();
        if let Some(token) = self.tokens.find(owner, now_secs) {
            return Ok(token);
        }
        let Credentials { client_id, client_secret, subscription_key, merchant_serial_number, .. } = credentials;
        let header = |text: &str| Zeroizing::new(text.to_owned());
        let wire = WireRequest {
            path: "/accesstoken/get".to_owned(),
            headers: vec![
                ("client_id", header(client_id)),
                ("client_secret", header(client_secret)),
                ("ocp-apim-subscription-key", header(subscription_key)),
                ("merchant-serial-number", header(merchant_serial_number)),
            ],
            body: Zeroizing::new(Vec::new()),
        };
        let answer = self.http.call(Method::POST, wire).await;
        // Nothing but a token was asked for: whatever happened to this call, the one that it is for was not made.
        let answer = answer.map_err(|_| WalletError::NotSent)?;
        match answer.status {
            200 => {}
            401 | 403 => return Err(WalletError::Credentials),
            _ => return Err(WalletError::NotSent),
        }
        let found = TokenAnswer::parse(&answer.body).map_err(|_| WalletError::NotSent)?;
        self.tokens.keep(owner, &found, now_secs);
        Ok(found.token)
    }
}

/// The headers that every call has.
fn request(
    credentials: &Credentials,
    token: &Token,
    path: String,
    key: Option<&str>,
    body: Zeroizing<Vec<u8>>,
) -> WireRequest {
    let header = |text: &str| Zeroizing::new(text.to_owned());
    let mut headers = vec![
        ("authorization", Zeroizing::new(format!("Bearer {}", token.as_str()))),
        ("ocp-apim-subscription-key", header(&credentials.subscription_key)),
        ("merchant-serial-number", header(&credentials.merchant_serial_number)),
        ("psp-id", header(&credentials.psp_id)),
        ("vipps-system-name", header("scanvault")),
        ("vipps-system-version", header(env!("CARGO_PKG_VERSION"))),
    ];
    if let Some(key) = key {
        headers.push(("idempotency-key", header(key)));
    }
    if !body.is_empty() {
        headers.push(("content-type", header("application/json")));
    }
    WireRequest { path, headers, body }
}
