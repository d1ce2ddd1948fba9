//! The one way out: every answer, whoever made it, gets its last headers here.

use std::borrow::Cow;

use scanvault_protocol::headers;
use scanvault_protocol::route::{Route, RouteSpec};

use crate::monitor;
use crate::reply::{Head, HeaderList};

const CACHE_CONTROL: &str = "cache-control";
const CONTENT_SECURITY_POLICY: &str = "content-security-policy";

/// An SVG opened as a document runs and loads nothing. A 304 says so too, since what it says takes the place of what the
/// cache has (RFC 9111 §3.2); it does not say of which type the image is.
pub const SVG_CONTENT_SECURITY_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Sets the headers that harden an answer, over anything that is there already.
///
/// Only images and assets may be cached, and only when they are what was asked for: an error never is. In development
/// pages may show the sandbox's bank, which has no TLS.
pub fn harden(head: &mut Head, spec: Option<&RouteSpec>, request_id: &str, is_development: bool) {
    let is_found = matches!(head.status, 200 | 304);
    let is_image = is_found && spec.is_some_and(|spec| spec.route == Route::QrImage);
    let cacheable = (is_image || is_found && spec.is_some_and(|spec| spec.route == Route::Asset))
        && get(&head.headers, CACHE_CONTROL).is_some();
    if !cacheable {
        set(&mut head.headers, CACHE_CONTROL, "no-store".into());
    }
    let media_type = get(&head.headers, headers::CONTENT_TYPE).unwrap_or_default();
    let page = spec.filter(|spec| spec.is_page && media_type.starts_with("text/html"));
    let is_framed = page.is_some_and(|spec| spec.is_framed);
    let is_monitor = spec.is_some_and(|spec| spec.route == Route::Monitor) && media_type.starts_with("text/html");
    let policy = if is_monitor {
        monitor::POLICY
    } else if page.is_some() {
        headers::page_policy(is_framed, is_development)
    } else if is_image {
        SVG_CONTENT_SECURITY_POLICY
    } else {
        headers::API_CONTENT_SECURITY_POLICY
    };
    set(&mut head.headers, CONTENT_SECURITY_POLICY, policy.into());
    for (name, value) in headers::HARDENING {
        set(&mut head.headers, name, (*value).into());
    }
    if is_framed {
        set(&mut head.headers, headers::FRAME_OPTIONS, headers::FRAMED_BY_OURSELVES.into());
    }
    set(&mut head.headers, headers::REQUEST_ID, request_id.to_owned().into());
}

fn get<'h>(list: &'h HeaderList, name: &str) -> Option<&'h str> {
    list.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
}

