//! The message `Erro`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::guesses::ERRO_STATUS;

/// The documented number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(&'static str);

/// The documented meanings of those that this server gives.
const MEANINGS: [(Code, &str); 9] = [
    (Code::MESSAGE, "Message received invalid"),
    (Code::VERSION, "Message version number not supported"),
    (Code::MISSING, "Required data element missing"),
    (Code::FORMAT, "Format of one or more data elements is invalid"),
    (Code::ENDPOINT, "Access denied, invalid endpoint"),
    (Code::ISO, "ISO code not valid"),
    (Code::DATA_NOT_VALID, "Transaction data not valid"),
    (Code::MCC, "MCC not valid for payment system"),
    (Code::CONNECTION, "Unable to contact Directory Server"),
];

impl Code {
    pub(super) const MESSAGE: Self = Self("101");
    pub(super) const VERSION: Self = Self("102");
    pub(super) const MISSING: Self = Self("201");
    pub(super) const FORMAT: Self = Self("203");
    pub(super) const ENDPOINT: Self = Self("303");
    pub(super) const ISO: Self = Self("304");
    pub(super) const DATA_NOT_VALID: Self = Self("305");
    pub(super) const MCC: Self = Self("306");
    pub(super) const CONNECTION: Self = Self("405");

    fn meaning(self) -> &'static str {
        MEANINGS.iter().find(|(code, _)| *code == self).map_or("", |(_, meaning)| meaning)
    }
}

/// Of an answer to a message whose version is not known.
pub(super) const DEFAULT_VERSION: &str = "2.2.0";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Erro {
    pub(super) code: Code,
    description: Option<&'static str>,
    detail: String,
    message: Option<&'static str>,
    version: &'static str,
    id: Option<String>,
}

impl Erro {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, description: None, detail: detail.into(), message: None, version: DEFAULT_VERSION, id: None }
    }

    /// A text of its own in place of the code's meaning.
    pub(super) const fn described(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    /// In answer to this type of message.
    pub(super) const fn about(mut self, message: &'static str) -> Self {
        self.message = Some(message);
        self
    }

    pub(super) fn of(mut self, id: &str, version: &'static str) -> Self {
        (self.id, self.version) = (Some(id.to_owned()), version);
        self
    }
}

impl IntoResponse for Erro {
    fn into_response(self) -> Response {
        tracing::info!(code = self.code.0, detail = self.detail, "refused");
        let mut body = Map::from_iter([
            ("errorCode".to_owned(), json!(self.code.0)),
            ("errorComponent".to_owned(), json!("S")),
            ("errorDescription".to_owned(), json!(self.description.unwrap_or_else(|| self.code.meaning()))),
            ("errorDetail".to_owned(), json!(self.detail)),
            ("messageType".to_owned(), json!("Erro")),
            ("messageVersion".to_owned(), json!(self.version)),
        ]);
        if let Some(message) = self.message {
            body.insert("errorMessageType".to_owned(), json!(message));
        }
        if let Some(id) = self.id {
            body.insert("threeDSServerTransID".to_owned(), json!(id));
        }
        let status = match self.code {
            Code::ENDPOINT => StatusCode::NOT_FOUND,
            _ => StatusCode::from_u16(ERRO_STATUS).unwrap_or(StatusCode::BAD_REQUEST),
        };
        (status, Json(Value::Object(body))).into_response()
    }
}
