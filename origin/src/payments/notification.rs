//! What a receiver that was written for Scan to Pay is told: the fields of its polling answer, and the card.
//!
//! That the exact table of its webhooks is behind a login makes this a reading of what is public: the names of the
//! polling answer, the statuses that the documentation names, and the object of the card.

use serde::Serialize;
use serde_json::value::RawValue;

use super::feed;
use super::state::Method;
use super::store::Transaction;
use crate::calendar::Utc;

/// A guess: the documentation shows the name of the field and no value.
const ACCOUNT_TYPE: &str = "Credit Card";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pluto<'a> {
    transaction_id: i64,
    reference: &'a str,
    amount: Box<RawValue>,
    currency_code: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_msisdn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_response: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_code: Option<&'a str>,
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_info: Option<CardInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardInfo {
    card_type: String,
    bin_last4: String,
    account_type: &'static str,
}

/// The JSON that is encrypted; `state` is what the receiver is told of it, in the long vocabulary.
#[must_use]
pub fn pluto(transaction: &Transaction, state: &'static str) -> String {
    let amount = RawValue::from_string(transaction.amount().to_decimal());
    let told = Pluto {
        transaction_id: transaction.id,
        reference: &transaction.reference,
        // Digits and a point are always a JSON number.
        amount: amount.unwrap_or_else(|_| RawValue::NULL.to_owned()),
        currency_code: transaction.currency.as_str(),
        status: short(state),
        client_msisdn: transaction.payer_msisdn.as_deref(),
        bank_response: transaction.bank_code.as_deref(),
        code: transaction.code.as_ref().map(super::Code::as_str),
        auth_code: transaction.approval_code.as_deref(),
        date: Utc::from_unix_ms(u64::try_from(transaction.created_at_ms).unwrap_or(0)).to_reference_text(),
        card_info: card_info(transaction),
    };
    serde_json::to_string(&told).unwrap_or_default()
}

/// The short vocabulary. SUCCESS, CLIENT_CANCEL, BANK_REJECTED and REVERSED are documented; that the others are the long
/// ones without their END is a guess.
fn short(state: &'static str) -> &'static str {
    match state {
        "END_BANK_NON_00" => "BANK_REJECTED",
        long => long.strip_prefix("END_").unwrap_or(long),
    }
}

fn card_info(transaction: &Transaction) -> Option<CardInfo> {
    let (bin, last_four) = (transaction.card_bin.as_deref()?, transaction.card_last_four.as_deref()?);
    let card_type = match transaction.method {
        Method::Card => feed::brand(bin).to_uppercase(),
        Method::MobilePay => "MOBILEPAY".to_owned(),
    };
    Some(CardInfo { card_type, bin_last4: format!("{bin}{last_four}"), account_type: ACCOUNT_TYPE })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_paid_transaction_reads_as_the_reference_does() {
        let mut paid = Transaction::sample(1000);
        paid.payer_msisdn = Some("27831234567".into());
        paid.bank_code = Some("00".into());
        paid.approval_code = Some("A1B2C3".into());
        let text = pluto(&paid, "SUCCESS");
        let told: Value = serde_json::from_str(&text).unwrap();
        let card = paid.card_bin.clone().zip(paid.card_last_four.clone());
        let card = card.map(|(bin, last)| {
            json!({"cardType": feed::brand(&bin).to_uppercase(),
            "binLast4": format!("{bin}{last}"), "accountType": ACCOUNT_TYPE})
        });
        assert_eq!(told["cardInfo"], card.unwrap_or_default());
        assert_eq!((&told["status"], &told["clientMsisdn"]), (&json!("SUCCESS"), &json!("27831234567")));
        assert_eq!((&told["bankResponse"], &told["authCode"]), (&json!("00"), &json!("A1B2C3")));
        assert!(text.contains("\"amount\":10.00,"), "{text}");
    }

    #[test]
    fn statuses_are_of_the_short_vocabulary() {
        for (long, status) in [
            ("SUCCESS", "SUCCESS"),
            ("END_CLIENT_CANCEL", "CLIENT_CANCEL"),
            ("END_BANK_NON_00", "BANK_REJECTED"),
            ("END_REVERSED", "REVERSED"),
            ("END_REFUNDED", "REFUNDED"),
        ] {
            assert_eq!(short(long), status);
        }
    }
}
