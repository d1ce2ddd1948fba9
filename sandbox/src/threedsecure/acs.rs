//! The bank's side: what a browser posts to it is checked here.

use serde::Deserialize;

use super::{
    areq::is_uuid,
    script::{Challenge, Outcome},
    server::Server,
    transaction::{Result as Outcomes, Stage},
};
use crate::common::{
    book::Kind,
    form::Form,
    web::{base64url, from_base64url},
};

/// Documented: base64url characters.
const SESSION_DATA: usize = 1024;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the form cannot be read")]
    Form,
    #[error("the message is not base64url without padding of its JSON object")]
    Message,
    #[error("threeDSSessionData is too long or not base64url")]
    SessionData,
    #[error("the transaction is not known, or not waiting for a challenge")]
    Transaction,
}

/// `creq`, as a browser brings it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CReq {
    #[serde(rename = "threeDSServerTransID")]
    id: String,
    #[serde(rename = "acsTransID")]
    acs_id: String,
    message_version: String,
    message_type: String,
    challenge_window_size: String,
}

#[derive(Deserialize)]
struct MethodData {
    #[serde(rename = "threeDSServerTransID")]
    id: String,
    #[serde(rename = "threeDSMethodNotificationURL")]
    notification_url: String,
}

/// A challenge that was opened.
pub(super) struct Opened {
    pub(super) id: String,
    pub(super) acs_id: String,
    pub(super) session_data: Option<String>,
    pub(super) amount: Option<u64>,
}

/// What the merchant's page gets back.
pub(super) struct Answered {
    pub(super) cres: String,
    pub(super) session_data: Option<String>,
    pub(super) notification_url: String,
}

/// The id and where the method's answer goes to.
pub(super) fn method(form: &Form) -> Result<(String, String), Refused> {
    let data: MethodData = decoded(form.get("threeDSMethodData"))?;
    match is_uuid(&data.id) && data.notification_url.starts_with("http") {
        true => Ok((data.id.to_lowercase(), data.notification_url)),
        false => Err(Refused::Message),
    }
}

impl Server {
    /// Takes a `creq`: from here on the cardholder has ten minutes.
    pub(super) fn open(&self, form: &Form) -> Result<Opened, Refused> {
        let creq: CReq = decoded(form.get("creq"))?;
        let sized = matches!(creq.challenge_window_size.as_str(), "01" | "02" | "03" | "04" | "05");
        if creq.message_type != "CReq" || !sized {
            return Err(Refused::Message);
        }
        let (id, session_data) = (creq.id.to_lowercase(), session_data(form)?);
        let now = self.clock.now();
        self.with(&id, |transaction| {
            let known =
                transaction.filter(|known| known.acs_id == creq.acs_id && known.version == creq.message_version);
            let transaction = known.ok_or(Refused::Transaction)?;
            let Stage::Challenging { touched, .. } = &mut transaction.stage else {
                return Err(Refused::Transaction);
            };
            *touched = Some(now);
            Ok(Opened { id: id.clone(), acs_id: creq.acs_id, session_data, amount: transaction.amount })
        })
    }

    /// `outcome` is the button that was pressed; a scripted card needs none.
    pub(super) fn complete(&self, opened: &Opened, outcome: &str) -> Result<Answered, Refused> {
        let now = self.clock.now();
        self.with(&opened.id, |transaction| {
            let transaction = transaction.filter(|known| known.acs_id == opened.acs_id).ok_or(Refused::Transaction)?;
            if !matches!(transaction.stage, Stage::Challenging { touched: Some(_), .. }) {
                return Err(Refused::Transaction);
            }
            let result = match (transaction.script.outcome, outcome) {
                (Outcome::Challenge(Challenge::Passes), _) => Outcomes::answered(true),
                (Outcome::Challenge(Challenge::Fails), _) => Outcomes::answered(false),
                (_, "approve") => Outcomes::answered(true),
                (_, "decline") => Outcomes::answered(false),
                (_, "cancel") => Outcomes::cancelled(),
                _ => return Err(Refused::Form),
            };
            transaction.complete(result, now);
            self.record(transaction, &opened.id, Kind::Challenge, result.status, now);
            let cres = super::messages::challenge_answer(transaction, &opened.id, result).to_string();
            Ok(Answered {
                cres: padded(&opened.id, &cres),
                session_data: opened.session_data.clone(),
                notification_url: transaction.notification_url.clone(),
            })
        })
    }

    /// The manual page's form brings back what the page was opened with.
    pub(super) fn opened(&self, form: &Form) -> Result<Opened, Refused> {
        let text = |name: &str| form.get(name).map(str::to_owned).ok_or(Refused::Form);
        let id = text("threeDSServerTransID")?;
        let amount = self.amount(&id);
        Ok(Opened { id, acs_id: text("acsTransID")?, session_data: session_data(form)?, amount })
    }
}

/// Clients must read both ways, so half of the transactions get padding, by the last digit of their id. A blank after
/// the object, which JSON allows, makes sure that there is something to pad.
pub(super) fn padded(id: &str, json: &str) -> String {
    let odd = id.chars().last().and_then(|digit| digit.to_digit(16)).unwrap_or(0) % 2 == 1;
    let blank = if odd && json.len().is_multiple_of(3) { " " } else { "" };
    base64url(format!("{json}{blank}").as_bytes(), odd)
}

/// The sandbox has refused padding since 2021.
fn decoded<T: for<'de> Deserialize<'de>>(text: Option<&str>) -> Result<T, Refused> {
    let bytes = text.and_then(from_base64url).ok_or(Refused::Message)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::Message)
}

fn session_data(form: &Form) -> Result<Option<String>, Refused> {
    let Some(text) = form.get("threeDSSessionData").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    match text.len() <= SESSION_DATA && text.bytes().all(is_url_safe) {
        true => Ok(Some(text.to_owned())),
        false => Err(Refused::SessionData),
    }
}
