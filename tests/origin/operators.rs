//! The role table, as whole requests: every row with everybody who could knock.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use scanvault_origin::app::router::answer_admin;
use scanvault_origin::ceremonies::operators::Operators;
use scanvault_origin::ceremonies::{Action, AdminRoute, Needs, ROUTES};
use scanvault_origin::db::Kind;
use scanvault_origin::web::listener::Peer;
use serde_json::json;

use crate::on_both;
use crate::world::{Answer, World};

const ACTING: Peer = Peer::Uid(1001);
const AUDITING: Peer = Peer::Certificate([0xab; 32]);
const BOTH: Peer = Peer::Uid(1003);
/// Root is nobody special once there is a file.
const STRANGER: Peer = Peer::Uid(0);

fn name_operators(world: &World) {
    let text = format!("acting operator {ACTING}\nauditing auditor {AUDITING}\nboth operator,auditor {BOTH}");
    world.app.admin.operators.replace(Operators::parse(&text).unwrap());
}

async fn ask(world: &World, method: &str, path: &str, peer: Option<Peer>) -> Answer {
    let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
    Answer::of(answer_admin(Arc::clone(&world.app), request, peer).await).await
}

async fn call(world: &World, route: &AdminRoute, peer: Option<Peer>) -> Answer {
    ask(world, route.method.as_str(), &route.pattern.replace(['{', '}'], ""), peer).await
}

/// What an empty object, and a parameter that names nothing, is answered with on a new origin by who may. No wildcard: a
/// new action is in this test or the test does not compile.
fn status_when_allowed(action: Action, database: Kind) -> u16 {
    match action {
        Action::Metrics | Action::Live | Action::Ready => 200,
        Action::Operators | Action::WhoAmI => 200,
        Action::VaultStatus | Action::VaultSeal | Action::VaultUnsealReset | Action::Unsettled => 200,
        Action::AccountList | Action::Keys | Action::ReshareShow | Action::ReencryptShow => 200,
        Action::AuditKeys | Action::AuditSnapshot => 200,
        Action::AuditPage | Action::AuditHashes | Action::AuditValue => 400,
        Action::AuditLast => 404,
        Action::VaultInit | Action::VaultUnseal | Action::VaultProve | Action::AccountCreate => 400,
        Action::ReshareStart | Action::ReshareSubmit | Action::ReshareProve | Action::ReshareCancel => 400,
        Action::KeyRotate | Action::KeyDestroy => 400,
        Action::VaultShares | Action::ReshareShares => 409,
        Action::ReencryptStart | Action::IdentityKey => 503,
        Action::AccountShow | Action::AccountRotate | Action::AccountKeys | Action::Settle => 404,
        Action::AccountSuspend | Action::AccountResume | Action::AccountMobilePayWebhook => 404,
        Action::WalletReports => 200,
        Action::WalletReportAgain => 404,
        Action::AccountSwitch | Action::AccountEnrol => 400,
        Action::AccountSet | Action::WebhookKey | Action::WebhookSecret | Action::WebhookTest => 404,
        Action::AccountCredentials | Action::OutboxReplay => 400,
        Action::OutboxList => 200,
        Action::OutboxShow => 404,
        Action::ReconcilePage | Action::ReconcileTransactions => 400,
        Action::Region => 200,
        // SQLite has nobody to decide between.
        Action::RegionServe | Action::RegionRelease => {
            if database == Kind::Sqlite {
                409
            } else {
                200
            }
        }
    }
}

