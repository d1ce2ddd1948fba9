use proptest::prelude::*;
use scanvault_protocol::route::{Door, Resolution};

use super::*;

fn inbound(method: &str) -> Inbound {
    Inbound {
        method: method.to_owned(),
        target: None,
        header_count: 3,
        header_bytes: 100,
        cookie_bytes: 0,
        authorization: None,
        content_type: None,
        content_length: None,
        has_transfer_encoding: false,
        content_encoding: None,
        idempotency_key: None,
        accept: None,
        if_none_match: None,
        client_address: None,
        tls_version: None,
        has_body: false,
    }
}

fn limits(inbound: &Inbound, target: &Target) -> Result<(), Refusal> {
    super::limits(inbound, target, &mut Screening::default())
}

fn body(inbound: &Inbound, spec: &RouteSpec) -> Result<BodyPlan, Refusal> {
    super::body(inbound, spec, &mut Screening::default())
}

fn by<T>(rule: Rule, problem: Problem) -> Result<T, Refusal> {
    Err(Refusal::from(problem).by(rule))
}

fn target(url: &str) -> Target {
    Target::parse(url).unwrap()
}

fn spec(method: &str, path: &str) -> &'static RouteSpec {
    match route::resolve(method, path, Door::Public) {
        Resolution::Found(hit) => hit.spec,
        other => panic!("{other:?}"),
    }
}

fn post(content_type: Option<&str>) -> Inbound {
    Inbound { content_type: content_type.map(str::to_owned), has_body: true, ..inbound("POST") }
}

#[test]
fn an_address_is_taken_apart_and_not_repaired() {
    let parsed = target("https://PAY.example:8443/a/../b//c?x=%2e&y");
    assert_eq!((parsed.host.as_str(), parsed.host_name(), parsed.is_https), ("pay.example:8443", "pay.example", true));
    assert_eq!((parsed.path.as_str(), parsed.query.as_deref()), ("/a/../b//c", Some("x=%2e&y")));
    assert_eq!(target("http://[::1]:80?").host_name(), "[::1]");
    assert_eq!((target("http://h?").path, target("http://h?").query), ("/".to_owned(), None));
    assert_eq!(target("http://h/a#b").path, "/a#b"); // refused as a path
    for url in ["", "/a", "ftp://h/", "https:///a", "https://a b/", "https://u@h/", "https://\u{e4}/"] {
        assert_eq!(Target::parse(url), None, "{url}");
    }
}

#[test]
fn a_connection_of_an_outdated_tls_is_refused_before_anything_else() {
    let over = |version: Option<&str>, url: &str| {
        let inbound = Inbound { tls_version: version.map(str::to_owned), ..inbound("GET") };
        transport(&inbound, &target(url), PlainHttp::Loopback)
    };
    for version in ["SSLv3", "TLSv1", "TLSv1.1"] {
        for url in ["https://pay.example/Q/1", "http://pay.example/Q/1", "http://127.0.0.1/Q/1"] {
            let refusal = over(Some(version), url).unwrap_err();
            assert!(matches!(refusal, Refusal::Problem { problem: Problem::HttpsRequired, .. }), "{version} {url}");
        }
    }
    for version in [Some("TLSv1.2"), Some("TLSv1.3"), Some(""), None] {
        assert_eq!(over(version, "https://pay.example/Q/1"), Ok(()));
    }
}

#[test]
fn plain_http_is_redirected_only_where_nothing_was_given_away() {
    let check = |inbound: &Inbound, url: &str| transport(inbound, &target(url), PlainHttp::Refuse);
    let to = |location: &str| Err(Refusal::Redirect { location: location.to_owned() });
    let no = || Err(Refusal::from(Problem::HttpsRequired));
    for method in ["GET", "HEAD"] {
        assert_eq!(check(&inbound(method), "http://Pay.example:80/Q/1?a=b"), to("https://pay.example/Q/1?a=b"));
    }
    assert_eq!(check(&inbound("GET"), "http://pay.example"), to("https://pay.example/"));
    assert_eq!(check(&inbound("GET"), "http://pay.example//"), no());
    assert_eq!(check(&inbound("GET"), "https://pay.example/pluto/code/1"), Ok(()));
    assert_eq!(check(&inbound("GET"), "http://pay.example/pluto/code/1"), no());
    assert_eq!(check(&inbound("GET"), "http://pay.example/Q/../pluto/code/1"), no());
    assert_eq!(check(&inbound("POST"), "http://pay.example/pluto/public/pay/1"), no());
    let with_credential = Inbound { authorization: Some("Basic x".to_owned().into()), ..inbound("GET") };
    assert_eq!(check(&with_credential, "http://pay.example/Q/1"), no());
    let with_body = Inbound { has_body: true, ..inbound("GET") };
    assert_eq!(check(&with_body, "http://pay.example/Q/1"), no());
    let with_length = Inbound { content_length: Some("1".into()), ..inbound("GET") };
    assert_eq!(check(&with_length, "http://pay.example/Q/1"), no());
}

