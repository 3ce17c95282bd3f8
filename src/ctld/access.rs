//! Who may use a partition: checked when a job is submitted and when it is moved.
//!
//! Stricter than Slurm in one point: of a list of partitions every one must admit the job, because a
//! job is not kept waiting in a partition that will never run it.

use flurm_model::{Cluster, Errno, PartitionConf, PartitionName};
use flurm_wire::Errno as WireErrno;

use crate::identity::Identity;
use crate::refused::Refused;

/// What the rules of partitions look at.
pub(crate) struct Applicant<'a> {
    /// Who asks.
    pub asker: Identity,
    /// Whose job it is.
    pub owner_uid: u32,
    /// Names of the owner's groups.
    pub groups: &'a [String],
    /// The account the job names.
    pub account: Option<&'a str>,
    /// The quality of service the job names.
    pub qos: Option<&'a str>,
}

/// Refuses unless every one of the partitions admits the job; none named is the default one. A
/// partition that does not exist is left to the command itself, which refuses it in Slurm's words.
pub(crate) fn check(
    cluster: &Cluster,
    names: &[PartitionName],
    applicant: &Applicant<'_>,
) -> Result<(), Refused> {
    let default = cluster.partition_default().filter(|_| names.is_empty());
    let named = names.iter().filter_map(|name| cluster.partition(name));
    for partition in named.chain(default) {
        admits(cluster, &partition.conf, applicant)?;
    }
    Ok(())
}

/// Whether a partition has rules that need the names of groups.
pub(crate) fn asks_for_groups(cluster: &Cluster) -> bool {
    cluster.partitions().any(|partition| !partition.conf.allow_groups.is_empty())
}

fn admits(
    cluster: &Cluster,
    conf: &PartitionConf,
    applicant: &Applicant<'_>,
) -> Result<(), Refused> {
    let settings = cluster.settings();
    let name = &conf.name;
    if conf.reservation_required {
        let text = format!("partition {name} is for reservations only");
        return Err(Refused::because(Errno::AccessDenied.number(), text));
    }
    if conf.root_only && !applicant.asker.is_slurm_user(settings) {
        let text = format!("partition {name} is for root and SlurmUser only");
        return Err(Refused::because(Errno::AccessDenied.number(), text));
    }
    if conf.no_root && applicant.owner_uid == 0 {
        let text = format!("partition {name} runs no jobs of root");
        return Err(Refused::because(WireErrno::ESLURM_USER_ID_MISSING.0, text));
    }
    let owner = Identity { uid: applicant.owner_uid, gid: 0 };
    let in_group = |group: &String| applicant.groups.contains(group);
    if !conf.allow_groups.is_empty()
        && !owner.is_slurm_user(settings)
        && !conf.allow_groups.iter().any(in_group)
    {
        let text = format!("partition {name} is for groups {}", conf.allow_groups.join(","));
        let errno = WireErrno::ESLURM_JOB_MISSING_REQUIRED_PARTITION_GROUP;
        return Err(Refused::because(errno.0, text));
    }
    if !passes(applicant.account, &conf.allow_accounts, &conf.deny_accounts) {
        let text = format!("partition {name} is not open to this account");
        return Err(Refused::because(WireErrno::ESLURM_INVALID_ACCOUNT.0, text));
    }
    if !passes(applicant.qos, &conf.allow_qos, &conf.deny_qos) {
        let text = format!("partition {name} is not open to this quality of service");
        return Err(Refused::because(WireErrno::ESLURM_INVALID_QOS.0, text));
    }
    Ok(())
}

/// A list of what is allowed decides alone; without one, what is not denied passes.
fn passes(given: Option<&str>, allowed: &[String], denied: &[String]) -> bool {
    let among = |list: &[String]| {
        given.is_some_and(|given| list.iter().any(|entry| entry.eq_ignore_ascii_case(given)))
    };
    if allowed.is_empty() { !among(denied) } else { among(allowed) }
}

#[cfg(test)]
mod tests {
    use flurm_base::Time;
    use flurm_model::{Command, Config, Settings};

    use super::*;

    const SLURM_UID: u32 = 64_030;
    const ALICE: u32 = 1000;

    fn cluster(rules: PartitionConf) -> Cluster {
        let open = PartitionConf { name: PartitionName::from("open"), ..PartitionConf::default() };
        let open = PartitionConf { is_default: true, ..open };
        let settings = Settings { slurm_uid: SLURM_UID, ..Settings::default() };
        let ruled = PartitionConf { name: PartitionName::from("ruled"), ..rules };
        let config = Config { settings, nodes: Vec::new(), partitions: vec![open, ruled] };
        let mut cluster = Cluster::default();
        cluster.apply(&Command::Configure { at: Time::from_secs(1), config: Box::new(config) });
        cluster
    }

