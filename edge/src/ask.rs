//! Asking the origin: what goes out is signed in `forward.rs`, `runtime.rs` carries it.

use scanvault_protocol::Problem;
use scanvault_protocol::link::NONCE_BYTES;

use crate::config::Config;
use crate::forward::{self, Admitted};
use crate::reply::{Body, Head, Refusal, Reply};
use crate::runtime::{self, RuntimeReply, Stream};
use crate::state;

/// The most that is read of an answer that does not say how long it is.
const MAX_UNMEASURED_BYTES: usize = 4 << 20;

/// Lets through what the origin says to this very request.
///
/// # Errors
/// [`Problem::OriginUnreachable`] without an answer, [`Problem::BadGateway`] with one that is none of ours.
pub async fn origin(request: Admitted<'_>, body: &[u8], config: &Config) -> Result<RuntimeReply, Refusal> {
    let asked_at_ms = runtime::now_ms();
    let answer = send_to_origin(request, body, config).await?;
    let mut head = answer.head;
    if let Err(refusal) = forward::judge(head.status, answer.echoed_id.as_deref(), request.request_id) {
        runtime::discard(answer.body).await;
        return Err(refusal);
    }
    let now_ms = runtime::now_ms();
    state::with(|state| state.learn(&answer.told, asked_at_ms, now_ms));
    if forward::is_unchanged(request.spec, &head, request.inbound.if_none_match.as_deref()) {
        runtime::discard(answer.body).await;
        (head.status, head.reason) = (304, None);
        head.headers.retain(|(name, _)| !matches!(*name, "content-length" | "content-type"));
        return Ok(Reply { head, body: Body::Empty });
    }
    let body = passable(answer.body, &head, request.spec.deadline_ms).await?;
    Ok(Reply { head, body })
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

/// Signs and sends, each try anew.
///
/// An origin that was killed leaves connections behind that the runtime keeps and finds dead one by one, by using them.
/// A read is tried again on the next connection for as long as they fail at once and its deadline lasts; anything that
/// may have an effect is sent once.
async fn send_to_origin(request: Admitted<'_>, body: &[u8], config: &Config) -> Result<runtime::FromOrigin, Refusal> {
    let began_ms = runtime::now_ms();
    let origin = config.origins.first().ok_or_else(|| Refusal::caused(Problem::Internal, "no region"))?;
    for tries in 1.. {
        let nonce =
            crate::random::<NONCE_BYTES>().ok_or_else(|| Refusal::caused(Problem::Internal, "no randomness"))?;
        let sent_ms = runtime::now_ms();
        let mut outgoing = forward::sign(request, body, origin, &config.link_key, sent_ms / 1000, &nonce)?;
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
