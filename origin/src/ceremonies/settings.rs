//! How an account is told of its payments and how they are made, as operators set it after the account was made.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use scanvault_protocol::authorization::Basic;
use scanvault_protocol::password::ApiPassword;
use scanvault_protocol::{AccountName, AuthMode, Problem};
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::accounts::new_webhook_secret;
use super::passwords::{account_name, no_account};
use super::{Admin, AdminCall, sealed_problem};
use crate::acquirers::clearhaus::is_text_on_statement;
use crate::audit::Entry;
use crate::db::Tx;
use crate::identity::secrets::{self, NOTIFICATION_KEY, PING_KEY, SecretError};
use crate::identity::settings::{self, Settings};
use crate::identity::{Account, credentials, routes, store};
use crate::money::Currency;
use crate::outbox::{Format, NotificationKey, Target, upkeep};
use crate::vault::SystemEntropy;
use crate::web::ApiError;

const MAX_ROUTES: usize = 200;

/// What is to be set; what is absent stays, `null` takes away.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SetBody {
    #[serde(deserialize_with = "present")]
    webhook_url: Option<Option<String>>,
    webhook_format: Option<String>,
    strict: Option<bool>,
    #[serde(deserialize_with = "present")]
    ping_url: Option<Option<String>>,
    /// The whole API key, `25:sv_…`, that pings are proved with.
    api_key: Option<Zeroizing<String>>,
    #[serde(rename = "threeDSecure")]
    three_d_secure: Option<String>,
    #[serde(deserialize_with = "present")]
    text_on_statement: Option<Option<String>>,
    /// By currency, or `*`; an empty list takes the route away.
    routes: BTreeMap<String, Vec<String>>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SetAnswer {
    account: String,
    changed: Vec<&'static str>,
    /// Made with the first receiver: shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<Zeroizing<String>>,
    /// Made with the format pluto: shown once, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_key: Option<Zeroizing<String>>,
}

impl Admin {
    /// Sets what the body names, all of it or nothing. Secrets that a setting needs are made with it.
    pub(super) async fn account_set(&self, call: &AdminCall<'_>) -> Result<Response, ApiError> {
        let name = account_name(call)?;
        let body: SetBody = call.json()?;
        let by = call.operator.name.as_str();
        let mut tx = self.audit.begin_unfenced().await?;
        let account = self.locked(tx.tx(), &name).await?;
        let before = Settings::of(&account);
        let after = self.changed(&before, &body)?;
        let changed = names_of(&before, &after, &body);
        if changed.is_empty() && !body.is_asking() {
            return Err(bad("nothing is to be set"));
        }
        let mut answer = SetAnswer { account: name.to_string(), changed, webhook_secret: None, notification_key: None };
        self.set_pings(tx.tx(), &account, &after, &body).await?;
        self.make_secrets(tx.tx(), &name, &after, &mut answer).await?;
        settings::put(tx.tx(), &name, &after).await?;
        if before.webhook_url != after.webhook_url {
            let url = after.webhook_url.as_deref();
            upkeep::redirect(tx.tx(), &answer.account, url, self.clock.now_db()).await?;
        }
        for (currency, acquirers) in &body.routes {
            routes::put(tx.tx(), &name, currency, acquirers).await?;
        }
        let entry = Entry::new("account.set", by).with("account", answer.account.as_str());
        // An address may carry a secret of its own: that it was set is written down, not what it is.
        let entry = entry.with("changed", answer.changed.clone()).with("strict", after.webhook_strict);
        let entry = entry.with("format", after.webhook_format.as_str());
        tx.push(entry.with("threeDSecure", after.three_d_secure.as_str()));
        tx.commit().await?;
        tracing::warn!(operator = by, account = answer.account, changed = ?answer.changed, "account set");
        self.bell.notify_one();
        Ok(Json(answer).into_response())
    }

    /// The account, its row locked until the transaction ends.
    pub(super) async fn locked(&self, tx: &mut Tx, name: &AccountName) -> Result<Account, ApiError> {
        store::lock(tx, name).await?;
        store::find_on(&mut **tx, name).await?.ok_or_else(no_account)
    }