    fn applicant(uid: u32) -> Applicant<'static> {
        let asker = Identity { uid, gid: uid };
        Applicant { asker, owner_uid: uid, groups: &[], account: None, qos: None }
    }

    /// The error number with which the ruled partition turns an applicant away; 0 lets it in.
    fn verdict(rules: PartitionConf, applicant: &Applicant<'_>) -> u32 {
        let cluster = cluster(rules);
        let ruled = [PartitionName::from("ruled")];
        assert_eq!(check(&cluster, &[], applicant), Ok(()), "the default partition is open");
        let verdict = check(&cluster, &ruled, applicant).map_or_else(|no| no.errno, |()| 0);
        let both = [PartitionName::from("open"), PartitionName::from("ruled")];
        let of_both = check(&cluster, &both, applicant).map_or_else(|no| no.errno, |()| 0);
        assert_eq!(of_both, verdict, "every partition of a list must admit the job");
        verdict
    }

    #[test]
    fn root_only_partitions_admit_root_and_slurm_user() {
        let rules = || PartitionConf { root_only: true, ..PartitionConf::default() };
        assert_eq!(verdict(rules(), &applicant(ALICE)), 2002);
        assert_eq!(verdict(rules(), &applicant(0)), 0);
        assert_eq!(verdict(rules(), &applicant(SLURM_UID)), 0);
    }

    #[test]
    fn jobs_of_root_stay_out_where_they_are_disabled_whoever_submits() {
        let rules = || PartitionConf { no_root: true, ..PartitionConf::default() };
        assert_eq!(verdict(rules(), &applicant(0)), 2010);
        let for_root = Applicant { owner_uid: 0, ..applicant(SLURM_UID) };
        assert_eq!(verdict(rules(), &for_root), 2010);
        assert_eq!(verdict(rules(), &applicant(ALICE)), 0);
    }

    #[test]
    fn groups_decide_by_the_owner_of_the_job() {
        let rules = || PartitionConf {
            allow_groups: vec!["staff".into(), "hpc".into()],
            ..PartitionConf::default()
        };
        let groups = ["users".to_owned(), "hpc".to_owned()];
        assert_eq!(verdict(rules(), &applicant(ALICE)), 2003);
        assert_eq!(verdict(rules(), &Applicant { groups: &groups[..1], ..applicant(ALICE) }), 2003);
        assert_eq!(verdict(rules(), &Applicant { groups: &groups, ..applicant(ALICE) }), 0);
        assert_eq!(verdict(rules(), &applicant(0)), 0);
        let root_for_alice = Applicant { owner_uid: ALICE, ..applicant(0) };
        assert_eq!(verdict(rules(), &root_for_alice), 2003);
        assert!(asks_for_groups(&cluster(rules())));
        assert!(!asks_for_groups(&cluster(PartitionConf::default())));
    }

    #[test]
    fn accounts_and_qualities_of_service_pass_lists_of_either_kind() {
        let allow = || PartitionConf {
            allow_accounts: vec!["Physics".into()],
            deny_accounts: vec!["physics".into()],
            ..PartitionConf::default()
        };
        let by = |account| Applicant { account, ..applicant(ALICE) };
        assert_eq!(verdict(allow(), &by(Some("physics"))), 0);
        assert_eq!(verdict(allow(), &by(Some("law"))), 2045);
        assert_eq!(verdict(allow(), &by(None)), 2045);
        let deny =
            || PartitionConf { deny_accounts: vec!["law".into()], ..PartitionConf::default() };
        assert_eq!(verdict(deny(), &by(Some("law"))), 2045);
        assert_eq!(verdict(deny(), &by(None)), 0);
        let high = || PartitionConf { allow_qos: vec!["high".into()], ..PartitionConf::default() };
        assert_eq!(verdict(high(), &applicant(ALICE)), 2066);
        assert_eq!(verdict(high(), &Applicant { qos: Some("high"), ..applicant(ALICE) }), 0);
    }

    #[test]
    fn partitions_for_reservations_admit_no_job() {
        let rules = PartitionConf { reservation_required: true, ..PartitionConf::default() };
        assert_eq!(verdict(rules, &applicant(0)), 2002);
    }
}
