use proptest::prelude::*;
use scanvault_protocol::account::AccountName;
use scanvault_protocol::route::{self, Door, Resolution};

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_790_000_000;

fn key() -> LinkKey {
    LinkKey::new("edge-1", [7; 32]).unwrap()
}

fn origin() -> Origin {
    Origin { authority: "origin.example:8443".into(), region: "a".into() }
}

fn spec(method: &str, path: &str) -> &'static RouteSpec {
    match route::resolve(method, path, Door::Public) {
        Resolution::Found(hit) => hit.spec,
        other => panic!("{other:?}"),
    }
}

fn inbound(method: &str) -> Inbound {
    Inbound {
        method: method.to_owned(),
        target: None,
        header_count: 3,
        header_bytes: 100,
        cookie_bytes: 0,
        authorization: Some("Basic bWVyY2hhbnQtMjU6eA==".to_owned().into()),
        content_type: Some("application/json".into()),
        content_length: None,
        has_transfer_encoding: false,
        content_encoding: None,
        idempotency_key: None,
        accept: None,
        if_none_match: None,
        tls_version: None,
        client_address: Some("203.0.113.7".into()),
        has_body: false,
    }
}

fn value<'a>(outgoing: &'a Outgoing<'_>, name: &str) -> Option<&'a str> {
    outgoing.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
}

/// What the origin does: builds the message from what arrived, and nothing else.
fn accepted(outgoing: &Outgoing<'_>) -> bool {
    let rest = outgoing.url.strip_prefix("https://").unwrap();
    let (authority, rest) = rest.split_at(rest.find('/').unwrap());
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let digest = link::content_digest(outgoing.body);
    let message = Message {
        method: outgoing.method,
        authority,
        path,
        query,
        content_digest: &digest,
        public_host: value(outgoing, "scanvault-host").unwrap(),
        client_address: value(outgoing, "scanvault-client").unwrap(),
        request_id: value(outgoing, "scanvault-request-id").unwrap(),
        credential: value(outgoing, "scanvault-credential").unwrap(),
        authorization: value(outgoing, "authorization"),
        idempotency_key: value(outgoing, "idempotency-key"),
        content_type: value(outgoing, "content-type"),
    };
    let (input, signature) = (value(outgoing, "signature-input").unwrap(), value(outgoing, "signature").unwrap());
    link::verify(&[key()], &message, "a", input, signature, NOW).is_ok_and(|verified| verified.nonce == [3; 16])
}