fn set(list: &mut HeaderList, name: &'static str, value: Cow<'static, str>) {
    list.retain(|(known, _)| *known != name);
    list.push((name, value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanvault_protocol::route::ROUTES;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn hardened(status: u16, headers: &[(&'static str, &str)], route: Option<Route>) -> Head {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned().into())).collect();
        let mut head = Head::new(status, headers);
        let spec = route.map(|route| ROUTES.iter().find(|spec| spec.route == route).unwrap());
        harden(&mut head, spec, ID, false);
        head
    }

    fn value(head: &Head, name: &str) -> String {
        let all: Vec<_> = head.headers.iter().filter(|(known, _)| *known == name).collect();
        assert_eq!(all.len(), 1, "{name}: {head:?}");
        all[0].1.clone().into_owned()
    }

    #[test]
    fn every_answer_is_hardened_whatever_the_origin_said() {
        let weak = [
            ("strict-transport-security", "max-age=0"),
            ("x-frame-options", "ALLOWALL"),
            ("content-security-policy", "default-src *"),
            ("scanvault-request-id", "other"),
        ];
        for headers in [&weak[..], &[]] {
            for route in ROUTES.iter().map(|spec| Some(spec.route)).chain([None]) {
                for status in [200, 304, 401, 500] {
                    let head = hardened(status, headers, route);
                    let hsts = "max-age=63072000; includeSubDomains; preload";
                    assert_eq!(value(&head, "strict-transport-security"), hsts);
                    assert_eq!(value(&head, "x-content-type-options"), "nosniff");
                    assert_eq!(value(&head, "x-frame-options"), "DENY");
                    assert_eq!(value(&head, "referrer-policy"), "no-referrer");
                    assert_eq!(value(&head, "scanvault-request-id"), ID);
                    assert_eq!(value(&head, "cache-control"), "no-store");
                    assert!(value(&head, "content-security-policy").starts_with("default-src 'none'; "));
                }
            }
        }
    }

    #[test]
    fn only_images_and_assets_that_were_found_are_cached() {
        let week = [("cache-control", "public, max-age=604800")];
        for (status, route, cached) in [
            (200, Some(Route::QrImage), true),
            (304, Some(Route::QrImage), true),
            (200, Some(Route::Asset), true),
            (404, Some(Route::Asset), false),
            (400, Some(Route::QrImage), false),
            (200, Some(Route::CodeQuery), false),
            (200, Some(Route::PayPage), false),
            (200, None, false),
        ] {
            let expected = if cached { "public, max-age=604800" } else { "no-store" };
            assert_eq!(value(&hardened(status, &week, route), "cache-control"), expected, "{status} {route:?}");
        }
    }

    #[test]
    fn the_policy_fits_what_the_answer_is() {
        let policy = |media_type, route| {
            value(&hardened(200, &[("content-type", media_type)], Some(route)), "content-security-policy")
        };
        let page = policy("text/html; charset=utf-8", Route::PayPage);
        assert_eq!(page, headers::PAGE_CONTENT_SECURITY_POLICY);
        assert_eq!(policy("application/problem+json", Route::PayPage), headers::API_CONTENT_SECURITY_POLICY);
        let framed = policy("text/html; charset=utf-8", Route::ThreeDsChallenge);
        assert_eq!(framed, headers::FRAMED_CONTENT_SECURITY_POLICY);
        assert_eq!(policy("application/problem+json", Route::ThreeDsMethod), headers::API_CONTENT_SECURITY_POLICY);
        assert_eq!(policy("text/html; charset=utf-8", Route::Monitor), monitor::POLICY);
        assert_eq!(policy("application/json", Route::Monitor), headers::API_CONTENT_SECURITY_POLICY);
        // HTML where no page is expected gets no right to do anything.
        assert_eq!(policy("text/html", Route::CodeQuery), headers::API_CONTENT_SECURITY_POLICY);
        assert_eq!(policy("image/svg+xml; charset=utf-8", Route::QrImage), SVG_CONTENT_SECURITY_POLICY);
        for (status, expected) in [(304, SVG_CONTENT_SECURITY_POLICY), (400, headers::API_CONTENT_SECURITY_POLICY)] {
            let head = hardened(status, &[], Some(Route::QrImage));
            assert_eq!(value(&head, "content-security-policy"), expected);
        }
    }

    #[test]
    fn only_pages_for_our_own_frames_may_be_framed_and_only_by_ourselves() {
        let html = [("content-type", "text/html; charset=utf-8")];
        for spec in ROUTES {
            let head = hardened(200, &html, Some(spec.route));
            let is_framed = matches!(spec.route, Route::ThreeDsMethod | Route::ThreeDsChallenge);
            assert_eq!(value(&head, "x-frame-options"), if is_framed { "SAMEORIGIN" } else { "DENY" });
            let ancestors = if is_framed { "frame-ancestors 'self'" } else { "frame-ancestors 'none'" };
            assert!(value(&head, "content-security-policy").ends_with(ancestors), "{}", spec.path);
        }
        let problem = [("content-type", "application/problem+json")];
        assert_eq!(value(&hardened(415, &problem, Some(Route::ThreeDsMethod)), "x-frame-options"), "DENY");
    }

    #[test]
    fn a_bank_without_tls_is_shown_in_development_only() {
        let policy = |is_development| {
            let headers = vec![("content-type", "text/html".into())];
            let mut head = Head { status: 200, reason: None, headers };
            harden(&mut head, ROUTES.iter().find(|spec| spec.route == Route::PayPage), ID, is_development);
            value(&head, "content-security-policy")
        };
        let production = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self' data:; frame-src 'self' https:; form-action 'self' https:; base-uri 'none'; \
             frame-ancestors 'none'";
        assert_eq!(policy(false), production);
        assert_eq!(policy(true), production.replace("https:", "https: http://127.0.0.1:*"));
    }
}
