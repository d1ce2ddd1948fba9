//! The worker at the edge: screen → route → authenticate → authorise → budget → answer or forward → harden.
//!
//! Each step is a pure module that is tested natively. This file strings them together; `runtime.rs` reads and builds
//! the runtime's objects, `config.rs` reads the bindings. No lock and no borrow is held across an `await`, and nothing
//! asynchronous is shared between requests: one isolate interleaves many.
//!
//! What an isolate remembers is in `state.rs`. What it knows of credentials and regions comes from the origins' answers.
//!
//! The edge holds the link secret. It holds no card, no key and no data, and it decides alone only what no record of
//! the origin's could make right.

pub mod answer;
pub mod ask;
pub mod authenticate;
pub mod authorise;
pub mod budget;
pub mod clock;
pub mod config;
pub mod forward;
pub mod halves;
pub mod harden;
mod host;
mod kept;
pub mod log;
pub mod monitor;
pub mod platform;
pub mod pool;
pub mod random;
pub mod records;
pub mod regions;
pub mod reply;
pub mod route;
pub mod runtime;
pub mod screen;
pub mod state;
pub mod step;
pub mod tokens;
pub mod underway;
pub mod watch;

use scanvault_protocol::Problem;
use scanvault_protocol::route::{self as protocol_route, Answerer, Dialect, Route, RouteSpec};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use zeroize::Zeroizing;

use crate::authenticate::{Caller, Judgement};
use crate::budget::{Charge, Client, is_told};
use crate::config::{ClientAddress, Config};
use crate::forward::Admitted;
use crate::log::{Line, LogLines};
use crate::reply::Refusal;
use crate::runtime::{Context, Env, Request, RuntimeReply};
use crate::screen::{Inbound, Mode, PlainHttp, Rule, Screening};
use crate::step::Task;

/// How long a body may take to arrive, also where its row has longer for the whole.
const BODY_MS: u32 = 8_000;

/// The entry: `js/entry.js` calls it with the head of a request, and the time. What comes back is the answer, or a task to
/// go on with.
///
/// # Errors
/// None that is meant; the caller answers with [`failed`].
#[wasm_bindgen]
pub fn handle(head: String, request: Request, env: Env, context: Context, now_ms: f64) -> Result<JsValue, JsValue> {
    clock::set(now_ms);
    Task::new(answer_to(Zeroizing::new(head), request, env, context)).start()
}

/// The answer when this module had to be started anew under a request, and could not finish it.
///
/// # Errors
/// What the runtime throws; then there is no answer of ours.
#[wasm_bindgen]
pub fn failed(is_head: bool) -> Result<JsValue, JsValue> {
    let request_id = random::id().unwrap_or_default();
    let refusal = Refusal::caused(Problem::Internal, "the module was started anew");
    let refused = refusal.for_log();
    let mut reply = refusal.into_reply(Dialect::Problem, &request_id, is_head);
    harden::harden(&mut reply.head, None, &request_id, false);
    runtime::log(&Line::new(&request_id, "-", None, reply.head.status, 0, Some(&refused)).to_json());
    runtime::into_response(&reply)
}

