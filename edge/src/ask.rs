//! Asking the regions' origins, one after another: `regions.rs` says which and whether another, `forward.rs` signs, and
//! `runtime.rs` carries it. Nothing is held across an `await`, and every request asks for itself.

use core::future::poll_fn;
use core::task::Poll;

use scanvault_protocol::link::NONCE_BYTES;
use scanvault_protocol::region::{MAX_STATE_BYTES, State as Statement};
use scanvault_protocol::route::{Route, RouteSpec};
use scanvault_protocol::{Problem, headers};

use crate::authenticate::Caller;
use crate::budget::Client;
use crate::config::{Config, Origin};
use crate::forward::{self, Admitted};
use crate::log;
use crate::pool::Pool;
use crate::random;
use crate::regions::{self, Came, Health, Then, Tried};
use crate::reply::{Body, Head, Refusal, Reply};
use crate::runtime::{self, FromOrigin, RuntimeReply, Stream};
use crate::screen::{Inbound, Target};
use crate::state::{self, Told, UnderWayHere};

/// The most that is read of an answer that does not say how long it is.
const MAX_UNMEASURED_BYTES: usize = 4 << 20;

/// An answer that can be passed on.
struct Answer {
    head: Head,
    body: Body<Stream>,
    told: Told,
}

/// Why a region gave no answer that can be passed on.
struct Failed {
    came: Came,
    refusal: Refusal,
}

/// Lets through what a region's origin says to this very request.
///
/// The row's deadline is for all regions together. Where the last of them fails, the client is told of the worst: that
/// the outcome is unknown, rather than that one of them stood by.
///
/// # Errors
/// [`Problem::OriginUnreachable`] without an answer, [`Problem::BadGateway`] with one that is none of ours,
/// [`Problem::Standby`] when no region serves, [`Problem::Overloaded`] when too much is under way for one more to be sent;
/// what cannot be signed is refused as such.
pub async fn origin(request: Admitted<'_>, body: &[u8], config: &Config) -> Result<RuntimeReply, Refusal> {
    let began_ms = runtime::now_ms();
    let under_way = begin(request, config, began_ms)?;
    let count = config.origins.len();
    let is_repeatable = request.spec.is_repeatable();
    let (mut tried, mut refusal) = (Tried::default(), None);
    while let Some(at) = state::with(|state| state.regions.choose(count, tried)) {
        let Some(origin) = config.origins.get(at) else { break };
        tried = tried.and(at);
        let asked_at_ms = runtime::now_ms();
        let left_ms = left_ms(request.spec.deadline_ms, began_ms, asked_at_ms);
        if left_ms == 0 {
            break;
        }
        under_way.asks(at, asked_at_ms);
        let is_other_up = state::with(|state| state.regions.is_other_up(count, tried));
        let share_ms = regions::share_ms(left_ms, is_repeatable, is_other_up);
        let asked = ask(request, body, config, origin, share_ms).await?;
        let came = match &asked {
            Ok(_) => Came::Answer,
            Err(failed) if failed.came == Came::Nothing && share_ms < left_ms => {
                early(asked_at_ms, share_ms, runtime::now_ms())
            }
            Err(failed) => failed.came,
        };
        let now_ms = runtime::now_ms();
        note(config, &state::with(|state| state.regions.take(at, came, asked_at_ms, now_ms)));
        match asked {
            Ok(answer) => return Ok(pass(request, answer, origin, asked_at_ms).await),
            Err(failed) if came != Came::Standby || refusal.is_none() => refusal = Some(failed.refusal),
            Err(_) => {}
        }
        if regions::then(is_repeatable, came) != Then::Next {
            break;
        }
    }
    Err(refusal.unwrap_or_else(|| Problem::OriginUnreachable.into()))
}

/// Takes a place among what is under way, for all that is sent for this request. Where everybody shares an address there
/// are no shares.
fn begin(request: Admitted<'_>, config: &Config, now_ms: u64) -> Result<UnderWayHere, Refusal> {
    let address = request.inbound.client_address.as_deref();
    let client = if config.has_rate_limits { Client::of(address, request.caller) } else { None };
    state::begin(client, request.spec.deadline_ms, now_ms).map_err(|full| Refusal::full(full.rule()))
}

