//! Credentials and what is told of them: session tokens, credential records, token keys, marks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanvault_protocol::authorization;
use scanvault_protocol::record::{Mark, TokenKeys, Update};
use scanvault_protocol::token::{LIFETIME_SECS, MAX_TOKEN_BYTES, Parsed, TOLERANCE_SECS};

const ISSUER: &str = "https://pay.example";
const NOW_SECS: u64 = 1_790_000_000;

fuzz_target!(|text: &str| {
    if let Ok(offered) = authorization::parse(Some(text)) {
        assert!(offered.basic.is_some() || offered.bearer.is_some());
        if let Some(token) = &offered.bearer
            && let Ok(parsed) = Parsed::parse(token)
        {
            assert!(token.expose().len() <= MAX_TOKEN_BYTES && token.expose().starts_with(parsed.signed));
            if let Ok(session) = parsed.into_session(ISSUER, NOW_SECS) {
                assert!(session.expires_at_secs + TOLERANCE_SECS > NOW_SECS && !session.roles.is_empty());
                assert!(session.expires_at_secs <= NOW_SECS + TOLERANCE_SECS + LIFETIME_SECS);
            }
        }
    }
    // What is read is said again in the one form, and that is read as the same.
    if let Ok(update) = text.parse::<Update>() {
        let said = update.to_header();
        assert_eq!(said.parse::<Update>().map(|again| again.to_header()), Ok(said));
    }
    if let Ok(keys) = text.parse::<TokenKeys>() {
        assert_eq!(keys.to_header().parse(), Ok(keys));
    }
    if let Ok(mark) = text.parse::<Mark>() {
        assert_eq!(mark.as_str(), text);
    }
});
