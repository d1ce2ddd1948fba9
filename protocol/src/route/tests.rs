use super::*;

fn door_of(path: &str) -> Door {
    match path {
        "/pluto/internal/region" => Door::Edge,
        path if path.starts_with("/pluto/internal/") => Door::Internal,
        _ => Door::Public,
    }
}

fn found(method: &str, path: &'static str) -> (Route, Option<&'static str>) {
    match resolve(method, path, door_of(path)) {
        Resolution::Found(hit) => (hit.spec.route, hit.parameter),
        other => panic!("{method} {path}: {other:?}"),
    }
}

#[test]
fn every_row_is_found_by_its_own_path() {
    for spec in ROUTES {
        let path: &'static str = spec
            .path
            .replace("{code}", "0123456789")
            .replace("{image}", "0123456789.png")
            .replace("{asset}", "pay.js")
            .replace("{transactionId}", "81234")
            .replace("{id}", "81234")
            .replace("{n}", "0")
            .replace("{token}", "card_AAAAAAAAAAAAAAAAAAAAAA")
            .replace("{sessionId}", "c056b2d8-d6d1-4ea6-8752-e87f684b2903")
            .replace("**", "any/thing")
            .leak();
        let method = spec.method.names()[0];
        assert_eq!(found(method, path).0, spec.route, "{method} {path}");
        assert_eq!(crate::path::check(path), Ok(()));
        assert_eq!(spec.dialect, dialect(path), "{path}");
    }
}

#[test]
fn aliases_lead_to_the_same_rows() {
    assert_eq!(found("GET", "/public/qr/0123456789"), (Route::QrImage, Some("0123456789")));
    assert_eq!(found("HEAD", "/pluto/public/stpqr/0123456789.svg"), (Route::QrImage, Some("0123456789.svg")));
    assert_eq!(found("GET", "/Q/0123456789"), (Route::PayPage, Some("0123456789")));
    assert_eq!(found("GET", "/q/0123456789"), (Route::PayPage, Some("0123456789")));
    assert_eq!(found("GET", "/pluto/code/transaction/state/7"), (Route::TransactionState, Some("7")));
}

#[test]
fn other_methods_are_told_which_are_allowed_and_other_paths_do_not_exist() {
    let Resolution::MethodNotAllowed(allow) = resolve("DELETE", "/pluto/public/pay/0123456789", Door::Public) else {
        panic!()
    };
    assert_eq!(allow, "GET, HEAD, POST");
    let Resolution::MethodNotAllowed(allow) = resolve("GET", "/pluto/code/create", Door::Public) else { panic!() };
    assert_eq!(allow, "POST");
    for path in ["/", "/pluto", "/pluto/internal/vault/cards", "/pluto/code", "/PLUTO/code/create", "/public", "/Q"] {
        assert!(matches!(resolve("GET", path, Door::Public), Resolution::NotFound), "{path}");
    }
}

#[test]
fn no_row_exists_at_two_doors() {
    for spec in ROUTES {
        let (path, method) = (spec.path, spec.method.names()[0]);
        assert_eq!(spec.door(), door_of(path), "{path}");
        assert_eq!(spec.audience == Audience::Role(Role::Internal), spec.door() == Door::Internal, "{path}");
        for other in [Door::Public, Door::Internal, Door::Edge].into_iter().filter(|door| *door != spec.door()) {
            for method in [method, "GET", "POST", "DELETE", "TRACE"] {
                assert!(matches!(resolve(method, path, other), Resolution::NotFound), "{method} {path} {other:?}");
            }
        }
    }
    let path = "/pluto/internal/vault/cards/card_A";
    assert_eq!(found("POST", "/pluto/internal/vault/cards/card_A/read"), (Route::CardRead, Some("card_A")));
    assert_eq!(found("DELETE", path), (Route::CardDelete, Some("card_A")));
    let Resolution::MethodNotAllowed(allow) = resolve("POST", path, Door::Internal) else { panic!() };
    assert_eq!(allow, "GET, HEAD, DELETE");
}

#[test]
fn areas_ask_who_comes_and_what_is_served_in_them_wins() {
    assert_eq!(found("PUT", "/pluto/stk/push/1"), (Route::Unserved, None));
    assert_eq!(found("DELETE", "/pluto/purchase/81234"), (Route::Reverse, Some("81234")));
    assert_eq!(found("PUT", "/pluto/purchase/81234"), (Route::Unserved, None));
    for path in ["/pluto/stk", "/pluto/stk/", "/pluto/stkx/a", "/authentication/sessions/", "/authentication"] {
        assert!(matches!(resolve("GET", path, Door::Public), Resolution::NotFound), "{path}");
    }
    let last_served = ROUTES.iter().rposition(|spec| spec.door() == Door::Public && spec.route != Route::Unserved);
    assert!(last_served < ROUTES.iter().position(|spec| spec.route == Route::Unserved));
}

#[test]
fn refunds_and_reversals_have_a_status_of_their_own_where_it_is_asked_for() {
    let Resolution::Found(hit) = resolve("DELETE", "/pluto/purchase/81234", Door::Public) else { panic!() };
    assert_eq!(hit.spec.in_dialect(Problem::BadCredentials, true), Problem::SecurityViolation);
    assert_eq!(hit.spec.in_dialect(Problem::BadCredentials, false), Problem::BadCredentials);
    assert_eq!(hit.spec.in_dialect(Problem::Forbidden, true), Problem::Forbidden);
    let Resolution::Found(hit) = resolve("GET", "/pluto/code/0123456789", Door::Public) else { panic!() };
    assert_eq!(hit.spec.in_dialect(Problem::BadCredentials, true), Problem::BadCredentials);
}

#[test]
fn a_login_challenge_is_never_asked_for_twice() {
    for spec in ROUTES {
        let expected = spec.method == Method::Get && spec.route != Route::LoginChallenge;
        assert_eq!(spec.is_repeatable(), expected, "{}", spec.path);
    }
}

#[test]
fn unknown_query_names_are_refused_where_it_matters() {
    let Resolution::Found(hit) = resolve("GET", "/pluto/code/0123456789", Door::Public) else { panic!() };
    assert_eq!(check_query(hit.spec, Some("a=1")), Err(Problem::BadRequest));
    assert_eq!(check_query(hit.spec, None), Ok(()));
}

#[test]
fn a_call_with_two_spellings_is_remembered_under_one() {
    for (method, path, remembered) in [
        ("POST", "/pluto/purchase/7", "/pluto/purchase/7"),
        ("POST", "/pluto/purchase/007/refund", "/pluto/purchase/7"),
        ("POST", "/v1/transactions/25:7/capture", "/v1/transactions/7/capture"),
        ("POST", "/v1/transactions/7/refund", "/v1/transactions/7/refund"),
        ("POST", "/v1/subscribers/7/charge", "/v1/subscribers/7/charge"),
    ] {
        let Resolution::Found(hit) = resolve(method, path, Door::Public) else { panic!("{path}") };
        assert_eq!(hit.spec.path_of(7), remembered, "{path}");
    }
}
