//! Accounts: whose job counts where, and how fair shares follow.

use std::collections::BTreeMap;

use flurm_base::{JobId, Span};
use flurm_conf::associations::{Associations, parse};

use crate::kit::{ALICE, Kit, config, spec};
use crate::{
    Accounting, Actor, Command, Errno, JobSpec, Multifactor, Standing, enforce, priority_flags,
    standings,
};

const BOB: Actor = Actor { uid: ALICE.uid + 1, privileged: false };

fn associations(text: &str) -> Associations {
    let load = |_: &str| Ok(text.to_owned());
    parse(&load, "associations.conf").expect("it is good").associations
}

/// Alice and Bob in `a`, Bob in `b` too.
const TREE: &str = "Parent - root\nAccount - a:Fairshare=30\nAccount - b:Fairshare=10\n\
                    Parent - a\nUser - alice:Fairshare=2\nUser - bob:DefaultAccount=b\n\
                    Parent - b\nUser - bob\nQOS - twice:UsageFactor=2";

fn accounted(text: &str, flags: u16) -> Kit {
    let mut kit = Kit::new(2);
    let mut config = config(2);
    let half_life = Span::secs(10_000);
    let rules = Multifactor { fairshare: 1_000, half_life, flags, dampening: 1, ..rules() };
    config.settings.priority = Some(rules);
    config.settings.accounting = Accounting {
        enforce: enforce::ASSOCIATIONS,
        associations: associations(text),
        uids: BTreeMap::from([("alice".into(), ALICE.uid), ("bob".into(), BOB.uid)]),
    };
    kit.apply(&Command::Configure { at: kit.now, config: Box::new(config) });
    kit
}

fn rules() -> Multifactor {
    Multifactor { age_max: Span::secs(1_000), ..Multifactor::default() }
}

fn of(kit: &Kit, account: &str, user: &str) -> Standing {
    let rules = kit.cluster.settings().priority.clone().expect("there are rules");
    let rows = standings(&kit.cluster, &rules, kit.now);
    let list = kit.cluster.associations().iter();
    let found = list.zip(rows).find(|(one, _)| one.account == account && one.user == user);
    found.expect("there is such an association").1
}

fn submits(kit: &mut Kit, by: Actor, account: Option<&str>, qos: Option<&str>) -> JobId {
    let (account, qos) = (account.map(str::to_owned), qos.map(str::to_owned));
    let spec = JobSpec { uid: by.uid, account, qos, ..spec() };
    kit.submit_with(None, by, spec).expect("accepted")
}

/// A job of Alice runs for so long.
fn runs(kit: &mut Kit, seconds: u64, qos: Option<&str>) {
    let job = submits(kit, ALICE, None, qos);
    kit.starts(job, &["n1"]);
    kit.passes(seconds);
    kit.ends(job, "n1", 0);
    kit.epilog(job, "n1");
}

#[test]
fn a_job_gets_its_users_default_account() {
    let mut kit = accounted(TREE, priority_flags::FAIR_TREE);
    let first = submits(&mut kit, BOB, None, None);
    assert_eq!(kit.job(first).spec.account.as_deref(), Some("b"));
    let second = submits(&mut kit, BOB, Some("A"), None);
    assert_eq!(kit.job(second).spec.account.as_deref(), Some("a"));
    assert_eq!(kit.job(second).spec.qos.as_deref(), Some("normal"));
    let refused = |kit: &mut Kit, by: Actor, account: Option<&str>, qos: Option<&str>| {
        let (account, qos) = (account.map(str::to_owned), qos.map(str::to_owned));
        let spec = JobSpec { uid: by.uid, account, qos, ..spec() };
        kit.submit_with(None, by, spec).expect_err("refused").errno
    };
    assert_eq!(refused(&mut kit, ALICE, Some("b"), None), Errno::InvalidAccount);
    assert_eq!(refused(&mut kit, ALICE, None, Some("no")), Errno::InvalidQos);
    let stranger = Actor { uid: 77, privileged: false };
    assert_eq!(refused(&mut kit, stranger, None, None), Errno::InvalidAccount);
}

