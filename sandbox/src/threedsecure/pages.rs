//! What the shopper's browser sees of the bank.

use axum::{http::StatusCode, response::Response};

use super::acs::{Answered, Opened, Refused};
use crate::common::web::{auto_post, escape, form, hidden, page};

/// The method's answer, posted from the hidden frame.
pub(super) fn method_answer(notification_url: &str, data: &str) -> Response {
    auto_post("3DS Method", notification_url, &[("threeDSMethodData", data)])
}

/// A method page that never answers.
pub(super) fn method_silence() -> Response {
    page(StatusCode::OK, "3DS Method", "<p>This card's bank does not answer.</p>")
}

/// The manual challenge: three buttons.
pub(super) fn challenge(opened: &Opened, action: &str) -> Response {
    let session = opened.session_data.as_deref().map(|data| hidden("threeDSSessionData", data)).unwrap_or_default();
    let amount = opened.amount.map(|minor| format!("<p>Amount: {minor} minor units</p>")).unwrap_or_default();
    let body = format!(
        "<p>This is the sandbox's bank. Nothing real happens.</p>{amount}\
         <form method=\"post\" action=\"{}\">{}{}{session}\
         <button type=\"submit\" name=\"outcome\" value=\"approve\">Approve</button> \
         <button type=\"submit\" name=\"outcome\" value=\"decline\">Decline</button> \
         <button type=\"submit\" name=\"outcome\" value=\"cancel\">Cancel</button></form>",
        escape(action),
        hidden("threeDSServerTransID", &opened.id),
        hidden("acsTransID", &opened.acs_id),
    );
    page(StatusCode::OK, "Is it you?", &body)
}

/// Sends the browser back to the merchant; `twice` posts the same answer in a hidden frame first.
pub(super) fn answered(answered: &Answered, twice: bool) -> Response {
    let mut fields = vec![("cres", answered.cres.as_str())];
    fields.extend(answered.session_data.as_deref().map(|data| ("threeDSSessionData", data)));
    if !twice {
        return auto_post("Back to the shop", &answered.notification_url, &fields);
    }
    // The second post waits for the first, or the navigation would cut it off.
    let body = format!(
        "<iframe name=\"first\" hidden></iframe>{}{}<script>const [first, second] = document.forms; first.submit(); \
         setTimeout(() => second.submit(), 1000)</script>",
        form(&answered.notification_url, Some("first"), &fields),
        form(&answered.notification_url, None, &fields),
    );
    page(StatusCode::OK, "Back to the shop", &body)
}

pub(super) fn refused(why: &Refused) -> Response {
    tracing::info!(%why, "a browser's post was refused");
    page(StatusCode::BAD_REQUEST, "The bank cannot go on", &format!("<p>{}</p>", escape(&why.to_string())))
}