async fn answer_to(head: Zeroizing<String>, request: Request, env: Env, context: Context) -> JsValue {
    let began_ms = runtime::now_ms();
    let config = config::of_isolate(&env);
    let inbound = runtime::read(&head, &request, config.map_or(ClientAddress::Unknown, |config| config.client_address));
    drop(head);
    let mut trace = Trace::new(config.map_or(Mode::Enforce, |config| config.screen));
    let request_id = random::id();
    let outcome = match (config, &request_id) {
        (Ok(config), Some(request_id)) => {
            let outcome = serve(&request, &inbound, config, &context, request_id, &mut trace).await;
            if outcome.is_err() && !trace.is_counted { count_refused(&inbound, config).and(outcome) } else { outcome }
        }
        (Err(error), _) => Err(Refusal::caused(Problem::Internal, error.to_string())),
        (_, None) => Err(Refusal::caused(Problem::Internal, "no randomness")),
    };
    let request_id = request_id.unwrap_or_default();
    let refused = outcome.as_ref().err().map(Refusal::for_log);
    let dialect = inbound.target.as_ref().map_or(Dialect::Problem, |target| protocol_route::dialect(&target.path));
    let mut reply = outcome.unwrap_or_else(|refusal| refusal.into_reply(dialect, &request_id, inbound.is_head()));
    if let Some(address) = trace.failed_address {
        runtime::wait_until(&context, tell_of_refusal(env.clone(), address));
    }
    if let Some(client) = trace.counted.take() {
        runtime::wait_until(&context, tell_of_request(env, client));
    }
    if let Some(config) = config.ok().filter(|_| trace.spec.is_some_and(|spec| spec.answerer == Answerer::Origin)) {
        for at in ask::due(config) {
            runtime::wait_until(&context, ask::probe(config, at));
        }
    }
    let is_development = config.is_ok_and(|config| config.plain_http == PlainHttp::Loopback);
    harden::harden(&mut reply.head, trace.spec, &request_id, is_development);
    let (lines, would_refuse) = (config.map_or(LogLines::All, |it| it.log_lines), trace.screening.would_refuse());
    if lines.has(trace.spec, reply.head.status) || !would_refuse.is_empty() {
        let took_ms = runtime::now_ms().saturating_sub(began_ms);
        let pattern = trace.spec.map(|spec| spec.path);
        let line = Line::new(&request_id, &inbound.method, pattern, reply.head.status, took_ms, refused.as_ref());
        runtime::log(&line.reporting(would_refuse).to_json());
    }
    // What the runtime does not take as an answer ends in `failed`.
    runtime::into_response(&reply).unwrap_or_else(|error| wasm_bindgen::throw_val(error))
}

/// What is worth knowing of a request when it is over.
struct Trace {
    /// The row that it went to.
    spec: Option<&'static RouteSpec>,
    /// Where a credential came from that the origin refused.
    failed_address: Option<u128>,
    /// Whether it was held against the budgets.
    is_counted: bool,
    /// Who was counted, where the platform is told of it.
    counted: Option<Client>,
    /// The screen's own.
    screening: Screening,
}

impl Trace {
    fn new(mode: Mode) -> Self {
        Self { spec: None, failed_address: None, is_counted: false, counted: None, screening: Screening::new(mode) }
    }
}

/// The steps after one another; the first that refuses ends it.
///
/// What is refused before the budgets are asked counts for its address (429), in `answer_to`.
///
/// Refused are, in this order: plain HTTP (308, 403), sizes and forms (431, 414, 400), unknown paths (404), methods
/// (405), query names (400), credentials (401, 400), roles (403), bodies by their headers (415, 413), budgets (429),
/// bodies as they are read (408, 413, 400).
async fn serve(
    request: &Request,
    inbound: &Inbound,
    config: &'static Config,
    context: &Context,
    request_id: &str,
    trace: &mut Trace,
) -> Result<RuntimeReply, Refusal> {
    let target = inbound.target.as_ref().ok_or_else(|| Refusal::from(Problem::BadPath).by(Rule::Address))?;
    screen::transport(inbound, target, config.plain_http)?;
    screen::limits(inbound, target, &mut trace.screening)?;
    let spec = route::find(&inbound.method, &target.path)?.spec;
    trace.spec = Some(spec);
    screen::query(spec, target, &mut trace.screening)?;
    let caller = identify(spec, inbound, config).await?;
    authorise::check(&caller, spec.audience)?;
    let plan = screen::body(inbound, spec, &mut trace.screening)?;
    let charge = if config.has_rate_limits { charge(spec, inbound, &caller, request_id, trace)? } else { None };
    let outcome = async {
        let is_announced = inbound.content_length.is_some();
        let body = runtime::read_body(request, is_announced, plan, spec.deadline_ms.min(BODY_MS)).await?;
        screen::body_size(spec, body.len(), &mut trace.screening)?;
        if spec.answerer == Answerer::Origin {
            watch::begin(context, config);
        }
        let admitted = Admitted { inbound, target, spec, caller: &caller, request_id };
        respond(admitted, &body, config).await
    }
    .await;
    let status = outcome.as_ref().ok().map(|reply| spec.judged(reply.head.status));
    if state::with(|state| state.settle(&caller, charge.as_ref(), status)) {
        trace.failed_address = charge.and_then(|charge| charge.address);
    }
    outcome
}

