//! The worker at the edge: screen → route → authenticate → authorise → answer or forward → harden.
//!
//! Each step is a pure module that is tested natively. This file strings them together; `runtime.rs` reads and builds
//! the runtime's objects, `config.rs` reads the bindings. No lock and no borrow is held across an `await`, and nothing
//! asynchronous is shared between requests: one isolate interleaves many.
//!
//! The edge holds the link secret. It holds no card, no key and no data, and it decides alone only what no record of
//! the origin's could make right.

pub mod answer;
pub mod authenticate;
pub mod authorise;
pub mod config;
pub mod forward;
pub mod harden;
pub mod log;
pub mod reply;
pub mod route;
pub mod runtime;
pub mod screen;

use core::fmt::Write;

use scanvault_protocol::Problem;
use scanvault_protocol::link::NONCE_BYTES;
use scanvault_protocol::route::{self as protocol_route, Answerer, Route, RouteSpec};
use worker::{Context, Env, console_log, event, web_sys};

use crate::config::{ClientAddress, Config};
use crate::forward::Admitted;
use crate::log::Line;
use crate::reply::{Body, Refusal, Reply};
use crate::runtime::RuntimeReply;
use crate::screen::Inbound;

/// The entry. It never returns `Err`: the runtime's own error page would leave without our headers.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, _context: Context) -> worker::Result<web_sys::Response> {
    let began_ms = runtime::now_ms();
    let config = config::of_isolate(&env);
    let inbound = runtime::read(&request, config.map_or(ClientAddress::Unknown, |config| config.client_address));
    let mut spec = None;
    let request_id = random_id();
    let outcome = match (config, &request_id) {
        (Ok(config), Some(request_id)) => serve(&request, &inbound, config, request_id, &mut spec).await,
        (Err(error), _) => Err(Refusal::caused(Problem::Internal, error.to_string())),
        (_, None) => Err(Refusal::caused(Problem::Internal, "no randomness")),
    };
    let request_id = request_id.unwrap_or_default();
    let refused = outcome.as_ref().err().map(Refusal::for_log);
    let mut reply = outcome.unwrap_or_else(|refusal| refusal.into_reply(&request_id, inbound.is_head()));
    harden::harden(&mut reply.head, spec, &request_id);
    let took_ms = runtime::now_ms().saturating_sub(began_ms);
    let pattern = spec.map(|spec| spec.path);
    let line = Line::new(&request_id, &inbound.method, pattern, reply.head.status, took_ms, refused.as_ref());
    console_log!("{}", line.to_json());
    Ok(runtime::into_response(reply).unwrap_or_else(|_| web_sys::Response::error()))
}

/// The steps after one another; the first that refuses ends it. `found` tells the caller which row it was.
///
/// Refused are, in this order: plain HTTP (308, 403), sizes and forms (431, 414, 400), unknown paths (404), methods
/// (405), query names (400), credentials (401, 400), roles (403), bodies (415, 413, 400).
async fn serve(
    request: &web_sys::Request,
    inbound: &Inbound,
    config: &Config,
    request_id: &str,
    found: &mut Option<&'static RouteSpec>,
) -> Result<RuntimeReply, Refusal> {
    let target = inbound.target.as_ref().ok_or(Problem::BadPath)?;
    screen::transport(inbound, target, config.plain_http)?;
    screen::limits(inbound, target)?;
    let spec = route::find(&inbound.method, &target.path)?.spec;
    *found = Some(spec);
    protocol_route::check_query(spec, target.query.as_deref())?;
    let caller = authenticate::caller(spec.audience, inbound.authorization.as_ref().map(|value| value.as_str()))?;
    authorise::check(&caller, spec.audience)?;
    let body = runtime::read_body(request, screen::body(inbound, spec)?).await?;
    let if_none_match = inbound.if_none_match.as_deref();
    match (spec.answerer, spec.route) {
        (Answerer::Edge, Route::QrImage) => {
            answer::image(&target.path, target.query.as_deref(), if_none_match, &config.qr)
        }
        (Answerer::Edge, Route::Monitor) => Ok(answer::monitor()),
        (Answerer::Origin, _) => {
            let admitted = Admitted { inbound, target, spec, caller: &caller, request_id };
            ask_origin(admitted, &body, config).await
        }
        (Answerer::Edge | Answerer::OriginInternal, _) => Err(Problem::NotFound.into()),
    }
}

/// Lets through what the origin says to this very request.
async fn ask_origin(request: Admitted<'_>, body: &[u8], config: &Config) -> Result<RuntimeReply, Refusal> {
    let answer = send_to_origin(request, body, config).await?;
    let mut head = answer.head;
    if let Err(refusal) = forward::judge(head.status, answer.echoed_id.as_deref(), request.request_id) {
        runtime::discard(answer.body).await;
        return Err(refusal);
    }
    if forward::is_unchanged(request.spec, &head, request.inbound.if_none_match.as_deref()) {
        runtime::discard(answer.body).await;
        head.status = 304;
        head.headers.retain(|(name, _)| !matches!(*name, "content-length" | "content-type"));
        return Ok(Reply { head, body: Body::Empty });
    }
    Ok(Reply { head, body: answer.body.map_or(Body::Empty, Body::Stream) })
}

/// Signs and sends, each try anew.
///
/// An origin that was killed leaves connections behind that the runtime keeps and finds dead one by one, by using them.
/// A read is tried again on the next connection for as long as they fail at once and its deadline lasts; anything that
/// may have an effect is sent once.
async fn send_to_origin(request: Admitted<'_>, body: &[u8], config: &Config) -> Result<runtime::FromOrigin, Refusal> {
    let began_ms = runtime::now_ms();
    for tries in 1.. {
        let nonce = random::<NONCE_BYTES>().ok_or_else(|| Refusal::caused(Problem::Internal, "no randomness"))?;
        let sent_ms = runtime::now_ms();
        let mut outgoing = forward::sign(request, body, &config.origin, &config.link_key, sent_ms / 1000, &nonce)?;
        let spent_ms = u32::try_from(sent_ms.saturating_sub(began_ms)).unwrap_or(u32::MAX);
        outgoing.deadline_ms = outgoing.deadline_ms.saturating_sub(spent_ms);
        match runtime::send(&outgoing).await {
            Ok(answer) => return Ok(answer),
            Err(none) => {
                let took_ms = runtime::now_ms().saturating_sub(sent_ms);
                let was_dead = none.is_lost_connection() && forward::was_dead_before(tries, took_ms);
                if !(was_dead && request.spec.is_repeatable()) {
                    return Err(none.refusal());
                }
            }
        }
    }
    Err(Problem::OriginUnreachable.into())
}

/// 32 lower-case hex digits.
fn random_id() -> Option<String> {
    let mut id = String::with_capacity(32);
    for byte in random::<16>()? {
        write!(id, "{byte:02x}").ok()?;
    }
    Some(id)
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}