    fn changed(&self, before: &Settings, body: &SetBody) -> Result<Settings, ApiError> {
        let mut after = before.clone();
        if let Some(url) = &body.webhook_url {
            after.webhook_url = self.receiver(url.as_deref())?;
        }
        if let Some(url) = &body.ping_url {
            after.ping_url = self.receiver(url.as_deref())?;
        }
        if let Some(format) = &body.webhook_format {
            after.webhook_format = format.parse().map_err(|error| bad(&format!("{error}")))?;
        }
        if let Some(setting) = &body.three_d_secure {
            after.three_d_secure = setting.parse().map_err(|error| bad(&format!("{error}")))?;
        }
        if let Some(text) = &body.text_on_statement {
            if text.as_deref().is_some_and(|text| !is_text_on_statement(text)) {
                return Err(bad("the text on the statement is 2 to 22 printable ASCII characters, not digits only"));
            }
            after.text_on_statement.clone_from(text);
        }
        after.webhook_strict = body.strict.unwrap_or(after.webhook_strict);
        if after.webhook_strict && after.webhook_url.is_none() {
            return Err(conflict("strict mode needs a receiver: set the webhook's address, or strict off"));
        }
        self.check_routes(&body.routes)?;
        Ok(after)
    }

    fn receiver(&self, url: Option<&str>) -> Result<Option<String>, ApiError> {
        let target = url.map(|url| Target::parse(url, self.sender.rules())).transpose();
        Ok(target.map_err(|error| bad(&error.to_string()))?.map(|target| target.as_str().to_owned()))
    }

    fn check_routes(&self, routes: &BTreeMap<String, Vec<String>>) -> Result<(), ApiError> {
        for (currency, acquirers) in routes {
            if currency != routes::ANY_CURRENCY && currency.parse::<Currency>().is_err() {
                return Err(bad(&format!("{currency} is no currency, nor * for any")));
            }
            if let Some(unknown) = acquirers.iter().find(|name| self.acquirers.find(name).is_none()) {
                return Err(bad(&format!("this origin reaches no acquirer {unknown}")));
            }
            let is_twice = acquirers.iter().enumerate().any(|(at, name)| acquirers.iter().take(at).any(|n| n == name));
            if is_twice || routes.len() > MAX_ROUTES {
                return Err(bad("a route names each acquirer once"));
            }
        }
        Ok(())
    }

    /// Pings need the whole API key, which only the merchant has: it is taken when it is one that counts.
    async fn set_pings(
        &self,
        tx: &mut Tx,
        account: &Account,
        after: &Settings,
        body: &SetBody,
    ) -> Result<(), ApiError> {
        if after.ping_url.is_none() {
            if body.api_key.is_some() {
                return Err(bad("an API key is kept for pings only: give a ping URL too"));
            }
            secrets::remove_credentials(tx, &account.name, PING_KEY).await?;
            return Ok(());
        }
        let Some(key) = &body.api_key else {
            let parties = secrets::parties(&mut **tx, &account.name).await?;
            if body.ping_url.is_some() && !parties.iter().any(|party| party == PING_KEY) {
                return Err(bad("pings are proved with the account's API key: give it too"));
            }
            return Ok(());
        };
        if !matches!(account.name, AccountName::Merchant(_)) || account.mode != AuthMode::Basic {
            return Err(conflict("pings are for merchants in Basic mode: they are proved with the API key"));
        }
        let key = Zeroizing::new(key.trim().to_owned());
        let offered = api_key(&key).filter(|offered| offered.account == account.name);
        let found = credentials::with_passwords_on(&mut **tx, &account.name, self.clock.now_db()).await?;
        let is_live = offered.is_some_and(|offered| credentials::matching(found.as_ref(), &offered).is_some());
        if !is_live {
            return Err(bad("this is not a live API key of the account: NUMBER:PASSWORD is expected"));
        }
        self.put_credentials(tx, &account.name, PING_KEY, key.as_bytes()).await
    }