on_both! {
    async fn every_path_with_everybody(world: World) {
        name_operators(&world);
        let mut refused = 0;
        for route in ROUTES {
            let allowed = status_when_allowed(route.action, world.app.db.kind());
            let expected = |may: bool| if may { allowed } else { 403 };
            for (peer, status) in [
                (Some(ACTING), expected(route.needs != Needs::Auditor)),
                (Some(AUDITING), expected(route.needs != Needs::Operator)),
                (Some(BOTH), allowed),
                (Some(STRANGER), 403),
                (Some(Peer::Uid(1002)), 403),
                (Some(Peer::Certificate([0xac; 32])), 403),
                (None, 403),
            ] {
                let answer = call(&world, route, peer).await;
                assert_eq!(answer.status, status, "{} {} as {peer:?}: {}", route.method, route.pattern, answer.text());
                refused += u32::from(status == 403);
            }
        }
        assert!(refused >= u32::try_from(ROUTES.len()).unwrap() * 4);
    }

    async fn a_refusal_says_why(world: World) {
        name_operators(&world);
        let why = async |path, peer| ask(&world, "POST", path, peer).await.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(why("/vault/seal", Some(AUDITING)).await, "this needs the role operator; auditing has auditor");
        assert_eq!(why("/vault/seal", Some(STRANGER)).await, "uid:0 is not an operator");
        let certificate = Peer::Certificate([0xac; 32]);
        assert_eq!(why("/vault/seal", Some(certificate)).await, format!("{certificate} is not an operator"));
        assert_eq!(why("/vault/seal", None).await, "nobody is not an operator");
    }

    async fn a_browser_is_refused_whoever_sits_before_it(world: World) {
        for (name, value) in [("origin", "https://pay.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
            let request = Request::builder().method("POST").uri("/vault/seal").header(name, value).body(Body::from("{}"));
            let answer = answer_admin(Arc::clone(&world.app), request.unwrap(), Some(Peer::Uid(0))).await;
            let answer = Answer::of(answer).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["detail"]), (403, &json!("a browser has no business here")));
        }
    }

    async fn a_stranger_does_not_learn_the_paths(world: World) {
        name_operators(&world);
        for path in ["/", "/vault", "/vault/seal/", "/nothing", "/accounts/a/b/c"] {
            assert_eq!(ask(&world, "POST", path, Some(STRANGER)).await.status, 403, "{path}");
            assert_eq!(ask(&world, "POST", path, Some(BOTH)).await.status, 404, "{path}");
        }
        for (method, path) in [("GET", "/vault/seal"), ("DELETE", "/accounts/merchant-1"), ("HEAD", "/metrics")] {
            assert_eq!(ask(&world, method, path, Some(BOTH)).await.status, 404, "{method} {path}");
        }
    }

    async fn an_auditor_changes_nothing(world: World) {
        let mut world = world;
        world.init().await;
        world.unseal().await;
        name_operators(&world);
        let sealed = async |world: &World| ask(world, "GET", "/vault/status", Some(AUDITING)).await.json()["sealed"].clone();
        assert_eq!(ask(&world, "POST", "/vault/seal", Some(AUDITING)).await.status, 403);
        assert_eq!(sealed(&world).await, false);
        assert_eq!(ask(&world, "POST", "/vault/seal", Some(ACTING)).await.status, 200);
        assert_eq!(sealed(&world).await, true);
    }

    async fn who_is_who(world: World) {
        let list = async |peer| ask(&world, "GET", "/operators", Some(peer)).await.json();
        let before = list(Peer::Uid(0)).await;
        assert_eq!(before["operators"][0]["name"], "owner");
        assert_eq!((&before["fromFile"], &before["twoCanAct"]), (&json!(false), &json!(false)));
        name_operators(&world);
        let rows = json!([
            {"name": "acting", "roles": ["operator"], "identity": "uid:1001"},
            {"name": "auditing", "roles": ["auditor"], "identity": format!("cert:sha256:{}", "ab".repeat(32))},
            {"name": "both", "roles": ["operator", "auditor"], "identity": "uid:1003"},
        ]);
        assert_eq!(list(AUDITING).await, json!({"operators": rows, "fromFile": true, "twoCanAct": true}));
        let me = ask(&world, "GET", "/operators/self", Some(AUDITING)).await.json();
        assert_eq!(me, json!({"name": "auditing", "roles": ["auditor"]}));
    }
}
