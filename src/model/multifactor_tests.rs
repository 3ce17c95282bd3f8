//! What priorities are made of.

use flurm_base::{JobId, Span};

use crate::kit::{ALICE, Kit, ROOT, config, spec};
use crate::{
    Command, JobChanges, JobSpec, Limit, Memory, Multifactor, PartitionName, PriorityChange,
    Weigher, priority_flags,
};

/// Two nodes, and rules.
fn weighed(change: impl FnOnce(&mut Multifactor)) -> Kit {
    let mut kit = Kit::new(2);
    let mut config = config(2);
    let mut rules = Multifactor { age_max: Span::secs(1_000), ..Multifactor::default() };
    change(&mut rules);
    config.settings.priority = Some(rules);
    kit.apply(&Command::Configure { at: kit.now, config: Box::new(config) });
    kit
}

fn submits(kit: &mut Kit, change: impl FnOnce(&mut JobSpec)) -> JobId {
    let mut spec = spec();
    change(&mut spec);
    kit.submit_with(None, ALICE, spec).expect("accepted")
}

fn priority(kit: &Kit, job: JobId) -> u32 {
    Weigher::new(&kit.cluster, kit.now).priority(kit.job(job))
}

fn cpus(kit: &Kit) -> u32 {
    kit.cluster.nodes().map(|node| node.conf.cpus).sum()
}

#[test]
fn a_waiting_job_ages_until_the_maximum() {
    let mut kit = weighed(|rules| rules.age = 1_000);
    let job = submits(&mut kit, |_| {});
    assert_eq!(priority(&kit, job), 1, "nobody waits with nothing");
    kit.passes(300);
    assert_eq!(priority(&kit, job), 300);
    kit.holds(job, ROOT);
    assert_eq!(priority(&kit, job), 0);
    kit.releases(job, ROOT);
    kit.passes(5_000);
    assert_eq!(priority(&kit, job), 1_000);
}

#[test]
fn age_counts_from_the_begin_time_unless_it_accrues_always() {
    for (flags, expected) in [(0, 400), (priority_flags::ACCRUE_ALWAYS, 500)] {
        let mut kit = weighed(|rules| (rules.age, rules.flags) = (1_000, flags));
        let begin = kit.now + Span::secs(100);
        let job = submits(&mut kit, |spec| spec.begin = Some(begin));
        kit.passes(500);
        assert_eq!(priority(&kit, job), expected);
    }
}

#[test]
fn size_counts_for_large_jobs_or_for_small_ones() {
    let all = |kit: &mut Kit| {
        let cpus = cpus(kit);
        submits(kit, |spec| (spec.size.nodes_min, spec.size.cpus_min) = (2, cpus))
    };
    let mut large = weighed(|rules| rules.size = 1_000);
    let job = all(&mut large);
    assert_eq!(priority(&large, job), 1_000);
    let mut small = weighed(|rules| (rules.size, rules.favors_small) = (1_000, true));
    let job = all(&mut small);
    assert_eq!(priority(&small, job), 1, "the least there is");
    let relative = priority_flags::SIZE_RELATIVE;
    let mut short = weighed(|rules| (rules.size, rules.flags) = (1_000, relative));
    let job = all(&mut short);
    let minutes = match short.job(job).time_limit {
        Limit::Max(minutes) => minutes,
        Limit::Unlimited => panic!("it has a limit"),
    };
    assert_eq!(priority(&short, job), 1_000 / minutes);
}

#[test]
fn resources_count_as_parts_of_the_partition_or_as_they_are() {
    let weights = || vec![("cpu".to_owned(), 1_000_000), ("mem".to_owned(), 500)];
    let asks = |spec: &mut JobSpec| {
        (spec.size.cpus_min, spec.size.memory) = (2, Some(Memory::PerCpu(50)));
    };
    let mut kit = weighed(|rules| rules.tres = weights());
    let job = submits(&mut kit, asks);
    let factors = Weigher::new(&kit.cluster, kit.now).factors(kit.job(job), &"main".into());
    let factors = factors.expect("it is computed");
    assert_eq!(factors.tres[0], 1_000.0 * 2.0 / f64::from(cpus(&kit)));
    let flags = priority_flags::NO_NORMAL_TRES;
    let mut kit = weighed(|rules| (rules.tres, rules.flags) = (weights(), flags));
    let job = submits(&mut kit, asks);
    assert_eq!(priority(&kit, job), 2_050, "2 times 1000 and 100 times a half");
}

#[test]
fn nice_and_an_operators_word_count() {
    let mut kit = weighed(|rules| rules.partition = 5_000);
    let job = submits(&mut kit, |spec| spec.nice = 10);
    assert_eq!(priority(&kit, job), 4_990);
    let factors = |kit: &Kit| {
        let weigher = Weigher::new(&kit.cluster, kit.now);
        weigher.factors(kit.job(job), &PartitionName::from("main"))
    };
    assert!(factors(&kit).is_some());
    let set = |priority| JobChanges { priority: Some(priority), ..JobChanges::default() };
    kit.updates(job, ROOT, set(PriorityChange::Set(70)));
    assert_eq!((priority(&kit, job), factors(&kit)), (70, None));
    kit.updates(job, ROOT, set(PriorityChange::Release));
    assert_eq!(priority(&kit, job), 4_990);
}
