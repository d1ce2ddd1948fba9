//! The door: 401 without a body for everything that is not signed, new and whole.

use axum::body::Body;
use http::{HeaderValue, Request};
use scanvault_origin::clock::Clock;
use scanvault_origin::web::link_check::LinkKeys;
use scanvault_protocol::link::LinkKey;
use serde_json::json;

use crate::on_both;
use crate::world::{Answer, Forward, World};

#[track_caller]
fn assert_shut(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.body.len()), (401, 0), "{what}");
    assert!(answer.headers.is_empty(), "{what}: {:?}", answer.headers);
}

fn keys<const N: usize>(list: [(&str, [u8; 32]); N]) -> LinkKeys {
    let mut keys = LinkKeys::default();
    for (id, secret) in list {
        assert!(keys.add(LinkKey::new(id, secret).unwrap(), None));
    }
    keys
}

fn create() -> Forward {
    Forward::post("/pluto/code/create", &json!({"merchantReference": "r", "amount": 1}))
}

fn edited(world: &World, edit: impl FnOnce(&mut Request<Body>)) -> Request<Body> {
    let mut request = world.signed(&create().with("Basic eDp5"));
    edit(&mut request);
    request
}

on_both! {
    async fn what_is_signed_comes_in(world: World) {
        world.send(create()).await.assert_problem(401, "bad-credentials");
    }

    async fn what_is_unsigned_or_altered_stays_out(world: World) {
        for name in [
            "signature", "signature-input", "content-digest", "host", "scanvault-host", "scanvault-client",
            "scanvault-request-id", "scanvault-credential", "authorization", "content-type",
        ] {
            let missing = edited(&world, |request| drop(request.headers_mut().remove(name)));
            assert_shut(&world.raw(missing).await, &format!("without {name}"));
            let doubled = edited(&world, |request| {
                let value = request.headers()[name].clone();
                request.headers_mut().append(name, value);
            });
            assert_shut(&world.raw(doubled).await, &format!("{name} twice"));
            let other = edited(&world, |request| {
                request.headers_mut().insert(name, HeaderValue::from_static("0123456789abcdef0123456789abcdee"));
            });
            assert_shut(&world.raw(other).await, &format!("another {name}"));
        }
        let added = edited(&world, |request| {
            request.headers_mut().insert("idempotency-key", HeaderValue::from_static("k"));
        });
        assert_shut(&world.raw(added).await, "an idempotency key that was not signed");
        let path = edited(&world, |request| *request.uri_mut() = "/pluto/code/0123456789".parse().unwrap());
        assert_shut(&world.raw(path).await, "another path");
        let query = edited(&world, |request| *request.uri_mut() = "/pluto/code/create?a=1".parse().unwrap());
        assert_shut(&world.raw(query).await, "another query");
        let method = edited(&world, |request| *request.method_mut() = http::Method::PUT);
        assert_shut(&world.raw(method).await, "another method");
        let body = edited(&world, |request| *request.body_mut() = Body::from("{}"));
        assert_shut(&world.raw(body).await, "another body");
        assert_shut(&world.raw(Request::new(Body::from("x".repeat(100_000)))).await, "nothing signed at all");
    }

    async fn a_body_over_the_limit_stays_out(world: World) {
        let answer = world.raw(world.signed(&Forward::post_text("/pluto/code/create", "x".repeat(64 * 1024 + 1)))).await;
        assert_shut(&answer, "64 KiB and a byte");
    }

    async fn a_request_is_taken_once(world: World) {
        let copy = || {
            let mut request = Request::new(Body::from(create().body));
            *request.method_mut() = http::Method::POST;
            request
        };
        let signed = world.signed(&create());
        let (parts, _) = signed.into_parts();
        let again = || {
            let mut request = copy();
            *request.uri_mut() = parts.uri.clone();
            *request.headers_mut() = parts.headers.clone();
            request
        };
        assert_eq!(world.raw(again()).await.header("content-type"), "application/problem+json");
        assert_shut(&world.raw(again()).await, "replayed at once");
        world.clock.advance_ms(29_000);
        assert_shut(&world.raw(again()).await, "replayed later");
    }

    async fn a_request_is_good_for_thirty_seconds(world: World) {
        let old = world.signed(&create());
        world.clock.advance_ms(30_000);
        assert_eq!(world.raw(old).await.header("content-type"), "application/problem+json");
        let older = world.signed(&create());
        world.clock.advance_ms(31_000);
        assert_shut(&world.raw(older).await, "31 seconds old");
    }

    async fn what_was_signed_before_the_start_stays_out(world: World) {
        // The world's clock stood half a second into a second when the origin was built, and has moved on by one.
        assert_eq!(world.app.link.started_secs, world.clock.now_secs());
        world.send(create()).await.assert_problem(401, "bad-credentials");
        let before = scanvault_origin::clock::ManualClock::at_ms(world.clock.now_ms() - 1_000);
        assert!(before.now_secs() < world.app.link.started_secs);
        let mut world = world;
        world.clock = std::sync::Arc::new(before);
        assert_shut(&world.raw(world.signed(&create())).await, "a second before the start");
    }

    async fn headers_that_are_not_covered_do_nothing(world: World) {
        let mut request = world.signed(&Forward::get("/pluto/code/0123456789"));
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
        request.headers_mut().insert("cookie", HeaderValue::from_static("a=b"));
        world.raw(request).await.assert_problem(401, "bad-credentials");
    }

    async fn a_key_that_was_taken_away_opens_no_more(world: World) {
        world.send(create()).await.assert_problem(401, "bad-credentials");
        world.app.link.keys.replace(keys([("edge-2", [8; 32])]));
        assert_shut(&world.raw(world.signed(&create())).await, "signed with the old key");
        world.app.link.keys.replace(keys([("edge-2", [8; 32]), ("edge-1", crate::world::KEY)]));
        world.send(create()).await.assert_problem(401, "bad-credentials");
    }
}
