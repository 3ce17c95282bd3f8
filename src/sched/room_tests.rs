//! Preemption: who is asked to make room, in sentences and against a look at every set of victims.

use flurm_base::{AttemptId, JobId, Span};
use flurm_model::{Rank, Ranks};
use proptest::prelude::*;

use crate::kit::{NOW, add_job, add_partition, cluster};
use crate::room::{Later, Part, Victim};
use crate::{Snapshot, plan};

/// `main` makes room for `urgent`.
fn cluster_with_ranks(cpus: &[u32]) -> Snapshot {
    let mut s = cluster(cpus);
    s.planned_max = 100;
    add_partition(&mut s, "urgent", 0..cpus.len(), |conf| conf.priority_tier = 9);
    s.room.ranks = Ranks::by_tier();
    s
}

/// A job that runs: CPUs by node, and the minutes that it has run.
fn runs(s: &mut Snapshot, parts: &[(usize, u32)], tier: u16, minutes: u64) -> u32 {
    let number = 100 + u32::try_from(s.room.victims.len()).expect("few jobs");
    let parts = parts.iter().map(|(node, cpus)| {
        let view = &mut s.nodes[*node];
        view.cpus_used += cpus;
        view.memory_used_mb += u64::from(*cpus);
        view.jobs += 1;
        let (node, cpus, memory_mb) = (*node, *cpus, u64::from(*cpus));
        Part { node, cpus, memory_mb, whole_node: false, gres: Vec::new() }
    });
    let parts = parts.collect();
    s.room.victims.push(Victim {
        job: JobId(number),
        attempt: AttemptId(u64::from(number)),
        rank: Rank { tier, qos: String::new() },
        worth: u32::from(tier),
        start: NOW - Span::secs(minutes * 60),
        parts,
    });
    s.room.sort();
    number
}

fn asks(s: &mut Snapshot, tasks: u32) {
    add_job(s, tasks, |job, _| job.partitions = vec!["urgent".into()]);
}

/// `1: 100 101`: who makes room for whom.
fn told(s: &Snapshot) -> String {
    let Some(preempt) = plan(s).preempt else { return String::from("nobody") };
    let mut victims: Vec<u32> = preempt.victims.iter().map(|(job, _)| job.0).collect();
    victims.sort_unstable();
    let victims: Vec<String> = victims.iter().map(u32::to_string).collect();
    format!("{}: {}", preempt.job.0, victims.join(" "))
}

#[test]
fn nobody_makes_room_where_there_is_room_or_for_an_equal() {
    let mut s = cluster_with_ranks(&[4]);
    runs(&mut s, &[(0, 2)], 1, 5);
    asks(&mut s, 2);
    assert_eq!(told(&s), "nobody");
    assert_eq!(plan(&s).starts.len(), 1);
    let mut s = cluster_with_ranks(&[4]);
    runs(&mut s, &[(0, 2)], 9, 5);
    asks(&mut s, 4);
    assert_eq!(told(&s), "nobody");
}

#[test]
fn one_that_suffices_goes_alone_the_lowest_and_youngest_first() {
    let mut s = cluster_with_ranks(&[4, 4]);
    runs(&mut s, &[(0, 2)], 1, 5);
    runs(&mut s, &[(0, 2)], 1, 1);
    let big = runs(&mut s, &[(1, 4)], 2, 3);
    asks(&mut s, 4);
    assert_eq!(told(&s), format!("1: {big}"));
    let mut s = cluster_with_ranks(&[4, 4]);
    runs(&mut s, &[(0, 4)], 1, 5);
    let young = runs(&mut s, &[(1, 4)], 1, 1);
    asks(&mut s, 3);
    assert_eq!(told(&s), format!("1: {young}"));
}

#[test]
fn nobody_goes_where_it_would_not_help() {
    let mut s = cluster_with_ranks(&[4]);
    runs(&mut s, &[(0, 2)], 1, 5);
    runs(&mut s, &[(0, 2)], 9, 5);
    asks(&mut s, 4);
    assert_eq!(told(&s), "nobody");
}

#[test]
fn what_is_given_up_already_is_promised_to_one_job_only() {
    let mut s = cluster_with_ranks(&[4, 4]);
    runs(&mut s, &[(0, 4)], 9, 5);
    let going = s.room.victims.remove(0);
    s.room.going.extend(going.parts);
    let victim = runs(&mut s, &[(1, 4)], 1, 5);
    asks(&mut s, 4);
    assert_eq!(told(&s), "nobody");
    asks(&mut s, 4);
    assert_eq!(told(&s), format!("2: {victim}"));
}

#[test]
fn nobody_takes_what_victims_leave_in_the_same_pass() {
    let mut s = cluster_with_ranks(&[4]);
    let victim = runs(&mut s, &[(0, 2)], 1, 5);
    asks(&mut s, 4);
    add_job(&mut s, 2, |_, _| {});
    assert_eq!(told(&s), format!("1: {victim}"));
    assert!(plan(&s).starts.is_empty());
}

proptest! {
    /// Some lower jobs together would suffice exactly when somebody is asked; those who are asked
    /// suffice, none of them could stay, none is an equal, and one goes alone where one can.
    #[test]
    fn victims_suffice_and_none_of_them_could_stay(
        jobs in prop::collection::vec((0usize..3, 1u32..4, 1u16..11), 1..7),
        tasks in 1u32..9,
    ) {
        let mut s = cluster_with_ranks(&[4, 4, 4]);
        for (nth, (node, cpus, tier)) in jobs.iter().enumerate() {
            if s.nodes[*node].cpus_used + cpus <= 4 {
                runs(&mut s, &[(*node, *cpus)], *tier, nth as u64);
            }
        }
        asks(&mut s, tasks);
        let plan = plan(&s);
        let suffices = |gone: &[&Victim]| {
            let mut t = s.clone();
            t.room.victims.clear();
            t.room.going = gone.iter().flat_map(|one| one.parts.clone()).collect();
            t.nodes = Later::new(&t.nodes, &t.room).into_nodes();
            t.room.going.clear();
            crate::plan(&t).starts.len() == 1
        };
        let lower: Vec<&Victim> = s.room.victims.iter().filter(|one| one.rank.tier < 9).collect();
        let Some(preempt) = plan.preempt else {
            prop_assert!(plan.starts.len() == 1 || !suffices(&lower));
            return Ok(());
        };
        prop_assert!(plan.starts.is_empty());
        let chosen = |one: &&&Victim| preempt.victims.contains(&(one.job, one.attempt));
        let gone: Vec<&Victim> = lower.iter().filter(chosen).copied().collect();
        prop_assert_eq!(gone.len(), preempt.victims.len());
        prop_assert!(suffices(&gone));
        for stays in 0..gone.len() {
            let mut fewer = gone.clone();
            fewer.remove(stays);
            prop_assert!(!suffices(&fewer));
        }
        let alone = lower.iter().any(|one| suffices(&[*one]));
        prop_assert_eq!(alone, gone.len() == 1);
    }
}
