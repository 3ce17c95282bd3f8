//! Submits jobs and does not give up.

use flurm_base::Rng;
use flurm_rt::{AsyncRuntime, Env};
use std::time::Duration;

use super::client::{ClientApi, Heard};
use crate::scenario::{CountRange, SpanRange};
use crate::world::history::{Answer, Effect};
use crate::world::script::Plan;
use crate::world::trace::{Kind, digest_bytes};
use crate::world::{self, Nanos};

/// What one submitting client does.
#[derive(Clone, Debug)]
pub struct Submitting {
    /// Number of the client, for names.
    pub client: u32,
    /// How many jobs.
    pub jobs: u64,
    /// Wait between two submissions.
    pub pause: SpanRange,
    /// How long jobs run.
    pub run: SpanRange,
    /// CPUs they ask for.
    pub cpus: CountRange,
    /// Percent of jobs that ignore SIGTERM.
    pub stubborn_percent: u8,
    /// Percent of jobs that fail.
    pub failing_percent: u8,
    /// Percent of jobs that are cancelled.
    pub cancel_percent: u8,
}

/// Times a submission is sent before the client gives up and nobody knows.
const SUBMIT_TRIES: u32 = 40;
/// Times a cancellation is tried before the client gives up.
const CANCEL_TRIES: u32 = 30;

/// Notes what crossed the boundary, in the history and in the trace.
pub(crate) fn tell(lane: &str, effect: Effect) {
    world::with(|w| {
        let text = match &effect {
            Effect::Listed { jobs, .. } => format!("client sees {} jobs", jobs.len()),
            other => format!("client: {other:?}"),
        };
        let at = w.now();
        let fact = digest_bytes(text.as_bytes());
        w.trace.note(at, Kind::Client, [fact, 0], || (lane.to_owned(), text));
        w.history.push(at, effect);
    });
}

fn percent(rng: &mut Rng, percent: u8) -> bool {
    rng.below(100) < u64::from(percent)
}

async fn nap<E: Env>(span: Nanos) {
    E::Rt::sleep(Duration::from_nanos(span)).await;
}

/// Runs one submitting client to its end.
pub async fn submit_with_retry<E: Env, C: ClientApi>(
    env: E,
    mut api: C,
    what: Submitting,
    mut rng: Rng,
) {
    let lane = env.hostname();
    let mut cancels = Vec::new();
    for number in 0..what.jobs {
        nap::<E>(what.pause.draw(&mut rng)).await;
        let key = format!("c{}-{number}", what.client);
        let fails = percent(&mut rng, what.failing_percent);
        let plan = Plan {
            run: what.run.draw(&mut rng),
            exit: u8::from(fails),
            ignore_term: percent(&mut rng, what.stubborn_percent),
            cpus: what.cpus.draw(&mut rng) as u32,
            key: Some(key.clone()),
            ..Plan::default()
        };
        let prepared = loop {
            match api.prepare(&key, &plan).await {
                Some(prepared) => break prepared,
                None => nap::<E>(what.pause.draw(&mut rng).max(world::SECOND)).await,
            }
        };
        let answer = submit_one::<E, C>(&lane, &mut api, &key, &prepared, &mut rng).await;
        if let Answer::Accepted(job) = answer
            && percent(&mut rng, what.cancel_percent)
        {
            cancels.push(job);
        }
        if !cancels.is_empty() && rng.chance(0.5) {
            let job = cancels.remove(0);
            cancel::<E, C>(&lane, &mut api, job).await;
        }
    }
    for job in cancels {
        cancel::<E, C>(&lane, &mut api, job).await;
    }
}

async fn submit_one<E: Env, C: ClientApi>(
    lane: &str,
    api: &mut C,
    key: &str,
    prepared: &C::Prepared,
    rng: &mut Rng,
) -> Answer {
    let mut tries = 0;
    let answer = loop {
        tell(lane, Effect::Submitting { key: key.to_owned(), tries });
        match api.submit(prepared).await {
            Heard::Answer(job) => {
                flurm_base::sometimes!(tries > 0, "a retry was answered");
                break Answer::Accepted(job);
            }
            Heard::Refused(error) if !api.may_retry(error) => {
                // After an attempt without an answer nobody knows; a first refusal is a no.
                break if tries == 0 { Answer::Refused(error) } else { Answer::None };
            }
            Heard::Refused(_) | Heard::Nothing => {}
        }
        tries += 1;
        if tries >= SUBMIT_TRIES {
            break Answer::None;
        }
        nap::<E>(rng.range(world::SECOND / 10..=3 * world::SECOND)).await;
    };
    tell(lane, Effect::Submitted { key: key.to_owned(), answer: answer.clone() });
    answer
}

async fn cancel<E: Env, C: ClientApi>(lane: &str, api: &mut C, job: u32) {
    for _ in 0..CANCEL_TRIES {
        let answer = match api.cancel(job).await {
            Heard::Answer(()) => Answer::Done,
            Heard::Refused(error) if !api.may_retry(error) => Answer::Refused(error),
            Heard::Refused(_) | Heard::Nothing => {
                nap::<E>(world::SECOND).await;
                continue;
            }
        };
        tell(lane, Effect::Cancelled { job, answer });
        return;
    }
    tell(lane, Effect::Cancelled { job, answer: Answer::None });
}
