//! The shopper approves: a wallet's money is reserved here, a passthrough card is handed to the provider.
//!
//! Faults of the kind `callback` happen to the card callback:
//!
//! | fault | what happens |
//! |---|---|
//! | `delay` | it is sent `delay_ms` later |
//! | `timeout` | it is sent, and `delay_ms` is all the time that the provider has |
//! | `drop_before` | it is not sent |
//! | `drop_after` | it is sent, and the answer is lost |
//! | `500` | its signature is wrong |
//! | `garbage` | half of its body is sent, rightly signed |
//! | `duplicate` | it is sent twice at once; the first answer counts |

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    cards::{self, TestToken},
    guesses::{AFTER_FAIL, AFTER_NO_ANSWER, CALLBACK_LIMIT, CARD_COUNTRY, LANDING_PATH},
    payment::{Attempt, Entry, Id, Name, Payment, State as PaymentState},
    request::{Method, Passthrough},
    service::{Service, State},
    signature::Signed,
};
use crate::common::{book::Kind, clock::rfc3339, faults::Fault, out::Target, secret::SecretText};

/// What the shopper sees next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Approved,
    /// Nothing was reserved; whether another try is possible, the payment's state tells.
    Refused(String),
    /// The provider wants to run 3-D Secure at this address.
    SoftDeclined(String),
}

/// A card callback that is to be made.
struct Plan {
    attempt: String,
    second: bool,
    target: Target,
    body: String,
    amount: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    network_transaction_reference: Option<String>,
    soft_decline_url: Option<String>,
    error_message: Option<String>,
}

impl Service {
    /// In a task of its own: a browser that leaves interrupts nothing. `completed` is the attempt whose 3-D Secure is
    /// over.
    pub(super) async fn approve(self: &Arc<Self>, id: Id, completed: Option<String>) -> Outcome {
        let service = Arc::clone(self);
        let task = tokio::spawn(async move {
            let plan = match service.begin(&id, completed) {
                Ok(plan) => plan,
                Err(outcome) => return outcome,
            };
            let answer = service.call(&plan).await;
            service.finish(&id, &plan, answer)
        });
        task.await.unwrap_or_else(|_| refused("internal error"))
    }

    pub(super) fn reject(&self, id: &Id) {
        let now = self.clock.now();
        self.locked(|state| {
            self.expire(state, id, now);
            let open =
                state.payments.get(id).filter(|of| of.state == PaymentState::Created && of.attempt != Attempt::Running);
            if let Some(amount) = open.map(|payment| payment.amount().clone()) {
                let entry = Entry::new(id, Name::Aborted, state.ids.uuid(), amount, rfc3339(now));
                let _ = self.commit(state, entry);
            }
        });
    }