/// A share that was used up is not the deadline.
fn early(asked_at_ms: u64, share_ms: u32, now_ms: u64) -> Came {
    let took_ms = now_ms.saturating_sub(asked_at_ms);
    if took_ms >= u64::from(share_ms) { Came::NothingYet } else { Came::Nothing }
}

fn left_ms(deadline_ms: u32, began_ms: u64, now_ms: u64) -> u32 {
    let spent_ms = u32::try_from(now_ms.saturating_sub(began_ms)).unwrap_or(u32::MAX);
    deadline_ms.saturating_sub(spent_ms)
}

/// Takes what the answer tells, and makes ours of it.
async fn pass(request: Admitted<'_>, answer: Answer, origin: &Origin, asked_at_ms: u64) -> RuntimeReply {
    let mut head = answer.head;
    let now_ms = runtime::now_ms();
    state::with(|state| state.learn(&answer.told, asked_at_ms, now_ms));
    head.headers.push((headers::REGION, origin.region.clone().into()));
    if forward::is_unchanged(request.spec, &head, request.inbound.if_none_match.as_deref()) {
        discard(answer.body).await;
        (head.status, head.reason) = (304, None);
        head.headers.retain(|(name, _)| !matches!(*name, "content-length" | "content-type"));
        return Reply { head, body: Body::Empty };
    }
    Reply { head, body: answer.body }
}

async fn discard(body: Body<Stream>) {
    if let Body::Stream(stream) = body {
        runtime::discard(Some(stream)).await;
    }
}

/// Asks one region. An answer that is not passed on is dropped here.
async fn ask(
    request: Admitted<'_>,
    body: &[u8],
    config: &Config,
    origin: &Origin,
    within_ms: u32,
) -> Result<Result<Answer, Failed>, Refusal> {
    let began_ms = runtime::now_ms();
    let answer = match send(request, body, config, origin, within_ms).await? {
        Ok(answer) => answer,
        Err(refusal) => return Ok(Err(Failed { came: Came::Nothing, refusal })),
    };
    let failed = match forward::judge(answer.head.status, answer.echoed_id.as_deref(), request.request_id) {
        Err(refusal) => Failed { came: Came::Garbage, refusal },
        Ok(()) if answer.is_standby => Failed { came: Came::Standby, refusal: Problem::Standby.into() },
        Ok(()) => {
            let FromOrigin { head, body, told, .. } = answer;
            let left_ms = left_ms(within_ms, began_ms, runtime::now_ms());
            let whole = passable(body, &head, left_ms).await.map(|body| Answer { head, body, told });
            return Ok(whole.map_err(|refusal| Failed { came: Came::Garbage, refusal }));
        }
    };
    runtime::discard(answer.body).await;
    Ok(Err(failed))
}

/// The runtime pumps a body by itself, and when that breaks off, it closes the connection to the client: a body with a
/// length is then seen to be cut. One without would look like a whole one (seen in workerd 1.20260426), so it is read
/// here first. Our origin sends none; what stands between may unpack or rewrite its answers, and lose the length.
async fn passable(body: Option<Stream>, head: &Head, within_ms: u32) -> Result<Body<Stream>, Refusal> {
    let Some(stream) = body else { return Ok(Body::Empty) };
    if head.headers.iter().any(|(name, _)| *name == "content-length") {
        return Ok(Body::Stream(stream));
    }
    runtime::collect(&stream, MAX_UNMEASURED_BYTES, within_ms)
        .await
        .map(Body::Bytes)
        .map_err(|error| Refusal::caused(Problem::BadGateway, format!("a body without a length: {error:?}")))
}

