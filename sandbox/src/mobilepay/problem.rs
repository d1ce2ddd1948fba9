//! Refusals in the form of RFC 7807, with Vipps' own number inside.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::guesses::{BAD_REQUEST, REFUSED_STATUS, UNKNOWN_REFERENCE_STATUS};

/// The numbers that this simulator can give, and their titles.
const TITLES: [(u16, &str); 39] = [
    (3010, "Internal error"),
    (4010, "Capture idempotency conflict"),
    (4020, "Idempotency error"),
    (4040, "Invalid amount"),
    (4050, "Invalid CustomerToken"),
    (4070, "Invalid phone number"),
    (4090, "Invalid URL"),
    (4140, "Missing required parameter"),
    (4150, "Reference already exists"),
    (4160, "Invalid method type for CardPassthrough"),
    (5040, "Invalid currency for merchant"),
    (5080, "PUSH_MESSAGE not allowed"),
    (5090, "Reference not found"),
    (5100, "Refund not possible"),
    (6010, "Amount too small"),
    (6020, "Cannot refund before reservation"),
    (6030, "Cancel period expired"),
    (6040, "Cannot cancel a captured payment"),
    (6050, "Cannot cancel a payment that is not reserved"),
    (6060, "Cannot cancel an authorized payment"),
    (6070, "Cannot capture a cancelled payment"),
    (6080, "Cannot capture before reservation"),
    (6090, "Capture amount too high"),
    (6100, "Capture period expired"),
    (6110, "Expiration too late"),
    (6120, "Expiration too soon"),
    (6130, "Long living payment needs a receipt"),
    (6140, "Must capture full amount"),
    (6150, "Not enough to refund"),
    (6160, "Order is being processed"),
    (6170, "Already captured"),
    (6180, "Already refunded"),
    (6190, "Cannot be cancelled in this state"),
    (6200, "Cannot be captured in this state"),
    (6210, "Cannot be refunded in this state"),
    (6220, "Refund period expired"),
    (6230, "Already reserved"),
    (7010, "Customer not found"),
    (10010, "Force approve failed"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: u16,
    status: u16,
    detail: String,
}

impl Problem {
    pub(super) fn new(code: u16, detail: impl Into<String>) -> Self {
        let status = if code == 5090 { UNKNOWN_REFERENCE_STATUS } else { REFUSED_STATUS };
        Self { code, status, detail: detail.into() }
    }

    /// A request that cannot be read.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(BAD_REQUEST, detail)
    }

    /// A key or a reference that is taken.
    pub(super) fn conflict(code: u16, detail: &str) -> Self {
        Self { status: 409, ..Self::new(code, detail) }
    }

    /// What has no number of its own: 401, 404, 429.
    pub(super) fn plain(status: u16, detail: &str) -> Self {
        Self { code: 0, status, detail: detail.to_owned() }
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn body(&self, path: &str) -> Value {
        let title = TITLES.iter().find(|(code, _)| *code == self.code).map(|(_, title)| *title);
        let mut body = json!({
            "type": format!("https://httpstatuses.io/{}", self.status),
            "title": title.unwrap_or(self.detail.as_str()),
            "detail": self.detail,
            "instance": path.strip_prefix("/epayment").unwrap_or(path),
            "status": self.status,
        });
        if let (true, Some(object)) = (self.code != 0, body.as_object_mut()) {
            object.insert("extraDetails".to_owned(), json!([{"name": "ErrorCode", "reason": self.code.to_string()}]));
        }
        body
    }
}