#[test]
fn loopback_is_taken_only_when_allowed_and_only_by_its_own_names() {
    for (url, allowed) in [
        ("http://127.0.0.1:8787/pluto/code/1", true),
        ("http://localhost/pluto/code/1", true),
        ("http://[::1]:8787/pluto/code/1", true),
        ("http://127.0.0.1.example/pluto/code/1", false),
        ("http://localhost.example/pluto/code/1", false),
        ("http://127.0.0.2/pluto/code/1", false),
        ("http://pay.example/pluto/code/1", false),
    ] {
        assert_eq!(transport(&inbound("GET"), &target(url), PlainHttp::Loopback).is_ok(), allowed, "{url}");
        assert!(transport(&inbound("GET"), &target(url), PlainHttp::Refuse).is_err(), "{url}");
    }
}

#[test]
fn sizes_have_their_statuses() {
    let here = target("https://h/pluto/code/1");
    assert_eq!(limits(&Inbound { header_count: 64, header_bytes: 16 * 1024, ..inbound("GET") }, &here), Ok(()));
    for (over, rule) in [
        (Inbound { header_count: 65, ..inbound("GET") }, Rule::HeaderCount),
        (Inbound { header_bytes: 16 * 1024 + 1, ..inbound("GET") }, Rule::HeaderBytes),
        (Inbound { cookie_bytes: 8 * 1024 + 1, ..inbound("GET") }, Rule::CookieBytes),
    ] {
        assert_eq!(limits(&over, &here), by(rule, Problem::HeadersTooLarge));
    }
    assert_eq!(limits(&Inbound { cookie_bytes: 8 * 1024, ..inbound("GET") }, &here), Ok(()));
    let long = |path: usize, query: usize| target(&format!("https://h/{}?{}", "a".repeat(path), "b".repeat(query)));
    let v1 = target("https://h/v1/seq/0");
    assert_eq!(limits(&Inbound { header_bytes: 4096, ..inbound("GET") }, &v1), Ok(()));
    assert_eq!(
        limits(&Inbound { header_bytes: 4097, ..inbound("GET") }, &v1),
        by(Rule::HeaderBytes, Problem::HeadersTooLarge)
    );
    assert_eq!(limits(&inbound("GET"), &long(511, 4096)), Ok(()));
    assert_eq!(limits(&inbound("GET"), &long(512, 1)), by(Rule::PathLength, Problem::UriTooLong));
    assert_eq!(limits(&inbound("GET"), &long(1, 4097)), by(Rule::QueryLength, Problem::UriTooLong));
    for (url, rule) in [
        ("https://h/a/../b", Rule::PathForm),
        ("https://h/a%2fb", Rule::PathForm),
        ("https://h//a", Rule::PathForm),
        ("https://h/a#b", Rule::PathForm),
        ("https://h/a?b#c", Rule::QueryForm),
        ("https://h/a?\u{e4}", Rule::QueryForm),
    ] {
        assert_eq!(limits(&inbound("GET"), &target(url)), by(rule, Problem::BadPath), "{url}");
    }
}

#[test]
fn two_lengths_are_no_length() {
    let here = target("https://h/pluto/code/create");
    let chunked = Inbound { has_transfer_encoding: true, ..post(Some("application/json")) };
    assert_eq!(limits(&chunked, &here), Ok(()));
    let both = Inbound { content_length: Some("5".into()), ..chunked };
    assert_eq!(limits(&both, &here), by(Rule::LengthForm, Problem::BadRequest));
}

#[test]
fn only_names_that_the_row_knows() {
    let mut screening = Screening::default();
    let state = spec("GET", "/pluto/public/pay/0123456789/state");
    let asked = |query: &str| target(&format!("https://h/x?{query}"));
    assert_eq!(query(state, &asked("attempt=1&attempt=2&&"), &mut screening), Ok(()));
    for unknown in ["attempts=1", "Attempt=1", "attempt=1&x", "%61ttempt=1", "attempt[]=1", "=1"] {
        let refused = query(state, &asked(unknown), &mut screening);
        assert_eq!(refused, by(Rule::QueryName, Problem::BadRequest), "{unknown}");
    }
    assert_eq!(query(spec("GET", "/q/0123456789"), &asked("utm=1"), &mut screening), Ok(()));
}