    fn begin(&self, id: &Id, completed: Option<String>) -> Result<Plan, Outcome> {
        let now = self.clock.now();
        self.locked(|state| {
            self.expire(state, id, now);
            let own = state.ids.uuid();
            let payment = state.payments.get_mut(id).ok_or_else(|| refused("unknown payment"))?;
            if payment.state != PaymentState::Created {
                return Err(refused("this payment is not open"));
            }
            match (&payment.attempt, &completed) {
                (Attempt::Running, _) => return Err(refused("an attempt is under way")),
                (Attempt::Waiting(waiting), Some(attempt)) if waiting == attempt => {}
                (_, Some(_)) => return Err(refused("no such attempt")),
                (_, None) => {}
            }
            let amount = payment.amount().clone();
            let Some(passthrough) = payment.created.request.card_passthrough.clone() else {
                debug_assert_eq!(payment.created.request.payment_method.r#type, Method::Wallet);
                let entry = Entry::new(id, Name::Authorized, own, amount.clone(), rfc3339(now));
                let declined = cards::declined(amount.value);
                let entry = if declined.is_some() { entry.failed() } else { entry };
                self.commit(state, entry).map_err(|()| refused("internal error"))?;
                return Err(declined.map_or(Outcome::Approved, refused));
            };
            let card = cards::for_amount(amount.value).ok_or_else(|| refused("this card is not eligible"))?;
            if !passthrough.allowed_card_types.contains(&card.card_type().replace('-', "_")) {
                return Err(refused("this kind of card is not accepted"));
            }
            let (second, attempt) = (completed.is_some(), completed.unwrap_or(own.clone()));
            let target = Target::parse(&passthrough.card_callback_url).ok_or_else(|| refused("bad callback URL"))?;
            let body =
                callback(payment, &passthrough, &card, &id.0, (&attempt, &own), second, self.options.flat_callbacks);
            payment.attempt = Attempt::Running;
            Ok(Plan { attempt, second, target, body: body.to_string(), amount: amount.value })
        })
    }

    async fn call(&self, plan: &Plan) -> Option<(u16, Vec<u8>)> {
        let drawn = self.faults.draw(Kind::Callback, Some(plan.amount));
        let (fault, delay) = drawn.map_or((None, Duration::ZERO), |drawn| (Some(drawn.fault), drawn.delay));
        let (mut body, mut limit) = (plan.body.clone(), CALLBACK_LIMIT);
        match fault {
            Some(Fault::DropBefore) => return None,
            Some(Fault::Delay) => tokio::time::sleep(delay).await,
            Some(Fault::Timeout) => limit = delay,
            Some(Fault::Garbage) => body.truncate(body.len() / 2),
            _ => {}
        }
        let wrong = SecretText::new("wrong");
        let secret = if fault == Some(Fault::ServerError) { &wrong } else { &self.access.client_secret };
        let signed = Signed::new(secret, &plan.target, &body, self.clock.now());
        let headers = signed.headers();
        let call = || self.caller.post(&plan.target, &headers, body.clone(), limit);
        match fault {
            Some(Fault::Duplicate) => tokio::join!(call(), call()).0,
            Some(Fault::DropAfter) => {
                call().await;
                None
            }
            _ => call().await,
        }
    }

    fn finish(&self, id: &Id, plan: &Plan, answer: Option<(u16, Vec<u8>)>) -> Outcome {
        let now = self.clock.now();
        let answer = answer.filter(|(status, _)| *status == 200);
        let answer = answer.and_then(|(_, body)| serde_json::from_slice::<Answer>(&body).ok());
        self.locked(|state| {
            let Some(payment) = state.payments.get_mut(id) else {
                return refused("unknown payment");
            };
            payment.attempt = Attempt::None;
            if payment.state != PaymentState::Created {
                return refused("this payment is not open any more");
            }
            let amount = payment.amount().clone();
            let own = state.ids.uuid();
            let entry = |name| Entry::new(id, name, own, amount, rfc3339(now));
            match answer.as_ref().map(|answer| (answer.status.as_str(), answer)) {
                Some(("RESERVE", answer)) => {
                    let mut entry = entry(Name::Authorized);
                    entry.network_transaction_reference.clone_from(&answer.network_transaction_reference);
                    self.booked(state, entry, Outcome::Approved)
                }
                Some(("FAIL", answer)) => {
                    let text = answer.error_message.as_deref().unwrap_or("refused");
                    let name = if AFTER_FAIL == PaymentState::Created { Name::Authorized } else { Name::Aborted };
                    self.booked(state, entry(name).failed(), refused(text))
                }
                Some(("SOFT_DECLINE", Answer { soft_decline_url: Some(url), .. })) if !plan.second => {
                    payment.attempt = Attempt::Waiting(plan.attempt.clone());
                    Outcome::SoftDeclined(url.clone())
                }
                _ => {
                    debug_assert_eq!(AFTER_NO_ANSWER, PaymentState::Aborted);
                    self.booked(state, entry(Name::Aborted), refused("the provider did not answer"))
                }
            }
        })
    }

    fn booked(&self, state: &mut State, entry: Entry, outcome: Outcome) -> Outcome {
        match self.commit(state, entry) {
            Ok(()) => outcome,
            Err(()) => refused("internal error"),
        }
    }
}

/// Two generations of this body exist; `flat` is the older one.
fn callback(
    payment: &Payment,
    passthrough: &Passthrough,
    card: &TestToken,
    msn: &str,
    (attempt, seed): (&str, &str),
    second: bool,
    flat: bool,
) -> Value {
    // The first character is A, as a Mastercard cryptogram's (DSRP) may be.
    let fresh = || STANDARD.encode([&[0], Sha256::digest(seed).get(..19).unwrap_or_default()].concat());
    let documented = card.cryptogram.filter(|_| !second).map(str::to_owned);
    let created = &payment.created;
    let completed = format!("{}{LANDING_PATH}/{}/soft-decline/{attempt}", created.base, created.token);
    let mut body = json!({
        "pspReference": passthrough.psp_reference,
        "authorizationAttemptId": attempt,
        "merchantSerialNumber": msn,
        "amount": payment.amount(),
        "softDeclineCompletedRedirectUrl": completed,
    });
    let mut info = json!({
        "maskedCardNumber": card.masked(),
        "cardType": card.card_type(),
        "cardIssuedInCountryCode": CARD_COUNTRY,
        "networkToken": {
            "number": card.number,
            "cryptogram": documented.unwrap_or_else(fresh),
            "expiryMonth": card.month,
            "expiryYear": card.year,
            "tokenType": card.token_type(),
            "eci": card.eci(),
            "paymentAccountReference": format!("5001SANDBOX{:0>18}", card.masked().len()),
        },
    });
    if let (Some(body), Some(info)) = (body.as_object_mut(), info.as_object_mut()) {
        info.insert(if flat { "paymentInstrument" } else { "cardDataType" }.to_owned(), json!("TOKEN"));
        match flat {
            true => body.append(info),
            false => drop(body.insert("cardInfo".to_owned(), Value::Object(std::mem::take(info)))),
        }
    }
    body
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused(why.to_owned())
}
