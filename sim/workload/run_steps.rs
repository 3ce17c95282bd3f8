//! Takes allocations and runs steps in them, as `salloc` and `srun` do.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Heard, Seat, StepSeen, StepWanted, Wanted, Workload, one_client, pause, percent};
use crate::scenario::{CountRange, SpanRange};
use crate::world::history::{Answer, Effect, History};
use crate::world::script::Plan;
use crate::world::{MILLI, SECOND, TaskFuture};

/// What a client says that saw a step end in a way it cannot have ended.
const WRONG: &str = "a task ended otherwise than it was told: ";
/// Times an allocation is asked after, and a request sent again.
const TRIES: u32 = 60;
/// Longer than any task needs that nothing happens to.
const PATIENCE: u64 = 40 * SECOND;
/// Signals that the system ends tasks with.
const ENDS_WITH: [u32; 2] = [9, 15];
/// Status of a task that could not be started.
const NOT_STARTED: u32 = 1 << 8;
/// Minutes after which an allocation ends even if its client is gone.
const ALLOCATION_MIN: u32 = 4;

/// Longest wait between a launch and the cancellation that comes with it.
const HASTE_MAX: u64 = 30 * MILLI;

fn run_time() -> SpanRange {
    SpanRange::micros(100_000, 3_000_000)
}

fn few() -> CountRange {
    CountRange::new(1, 3)
}

fn one() -> CountRange {
    CountRange::new(1, 1)
}

/// Allocations with steps in them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunSteps {
    /// How many clients do so at the same time.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many allocations they take together.
    allocations: CountRange,
    /// Steps in each.
    #[serde(default = "few")]
    steps: CountRange,
    /// Nodes of an allocation.
    #[serde(default = "one")]
    nodes: CountRange,
    /// Tasks on each node.
    #[serde(default = "few")]
    tasks: CountRange,
    /// How long tasks run.
    #[serde(default = "run_time")]
    run: SpanRange,
    /// Wait between two allocations of one client.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// Percent of steps whose tasks fail.
    #[serde(default)]
    failing_percent: u8,
    /// Percent of steps that run longer than their time limit of a minute.
    #[serde(default)]
    overlong_percent: u8,
    /// Percent of steps that are killed instead of launched.
    #[serde(default)]
    unlaunched_percent: u8,
    /// Percent of allocations that are cancelled rather than given back.
    #[serde(default)]
    cancel_percent: u8,
    /// Percent of allocations that are cancelled while a step runs.
    #[serde(default)]
    abandoned_percent: u8,
    /// Percent of allocations that are cancelled while a step is launched.
    #[serde(default)]
    hasty_percent: u8,
}

impl RunSteps {
    fn step(&self, seat: &mut Seat, of: &Wanted, job: u32, nth: u64) -> StepWanted {
        let rng = &mut seat.rng;
        let overlong = percent(rng, self.overlong_percent);
        let fails = percent(rng, self.failing_percent);
        let plan = Plan {
            run: if overlong { 90 * SECOND } else { self.run.draw(rng) },
            exit: if fails { rng.range(1..=99) as u8 } else { 0 },
            output: rng.range(0..=5_000),
            key: Some(of.key.clone()),
            ..Plan::default()
        };
        StepWanted {
            job,
            name: format!("{}-{nth}", of.key),
            nodes: of.nodes,
            tasks: of.plan.cpus,
            plan,
            time_limit_min: overlong.then_some(1),
            launches: !percent(rng, self.unlaunched_percent),
            cancels_after: None,
            patience: if overlong { 3 * PATIENCE } else { PATIENCE },
        }
    }

    async fn allocation(&self, seat: &mut Seat, number: u64) {
        let nodes = self.nodes.draw(&mut seat.rng).max(1) as u32;
        let tasks = self.tasks.draw(&mut seat.rng).max(1) as u32;
        let key = format!("c{}-{number}", seat.client);
        let wanted = Wanted {
            key: key.clone(),
            plan: Plan { cpus: nodes * tasks, key: Some(key.clone()), ..Plan::default() },
            nodes,
            interactive: true,
            time_limit_min: Some(ALLOCATION_MIN),
            ..Wanted::default()
        };
        let prepared = seat.prepare(&wanted).await;
        let Answer::Accepted(job) = seat.insist(&key, &prepared, 0).await else { return };
        if !seat.granted(job).await {
            return;
        }
        let mut went_well = false;
        for nth in 0..self.steps.draw(&mut seat.rng) {
            let mut step = self.step(seat, &wanted, job, nth);
            let abandoned = percent(&mut seat.rng, self.abandoned_percent);
            let hasty = step.launches && percent(&mut seat.rng, self.hasty_percent);
            if abandoned || hasty {
                step.patience = seat.rng.range(0..=2 * SECOND);
            }
            if hasty {
                step.cancels_after = Some(seat.rng.range(0..=HASTE_MAX));
                seat.tell(Effect::Cancelling { job });
            }
            if let Heard::Answer(seen) = seat.api.run_step(&step).await {
                went_well |= seen.exits.values().any(|status| *status == 0);
                if let Some(text) = wrong(&step, &seen) {
                    let who = format!("{key} step {}", seen.step);
                    seat.tell(Effect::Observed { who, what: format!("{WRONG}{text}"), value: 1 });
                }
            }
            if hasty {
                seat.tell(Effect::Cancelled { job, answer: Answer::None });
            }
            if abandoned || hasty {
                break;
            }
        }
        if percent(&mut seat.rng, self.cancel_percent) {
            seat.cancel(job).await;
        } else {
            seat.give_back(job, if went_well { 0 } else { NOT_STARTED }).await;
        }
    }
}