#[test]
fn the_origin_accepts_what_is_sent() {
    let target = Target::parse("https://pay.example/pluto/code/create").unwrap();
    let caller = Caller::Named { account: AccountName::Merchant(25), mark: Mark::Unverified };
    let inbound = Inbound { idempotency_key: Some("k-1".into()), ..inbound("POST") };
    let spec = spec("POST", &target.path);
    let request = Admitted { inbound: &inbound, target: &target, spec, caller: &caller, request_id: ID };
    let sent = sign(request, b"{}", &origin(), &key(), NOW, &[3; 16]).unwrap();
    assert!(accepted(&sent));
    assert_eq!(sent.url, "https://origin.example:8443/pluto/code/create");
    assert_eq!(value(&sent, "authorization"), Some("Basic bWVyY2hhbnQtMjU6eA=="));
    assert_eq!(value(&sent, "scanvault-credential"), Some("unverified"));
    assert_eq!(value(&sent, "scanvault-client"), Some("203.0.113.7"));
    assert_eq!(sent.deadline_ms, spec.deadline_ms);
    let mut names: Vec<_> = sent.headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let expected = [
        "accept-encoding",
        "authorization",
        "content-digest",
        "content-type",
        "idempotency-key",
        "scanvault-client",
        "scanvault-credential",
        "scanvault-host",
        "scanvault-request-id",
        "signature",
        "signature-input",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_open_path_forwards_no_credential_and_no_type_without_a_body() {
    let target = Target::parse("https://pay.example/Q/0123456789").unwrap();
    let inbound = inbound("GET");
    let spec = spec("GET", &target.path);
    let request = Admitted { inbound: &inbound, target: &target, spec, caller: &Caller::Anonymous, request_id: ID };
    let sent = sign(request, b"", &origin(), &key(), NOW, &[3; 16]).unwrap();
    assert!(accepted(&sent));
    assert_eq!(value(&sent, "scanvault-credential"), Some("none"));
    assert_eq!((value(&sent, "authorization"), value(&sent, "content-type")), (None, None));
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let target = Target::parse("https://pay.example/pluto/code/create").unwrap();
    let caller = Caller::Named { account: AccountName::Merchant(25), mark: Mark::Unverified };
    for odd in ["k\u{e9}", "a\tb", "a\nscanvault-credential: verified"] {
        let inbound = Inbound { idempotency_key: Some(odd.into()), ..inbound("POST") };
        let spec = spec("POST", &target.path);
        let request = Admitted { inbound: &inbound, target: &target, spec, caller: &caller, request_id: ID };
        let refusal = sign(request, b"", &origin(), &key(), NOW, &[3; 16]).map(|_| ()).unwrap_err();
        assert_eq!(refusal.rule(), "header-form", "{odd:?}");
    }
}

#[test]
fn what_the_origin_tells_an_edge_of_credentials_is_never_passed_on() {
    for name in [headers::CREDENTIAL_RECORD, headers::TOKEN_KEYS, headers::CREDENTIAL, headers::AUTHORIZATION] {
        assert!(!PASSED_HEADERS.contains(&name), "{name}");
    }
}

#[test]
fn what_is_told_is_looked_at_where_it_can_be_news() {
    let outgoing =
        |mark| Outgoing { method: "GET", url: String::new(), headers: vec![], body: b"", deadline_ms: 1, mark };
    for (mark, expected) in [
        (Mark::None, [false, false]),
        (Mark::Unverified, [true, true]),
        (Mark::Renew, [true, true]),
        (Mark::Verified, [false, true]),
    ] {
        assert_eq!([200, 401].map(|status| outgoing(mark).is_told(status)), expected, "{mark:?}");
    }
}

#[test]
fn addresses_have_one_spelling() {
    for (text, expected) in [
        (Some(" 203.0.113.7 "), "203.0.113.7"),
        (Some("::ffff:203.0.113.7"), "203.0.113.7"),
        (Some("2001:DB8:0::1"), "2001:db8::1"),
        (Some("203.0.113.7, 10.0.0.1"), "unknown"),
        (Some("evil"), "unknown"),
        (None, "unknown"),
    ] {
        assert_eq!(client_address(text), expected, "{text:?}");
    }
}

#[test]
fn only_an_answer_that_knows_our_request_passes() {
    for status in [200, 201, 204, 400, 401, 404, 410, 500, 503] {
        assert_eq!(judge(status, Some(ID), ID), Ok(()), "{status}");
    }
    for (status, echo) in [
        (401, None),
        (200, None),
        (200, Some("")),
        (200, Some("0123456789abcdef0123456789abcdee")),
        (302, Some(ID)),
        (304, Some(ID)),
        (101, Some(ID)),
    ] {
        assert_eq!(judge(status, echo, ID).unwrap_err().rule(), "bad-gateway", "{status} {echo:?}");
    }
}

#[test]
fn an_asset_that_the_client_has_is_not_sent_again() {
    let asset = spec("GET", "/pluto/public/assets/pay.js");
    let head = |status| Head::new(status, vec![("etag", "\"abc\"".into())]);
    assert!(is_unchanged(asset, &head(200), Some("\"x\", \"abc\"")));
    assert!(!is_unchanged(asset, &head(200), Some("\"x\"")));
    assert!(!is_unchanged(asset, &head(200), None));
    assert!(!is_unchanged(asset, &head(404), Some("*")));
    assert!(!is_unchanged(spec("GET", "/Q/0123456789"), &head(200), Some("*")));
}

proptest! {
    #[test]
    fn every_query_that_the_screen_lets_through_arrives_as_it_was_signed(query in "[!-~]{1,60}") {
        prop_assume!(scanvault_protocol::path::check_query(&query).is_ok());
        let target = Target::parse(&format!("https://pay.example/Q/0123456789?{query}")).unwrap();
        let inbound = inbound("GET");
        let spec = spec("GET", &target.path);
        let request = Admitted { inbound: &inbound, target: &target, spec, caller: &Caller::Anonymous, request_id: ID };
        let sent = sign(request, b"", &origin(), &key(), NOW, &[3; 16]).unwrap();
        prop_assert!(accepted(&sent));
        // The same parser as the runtime's, by its Rust implementation.
        let parsed = url::Url::parse(&sent.url).unwrap();
        prop_assert_eq!(parsed.as_str(), sent.url.as_str());
    }
}
