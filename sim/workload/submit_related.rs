//! Submits jobs that have to do with each other or are particular: arrays with a limit on how many run
//! at once, pairs of which the second waits for the success of the first, and jobs that run on some
//! nodes only.

use serde::Deserialize;

use super::{Seat, Wanted, Workload, one_client, pause, percent};
use crate::scenario::{CountRange, SpanRange};
use crate::world::TaskFuture;
use crate::world::history::{Answer, Effect};
use crate::world::script::Plan;

/// What the oracles are told of a submission: how many tasks its array has.
pub(crate) const TASKS: &str = "tasks of its array";
/// How many of them may run at once.
pub(crate) const TASKS_AT_ONCE: &str = "tasks at once";
/// The job whose success it waits for.
pub(crate) const AFTER_SUCCESS_OF: &str = "after success of";
/// Whether it runs on nodes of even number only (1), or of odd number only (0).
pub(crate) const ON_AN_EVEN_NODE: &str = "on an even node";

/// The feature of the node of this number.
pub(crate) fn feature_of(number: usize) -> &'static str {
    if number.is_multiple_of(2) { "even" } else { "odd" }
}

fn run_time() -> SpanRange {
    SpanRange::micros(100_000, 4_000_000)
}

fn few() -> CountRange {
    CountRange::new(2, 6)
}

fn limit() -> CountRange {
    CountRange::new(1, 3)
}

/// Submits arrays, pairs and particular jobs; a submission without an answer is sent again, byte for byte.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitRelated {
    /// How many clients submit at the same time.
    #[serde(default = "one_client")]
    clients: u8,
    /// How many arrays, and as many pairs and particular jobs, they submit together.
    rounds: CountRange,
    /// Tasks of an array.
    #[serde(default = "few")]
    tasks: CountRange,
    /// How many of them may run at once.
    #[serde(default = "limit")]
    at_once: CountRange,
    /// Wait between two submissions of one client.
    #[serde(default = "pause")]
    pause: SpanRange,
    /// How long the jobs run.
    #[serde(default = "run_time")]
    run: SpanRange,
    /// Percent of jobs that fail.
    #[serde(default)]
    failing_percent: u8,
}

impl SubmitRelated {
    fn job(&self, seat: &mut Seat, key: String, fails: bool) -> Wanted {
        let plan = Plan {
            run: self.run.draw(&mut seat.rng),
            exit: u8::from(fails),
            cpus: 1,
            key: Some(key.clone()),
            ..Plan::default()
        };
        Wanted { key, plan, ..Wanted::default() }
    }

    async fn submit(&self, seat: &mut Seat, wanted: &Wanted) -> Answer {
        seat.pause(self.pause).await;
        let prepared = seat.prepare(wanted).await;
        seat.insist(&wanted.key, &prepared, 0).await
    }

    async fn array(&self, seat: &mut Seat, round: u64) {
        let tasks = self.tasks.draw(&mut seat.rng).max(1);
        let at_once = self.at_once.draw(&mut seat.rng).max(1);
        let key = format!("c{}-array{round}", seat.client);
        note(seat, &key, TASKS, tasks);
        note(seat, &key, TASKS_AT_ONCE, at_once);
        let array = Some(format!("0-{}%{at_once}", tasks - 1));
        let wanted = Wanted { array, ..self.job(seat, key, false) };
        let _judged_from_the_history = self.submit(seat, &wanted).await;
    }

    async fn picky(&self, seat: &mut Seat, round: u64) {
        let even = seat.rng.range(0..=1);
        let key = format!("c{}-picky{round}", seat.client);
        note(seat, &key, ON_AN_EVEN_NODE, even);
        let features = Some(feature_of(if even == 1 { 2 } else { 1 }).to_owned());
        let wanted = Wanted { features, ..self.job(seat, key, false) };
        let _judged_from_the_history = self.submit(seat, &wanted).await;
    }

    async fn pair(&self, seat: &mut Seat, round: u64) {
        let fails = percent(&mut seat.rng, self.failing_percent);
        let first = self.job(seat, format!("c{}-first{round}", seat.client), fails);
        let Answer::Accepted(job) = self.submit(seat, &first).await else { return };
        let key = format!("c{}-second{round}", seat.client);
        note(seat, &key, AFTER_SUCCESS_OF, u64::from(job));
        let dependency = Some(format!("afterok:{job}"));
        let second = Wanted { dependency, ..self.job(seat, key, false) };
        let _judged_from_the_history = self.submit(seat, &second).await;
    }
}

fn note(seat: &Seat, key: &str, what: &str, value: u64) {
    seat.tell(Effect::Observed { who: key.to_owned(), what: what.to_owned(), value });
}

impl Workload for SubmitRelated {
    fn clients(&self) -> u8 {
        self.clients
    }

    fn start(&self, mut seat: Seat) -> TaskFuture {
        let what = self.clone();
        Box::pin(async move {
            for round in 0..seat.share(what.rounds) {
                what.array(&mut seat, round).await;
                what.pair(&mut seat, round).await;
                what.picky(&mut seat, round).await;
            }
        })
    }
}
