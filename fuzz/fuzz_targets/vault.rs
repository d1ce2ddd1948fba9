//! Share texts, envelopes, JWEs and what the page seals.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanvault_origin::vault::{Custodian, SealedCard, Share, envelope, jwe};

fuzz_target!(|data: &[u8]| {
    let _ = envelope::key_id_of(data);
    let _ = SealedCard::parse(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(share) = Share::parse(text) {
        assert!(Share::parse(share.to_text().expose()).is_ok());
    }
    let _ = Custodian::parse(text);
    let _ = jwe::open(text, |_| None);
});
