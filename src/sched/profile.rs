//! What one node gives away over time, in exact intervals.

use flurm_base::Time;

/// What is taken of a node at one moment, or at most during a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) cpus: u32,
    pub(crate) memory_mb: u64,
    pub(crate) jobs: u32,
    /// Jobs that keep others off.
    pub(crate) alone: u32,
    /// Generic resources, in the order of the node's parts; what is left out is none.
    pub(crate) gres: Vec<u64>,
}

impl Use {
    fn plus(&self, other: &Self) -> Self {
        Self {
            cpus: self.cpus + other.cpus,
            memory_mb: self.memory_mb + other.memory_mb,
            jobs: self.jobs + other.jobs,
            alone: self.alone + other.alone,
            gres: each(&self.gres, &other.gres, u64::saturating_add),
        }
    }

    fn minus(&self, other: &Self) -> Self {
        Self {
            cpus: self.cpus.saturating_sub(other.cpus),
            memory_mb: self.memory_mb.saturating_sub(other.memory_mb),
            jobs: self.jobs.saturating_sub(other.jobs),
            alone: self.alone.saturating_sub(other.alone),
            gres: each(&self.gres, &other.gres, u64::saturating_sub),
        }
    }

    fn most(mut self, other: &Self) -> Self {
        self.cpus = self.cpus.max(other.cpus);
        self.memory_mb = self.memory_mb.max(other.memory_mb);
        self.jobs = self.jobs.max(other.jobs);
        self.alone = self.alone.max(other.alone);
        self.gres = each(&self.gres, &other.gres, u64::max);
        self
    }
}

fn each(one: &[u64], other: &[u64], with: impl Fn(u64, u64) -> u64) -> Vec<u64> {
    let at = |all: &[u64], at: usize| all.get(at).copied().unwrap_or(0);
    (0..one.len().max(other.len())).map(|nth| with(at(one, nth), at(other, nth))).collect()
}

/// A node's use from each step's time on until the next step. Never empty; the first step is now.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    steps: Vec<(Time, Use)>,
}

impl Profile {
    /// What is taken from `now` on, before anything leaves.
    pub(crate) fn new(now: Time, taken: Use) -> Self {
        Self { steps: vec![(now, taken)] }
    }

    /// Takes a part during `from..until`.
    pub(crate) fn take(&mut self, from: Time, until: Time, part: Use) {
        self.change(from, until, |taken| taken.plus(&part));
    }

    /// Gives back what [`Self::take`] took.
    pub(crate) fn give(&mut self, from: Time, until: Time, part: Use) {
        self.change(from, until, |taken| taken.minus(&part));
    }

    /// From `at` on, a part is not taken any more.
    pub(crate) fn leave(&mut self, at: Time, part: Use) {
        let first = self.cut(at);
        for (_, taken) in &mut self.steps[first..] {
            *taken = taken.minus(&part);
        }
    }

    fn change(&mut self, from: Time, until: Time, with: impl Fn(&Use) -> Use) {
        if until <= from {
            return;
        }
        let first = self.cut(from);
        let last = self.cut(until);
        for (_, taken) in &mut self.steps[first..last] {
            *taken = with(taken);
        }
    }

    /// Makes a step begin at a time; its position. A time before now is now.
    fn cut(&mut self, at: Time) -> usize {
        let after = self.steps.partition_point(|(begin, _)| *begin <= at);
        let Some(before) = after.checked_sub(1) else { return 0 };
        let (begin, taken) = &self.steps[before];
        if *begin == at {
            return before;
        }
        let taken = taken.clone();
        self.steps.insert(after, (at, taken));
        after
    }

    /// What is taken at one moment.
    pub(crate) fn at(&self, moment: Time) -> &Use {
        let after = self.steps.partition_point(|(begin, _)| *begin <= moment);
        &self.steps[after.saturating_sub(1)].1
    }

    /// The most that is taken of each resource during `from..until`.
    pub(crate) fn over(&self, from: Time, until: Time) -> Use {
        let first = self.steps.partition_point(|(begin, _)| *begin <= from).saturating_sub(1);
        let later = self.steps[first + 1..].iter().take_while(|(begin, _)| *begin < until);
        later.fold(self.steps[first].1.clone(), |most, (_, taken)| most.most(taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(cpus: u32) -> Use {
        Use { cpus, memory_mb: u64::from(cpus) * 10, jobs: 1, alone: 0, gres: Vec::new() }
    }

    fn seen(profile: &Profile, from: i64, until: i64) -> (u32, u64, u32) {
        let most = profile.over(Time(from), Time(until));
        (most.cpus, most.memory_mb, most.jobs)
    }

    #[test]
    fn a_window_sees_the_most_of_each_resource() {
        let taken = Use { cpus: 5, memory_mb: 50, jobs: 2, alone: 0, gres: vec![] };
        let mut profile = Profile::new(Time(0), taken);
        profile.leave(Time(10), cpus(3));
        profile.leave(Time(20), cpus(2));
        assert_eq!(seen(&profile, 0, 100), (5, 50, 2));
        assert_eq!(seen(&profile, 10, 100), (2, 20, 1));
        assert_eq!(seen(&profile, 9, 11), (5, 50, 2));
        assert_eq!(seen(&profile, 20, 21), (0, 0, 0));
        profile.take(Time(15), Time(30), cpus(4));
        assert_eq!(seen(&profile, 10, 15), (2, 20, 1), "the end is not part of a window");
        assert_eq!(seen(&profile, 10, 16), (6, 60, 2));
        assert_eq!(seen(&profile, 25, 40), (4, 40, 1));
        assert_eq!(seen(&profile, 30, 40), (0, 0, 0));
        profile.give(Time(15), Time(30), cpus(4));
        assert_eq!(seen(&profile, 12, 40), (2, 20, 1), "what was given back is free again");
    }

    #[test]
    fn an_empty_window_and_a_time_before_now_are_the_first_moment() {
        let mut profile = Profile::new(Time(100), cpus(1));
        profile.leave(Time(50), cpus(1));
        assert_eq!(seen(&profile, 0, 1), (0, 0, 0));
        profile.take(Time(100), Time(100), cpus(9));
        assert_eq!(seen(&profile, 100, 100), (0, 0, 0));
    }
}
