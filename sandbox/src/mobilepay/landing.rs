//! The shopper's app, as a page: approve, reject, and what came of it.

use std::sync::Arc;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    callback::Outcome,
    guesses::LANDING_PATH,
    payment::{Id, State},
    service::Service,
};
use crate::common::{
    form::Form,
    web::{escape, page},
};

pub(super) fn unknown() -> Response {
    page(StatusCode::NOT_FOUND, "No such payment", "")
}

impl Service {
    pub(super) fn landing(&self, id: &Id, message: &str) -> Response {
        let now = self.clock.now();
        self.locked(|state| {
            self.expire(state, id, now);
            let Some(payment) = state.payments.get(id) else {
                return unknown();
            };
            let request = &payment.created.request;
            if payment.state != State::Created {
                let again = match &request.return_url {
                    Some(url) => format!("<p><a href=\"{}\">Back to the shop</a></p>", escape(url)),
                    None => String::new(),
                };
                let told = format!("<p>{}</p><p>{:?}</p>{again}", escape(message), payment.state);
                return page(StatusCode::OK, "MobilePay sandbox", &told);
            }
            let phone = request.customer.as_ref().and_then(|customer| customer.phone_number.as_deref());
            let body = format!(
                "<p>{}</p><p>Merchant {}, reference {}</p><p>{} minor units {}</p><p>{}</p>\
                 <form method=\"post\" action=\"{LANDING_PATH}/{}\">\
                 <label>Phone number <input name=\"phoneNumber\" inputmode=\"tel\" value=\"{}\"></label> \
                 <button type=\"submit\" name=\"outcome\" value=\"approve\">Approve</button> \
                 <button type=\"submit\" name=\"outcome\" value=\"reject\">Reject</button></form>",
                escape(message),
                escape(&id.0),
                escape(&id.1),
                request.amount.value,
                escape(&request.amount.currency),
                escape(request.payment_description.as_deref().unwrap_or_default()),
                escape(&payment.created.token),
                escape(phone.unwrap_or_default()),
            );
            page(StatusCode::OK, "MobilePay sandbox", &body)
        })
    }

    /// A button was pressed.
    pub(super) async fn pressed(self: &Arc<Self>, id: Id, form: &Form) -> Response {
        match form.get("outcome") {
            Some("approve") => {
                let outcome = self.approve(id.clone(), None).await;
                self.told(&id, outcome)
            }
            Some("reject") => {
                self.reject(&id);
                self.back(&id).unwrap_or_else(|| self.landing(&id, ""))
            }
            _ => page(StatusCode::BAD_REQUEST, "MobilePay sandbox", "<p>approve or reject</p>"),
        }
    }

    /// The provider's 3-D Secure is over: the second callback.
    pub(super) async fn completed(self: &Arc<Self>, id: Id, attempt: String) -> Response {
        let outcome = self.approve(id.clone(), Some(attempt)).await;
        self.told(&id, outcome)
    }

    fn told(&self, id: &Id, outcome: Outcome) -> Response {
        match outcome {
            Outcome::SoftDeclined(url) => see_other(&url).unwrap_or_else(|| self.landing(id, "bad softDeclineUrl")),
            Outcome::Approved => self.back(id).unwrap_or_else(|| self.landing(id, "")),
            Outcome::Refused(why) => self.landing(id, &why),
        }
    }

    /// To the merchant's page, when there is one.
    fn back(&self, id: &Id) -> Option<Response> {
        let url = self.locked(|state| state.payments.get(id)?.created.request.return_url.clone());
        see_other(&url?)
    }
}

fn see_other(url: &str) -> Option<Response> {
    let location = header::HeaderValue::from_str(url).ok()?;
    Some((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}
