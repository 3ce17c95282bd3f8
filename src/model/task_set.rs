//! Sets of array task numbers, in the form that is small: runs with a step.
//!
//! The text form is that of `--array` (sbatch(1)): numbers, ranges and ranges with a step, joined
//! by commas. A set costs memory for its runs, not for its tasks.

use serde::{Deserialize, Serialize};

/// Tasks `first`, `first + step`, … up to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Run {
    first: u32,
    last: u32,
    step: u32,
}

impl Run {
    fn count(self) -> u32 {
        (self.last - self.first) / self.step + 1
    }

    fn contains(self, task: u32) -> bool {
        let inside = self.first <= task && task <= self.last;
        inside && (task - self.first).is_multiple_of(self.step)
    }

    fn iter(self) -> impl Iterator<Item = u32> {
        (self.first..=self.last).step_by(self.step as usize)
    }
}

/// A set of array task numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSet {
    /// In order: each run ends before the next one begins.
    runs: Vec<Run>,
}

impl TaskSet {
    /// Reads the text of `--array` without its `%` part, or a list in brackets. Every number must
    /// be below `size_max` (`MaxArraySize`). The error is a sentence.
    pub fn parse(text: &str, size_max: u32) -> Result<Self, String> {
        let inner =
            text.strip_prefix('[').map_or(text, |rest| rest.strip_suffix(']').unwrap_or(rest));
        let mut runs = Vec::new();
        for part in inner.split(',') {
            runs.push(parse_run(part, size_max)?);
        }
        Ok(Self::of_runs(runs))
    }

    fn of_runs(runs: Vec<Run>) -> Self {
        if runs.len() < 2 {
            return Self { runs };
        }
        let mut tasks: Vec<u32> = runs.into_iter().flat_map(Run::iter).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks.into_iter().collect()
    }

    /// How many tasks.
    pub fn count(&self) -> u32 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.count()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The smallest task.
    pub fn first(&self) -> Option<u32> {
        self.runs.first().map(|run| run.first)
    }

    /// The largest task.
    pub fn last(&self) -> Option<u32> {
        self.runs.last().map(|run| run.last)
    }

    /// Whether the task is among them.
    pub fn contains(&self, task: u32) -> bool {
        let at = self.runs.partition_point(|run| run.last < task);
        self.runs.get(at).is_some_and(|run| run.contains(task))
    }

    /// All tasks in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.runs.iter().copied().flat_map(Run::iter)
    }

    /// The tasks of this set that the other one has too.
    pub fn common(&self, other: &Self) -> Self {
        self.iter().filter(|task| other.contains(*task)).collect()
    }

    /// Takes a task out; whether it was there.
    pub fn remove(&mut self, task: u32) -> bool {
        let at = self.runs.partition_point(|run| run.last < task);
        let Some(run) = self.runs.get(at).copied().filter(|run| run.contains(task)) else {
            return false;
        };
        let low = (run.first < task).then(|| Run { last: task - run.step, ..run });
        let high = (task < run.last).then(|| Run { first: task + run.step, ..run });
        self.runs.splice(at..=at, low.into_iter().chain(high).map(one_step));
        true
    }

    /// As Slurm packs it: a hexadecimal mask with the smallest task in the lowest bit, such as
    /// `0xAA` for 1, 3, 5 and 7. Clients turn it into text.
    pub fn hex_mask(&self) -> String {
        let Some(last) = self.last() else { return String::from("0x0") };
        let mut digits = vec![0_u8; last as usize / 4 + 1];
        for task in self.iter() {
            digits[task as usize / 4] |= 1 << (task % 4);
        }
        let digit = |value: &u8| char::from_digit(u32::from(*value), 16).expect("four bits");
        let text: String = digits.iter().rev().map(digit).collect();
        format!("0x{}", text.to_uppercase())
    }
}

impl FromIterator<u32> for TaskSet {
    /// Collects tasks that come in rising order.
    fn from_iter<I: IntoIterator<Item = u32>>(tasks: I) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for task in tasks {
            match runs.last_mut() {
                Some(run) if run.first == run.last && run.first < task => {
                    *run = Run { first: run.first, last: task, step: task - run.first };
                }
                Some(run) if task.checked_sub(run.last) == Some(run.step) => run.last = task,
                Some(run) if run.count() == 2 && run.step > 1 => {
                    let second = run.last;
                    *run = Run { first: run.first, last: run.first, step: 1 };
                    runs.push(Run { first: second, last: task, step: task - second });
                }
                Some(_) | None => runs.push(Run { first: task, last: task, step: 1 }),
            }
        }
        Self { runs: settled(runs) }
    }
}