#[test]
fn monitoring_reports_policy_and_enforces_what_is_structural() {
    let here = target("https://h/pluto/code/create?x=1");
    let create = spec("POST", "/pluto/code/create");
    let mut screening = Screening::new(Mode::Monitor);
    let odd = Inbound {
        header_count: HARD_MAX_HEADERS,
        header_bytes: HARD_MAX_HEADER_BYTES,
        cookie_bytes: 8 * 1024 + 1,
        ..post(Some("text/plain"))
    };
    assert_eq!(super::limits(&odd, &here, &mut screening), Ok(()));
    assert_eq!(query(create, &here, &mut screening), Ok(()));
    assert!(super::body(&odd, create, &mut screening).is_ok());
    let small = spec("POST", "/pluto/public/pay/0123456789");
    let large = Inbound { content_length: Some("65536".into()), ..post(Some("application/json")) };
    let plan = BodyPlan { read: true, max_bytes: 65_536, over: OverLimit::TooLarge };
    assert_eq!(super::body(&large, small, &mut screening), Ok(plan));
    assert_eq!(body_size(small, 65_536, &mut screening), Ok(()));
    let names = ["header-count", "header-bytes", "cookie-bytes", "query-name", "media-type", "body-bytes"];
    assert_eq!(screening.would_refuse(), names);

    let read = spec("GET", "/pluto/code/0123456789");
    for (refused, rule) in [
        (super::limits(&Inbound { header_count: 97, ..inbound("GET") }, &here, &mut screening), "header-count"),
        (super::limits(&Inbound { header_bytes: 24_577, ..inbound("GET") }, &here, &mut screening), "header-bytes"),
        (super::limits(&inbound("GET"), &target("https://h/a%2fb"), &mut screening), "path-form"),
        (super::limits(&inbound("GET"), &target("https://h/a?#"), &mut screening), "query-form"),
        (plan_of(&Inbound { content_length: Some("1, 2".into()), ..large }, create), "length-form"),
        (
            plan_of(&Inbound { content_length: Some("65537".into()), ..post(Some("application/json")) }, small),
            "body-bytes",
        ),
        (
            plan_of(&Inbound { content_encoding: Some("gzip".into()), ..post(Some("application/json")) }, create),
            "content-coding",
        ),
        (plan_of(&Inbound { content_length: Some("1".into()), ..inbound("GET") }, read), "no-body"),
    ] {
        assert_eq!(refused.unwrap_err().rule(), rule);
    }
    assert_eq!(screening.would_refuse().len(), names.len(), "and nothing of that is only reported");
}

fn plan_of(inbound: &Inbound, spec: &RouteSpec) -> Result<(), Refusal> {
    super::body(inbound, spec, &mut Screening::new(Mode::Monitor)).map(|_| ())
}

#[test]
fn a_body_must_be_json_in_utf8() {
    let create = spec("POST", "/pluto/code/create");
    for good in [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json ; charset=UTF-8",
        "application/json; charset=\"utf-8\"",
    ] {
        assert!(body(&post(Some(good)), create).is_ok(), "{good}");
    }
    for bad in [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/jsonp"),
        Some("application/json; charset=latin1"),
        Some("application/json; charset=utf-8; charset=utf-8"),
        Some("application/json, application/json"),
        Some("application/x-www-form-urlencoded"),
    ] {
        assert_eq!(body(&post(bad), create), by(Rule::MediaType, Problem::UnsupportedMediaType), "{bad:?}");
    }
    let gzip = Inbound { content_encoding: Some("gzip".into()), ..post(Some("application/json")) };
    assert_eq!(body(&gzip, create), by(Rule::ContentCoding, Problem::UnsupportedMediaType));
}

#[test]
fn scanpays_bodies_are_json_whatever_curl_calls_them() {
    let new = spec("POST", "/v1/new");
    for good in [None, Some(""), Some("application/json; charset=UTF-8"), Some("application/x-www-form-urlencoded")] {
        assert!(body(&post(good), new).is_ok(), "{good:?}");
    }
    for bad in ["text/plain", "multipart/form-data; boundary=x", "application/json; charset=latin1"] {
        assert_eq!(body(&post(Some(bad)), new), by(Rule::MediaType, Problem::UnsupportedMediaType), "{bad}");
    }
    let gzip = Inbound { content_encoding: Some("gzip".into()), ..post(None) };
    assert_eq!(body(&gzip, new), by(Rule::ContentCoding, Problem::UnsupportedMediaType));
}