    /// The secret of the signature with the first receiver, the key of the format pluto with that format.
    async fn make_secrets(
        &self,
        tx: &mut Tx,
        name: &AccountName,
        after: &Settings,
        answer: &mut SetAnswer,
    ) -> Result<(), ApiError> {
        if after.webhook_url.is_some() && store::webhook_secret(&mut **tx, &answer.account).await?.is_none() {
            answer.webhook_secret = Some(self.renew_webhook_secret(tx, name).await?);
        }
        let parties = secrets::parties(&mut **tx, name).await?;
        if after.webhook_format == Format::Pluto && !parties.iter().any(|party| party == NOTIFICATION_KEY) {
            answer.notification_key = Some(self.renew_notification_key(tx, name).await?);
        }
        Ok(())
    }

    pub(super) async fn renew_webhook_secret(
        &self,
        tx: &mut Tx,
        name: &AccountName,
    ) -> Result<Zeroizing<String>, ApiError> {
        let unsealed = self.vault.unsealed().map_err(sealed_problem)?;
        let mut entropy = SystemEntropy::new();
        let secret = new_webhook_secret(&mut entropy)?;
        let put = secrets::put_webhook_secret(tx, &unsealed, name, secret.as_bytes(), &mut entropy).await;
        put.map_err(not_put)?;
        Ok(secret)
    }

    pub(super) async fn renew_notification_key(
        &self,
        tx: &mut Tx,
        name: &AccountName,
    ) -> Result<Zeroizing<String>, ApiError> {
        let key = NotificationKey::generate(&mut SystemEntropy::new()).map_err(|error| ApiError::internal(&error))?;
        self.put_credentials(tx, name, NOTIFICATION_KEY, key.expose()).await?;
        Ok(key.to_hex())
    }

    pub(super) async fn put_credentials(
        &self,
        tx: &mut Tx,
        name: &AccountName,
        party: &str,
        secret: &[u8],
    ) -> Result<(), ApiError> {
        let unsealed = self.vault.unsealed().map_err(sealed_problem)?;
        let put = secrets::put_credentials(tx, &unsealed, name, party, secret, &mut SystemEntropy::new()).await;
        put.map_err(not_put)
    }
}

impl SetBody {
    /// Whether something was asked for, though it may be so already.
    fn is_asking(&self) -> bool {
        self.webhook_url.is_some()
            || self.webhook_format.is_some()
            || self.strict.is_some()
            || self.ping_url.is_some()
            || self.three_d_secure.is_some()
            || self.text_on_statement.is_some()
    }
}

/// What has become another, by name.
fn names_of(before: &Settings, after: &Settings, body: &SetBody) -> Vec<&'static str> {
    [
        ("webhookUrl", before.webhook_url != after.webhook_url),
        ("webhookFormat", before.webhook_format != after.webhook_format),
        ("strict", before.webhook_strict != after.webhook_strict),
        ("pingUrl", before.ping_url != after.ping_url),
        ("apiKey", body.api_key.is_some()),
        ("threeDSecure", before.three_d_secure != after.three_d_secure),
        ("textOnStatement", before.text_on_statement != after.text_on_statement),
        ("routes", !body.routes.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is_new)| is_new.then_some(name))
    .collect()
}

/// `NUMBER:PASSWORD`, as Scanpay's clients are given it.
fn api_key(text: &str) -> Option<Basic> {
    let (user, password) = text.split_once(':')?;
    Some(Basic { account: user.parse().ok()?, password: ApiPassword::parse(password).ok()? })
}

fn not_put(error: SecretError) -> ApiError {
    match error {
        SecretError::Moved => conflict("the account's secrets were changed by another process meanwhile: try again"),
        SecretError::Missing => no_account(),
        other => ApiError::internal(&other),
    }
}

fn bad(text: &str) -> ApiError {
    ApiError::because(Problem::BadRequest, text)
}

fn conflict(text: &str) -> ApiError {
    ApiError::because(Problem::Conflict, text)
}
