//! Watches, for all requests of an isolate, how long the regions have owed answers. A process that is frozen keeps its
//! connections, and says nothing on them: without this an edge would learn of it from deadlines only.
//!
//! One request at a time does it, beside itself and after its answer; others take it over. A timer for each request would
//! cost each of them.

use crate::ask;
use crate::config::Config;
use crate::regions::DOUBT_AFTER_MS;
use crate::runtime::{self, Context};
use crate::state;

/// The first look is when the request that began it may be in doubt.
const FIRST_LOOK_MS: u32 = DOUBT_AFTER_MS as u32 + 50;
const LOOK_AGAIN_MS: u32 = 250;
/// The platform gives 30 s after an answer.
const LIFE_MS: u64 = 20_000;

/// Begins to watch, unless somebody does. With one region there is nowhere else to go.
pub fn begin(context: &Context, config: &'static Config) {
    let now_ms = runtime::now_ms();
    if config.origins.len() < 2 {
        return;
    }
    if let Some(number) = state::with(|state| state.regions.takes_watch(now_ms)) {
        runtime::wait_until(context, watch(context.clone(), config, number, now_ms));
    }
}

/// Looks for as long as anything is owed, and nobody else does.
async fn watch(context: Context, config: &'static Config, number: u64, began_ms: u64) {
    let mut pause_ms = FIRST_LOOK_MS;
    while runtime::pause(pause_ms).await {
        pause_ms = LOOK_AGAIN_MS;
        let now_ms = runtime::now_ms();
        let Some((due, is_owed)) = look(config, number, now_ms) else { return };
        for at in due {
            runtime::wait_until(&context, ask::probe(config, at));
        }
        if !is_owed || now_ms.saturating_sub(began_ms) >= LIFE_MS {
            break;
        }
    }
    state::with(|state| state.regions.ends_watch(number));
}

/// The regions to ask how they stand, and whether anything is owed. `None` when another one looks.
fn look(config: &Config, number: u64, now_ms: u64) -> Option<(Vec<usize>, bool)> {
    state::with(|state| {
        if !state.regions.watches_on(number, now_ms) {
            return None;
        }
        let since_ms = state.under_way.waiting_since(now_ms);
        let due = state.regions.due_in_doubt(config.origins.len(), &since_ms, now_ms, ask::roll);
        Some((due, since_ms.iter().any(Option::is_some)))
    })
}
