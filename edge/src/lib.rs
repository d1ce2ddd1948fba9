//! The worker at the edge: screen → route → authenticate → authorise → answer or forward → harden.
//!
//! Each step is a pure module that is tested natively. This file strings them together; `runtime.rs` reads and builds
//! the runtime's objects, `config.rs` reads the bindings. No lock and no borrow is held across an `await`, and nothing
//! asynchronous is shared between requests: one isolate interleaves many.
//!
//! The edge holds the link secret. It holds no card, no key and no data, and it decides alone only what no record of
//! the origin's could make right.

mod answer;
mod authenticate;
mod authorise;
mod config;
mod forward;
mod harden;
mod log;
mod reply;
mod route;
mod runtime;
mod screen;

use core::fmt::Write;

use scanvault_protocol::Problem;
use scanvault_protocol::link::NONCE_BYTES;
use scanvault_protocol::route::{Answerer, Route, RouteSpec};
use worker::{Context, Env, console_log, event, web_sys};

use crate::authenticate::Caller;
use crate::config::{ClientAddress, Config};
use crate::forward::Admitted;
use crate::reply::{Body, Refusal};
use crate::runtime::RuntimeReply;
use crate::screen::{BodyPlan, Inbound, Target};

/// The entry. It never returns `Err`: the runtime's own error page would leave without our headers.
#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, _context: Context) -> worker::Result<web_sys::Response> {
    let began_ms = runtime::now_ms();
    let request_id = random_id().unwrap_or_default();
    let config = config::of_isolate(&env);
    let inbound = runtime::read(&request, config.map_or(ClientAddress::Unknown, |config| config.client_address));
    let mut spec = None;
    let outcome = match config {
        Ok(config) => handle(&request, &inbound, config, &request_id, &mut spec).await,
        Err(error) => Err(Refusal::caused(Problem::Internal, error.to_string())),
    };
    let (mut reply, refusal) = match outcome {
        Ok(reply) => (reply, None),
        Err(refusal) => {
            let line_part = refusal.for_log();
            (refusal.into_reply(&request_id, inbound.is_head()), Some(line_part))
        }
    };
    harden::harden(&mut reply.head, spec, &request_id);
    let took_ms = runtime::now_ms().saturating_sub(began_ms);
    let line = log::Line::new(&request_id, &inbound.method, spec, reply.head.status, took_ms, refusal.as_ref());
    console_log!("{}", line.to_json());
    Ok(runtime::into_response(reply).unwrap_or_else(|_| web_sys::Response::error()))
}
