//! Amounts and the body that creates a code.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanvault_origin::money::{Amount, Currency};
use scanvault_origin::payments::request::CreateBody;

fuzz_target!(|text: &str| {
    for code in ["ZAR", "JPY", "KWD"] {
        let Ok(currency) = code.parse::<Currency>() else { continue };
        if let Ok(amount) = Amount::parse(text, currency) {
            assert_eq!(Amount::parse(&amount.to_decimal(), currency), Ok(amount));
        }
        if let Ok(body) = serde_json::from_str::<CreateBody<'_>>(text) {
            let _ = body.parse(currency);
        }
    }
});
