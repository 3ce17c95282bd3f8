//! One submission, or one cancellation, by a client that does not give up.

use super::{Heard, Prepared, Seat, Wanted};
use crate::world;
use crate::world::history::{Answer, Effect, Order};

/// Times a submission is sent before the client gives up and nobody knows.
const SUBMIT_TRIES: u32 = 40;
/// Times another request is sent before the client gives up.
const REQUEST_TRIES: u32 = 30;
/// Wait before a request is sent again.
const AGAIN: std::ops::RangeInclusive<u64> = world::SECOND / 10..=3 * world::SECOND;

impl Seat {
    /// Prepares a submission; tries until this machine can.
    pub(super) async fn prepare(&mut self, wanted: &Wanted) -> Prepared {
        let asked = Effect::Wanted {
            key: wanted.key.clone(),
            cpus: wanted.plan.cpus,
            memory_mib: wanted.plan.memory_mib,
            partition: wanted.partition.clone(),
            time_limit_min: wanted.time_limit_min,
            held: wanted.held,
        };
        self.tell(asked);
        loop {
            if let Some(prepared) = self.api.prepare(wanted).await {
                return prepared;
            }
            flurm_base::sometimes!("a client could not make its credential");
            self.api.nap(world::SECOND).await;
        }
    }

    /// Sends a submission until it is answered; `tries` were made before.
    pub(super) async fn insist(&mut self, key: &str, prepared: &Prepared, tries: u32) -> Answer {
        let mut tries = tries;
        let answer = loop {
            self.tell(Effect::Submitting { key: key.to_owned(), tries });
            match self.api.submit(prepared).await {
                Heard::Answer(job) => {
                    flurm_base::sometimes!(tries > 0, "a retry was answered");
                    break Answer::Accepted(job);
                }
                Heard::Refused(error) if !self.api.may_retry(error) => {
                    // After an attempt without an answer nobody knows; a first refusal is a no.
                    break if tries == 0 { Answer::Refused(error) } else { Answer::None };
                }
                Heard::Refused(_) | Heard::Nothing => {}
            }
            tries += 1;
            if tries >= SUBMIT_TRIES {
                break Answer::None;
            }
            let nap = self.rng.range(AGAIN);
            self.api.nap(nap).await;
        };
        self.tell(Effect::Submitted { key: key.to_owned(), answer: answer.clone() });
        answer
    }

    /// Cancels a job.
    pub(super) async fn cancel(&mut self, job: u32) {
        self.tell(Effect::Cancelling { job });
        for _ in 0..REQUEST_TRIES {
            let answer = match self.api.cancel(job).await {
                Heard::Answer(()) => Answer::Done,
                Heard::Refused(error) if !self.api.may_retry(error) => Answer::Refused(error),
                Heard::Refused(_) | Heard::Nothing => {
                    self.api.nap(world::SECOND).await;
                    continue;
                }
            };
            self.tell(Effect::Cancelled { job, answer });
            return;
        }
        self.tell(Effect::Cancelled { job, answer: Answer::None });
    }

    /// Gives an order until it is answered.
    pub(super) async fn order(&mut self, order: Order) -> Answer {
        self.tell(Effect::Ordering(order.clone()));
        let mut answer = Answer::None;
        for _ in 0..REQUEST_TRIES {
            answer = match self.api.order(&order).await {
                Heard::Answer(()) => Answer::Done,
                Heard::Refused(error) if !self.api.may_retry(error) => Answer::Refused(error),
                Heard::Refused(_) | Heard::Nothing => {
                    self.api.nap(world::SECOND).await;
                    continue;
                }
            };
            break;
        }
        self.tell(Effect::Ordered(order, answer.clone()));
        answer
    }
}