/// What is wrong with what a client heard of a step.
fn wrong(step: &StepWanted, seen: &StepSeen) -> Option<String> {
    let own = u32::from(step.plan.exit) << 8;
    let odd = |status: u32| {
        status != own && !ENDS_WITH.contains(&(status & 0x7f)) && status != NOT_STARTED
    };
    let ended = seen.exits.iter().find(|(_, status)| odd(**status));
    if let Some((task, status)) = ended {
        return Some(format!("task {task} with status {status} instead of {own}"));
    }
    let stranger = seen.exits.keys().find(|task| **task >= step.tasks);
    if let Some(task) = stranger {
        return Some(format!("task {task} of {} tasks", step.tasks));
    }
    let short = |task: &&u32| {
        let wrote = seen.bytes.get(*task).copied().unwrap_or(0);
        seen.exits.get(*task) == Some(&own) && wrote != step.plan.output
    };
    let short = seen.whole.iter().filter(|_| own != NOT_STARTED).find(short)?;
    let wrote = seen.bytes.get(short).copied().unwrap_or(0);
    Some(format!("task {short} after {wrote} bytes instead of {}", step.plan.output))
}

impl Seat {
    /// Waits until an allocation has its nodes; false when it will have none.
    async fn granted(&mut self, job: u32) -> bool {
        for _ in 0..TRIES {
            match self.api.is_granted(job).await {
                Heard::Answer(true) => return true,
                Heard::Refused(error) if !self.api.may_retry(error) => return false,
                Heard::Answer(false) | Heard::Refused(_) | Heard::Nothing => {}
            }
            self.api.nap(SECOND).await;
        }
        self.cancel(job).await;
        false
    }

    async fn give_back(&mut self, job: u32, status: u32) {
        for _ in 0..TRIES {
            match self.api.give_back(job, status).await {
                Heard::Answer(()) => return,
                Heard::Refused(error) if !self.api.may_retry(error) => return,
                Heard::Refused(_) | Heard::Nothing => self.api.nap(SECOND).await,
            }
        }
    }
}

impl Workload for RunSteps {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            for number in 0..seat.share(what.allocations) {
                seat.pause(what.pause).await;
                what.allocation(&mut seat, number).await;
            }
        })
    }

    /// No task is started twice, and nobody heard of an end that cannot have been.
    fn check(&self, history: &History) -> Result<(), String> {
        let mut started = BTreeSet::new();
        for (_, effect) in history.effects() {
            match effect {
                Effect::Started(process) => {
                    let Some((job, (step, task))) = process.job.zip(process.task) else { continue };
                    if !started.insert((job, step, task)) {
                        return Err(format!("task {task} of step {job}.{step} is started twice"));
                    }
                }
                Effect::Observed { who, what, .. } if what.starts_with(WRONG) => {
                    return Err(format!("{who}: {what}"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> StepWanted {
        let plan = Plan { exit: 3, output: 10, ..Plan::default() };
        StepWanted {
            job: 1,
            name: "s".into(),
            nodes: 1,
            tasks: 2,
            plan,
            time_limit_min: None,
            launches: true,
            cancels_after: None,
            patience: SECOND,
        }
    }

    fn seen(status: u32, bytes: u64) -> StepSeen {
        StepSeen {
            step: 0,
            exits: [(1, status)].into(),
            bytes: [(1, bytes)].into(),
            whole: [1].into(),
        }
    }

    #[test]
    fn only_an_end_that_can_have_been_is_believed() {
        assert_eq!(wrong(&step(), &seen(3 << 8, 10)), None);
        assert_eq!(wrong(&step(), &seen(9, 4)), None);
        let text = "task 1 with status 0 instead of 768";
        assert_eq!(wrong(&step(), &seen(0, 10)).as_deref(), Some(text));
        let text = "task 1 after 9 bytes instead of 10";
        assert_eq!(wrong(&step(), &seen(3 << 8, 9)).as_deref(), Some(text));
        let stranger = StepSeen { exits: [(2, 3 << 8)].into(), ..StepSeen::default() };
        assert_eq!(wrong(&step(), &stranger).as_deref(), Some("task 2 of 2 tasks"));
    }
}
