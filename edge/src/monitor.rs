//! The edge's own state, for programs (JSON) and for people (a page): which release runs here, and how the regions stand as
//! this isolate knows them.
//!
//! It is public. It tells names that operators gave, releases, and whether a vault is sealed; no address, no key's id,
//! nothing of an account, and no cause of an error. It needs no region: with all of them down it says so.

use core::fmt::Write;

use std::rc::Rc;

use serde::Serialize;

use crate::config::Origin;
use crate::regions::{Regions, View};
use crate::reply::{Body, Head, Reply};

/// The page's whole style. A policy that names its hash lets in nothing else.
const STYLE: &str = include_str!("monitor/page.css");
/// The policy of the page: nothing but that style, no script, no form, no frame around it.
pub const POLICY: &str = "default-src 'none'; style-src 'sha256-mmyDYIrq7xW1BDWgBJCZ5WUgZ+QN5I3/WrrcwJC9cuk='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The answer, in the form that the client would rather have.
#[must_use]
pub fn answer<S>(
    regions: &Regions,
    origins: &[Origin],
    accept: Option<&str>,
    now_ms: u64,
    last: &mut Last,
) -> Reply<S> {
    let (media_type, text) = if wants_page(accept) {
        ("text/html; charset=utf-8", page(regions, origins, now_ms))
    } else {
        ("application/json", json(regions, origins, now_ms))
    };
    let headers = vec![("content-type", media_type.into()), ("vary", "accept".into())];
    Reply { head: Head::new(200, headers), body: Body::Shared(last.or(&text)) }
}

/// The last answer that was given. It changes when a second has gone or something is told, however often somebody asks.
#[derive(Debug)]
pub struct Last(Rc<[u8]>);

impl Default for Last {
    fn default() -> Self {
        Self(Rc::from([]))
    }
}

impl Last {
    fn or(&mut self, text: &str) -> Rc<[u8]> {
        if *self.0 != *text.as_bytes() {
            self.0 = text.as_bytes().into();
        }
        Rc::clone(&self.0)
    }
}

/// Whether a page is named and JSON is not preferred: by weight (RFC 9110 §12.4.2), then by who comes first. Whoever takes
/// anything is a program.
#[must_use]
pub fn wants_page(accept: Option<&str>) -> bool {
    let list = accept.unwrap_or_default();
    let (page, json) = (weight(list, "text/html"), weight(list, "application/json"));
    match (page, json) {
        (Some((page, at)), Some((json, other))) => page > json || (page >= json && at < other),
        (page, _) => page.is_some(),
    }
}

/// How much a type that is named is wanted, and its place. `None`: it is not named, or named as not wanted.
fn weight(accept: &str, media_type: &str) -> Option<(f32, usize)> {
    accept.split(',').enumerate().find_map(|(at, range)| {
        let mut parts = range.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(media_type) {
            return None;
        }
        let named = parts.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
        let weight = named.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        (weight > 0.0).then_some((weight, at))
    })
}

/// Each region in the order of choice: its name, what it is by that order, and what is known of it.
fn each<'s>(regions: &'s Regions, origins: &'s [Origin], now_ms: u64) -> Vec<(&'s str, &'static str, View<'s>)> {
    let shown = origins.iter().enumerate().filter_map(|(at, origin)| {
        let role = if at == 0 { "primary" } else { "secondary" };
        Some((origin.region.as_str(), role, regions.view(at, now_ms)?))
    });
    shown.collect()
}

fn json(regions: &Regions, origins: &[Origin], now_ms: u64) -> String {
    let shown = each(regions, origins, now_ms).into_iter().map(|(region, role, view)| Shown {
        region,
        role,
        health: view.health,
        version: view.told.map(|told| told.version.as_str()),
        sealed: view.told.map(|told| told.sealed),
        serves: view.told.map(|told| told.serves),
        epoch: view.told.map(|told| told.epoch),
        told_seconds_ago: view.told_ago_ms.map(|ms| ms / 1000),
        answered_seconds_ago: view.answered_ago_ms.map(|ms| ms / 1000),
    });
    let state = Shows { status: "ok", version: VERSION, regions: shown.collect() };
    serde_json::to_string(&state).unwrap_or_default()
}

#[derive(Serialize)]
struct Shows<'s> {
    status: &'static str,
    version: &'static str,
    regions: Vec<Shown<'s>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'s> {
    region: &'s str,
    role: &'static str,
    health: &'static str,
    version: Option<&'s str>,
    sealed: Option<bool>,
    serves: Option<bool>,
    epoch: Option<u64>,
    told_seconds_ago: Option<u64>,
    answered_seconds_ago: Option<u64>,
}

/// Made whole here, since the origins' pages may be out of reach. Names and releases are letters, digits and a few signs
/// by their types; they are escaped all the same.
fn page(regions: &Regions, origins: &[Origin], now_ms: u64) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>scanvault: state</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>scanvault</h1>\n\
         <p>The edge runs, release {VERSION}. Images of codes load whatever is said below.</p>\n"
    );
    for (region, role, view) in each(regions, origins, now_ms) {
        let vault = view.told.map_or("unknown", |told| if told.sealed { "sealed" } else { "unsealed" });
        let serves = view.told.map_or("unknown", |told| if told.serves { "yes" } else { "no, it stands by" });
        let version = view.told.map_or("unknown", |told| told.version.as_str());
        let epoch = view.told.map_or_else(|| "unknown".to_owned(), |told| told.epoch.to_string());
        let facts = [
            ("Health", view.health),
            ("Serves", serves),
            ("Vault", vault),
            ("Release", version),
            ("Epoch", epoch.as_str()),
            ("Last told", &ago(view.told_ago_ms)),
            ("Last answer", &ago(view.answered_ago_ms)),
        ];
        let (region, health) = (escaped(region), view.health);
        let _ =
            write!(page, "<section data-health=\"{health}\">\n<h2>Region {region} <small>{role}</small></h2>\n<dl>\n");
        for (name, fact) in facts {
            let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(fact));
        }
        page.push_str("</dl>\n</section>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn ago(ms: Option<u64>) -> String {
    ms.map_or_else(|| "never".to_owned(), |ms| format!("{} s ago", ms / 1000))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
