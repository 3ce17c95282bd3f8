//! Limits: which one speaks, and with which word.

use std::collections::BTreeMap;

use flurm_base::JobId;

use crate::kit::{ALICE, Kit, config, spec};
use crate::{Accounting, Amounts, Command, Errno, JobSpec, Ledger, Limit, Reason, enforce};

/// Alice in accounts `a` and `a/b`, with these options of `a`, of `b`, and of the service `q`.
fn limited(of_a: &str, of_b: &str, of_q: &str) -> Kit {
    limited_with(enforce::LIMITS, of_a, of_b, of_q)
}

fn limited_with(enforced: u16, of_a: &str, of_b: &str, of_q: &str) -> Kit {
    let text = format!(
        "QOS - q:{of_q}\nParent - root\nAccount - a:{of_a}\nParent - a\nUser - alice\n\
         Account - b:{of_b}\nParent - b\nUser - alice\n"
    );
    let load = |_: &str| Ok(text.clone());
    let parsed = flurm_conf::associations::parse(&load, "f").expect("it is good");
    let mut kit = Kit::new(2);
    let mut config = config(2);
    config.settings.accounting = Accounting {
        enforce: enforced,
        associations: parsed.associations,
        uids: BTreeMap::from([("alice".into(), ALICE.uid)]),
    };
    kit.apply(&Command::Configure { at: kit.now, config: Box::new(config) });
    kit
}

fn asks(account: &str, qos: Option<&str>, cpus: u32) -> JobSpec {
    let mut spec = JobSpec { account: Some(account.into()), ..spec() };
    spec.qos = qos.map(str::to_owned);
    spec.size.cpus_min = cpus;
    spec
}

fn runs(kit: &mut Kit, account: &str, qos: Option<&str>) -> JobId {
    let job = kit.submit_with(None, ALICE, asks(account, qos, 1)).expect("accepted");
    kit.starts(job, &["n1"]);
    job
}

/// What keeps a job of so many CPUs and minutes back.
fn refuses(kit: &Kit, account: &str, qos: Option<&str>, cpus: u32, limit: Limit) -> Option<Reason> {
    let spec = asks(account, Some(qos.unwrap_or("normal")), cpus);
    let ledger = Ledger::new(&kit.cluster, kit.now);
    ledger.refuses(&spec, &"main".into(), Amounts::asked(&spec), limit)
}

const TEN: Limit = Limit::Max(10);

#[test]
fn nothing_holds_where_limits_are_not_enforced() {
    let kit = limited_with(enforce::ASSOCIATIONS, "MaxTRESPerJob=cpu=1", "", "");
    assert_eq!(refuses(&kit, "a", None, 9, Limit::Unlimited), None);
}

#[test]
fn a_group_counts_everything_below_it() {
    let mut kit = limited("GrpJobs=2:GrpTRES=cpu=3", "", "");
    runs(&mut kit, "b", None);
    assert_eq!(refuses(&kit, "a", None, 1, TEN), None);
    assert_eq!(refuses(&kit, "a", None, 9, TEN), Some(Reason::AssocGrpCpu));
    runs(&mut kit, "a", None);
    assert_eq!(refuses(&kit, "b", None, 1, TEN), Some(Reason::AssocGrpJobs));
}

#[test]
fn the_nearest_limit_of_a_job_counts() {
    let kit = limited("MaxTRESPerJob=cpu=2:MaxWall=20", "MaxTRESPerJob=cpu=4", "");
    assert_eq!(refuses(&kit, "a", None, 3, TEN), Some(Reason::AssocMaxCpuPerJob));
    assert_eq!(refuses(&kit, "b", None, 3, TEN), None);
    assert_eq!(refuses(&kit, "b", None, 5, TEN), Some(Reason::AssocMaxCpuPerJob));
    assert_eq!(refuses(&kit, "b", None, 1, Limit::Max(21)), Some(Reason::AssocMaxWall));
    assert_eq!(refuses(&kit, "b", None, 1, Limit::Unlimited), Some(Reason::AssocMaxWall));
}

#[test]
fn a_service_speaks_before_the_account() {
    let mut kit =
        limited("MaxJobs=1:MaxTRESPerJob=cpu=1", "", "MaxJobsPerUser=2:MaxTRESPerJob=cpu=8");
    runs(&mut kit, "a", Some("q"));
    assert_eq!(refuses(&kit, "a", None, 1, TEN), Some(Reason::AssocMaxJobs));
    assert_eq!(refuses(&kit, "a", Some("q"), 8, TEN), None, "the service allows more");
    assert_eq!(refuses(&kit, "a", Some("q"), 9, TEN), Some(Reason::QosMaxCpuPerJob));
    runs(&mut kit, "a", Some("q"));
    assert_eq!(refuses(&kit, "a", Some("q"), 1, TEN), Some(Reason::QosMaxJobsPerUser));
}

#[test]
fn minutes_of_resources_are_limited_by_job_running_and_for_good() {
    let mut kit = limited("MaxTRESMinsPerJob=cpu=50", "GrpTRESRunMins=cpu=80", "");
    assert_eq!(refuses(&kit, "a", None, 6, TEN), Some(Reason::AssocMaxCpuMinutesPerJob));
    assert_eq!(refuses(&kit, "b", None, 5, TEN), None);
    runs(&mut kit, "b", None);
    assert_eq!(refuses(&kit, "b", None, 5, TEN), Some(Reason::AssocGrpCpuRunMinutes), "60 minutes");
    let mut kit = limited("GrpTRESMins=cpu=20", "", "");
    assert_eq!(refuses(&kit, "a", None, 1, TEN), None);
    runs(&mut kit, "a", None);
    kit.passes(15 * 60);
    assert_eq!(refuses(&kit, "a", None, 1, TEN), None, "15 of 20 are used");
    kit.passes(6 * 60);
    assert_eq!(refuses(&kit, "a", None, 1, TEN), Some(Reason::AssocGrpCpuMinutes));
    let safe = enforce::LIMITS | enforce::SAFE;
    let kit = limited_with(safe, "GrpTRESMins=cpu=20", "", "");
    assert_eq!(refuses(&kit, "a", None, 3, TEN), Some(Reason::AssocGrpCpuMinutes));
}

#[test]
fn too_many_submissions_are_refused() {
    let mut kit = limited("GrpSubmitJobs=3", "", "MaxSubmitJobsPerUser=1");
    let mut submit = |account: &str, qos: Option<&str>| {
        let reply = kit.submit_with(None, ALICE, asks(account, qos, 1));
        reply.map(drop).map_err(|refusal| refusal.errno)
    };
    assert_eq!(submit("a", Some("q")), Ok(()));
    assert_eq!(submit("b", Some("q")), Err(Errno::AccountingPolicy));
    assert_eq!(submit("b", None), Ok(()));
    assert_eq!(submit("a", None), Ok(()));
    assert_eq!(submit("b", None), Err(Errno::AccountingPolicy));
}
