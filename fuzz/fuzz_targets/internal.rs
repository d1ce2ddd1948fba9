//! What internal systems send: the JWE, opened under a session and to a page key, and the texts inside.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use scanvault_origin::vault::jwe::PageKey;
use scanvault_origin::vault::jwe_internal::{SessionKey, Typ, open};
use scanvault_origin::vault::sessions::parse_session_key;
use scanvault_origin::vault::{Key32, VaultCard};

static SESSION: LazyLock<Arc<SessionKey>> =
    LazyLock::new(|| Arc::new(SessionKey::new("s".to_owned(), &Key32::from_array([1; 32]))));
static PAGE: LazyLock<Option<PageKey>> = LazyLock::new(|| PageKey::from_scalar(&Key32::from_array([2; 32])));

fuzz_target!(|data: &[u8]| {
    if let Ok(card) = VaultCard::parse(data) {
        assert!(VaultCard::parse(&card.to_json("")).is_err(), "an answer is no card");
    }
    let _ = parse_session_key(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    for typ in [Typ::Card, Typ::Session] {
        // Whatever the key: nobody makes a tag by chance.
        assert!(open(text, typ, "billing", |_| Some(Arc::clone(&SESSION)), |_| PAGE.as_ref()).is_err());
    }
});