#[test]
fn an_announced_length_is_judged_before_a_byte_is_read() {
    let create = spec("POST", "/pluto/code/create");
    let with = |length: &str| Inbound { content_length: Some(length.into()), ..post(Some("application/json")) };
    let plan = BodyPlan { read: true, max_bytes: 65_536, over: OverLimit::TooLarge };
    assert_eq!(body(&with("65536"), create), Ok(plan));
    assert_eq!(body(&with("65537"), create), by(Rule::BodyBytes, Problem::BodyTooLarge));
    assert_eq!(body(&with("99999999999999999999999"), create), by(Rule::BodyBytes, Problem::BodyTooLarge));
    for odd in ["+5", "-1", "5, 6", "0x5", ""] {
        assert_eq!(body(&with(odd), create), by(Rule::LengthForm, Problem::BadRequest), "{odd}");
    }
    assert_eq!(body(&with("0"), create), Ok(BodyPlan { read: false, ..plan }));
    assert_eq!(body(&post(Some("application/json")), create), Ok(plan));
}

#[test]
fn a_row_of_any_method_has_a_body_where_one_is_sent() {
    let area = spec("GET", "/pluto/stk/anything");
    let sent = post(None);
    let none = Inbound { has_body: false, content_length: None, ..post(None) };
    assert!(body(&none, area).is_ok_and(|plan| !plan.read));
    assert_eq!(body(&sent, area), by(Rule::MediaType, Problem::UnsupportedMediaType));
    assert!(body(&post(Some("application/json")), area).is_ok_and(|plan| plan.read));
    for method in ["GET", "HEAD"] {
        let with_length = Inbound { content_length: Some("2".into()), ..post(Some("application/json")) };
        let refused = body(&Inbound { method: method.into(), ..with_length }, area);
        assert_eq!(refused, Err(OverLimit::NoneTaken.refusal()), "{method}");
        let in_chunks = Inbound { method: method.into(), ..post(Some("application/json")) };
        assert!(body(&in_chunks, area).is_ok_and(|plan| plan.read && plan.max_bytes == 0));
    }
}

#[test]
fn where_no_body_is_taken_none_is() {
    let query = spec("GET", "/pluto/code/0123456789");
    let refused = Err(OverLimit::NoneTaken.refusal());
    assert_eq!(body(&Inbound { content_length: Some("1".into()), ..inbound("GET") }, query), refused);
    // A stream of unknown length is looked into: nothing but its end may come.
    let plan = body(&Inbound { has_body: true, ..inbound("GET") }, query).unwrap();
    assert_eq!(plan, BodyPlan { read: true, max_bytes: 0, over: OverLimit::NoneTaken });
    assert!(!body(&inbound("GET"), query).unwrap().read);
}

proptest! {
    #[test]
    fn whatever_passes_is_spelled_in_one_way(url in "https?://[a-z.]{1,9}(/[ -~]{0,20}){0,4}(\\?[ -~]{0,20})?") {
        if let Some(target) = Target::parse(&url) && limits(&inbound("GET"), &target).is_ok() {
            prop_assert!(!target.path.contains(['%', '\\', '#', ' ']), "{}", target.path);
            prop_assert!(!target.path.split('/').any(|segment| segment == ".." || segment == "."), "{}", target.path);
            prop_assert!(!target.path.contains("//"));
        }
    }

    #[test]
    fn parsing_never_panics_and_loses_nothing(url in "\\PC{0,80}") {
        if let Some(target) = Target::parse(&url) {
            prop_assert!(url.ends_with(target.query.as_deref().unwrap_or("")));
        }
    }
}

#[test]
fn a_bank_posts_a_form_and_nothing_else() {
    let refused = |rule| Err(Refusal::because(Problem::UnsupportedMediaType, FORM_EXPECTED).by(rule));
    for path in ["/pluto/public/3ds/method/7", "/pluto/public/3ds/challenge/7"] {
        let spec = spec("POST", path);
        let form = "application/x-www-form-urlencoded";
        for good in [form, "Application/X-WWW-Form-Urlencoded; charset=UTF-8", "application/x-www-form-urlencoded;a=b"]
        {
            assert!(body(&post(Some(good)), spec).is_ok_and(|plan| plan.read && plan.max_bytes == 65_536), "{good}");
        }
        for bad in [None, Some("application/json"), Some("multipart/form-data; boundary=x"), Some("text/plain")] {
            assert_eq!(body(&post(bad), spec), refused(Rule::MediaType), "{bad:?}");
        }
        let gzip = Inbound { content_encoding: Some("gzip".into()), ..post(Some(form)) };
        assert_eq!(body(&gzip, spec), refused(Rule::ContentCoding));
    }
    let pay = spec("POST", "/pluto/public/pay/0123456789");
    let form = post(Some("application/x-www-form-urlencoded"));
    assert_eq!(body(&form, pay), by(Rule::MediaType, Problem::UnsupportedMediaType));
}
