//! Every row of the route table with every kind of caller: the exact status, and for a refusal the exact code.

use std::sync::Arc;

use scanvault_origin::app::router::answer_public;
use scanvault_protocol::Role;
use scanvault_protocol::route::{Answerer, Audience, Dialect, Door, Method, ROUTES, Route, RouteSpec};
use serde_json::json;

use crate::on_both;
use crate::world::{Answer, Forward, World};

/// Somebody who knocks.
struct Knocker {
    name: &'static str,
    authorization: Option<String>,
    /// `None`: the credential does not count, and this is what is said.
    role: Result<Role, &'static str>,
}

/// What an empty object, and parameters that name nothing, is answered with by who may. No wildcard: a new route is in
/// this test or the test does not compile.
fn status_when_allowed(spec: &RouteSpec, method: &str) -> u16 {
    match spec.route {
        Route::CodeCreate => 400,
        Route::CodeQuery | Route::TransactionState => 404,
        Route::PayPage => 404,
        Route::Pay => 400,
        Route::PayWallet => 400,
        Route::PayState => 200,
        // A bank posts a form.
        Route::ThreeDsMethod | Route::ThreeDsChallenge => 415,
        Route::CodeEdit | Route::CodeDelete | Route::CodeAmount | Route::CodeBlock | Route::CodeUnblock => 404,
        Route::QueryReference | Route::QueryRefund | Route::StateByQr => 400,
        Route::Reverse | Route::Refund => 404,
        Route::V1New | Route::V1Capture | Route::V1Refund | Route::V1Void | Route::V1Charge => 400,
        Route::V1Seq => 200,
        Route::V1Renew => 404,
        Route::Asset => 200,
        Route::LoginChallenge | Route::Login => 400,
        Route::Logout => 404,
        Route::Unserved => 404,
        // The edge's own, and the other door's.
        Route::QrImage | Route::Monitor => 404,
        Route::VaultKey | Route::VaultSession | Route::CardStore => panic!("{method} {}", spec.path),
        Route::CardRead | Route::CardShow | Route::CardDelete | Route::RegionState => panic!("{method} {}", spec.path),
    }
}

fn methods(method: Method) -> &'static [&'static str] {
    match method {
        Method::Get => &["GET"],
        Method::Post => &["POST"],
        Method::Put => &["PUT"],
        Method::Delete => &["DELETE"],
        Method::Any => &["GET", "POST", "PUT", "DELETE"],
    }
}

fn path(spec: &RouteSpec) -> String {
    let path = spec.path.replace("{asset}", "pay.js").replace("{transactionId}", "7").replace("**", "any/thing");
    let path = path.replace("{sessionId}", "00000000-0000-4000-8000-000000000000");
    let path = path.replace("{id}", "7").replace("{n}", "0");
    let path = path.replace("{token}", "card_AAAAAAAAAAAAAAAAAAAAAA");
    path.replace("{code}", "0123456789").replace("{image}", "0123456789.png")
}

async fn knockers(world: &mut World) -> Vec<Knocker> {
    let merchant = world.ready().await;
    let named = async |name: &str, role: &str| world.account(&json!({"name": name, "role": role})).await;
    let (stk, wallet) = (named("vodacom-ussd", "STK").await, named("a-wallet", "WALLET").await);
    let internal = named("backoffice", "INTERNAL").await;
    let psp = world.account(&json!({"name": "psp-13"})).await;
    let switched = world.account(&json!({"name": "merchant-26"})).await;
    world.in_bearer_mode("merchant-26").await;
    let (token, _) = world.session("merchant-26").await;
    let (foreign, _) = world.session("merchant-25").await; // in Basic mode
    world.account(&json!({"name": "ussd-2", "role": "STK"})).await;
    world.in_bearer_mode("ussd-2").await;
    let (stk_token, _) = world.session("ussd-2").await;
    let suspended = world.account(&json!({"name": "merchant-27"})).await;
    assert_eq!(world.admin("POST", "/accounts/merchant-27/suspend", &json!({})).await.status, 200);
    let knocker = |name, authorization: &str, role| {
        let authorization = (!authorization.is_empty()).then(|| authorization.to_owned());
        Knocker { name, authorization, role }
    };
    vec![
        knocker("nobody", "", Err("bad-credentials")),
        knocker("a merchant", &merchant, Ok(Role::External)),
        knocker("a PSP", &psp, Ok(Role::External)),
        knocker("a USSD operator", &stk, Ok(Role::Stk)),
        knocker("a wallet", &wallet, Ok(Role::Wallet)),
        knocker("an internal system", &internal, Ok(Role::Internal)),
        knocker("a merchant with a token", &token, Ok(Role::External)),
        knocker("a USSD operator with a token", &stk_token, Ok(Role::Stk)),
        knocker("the password of an account in Bearer mode", &switched, Err("bad-credentials")),
        knocker("a token of an account in Basic mode", &foreign, Err("jwt-disabled")),
        knocker("a suspended merchant", &suspended, Err("bad-credentials")),
        knocker("no token at all", "Bearer x", Err("invalid-jwt")),
        knocker("a forged token", "Bearer e30.e30.AA", Err("invalid-or-expired-jwt")),
    ]
}

