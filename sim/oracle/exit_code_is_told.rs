//! Exit codes: judges that a job is shown with the exit code of its script.

use std::collections::BTreeMap;

use super::{Oracle, last_listing, state};
use crate::world::Nanos;
use crate::world::history::{Effect, Gone, History};

/// A job that failed by itself is shown with the exit code that its last script ended with. A lost
/// step daemon may take an exit code with it; then the job counts as killed. Source: `ExitCode` in
/// squeue(1) and sacct(1).
pub(super) struct ExitCodeIsTold;

/// The wait status of a script whose real one was lost.
const KILLED: u32 = 9;

impl Oracle for ExitCodeIsTold {
    const NAME: &'static str = "exit_code_is_told";

    fn judge(history: &History) -> Result<(), (Nanos, String)> {
        let Some(healed) = history.healed_at() else { return Ok(()) };
        let mut last: BTreeMap<u32, (Nanos, u32)> = BTreeMap::new();
        for (at, effect) in history.effects() {
            if let Effect::Gone(process, Gone::Ended(status)) = effect
                && !process.left_behind
                && let Some(job) = process.job
            {
                last.insert(job, (*at, *status));
            }
        }
        for job in last_listing(history, healed).unwrap_or_default() {
            let failed = state::base(job.state) == state::FAILED && job.exit != KILLED;
            let Some((at, status)) = last.get(&job.job).filter(|_| failed) else { continue };
            let by_itself = status & 0x7f == 0 && *status != 0;
            if by_itself && *status != job.exit {
                let (id, told, code) = (job.job, job.exit >> 8, status >> 8);
                let text = format!("job {id} is shown with exit code {told} and ended with {code}");
                return Err((*at, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::invented::{Tale, on, seen};
    use super::*;
    use crate::world::history::SeenJob;

    #[test]
    fn the_code_of_the_script_is_the_code_of_the_job() {
        let told = |exit| {
            let tale = Tale::new().starts(&on(1, 7, "a")).ends(&on(1, 7, "a"), 3 << 8);
            let failed = SeenJob { exit, ..seen(7, 5) };
            tale.then(Effect::Healed).listed(1, &[failed]).verdict::<ExitCodeIsTold>()
        };
        assert_eq!(told(3 << 8), "fine");
        assert_eq!(told(9), "fine");
        assert_eq!(told(1 << 8), "job 7 is shown with exit code 1 and ended with 3");
    }
}
