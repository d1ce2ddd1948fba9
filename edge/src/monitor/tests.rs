use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::*;
use crate::regions::Came;
use scanvault_protocol::region::State as Statement;

const NOW: u64 = 1_790_000_000_000;

fn origins() -> Vec<Origin> {
    let origin = |region: &str| Origin { authority: format!("{region}.internal.example:8443"), region: region.into() };
    vec![origin("cpt"), origin("jnb")]
}

fn known() -> Regions {
    let mut regions = Regions::default();
    let told = Statement { region: "cpt".into(), version: "1.2.3".into(), sealed: true, serves: true, epoch: 7 };
    regions.learn(0, told, NOW - 4_000, NOW - 3_900);
    regions.take(0, Came::Answer, NOW - 1_500, NOW - 1_200);
    for _ in 0..3 {
        regions.take(1, Came::Nothing, NOW - 2_000, NOW - 1_900);
    }
    regions
}

fn body(regions: &Regions, accept: Option<&str>) -> (String, String) {
    let reply: Reply<()> = answer(regions, &origins(), accept, NOW, &mut Last::default());
    assert_eq!((reply.head.status, reply.head.headers[1].clone()), (200, ("vary", "accept".into())));
    let Body::Shared(bytes) = reply.body else { panic!() };
    (reply.head.headers[0].1.to_string(), String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn programs_are_told_all_that_is_known_and_what_is_not() {
    let (media_type, text) = body(&known(), None);
    assert_eq!(media_type, "application/json");
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let nothing = serde_json::Value::Null;
    let expected = serde_json::json!({"status": "ok", "version": VERSION, "regions": [
        {"region": "cpt", "role": "primary", "health": "up", "version": "1.2.3", "sealed": true, "serves": true, "epoch": 7,
            "toldSecondsAgo": 4, "answeredSecondsAgo": 1},
        {"region": "jnb", "role": "secondary", "health": "down", "version": nothing, "sealed": nothing, "serves": nothing,
            "epoch": nothing, "toldSecondsAgo": nothing, "answeredSecondsAgo": nothing},
    ]});
    assert_eq!(told, expected);
}

#[test]
fn people_are_told_the_same() {
    let (media_type, page) = body(&known(), Some("text/html,application/xhtml+xml,*/*;q=0.8"));
    assert_eq!(media_type, "text/html; charset=utf-8");
    for part in [
        "Region cpt <small>primary",
        "Region jnb <small>secondary",
        "<dd>sealed</dd>",
        "<dd>1.2.3</dd>",
        "<dd>7</dd>",
        "<dd>4 s ago</dd>",
        "<dd>1 s ago</dd>",
        "data-health=\"up\"",
        "data-health=\"down\"",
        "<dd>never</dd>",
        VERSION,
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for part in ["<script", "http:", "https:", "style=", "javascript:"] {
        assert!(!page.contains(part), "{part}");
    }
}

#[test]
fn neither_tells_where_the_origins_are() {
    for accept in [None, Some("text/html")] {
        for regions in [known(), Regions::default()] {
            let (_, text) = body(&regions, accept);
            for part in ["internal.example", "8443", "LINK", "keyid"] {
                assert!(!text.contains(part), "{part}: {text}");
            }
        }
    }
}

#[test]
fn the_policy_names_the_style_and_nothing_else() {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(POLICY, policy);
    let (_, page) = body(&Regions::default(), Some("text/html"));
    let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).map(|(style, _)| style);
    assert_eq!(style, Some(STYLE), "what a browser hashes is what stands there");
}

#[test]
fn who_wants_a_page_more_or_first_gets_one() {
    for (accept, is_page) in [
        (None, false),
        (Some(""), false),
        (Some("*/*"), false),
        (Some("text/*"), false),
        (Some("text/html"), true),
        (Some(" TEXT/HTML ; charset=utf-8"), true),
        (Some("image/png, text/html;q=0.1"), true),
        (Some("application/json, text/html"), false),
        (Some("text/html, application/json"), true),
        (Some("text/html;q=0.1, application/json"), false),
        (Some("application/json;q=0.1, text/html"), true),
        (Some("application/json; Q=0.5, text/html;q=0.5"), false),
        (Some("text/html;q=0, application/json"), false),
        (Some("text/html; q=0.000"), false),
        (Some("application/json;q=0, text/html"), true),
        (Some("text/htmlx"), false),
        (Some(",;,;q=,"), false),
    ] {
        assert_eq!(wants_page(accept), is_page, "{accept:?}");
    }
}

#[test]
fn what_is_shown_is_escaped() {
    assert_eq!(escaped("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
}

#[test]
fn what_has_not_changed_is_not_written_again() {
    let (regions, mut last) = (known(), Last::default());
    let mut ask = |accept, now_ms| {
        let reply: Reply<()> = answer(&regions, &origins(), accept, now_ms, &mut last);
        let Body::Shared(bytes) = reply.body else { panic!() };
        bytes
    };
    let first = ask(None, NOW);
    assert!(Rc::ptr_eq(&first, &ask(None, NOW)));
    assert!(!Rc::ptr_eq(&first, &ask(None, NOW + 1_000)), "a second is a difference");
    assert!(ask(Some("text/html"), NOW).starts_with(b"<!doctype html>"));
    assert_eq!(first, ask(None, NOW));
}