/// The status, and for a refusal its code.
fn expected(spec: &RouteSpec, method: &str, knocker: &Knocker) -> (u16, Option<&'static str>) {
    if spec.dialect == Dialect::Line && knocker.name == "a PSP" {
        return (403, Some("forbidden")); // it has no shop
    }
    let allowed = (status_when_allowed(spec, method), None);
    match (spec.audience, &knocker.role) {
        _ if spec.answerer == Answerer::Edge => allowed,
        (Audience::Anyone, _) | (Audience::Authenticated, Ok(_)) => allowed,
        (Audience::Role(needed), Ok(role)) if needed == *role => allowed,
        (Audience::Role(_), Ok(_)) => (403, Some("forbidden")),
        (_, Err(code)) => (if spec.dialect == Dialect::Line { 403 } else { 401 }, Some(code)),
    }
}

/// The line that stands for a code in Scanpay's dialect.
fn line(code: &str) -> &'static str {
    match code {
        "bad-credentials" => "invalid apikey\n",
        "invalid-jwt" => "Invalid JWT token\n",
        "invalid-or-expired-jwt" => "Invalid or expired JWT token\n",
        "jwt-disabled" => "JWT Authentication disabled for this account\n",
        "forbidden" => "This account has no access to this path\n",
        other => panic!("{other}"),
    }
}

on_both! {
    async fn every_route_with_everybody(world: World) {
        let mut world = world;
        let knockers = knockers(&mut world).await;
        let mut asked = 0;
        for spec in ROUTES.iter().filter(|spec| spec.door() == Door::Public) {
            for method in methods(spec.method) {
                for knocker in &knockers {
                    let forward = match *method {
                        method @ ("POST" | "PUT") if spec.max_body_bytes > 0 => {
                            Forward { method, ..Forward::post_text(path(spec), "{}") }
                        }
                        method => Forward { method, ..Forward::get(path(spec)) },
                    };
                    // An address that nobody knows: this is not about how often one may fail.
                    let forward = Forward { authorization: knocker.authorization.clone(), ..forward }.from("unknown");
                    world.clock.advance_ms(1_000);
                    let answer = world.send(forward).await;
                    let (status, code) = expected(spec, method, knocker);
                    let what = format!("{method} {} as {}: {}", spec.path, knocker.name, answer.text());
                    assert_eq!(answer.status.as_u16(), status, "{what}");
                    match (code, spec.dialect) {
                        (None, _) => {}
                        (Some(code), Dialect::Problem) => assert_eq!(answer.json()["code"], code, "{what}"),
                        (Some(_), Dialect::Line) if knocker.name == "a PSP" => {}
                        (Some(code), Dialect::Line) => assert_eq!(answer.text(), line(code), "{what}"),
                    }
                    asked += 1;
                }
            }
        }
        assert!(asked > 400, "{asked}");
    }

    /// The internal rows do not exist for an edge, whoever it speaks for.
    async fn the_other_door_is_not_there(world: World) {
        let mut world = world;
        let knockers = knockers(&mut world).await;
        for spec in ROUTES.iter().filter(|spec| spec.door() == Door::Internal) {
            for knocker in &knockers {
                let forward = Forward { method: methods(spec.method)[0], ..Forward::get(path(spec)) };
                let forward = Forward { authorization: knocker.authorization.clone(), ..forward };
                assert_eq!(world.send(forward).await.status, 404, "{} as {}", spec.path, knocker.name);
            }
        }
    }

    async fn refunds_have_the_references_status_where_it_is_asked_for(world: World) {
        let mut world = world;
        world.ready().await;
        let stk = world.account(&json!({"name": "vodacom-ussd", "role": "STK"})).await;
        let app = Arc::new(world.beside_with(|config| config.security_violation_513 = true).await);
        world.clock.advance_ms(1_000);
        let ask = async |path: &str, auth: Option<&str>| {
            let forward = Forward { authorization: auth.map(str::to_owned), ..Forward::delete(path) };
            Answer::of(answer_public(Arc::clone(&app), world.signed(&forward)).await).await
        };
        let refused = ask("/pluto/purchase/81234", None).await;
        refused.assert_problem(513, "security-violation");
        assert_eq!((refused.header("www-authenticate"), &refused.json()["detail"]), ("", &json!("SECURITY_VIOLATION")));
        ask("/pluto/purchase/81234", Some("Bearer x")).await.assert_problem(513, "security-violation");
        ask("/pluto/purchase/81234", Some(&stk)).await.assert_problem(403, "forbidden");
        ask("/pluto/remote/a", None).await.assert_problem(401, "bad-credentials");
        let here = world.send(Forward::delete("/pluto/purchase/81234")).await;
        here.assert_problem(401, "bad-credentials");
    }
}