#[test]
fn use_counts_up_to_the_top_and_fades() {
    let mut kit = accounted(TREE, priority_flags::FAIR_TREE);
    runs(&mut kit, 100, None);
    let cpus = kit.cluster.jobs().next().and_then(|job| job.allocation.as_ref()).expect("it ran");
    let cpus = f64::from(cpus.cpus());
    for (account, user) in [("a", "alice"), ("a", ""), ("root", "")] {
        let used = of(&kit, account, user).usage.raw_s();
        assert!((99.0..=100.0).contains(&(used / cpus)), "{account} {user}: {used}");
    }
    assert_eq!(of(&kit, "b", "bob").usage.raw_s(), 0.0);
    kit.passes(10_000);
    let used = of(&kit, "a", "alice").usage.raw_s() / cpus;
    assert!((49.0..=50.0).contains(&used), "half is left: {used}");
    runs(&mut kit, 100, Some("twice"));
    let used = of(&kit, "a", "alice").usage.raw_s() / cpus;
    assert!((245.0..=250.0).contains(&used), "and twice as much came: {used}");
}

#[test]
fn a_running_job_counts_while_it_runs() {
    let mut kit = accounted(TREE, priority_flags::FAIR_TREE);
    let job = submits(&mut kit, ALICE, None, None);
    kit.starts(job, &["n1"]);
    kit.passes(50);
    let before = of(&kit, "a", "alice").usage.raw_s();
    kit.passes(50);
    let after = of(&kit, "a", "alice").usage.raw_s();
    assert!(before > 0.0 && after > 1.9 * before, "{before} {after}");
    kit.ends(job, "n1", 0);
    assert_eq!(of(&kit, "a", "alice").usage.raw_s().round(), after.round(), "it is counted once");
}

#[test]
fn the_fair_tree_ranks_level_by_level() {
    let mut kit = accounted(TREE, priority_flags::FAIR_TREE);
    let factors = |kit: &Kit| {
        [("a", "alice"), ("a", "bob"), ("b", "bob")]
            .map(|(account, user)| of(kit, account, user).factor)
    };
    assert_eq!(factors(&kit), [1.0; 3], "nobody has used anything");
    runs(&mut kit, 100, None);
    assert_eq!(factors(&kit), [1.0 / 3.0, 2.0 / 3.0, 1.0]);
    let (alice, a) = (of(&kit, "a", "alice"), of(&kit, "a", ""));
    assert_eq!((alice.shares_norm, a.shares_norm), (2.0 / 3.0, 0.75), "of its level");
    assert_eq!((alice.level, a.level), (2.0 / 3.0, 0.75));
    assert_eq!(of(&kit, "b", "bob").level, f64::INFINITY);
}

#[test]
fn the_classic_way_halves_for_every_share_too_much() {
    let mut kit = accounted(TREE, 0);
    runs(&mut kit, 100, None);
    let alice = of(&kit, "a", "alice");
    assert_eq!(alice.shares_norm, 0.75 * (2.0 / 3.0), "of all");
    assert_eq!((alice.usage_norm, alice.usage_effective), (1.0, 1.0));
    assert!((alice.factor - 0.25).abs() < 1e-9, "2 to the power of minus 2: {}", alice.factor);
    let bob = of(&kit, "a", "bob");
    // Of what the account has used beyond Bob's, a third is his by his shares.
    assert!((bob.usage_effective - 1.0 / 3.0).abs() < 1e-9);
    assert!((bob.factor - 2f64.powf(-(1.0 / 3.0) / 0.25)).abs() < 1e-9);
    assert_eq!(of(&kit, "b", "bob").factor, 1.0);
}

#[test]
fn who_takes_the_parents_shares_stands_as_the_parent() {
    let text = TREE.replace("User - alice:Fairshare=2", "User - alice:Fairshare=parent");
    let mut kit = accounted(&text, 0);
    runs(&mut kit, 100, None);
    let (alice, a) = (of(&kit, "a", "alice"), of(&kit, "a", ""));
    assert_eq!((alice.shares_norm, alice.factor), (a.shares_norm, a.factor));
    let kit = accounted(&text, priority_flags::FAIR_TREE);
    assert_eq!(of(&kit, "a", "alice").level, f64::INFINITY);
}

#[test]
fn a_file_with_mistakes_says_where() {
    let bad = "Parent - none\nAccount - a:MaxJobs=x\nUser - u:QOS=high\nsomething\n\
               Account - a\nAccount - b:MaxJobsPerUser=1:Frobs=2";
    let load = |_: &str| Ok(bad.to_owned());
    let told = parse(&load, "f").expect_err("it is bad");
    let lines: Vec<u32> = told.iter().map(|one| one.place.line).collect();
    assert_eq!(lines.len(), 7, "{told:?}");
    assert_eq!(std::collections::BTreeSet::from_iter(lines), (1..=6).collect());
}
