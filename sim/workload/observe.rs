//! Reads the queue again and again.

use std::time::Duration;

use flurm_base::Rng;
use flurm_rt::{AsyncRuntime, Env};

use super::client::{ClientApi, Heard};
use super::submit::tell;
use crate::scenario::SpanRange;
use crate::world;
use crate::world::history::Effect;

/// Runs one reading client for ever.
pub async fn observe<E: Env, C: ClientApi>(
    env: E,
    mut api: C,
    client: u32,
    pause: SpanRange,
    mut rng: Rng,
) {
    let lane = env.hostname();
    loop {
        E::Rt::sleep(Duration::from_nanos(pause.draw(&mut rng))).await;
        let asked = world::with(|w| w.now());
        if let Heard::Answer(jobs) = api.list().await {
            tell(&lane, Effect::Listed { client, asked, jobs });
        }
    }
}