/// Runs of two tasks that happen to be far apart stay single tasks, so that a list such as
/// `1,7,8,9` keeps its neighbours together.
fn settled(runs: Vec<Run>) -> Vec<Run> {
    let split = |run: Run| {
        let pair = run.count() == 2 && run.step > 1;
        let single = |task| Run { first: task, last: task, step: 1 };
        let parts = if pair { vec![single(run.first), single(run.last)] } else { vec![run] };
        parts.into_iter()
    };
    runs.into_iter().flat_map(split).collect()
}

/// A run of one task has step 1: its own says nothing.
fn one_step(run: Run) -> Run {
    if run.first == run.last { Run { step: 1, ..run } } else { run }
}

impl std::fmt::Display for TaskSet {
    /// As people write it: `1-7:2,20`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, run) in self.runs.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            match (run.first == run.last, run.step) {
                (true, _) => write!(f, "{comma}{}", run.first)?,
                (false, 1) => write!(f, "{comma}{}-{}", run.first, run.last)?,
                (false, step) => write!(f, "{comma}{}-{}:{step}", run.first, run.last)?,
            }
        }
        Ok(())
    }
}

fn parse_run(text: &str, size_max: u32) -> Result<Run, String> {
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = digits.parse::<u32>().ok().filter(|_| plain);
        value.ok_or_else(|| format!("{text:?} is no array task or range of tasks"))
    };
    let (range, step) = match text.split_once(':') {
        Some((range, step)) if range.contains('-') => (range, number(step)?),
        Some(_) => return Err(format!("{text:?} has a step without a range")),
        None => (text, 1),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(range)?, number(range)?),
    };
    if last < first {
        return Err(format!("{text:?} ends before it begins"));
    }
    if last >= size_max {
        return Err(format!("task {last} is not below MaxArraySize, which is {size_max}"));
    }
    if step == 0 || step >= size_max {
        return Err(format!("{step} is no step below MaxArraySize, which is {size_max}"));
    }
    let last = last - (last - first) % step;
    Ok(one_step(Run { first, last, step }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn set(text: &str) -> TaskSet {
        TaskSet::parse(text, 1001).expect("a good list")
    }

    #[test]
    fn lists_ranges_and_steps_are_read() {
        assert_eq!(set("1-7:2,20").iter().collect::<Vec<_>>(), [1, 3, 5, 7, 20]);
        assert_eq!(set("[3,1-2]").to_string(), "1-3");
        assert_eq!(set("0-6:4").iter().collect::<Vec<_>>(), [0, 4]);
        assert_eq!(set("1-9:2,2-8:2").to_string(), "1-9");
        assert_eq!(set("1,7,8,9").to_string(), "1,7-9");
        for bad in ["", "x", "5-3", "1-3:0", "1:2", "1001", "1,,2", "-1", "1-", "+1", "1-5:2:3"] {
            assert!(TaskSet::parse(bad, 1001).is_err(), "{bad:?}");
        }
        assert_eq!(
            TaskSet::parse("7", 7).unwrap_err(),
            "task 7 is not below MaxArraySize, which is 7"
        );
    }

    #[test]
    fn a_large_array_costs_one_run() {
        let all = TaskSet::parse("0-4000000:2", 4_000_001).unwrap();
        assert_eq!((all.count(), all.runs.len()), (2_000_001, 1));
    }

    #[test]
    fn removing_agrees_with_a_plain_set() {
        let mut tasks = set("1-40:3,50-60,70");
        let mut plain: BTreeSet<u32> = tasks.iter().collect();
        for step in 0..200_u32 {
            let task = step * 37 % 75;
            assert_eq!(tasks.remove(task), plain.remove(&task), "{task}");
            assert!(tasks.iter().eq(plain.iter().copied()), "{tasks}");
            assert_eq!(tasks.count() as usize, plain.len());
            assert_eq!(
                (tasks.first(), tasks.last()),
                (plain.first().copied(), plain.last().copied())
            );
            assert!((0..80).all(|task| tasks.contains(task) == plain.contains(&task)));
        }
        assert!(!plain.is_empty() || tasks.is_empty());
    }

    #[test]
    fn the_mask_is_slurms() {
        assert_eq!(set("1-7:2").hex_mask(), "0xAA");
        assert_eq!(set("0").hex_mask(), "0x1");
        assert_eq!(set("4-5,8").hex_mask(), "0x130");
    }

    #[test]
    fn common_tasks_are_those_of_both() {
        assert_eq!(set("1-9").common(&set("3-20:3")).to_string(), "3-9:3");
    }
}
