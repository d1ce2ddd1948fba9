//! The message `Erro`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::guesses::ERRO_STATUS;

/// The number and its documented meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) &'static str, &'static str);

impl Code {
    pub(super) const MESSAGE: Self = Self("101", "Message received invalid");
    pub(super) const VERSION: Self = Self("102", "Message version number not supported");
    pub(super) const MISSING: Self = Self("201", "Required data element missing");
    pub(super) const FORMAT: Self = Self("203", "Format of one or more data elements is invalid");
    pub(super) const ENDPOINT: Self = Self("303", "Access denied, invalid endpoint");
    pub(super) const ISO: Self = Self("304", "ISO code not valid");
    pub(super) const DATA_NOT_VALID: Self = Self("305", "Transaction data not valid");
    pub(super) const MCC: Self = Self("306", "MCC not valid for payment system");
    pub(super) const CONNECTION: Self = Self("405", "Unable to contact Directory Server");
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Erro {
    pub(super) code: Code,
    description: Option<&'static str>,
    detail: String,
    message: Option<&'static str>,
    version: String,
    id: Option<String>,
}

impl Erro {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let version = super::script::VERSIONS.get(1).copied().unwrap_or_default().to_owned();
        Self { code, description: None, detail: detail.into(), message: None, version, id: None }
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

    pub(super) fn of(mut self, id: &str, version: &str) -> Self {
        self.id = Some(id.to_owned());
        version.clone_into(&mut self.version);
        self
    }
}

impl IntoResponse for Erro {
    fn into_response(self) -> Response {
        tracing::info!(code = self.code.0, detail = self.detail, "refused");
        let mut body = Map::from_iter([
            ("errorCode".to_owned(), json!(self.code.0)),
            ("errorComponent".to_owned(), json!("S")),
            ("errorDescription".to_owned(), json!(self.description.unwrap_or(self.code.1))),
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
