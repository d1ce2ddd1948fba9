use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_790_000_000;

fn key(id: &str, fill: u8) -> LinkKey {
    LinkKey::new(id, [fill; 32]).unwrap()
}

fn message<'a>(digest: &'a str) -> Message<'a> {
    Message {
        method: "POST",
        authority: "origin.example:8443",
        path: "/pluto/code/create",
        query: None,
        content_digest: digest,
        public_host: "pay.example",
        client_address: "203.0.113.7",
        request_id: "0123456789abcdef0123456789abcdef",
        credential: "unverified",
        authorization: Some("Basic bWVyY2hhbnQtMjU6eA=="),
        idempotency_key: None,
        content_type: Some("application/json"),
    }
}

#[test]
fn meets_the_vector_of_the_second_implementation() {
    // vectors/link.json is made by vectors/link.py, which writes the base by hand and uses Python's hmac.
    let vector: serde_json::Value = serde_json::from_str(include_str!("../../vectors/link.json")).unwrap();
    let digest = content_digest(vector["body"].as_str().unwrap().as_bytes());
    assert_eq!(digest, vector["contentDigest"].as_str().unwrap());
    let signed = sign(&key("edge-1", 7), &message(&digest), "a", NOW, &[1; 16]).unwrap();
    assert_eq!(signed.input, vector["signatureInput"].as_str().unwrap());
    assert_eq!(signed.signature, vector["signature"].as_str().unwrap());
}

#[test]
fn a_key_is_read_from_text_or_refused() {
    let text = STANDARD.encode([7; 32]);
    let digest = content_digest(b"");
    let parsed = LinkKey::parse("edge-1", &format!("{text}\n")).unwrap();
    let by_text = sign(&parsed, &message(&digest), "a", NOW, &[3; 16]).unwrap();
    let by_bytes = sign(&key("edge-1", 7), &message(&digest), "a", NOW, &[3; 16]).unwrap();
    assert_eq!(by_text.signature, by_bytes.signature);
    for (id, secret) in [("", text.as_str()), ("a b", &text), ("k", ""), ("k", "AAAA"), ("k", "!"), ("k", &text[1..])] {
        assert_eq!(LinkKey::parse(id, secret).unwrap_err(), LinkError::Malformed, "{id} {secret}");
    }
}

#[test]
fn a_second_live_key_is_found_by_its_id() {
    let digest = content_digest(b"");
    let keys = [key("old", 1), key("new", 2)];
    for signer in &keys {
        let signed = sign(signer, &message(&digest), "a", NOW, &[3; 16]).unwrap();
        let verified = verify(&keys, &message(&digest), "a", &signed.input, &signed.signature, NOW).unwrap();
        assert_eq!((verified.key_id.as_str(), verified.created, verified.nonce), (signer.id(), NOW, [3; 16]));
    }
    let signed = sign(&key("revoked", 9), &message(&digest), "a", NOW, &[3; 16]).unwrap();
    let refused = verify(&keys, &message(&digest), "a", &signed.input, &signed.signature, NOW);
    assert_eq!(refused.unwrap_err(), LinkError::UnknownKey);
}

#[test]
fn the_window_is_thirty_seconds_either_way() {
    let digest = content_digest(b"");
    let keys = [key("k", 1)];
    let signed = sign(&keys[0], &message(&digest), "a", NOW, &[3; 16]).unwrap();
    let at = |now| verify(&keys, &message(&digest), "a", &signed.input, &signed.signature, now).map(|_| ());
    assert_eq!(at(NOW - 30), Ok(()));
    assert_eq!(at(NOW + 30), Ok(()));
    assert_eq!(at(NOW - 31), Err(LinkError::OutOfWindow));
    assert_eq!(at(NOW + 31), Err(LinkError::OutOfWindow));
}

#[test]
fn every_altered_field_is_refused() {
    let digest = content_digest(b"{}");
    let other_digest = content_digest(b"{ }");
    let keys = [key("k", 1)];
    let original = message(&digest);
    let signed = sign(&keys[0], &original, "a", NOW, &[3; 16]).unwrap();
    let altered = [
        Message { method: "PUT", ..original },
        Message { authority: "origin.example", ..original },
        Message { path: "/pluto/code/creates", ..original },
        Message { query: Some("a=1"), ..original },
        Message { content_digest: &other_digest, ..original },
        Message { public_host: "evil.example", ..original },
        Message { client_address: "203.0.113.8", ..original },
        Message { request_id: "0123456789abcdef0123456789abcdee", ..original },
        Message { credential: "verified", ..original },
        Message { authorization: Some("Basic bWVyY2hhbnQtMjY6eA=="), ..original },
        Message { authorization: None, ..original },
        Message { idempotency_key: Some("k"), ..original },
        Message { content_type: Some("text/plain"), ..original },
        Message { content_type: None, ..original },
    ];
    for message in altered {
        assert!(verify(&keys, &message, "a", &signed.input, &signed.signature, NOW).is_err(), "{message:?}");
    }
    let wrong_region = verify(&keys, &original, "b", &signed.input, &signed.signature, NOW);
    assert_eq!(wrong_region.unwrap_err(), LinkError::WrongRegion);
}

#[test]
fn what_is_signed_never_grows_while_it_is_written() {
    for length in [10, 6000] {
        let credential = "x".repeat(length);
        let message = Message { authorization: Some(&credential), ..message("sha-256=:AAAA:") };
        let base: Zeroizing<String> = signature_base(&message, &"p".repeat(300)).unwrap();
        // The room for the mark of a query is taken for each line.
        assert!((base.len()..base.len() + 16).contains(&base.capacity()), "{} of {}", base.len(), base.capacity());
    }
}

#[test]
fn a_value_cannot_pose_as_another_line() {
    let digest = content_digest(b"");
    let smuggled = Message { client_address: "x\n\"scanvault-credential\": verified", ..message(&digest) };
    assert_eq!(sign(&key("k", 1), &smuggled, "a", NOW, &[0; 16]).unwrap_err(), LinkError::Malformed);
}

proptest! {
    #[test]
    fn whatever_is_changed_in_the_headers_is_refused(at in 0_usize..400, with in 32_u8..127, in_input: bool) {
        let digest = content_digest(b"{}");
        let keys = [key("k", 1)];
        let signed = sign(&keys[0], &message(&digest), "a", NOW, &[3; 16]).unwrap();
        let (mut input, mut signature) = (signed.input.clone().into_bytes(), signed.signature.clone().into_bytes());
        let target = if in_input { &mut input } else { &mut signature };
        let at = at % target.len();
        let changed = target[at] != with;
        target[at] = with;
        let result = verify(
            &keys, &message(&digest), "a",
            std::str::from_utf8(&input).unwrap(), std::str::from_utf8(&signature).unwrap(), NOW,
        );
        prop_assert_eq!(result.is_ok(), !changed);
    }

    #[test]
    fn never_panics(input in "\\PC{0,200}", signature in "\\PC{0,80}") {
        let digest = content_digest(b"");
        let _ = verify(&[key("k", 1)], &message(&digest), "a", &input, &signature, NOW);
        let _ = verify(&[key("k", 1)], &message(&digest), "a", &format!("link=(){input}"), &signature, NOW);
    }
}

#[test]
fn the_digest_of_nothing_is_what_it_is() {
    assert_eq!(content_digest(b""), digest_of(b""));
    assert_eq!(content_digest(b"{}"), digest_of(b"{}"));
}
