//! Progress of a sweep for whoever watches: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::tally::Tally;

/// Between two lines of progress in a log.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Between two drawings of the bar.
const BAR_EVERY: Duration = Duration::from_millis(100);
const BAR_CELLS: u64 = 24;

/// What a sweep is measured against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// Seeds to do; `None` without an end.
    pub(super) seeds: Option<u64>,
    /// Real time to spend.
    pub(super) time: Option<Duration>,
}

/// Shows progress.
pub(super) struct Progress {
    name: String,
    goal: Goal,
    begun: Instant,
    shown: Instant,
    terminal: bool,
    drawn: bool,
}

/// Tenths of a percent of the goal reached.
fn permille(goal: Goal, done: u64, took: Duration) -> Option<u64> {
    let of_seeds = goal.seeds.filter(|seeds| *seeds > 0).map(|seeds| done * 1000 / seeds);
    let of_time = goal.time.map(|time| (1000.0 * took.as_secs_f64() / time.as_secs_f64()) as u64);
    of_seeds.into_iter().chain(of_time).max().map(|share| share.min(1000))
}

/// One line that says how far a sweep is.
fn line(name: &str, goal: Goal, tally: &Tally, took: Duration) -> String {
    let done = tally.done;
    let of = goal.seeds.map_or_else(String::new, |seeds| format!(" of {seeds}"));
    let left = match permille(goal, done, took) {
        Some(share @ 1..) => {
            let left = took.as_secs_f64() * (1000 - share) as f64 / share as f64;
            format!(", {left:.0} s left")
        }
        Some(0) | None => String::new(),
    };
    let (failed, rate) = (tally.failed(), tally.rate(took));
    let (marks, situations) = (tally.marks.len(), tally.situations.len());
    let reached = format!("{marks} marks, {situations} situations");
    format!("{name}: {done}{of}, {failed} failed, {rate}, {reached}{left}")
}

fn bar(share: u64) -> String {
    let full = (share * BAR_CELLS / 1000) as usize;
    format!("[{}{}]", "#".repeat(full), "-".repeat(BAR_CELLS as usize - full))
}

impl Progress {
    pub(super) fn new(name: String, goal: Goal) -> Self {
        let begun = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        Self { name, goal, begun, shown: begun, terminal, drawn: false }
    }

    /// Shows where the sweep is, when it is time.
    pub(super) fn show(&mut self, tally: &Tally) {
        let every = if self.terminal { BAR_EVERY } else { LINE_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let took = self.begun.elapsed();
        let text = line(&self.name, self.goal, tally, took);
        if !self.terminal {
            eprintln!("{text}");
            return;
        }
        let share = permille(self.goal, tally.done, took);
        let bar = share.map_or_else(String::new, |share| format!("{} ", bar(share)));
        let mut out = std::io::stderr().lock();
        let _nobody_may_watch = write!(out, "\r\x1b[K{bar}{text}").and_then(|()| out.flush());
        self.drawn = true;
    }

    /// Takes the bar away, so that what is printed next stands alone.
    pub(super) fn end(&mut self) {
        if self.drawn {
            eprint!("\r\x1b[K");
            self.drawn = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_how_long_it_takes() {
        let goal = Goal { seeds: Some(200), time: None };
        let tally = Tally { done: 50, simulated: 3_000_000_000_000, ..Tally::default() };
        let text = line("a.toml", goal, &tally, Duration::from_secs(10));
        let expected = "a.toml: 50 of 200, 0 failed, 5.0 seeds/s, 300 simulated s per wall s, \
                        0 marks, 0 situations, 30 s left";
        assert_eq!(text, expected);
        let goal = Goal { seeds: None, time: Some(Duration::from_secs(40)) };
        assert!(line("a", goal, &tally, Duration::from_secs(10)).ends_with("30 s left"));
        assert_eq!(bar(250), "[######------------------]");
    }
}
