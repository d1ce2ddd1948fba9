//! What a stranger sends first: path, query, `Authorization`, link signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scanvault_protocol::link::{self, LinkKey, Message};
use scanvault_protocol::{AccountName, authorization, path, region, route};

fuzz_target!(|text: &str| {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (second, third) = rest.split_once('\n').unwrap_or((rest, ""));
    let _ = path::check_query(second);
    if path::check(first).is_ok() {
        for door in [route::Door::Public, route::Door::Internal, route::Door::Edge] {
            let _ = route::resolve("GET", first, door);
        }
    }
    let _ = authorization::parse(Some(text));
    let _ = region::State::parse(text.as_bytes());
    if let Ok(name) = first.parse::<AccountName>() {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    let message = Message {
        method: "POST",
        authority: "origin.example",
        path: first,
        query: Some(second),
        content_digest: third,
        public_host: "pay.example",
        client_address: "unknown",
        request_id: "0",
        credential: "none",
        authorization: Some(rest),
        idempotency_key: None,
        content_type: None,
    };
    let Ok(key) = LinkKey::new("k", [7; 32]) else { return };
    // Whatever is signed verifies, and nothing that is not signed does.
    if let Ok(signed) = link::sign(&key, &message, "a", 1, &[0; 16]) {
        assert!(link::verify(&[key], &message, "a", &signed.input, &signed.signature, 1).is_ok());
    }
    let Ok(key) = LinkKey::new("k", [7; 32]) else { return };
    assert!(link::verify(&[key], &message, "a", first, second, 1).is_err());
});
