//! Who may call: the token endpoint's credentials, and the headers that every other call carries.

use axum::http::{HeaderMap, header};

use super::problem::Problem;
use crate::common::secret::SecretText;

/// One key set of a payment service provider; the merchants' serial numbers are theirs.
pub struct Access {
    client_id: SecretText,
    /// It also signs card callbacks.
    pub(super) client_secret: SecretText,
    subscription_key: SecretText,
}

/// What the headers of a call say.
pub(super) struct Caller {
    pub(super) msn: String,
    pub(super) psp_id: Option<String>,
    pub(super) key: Option<String>,
}

impl Access {
    pub const fn new(client_id: SecretText, client_secret: SecretText, subscription_key: SecretText) -> Self {
        Self { client_id, client_secret, subscription_key }
    }

    /// `POST /accesstoken/get`.
    pub(super) fn may_have_token(&self, headers: &HeaderMap) -> bool {
        let right =
            |name: &str, secret: &SecretText| headers.get(name).is_some_and(|value| secret.matches(value.as_bytes()));
        // All are compared, whichever is wrong.
        let id = right("client_id", &self.client_id);
        let secret = right("client_secret", &self.client_secret);
        let subscription = right("ocp-apim-subscription-key", &self.subscription_key);
        id && secret && subscription
    }

    /// The token itself is looked up by `known`.
    pub(super) fn check(&self, headers: &HeaderMap, known: impl FnOnce(&str) -> bool) -> Result<(), Problem> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = text(header::AUTHORIZATION.as_str()).strip_prefix("Bearer ").unwrap_or_default();
        if token.is_empty() || !known(token) {
            return Err(Problem::plain(401, "Unauthorized"));
        }
        match self.subscription_key.matches(text("ocp-apim-subscription-key").as_bytes()) {
            true => Ok(()),
            false => Err(Problem::plain(401, "Access denied due to invalid subscription key")),
        }
    }
}

impl Caller {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let msn = msn(headers)?.ok_or_else(|| Problem::bad("Merchant-Serial-Number is missing"))?;
        let key = text("idempotency-key");
        if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 50) {
            return Err(Problem::bad("Idempotency-Key has 1 to 50 characters"));
        }
        for name in ["name", "version", "plugin-name", "plugin-version"] {
            if text(&format!("vipps-system-{name}")).is_some_and(|text| text.len() > 30) {
                return Err(Problem::bad("Vipps-System headers have up to 30 characters"));
            }
        }
        Ok(Self { msn, psp_id: text("psp-id").filter(|id| !id.is_empty()), key })
    }
}

/// Six digits; webhooks may be registered without.
pub(super) fn msn(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("merchant-serial-number") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) if text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad("Merchant-Serial-Number has 6 digits")),
    }
}