/// Signs and sends, each try anew. What is lost at once is tried again on the next connection for as long as one of the
/// old ones may be left (`pool.rs`) and the deadline lasts; anything that may have an effect is sent once.
async fn send(
    request: Admitted<'_>,
    body: &[u8],
    config: &Config,
    origin: &Origin,
    within_ms: u32,
) -> Result<Result<FromOrigin, Refusal>, Refusal> {
    let began_ms = runtime::now_ms();
    loop {
        let nonce =
            random::bytes::<NONCE_BYTES>().ok_or_else(|| Refusal::caused(Problem::Internal, "no randomness"))?;
        let sent_ms = runtime::now_ms();
        let mut outgoing = forward::sign(request, body, origin, &config.link_key, sent_ms / 1000, &nonce)?;
        outgoing.deadline_ms = left_ms(within_ms, began_ms, sent_ms);
        match runtime::send(&outgoing).await {
            Ok(answer) => {
                with_pool(config, origin, Pool::answered);
                return Ok(Ok(answer));
            }
            Err(none) => {
                let took_ms = runtime::now_ms().saturating_sub(sent_ms);
                let may_be_repeated = none.is_lost_connection() && request.spec.is_repeatable();
                if !(may_be_repeated && with_pool(config, origin, |pool| pool.tries_again(took_ms))) {
                    return Ok(Err(none.refusal()));
                }
            }
        }
    }
}

/// One step with what is known of the connections to an origin.
fn with_pool<T: Default>(config: &Config, origin: &Origin, step: impl FnOnce(&mut Pool) -> T) -> T {
    let at = config.origins.iter().position(|known| known == origin);
    state::with(|state| at.and_then(|at| state.pools.get_mut(at)).map(step).unwrap_or_default())
}

/// The regions to ask how they stand, now that a request has been to one. With one region there is nothing to choose.
#[must_use]
pub fn due(config: &Config) -> Vec<usize> {
    let count = config.origins.len();
    if count < 2 {
        return Vec::new();
    }
    let now_ms = runtime::now_ms();
    state::with(|state| state.regions.due(count, now_ms, roll))
}

/// A random number, so that isolates do not ask all at once.
pub fn roll() -> u32 {
    random::bytes::<4>().map_or(0, u32::from_le_bytes)
}

/// For the monitor: asks the regions how they stand, side by side, unless that was done a moment ago.
pub async fn look(config: &Config) {
    let now_ms = runtime::now_ms();
    let due = state::with(|state| state.regions.due_for_monitor(config.origins.len(), now_ms));
    let mut open: Vec<_> = due.into_iter().map(|at| Box::pin(probe(config, at))).collect();
    poll_fn(|context| {
        open.retain_mut(|probe| probe.as_mut().poll(context).is_pending());
        if open.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Asks a region how it stands, and keeps what it says.
pub async fn probe(config: &Config, at: usize) {
    let Some(origin) = config.origins.get(at) else { return };
    let asked_at_ms = runtime::now_ms();
    let Some(said) = statement(config, origin).await else { return };
    let now_ms = runtime::now_ms();
    let changes = state::with(|state| match said {
        Ok(statement) => state.regions.learn(at, statement, asked_at_ms, now_ms),
        Err(came) => state.regions.take(at, came, asked_at_ms, now_ms),
    });
    note(config, &changes);
}

/// What a region says of itself; `None` when we could not even ask.
async fn statement(config: &Config, origin: &Origin) -> Option<Result<Statement, Came>> {
    let spec = RouteSpec::of(Route::RegionState)?;
    let request_id = random::id()?;
    let inbound = Inbound { method: "GET".to_owned(), ..Inbound::default() };
    let target = Target { is_https: true, host: origin.authority.clone(), path: spec.path.to_owned(), query: None };
    let (target, caller) = (&target, &Caller::Anonymous);
    let request = Admitted { inbound: &inbound, target, spec, caller, request_id: &request_id };
    let answer = match ask(request, &[], config, origin, spec.deadline_ms).await.ok()? {
        Ok(answer) => answer,
        Err(failed) => return Some(Err(failed.came)),
    };
    let body = match answer.body {
        Body::Stream(stream) => runtime::collect(&stream, MAX_STATE_BYTES, spec.deadline_ms).await.unwrap_or_default(),
        Body::Bytes(bytes) => bytes,
        Body::Shared(bytes) => bytes.to_vec(),
        Body::Empty => Vec::new(),
    };
    let said = Statement::parse(&body).ok().filter(|_| answer.head.status == 200);
    // Another name there is a wrong address here.
    Some(said.filter(|said| said.region == origin.region).ok_or(Came::Garbage))
}

/// One line for operators for each region that has changed.
fn note(config: &Config, changes: &[(usize, Health)]) {
    for (at, health) in changes {
        if let Some(origin) = config.origins.get(*at) {
            runtime::log(&log::region_line(&origin.region, *health));
        }
    }
}
