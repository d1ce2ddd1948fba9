//! What acquirers answer: whatever it is, a connector says something, and yes only with a handle.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanvault_origin::acquirers::clearhaus::Clearhaus;
use scanvault_origin::acquirers::nets::codec::Message;
use scanvault_origin::acquirers::nets::{Nets, frame};
use scanvault_origin::acquirers::{Acquirer, Answer, Authorisation, Call, Instrument, Outcome, Request, Series};
use scanvault_origin::money::Amount;
use scanvault_origin::vault::{CardExpiry, Csc, Pan};

fuzz_target!(|data: &[u8]| {
    let (Ok(pan), Ok(expiry), Ok(csc)) = (Pan::parse("4571123412341234"), CardExpiry::parse("1230"), Csc::parse("123"))
    else {
        return;
    };
    let Some(amount) = "DKK".parse().ok().and_then(|currency| Amount::from_minor(1000, currency).ok()) else { return };
    let instrument = Instrument::Card { pan: &pan, expiry: &expiry, csc: Some(&csc) };
    let authorisation = Authorisation { instrument, payer_address: None, authentication: None, series: Series::First };
    let call = Call::Authorise(authorisation);
    let request = Request { reference: "sv-1", act: 1, asked_at_ms: 0, amount, text_on_statement: None, call };
    let answers = [
        (201, data.to_vec()),
        (0, data.to_vec()),
        (0, frame::wrap(data).map(|whole| whole.to_vec()).unwrap_or_default()),
    ];
    for (status, body) in answers {
        let answer = Answer { status, body: body.into() };
        for acquirer in [&Clearhaus as &dyn Acquirer, &Nets] {
            if let Outcome::Approved(approval) = acquirer.decode(&request, &answer) {
                assert!(approval.state.is_some() && approval.series.is_some());
            }
        }
    }
    if let Ok(message) = Message::parse(data) {
        assert!(message.numbers().all(|number| message.get(number).is_some()));
    }
});