/// Answers here or asks the origin.
async fn respond(request: Admitted<'_>, body: &[u8], config: &Config) -> Result<RuntimeReply, Refusal> {
    let Admitted { inbound, target, spec, .. } = request;
    match (spec.answerer, spec.route) {
        (Answerer::Edge, Route::QrImage) => {
            let (query, if_none_match) = (target.query.as_deref(), inbound.if_none_match.as_deref());
            state::with(|state| answer::image(&target.path, query, if_none_match, &config.qr, &mut state.images))
        }
        (Answerer::Edge, Route::Monitor) => {
            ask::look(config).await;
            let (accept, now_ms) = (inbound.accept.as_deref(), runtime::now_ms());
            Ok(state::with(|state| {
                monitor::answer(&state.regions, &config.origins, accept, now_ms, &mut state.monitor)
            }))
        }
        (Answerer::Origin, _) => ask::origin(request, body, config).await,
        (Answerer::Edge | Answerer::OriginInternal | Answerer::OriginToEdge, _) => Err(Problem::NotFound.into()),
    }
}

/// Who calls. Only a token that this isolate has not seen before waits for anything: for its signature.
async fn identify(spec: &RouteSpec, inbound: &Inbound, config: &Config) -> Result<Caller, Refusal> {
    let header = inbound.authorization.as_ref().map(|value| value.as_str());
    let now_ms = runtime::now_ms();
    let refused = |problem| spec.in_dialect(problem, config.is_513_asked_for).into();
    let judged = state::with(|state| authenticate::judge(spec.audience, header, &state.records, &state.tokens, now_ms));
    match judged.map_err(refused)? {
        Judgement::Settled(caller) => Ok(caller),
        Judgement::Signature(check) => {
            if config.has_rate_limits {
                // Looked at before it costs a signature: an address may send tokens without end that only look right.
                let looked =
                    state::with(|state| state.budgets.requests.look(inbound.client_address.as_deref(), now_ms));
                looked.map_err(|wait| Refusal::wait(wait.ms, wait.limit))?;
            }
            let holds = runtime::holds(&check.key, check.signed(), &check.signature).await;
            state::with(|state| check.conclude(holds, &mut state.tokens, now_ms)).map_err(refused)
        }
    }
}

/// Counts what was refused before the budgets were asked; whoever has too much of that is told to wait.
fn count_refused(inbound: &Inbound, config: &Config) -> Result<(), Refusal> {
    if !config.has_rate_limits {
        return Ok(());
    }
    let (client, now_ms) = (inbound.client_address.as_deref(), runtime::now_ms());
    let taken = state::with(|state| state.budgets.requests.take_refused(client, now_ms));
    taken.map_err(|wait| Refusal::wait(wait.ms, wait.limit))
}

/// Takes from the budgets what this request costs.
fn charge(
    spec: &RouteSpec,
    inbound: &Inbound,
    caller: &Caller,
    request_id: &str,
    trace: &mut Trace,
) -> Result<Option<Charge>, Refusal> {
    let (client, now_ms) = (inbound.client_address.as_deref(), runtime::now_ms());
    trace.is_counted = true;
    state::with(|state| {
        let counted = state.budgets.requests.take(client, caller, spec, now_ms);
        trace.counted = counted.map_err(|wait| Refusal::wait(wait.ms, wait.limit))?.filter(|_| is_told(request_id));
        state.budgets.login(client, spec, now_ms).map_err(|ms| Refusal::wait(ms, "limit-logins"))?;
        state.budgets.admit(client, caller, now_ms).map_err(|ms| Refusal::wait(ms, "limit-refusals"))
    })
}

/// Tells the platform's limiter of a refused credential of this address.
async fn tell_of_refusal(env: Env, address: u128) {
    if runtime::is_over_limit(&env, "LIMITER", &format!("{address:032x}")).await {
        let now_ms = runtime::now_ms();
        state::with(|state| state.budgets.block(address, now_ms));
    }
}

/// Tells the platform's limiter of a request of this client.
async fn tell_of_request(env: Env, client: Client) {
    let (binding, key) = client.told();
    if runtime::is_over_limit(&env, binding, &key).await {
        let now_ms = runtime::now_ms();
        state::with(|state| state.budgets.requests.rest(client, now_ms));
    }
}
