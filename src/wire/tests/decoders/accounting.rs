//! What the accounting daemon serves to `sacct`, `sacctmgr` and `sreport`.

use flurm_wire::dbd as d;
use flurm_wire::persist::PersistRc;
use flurm_wire::records::TresRecord;
use flurm_wire::{DbdMessage, Gen, List, Release, UnixTime, Wire, names};

use crate::cases::{CLIENT, Case, Sample, pick};
use crate::shown::Form;

const fn case(
    name: &'static str,
    asks: u16,
    sample: fn(&mut Gen) -> DbdMessage,
    command: &'static [&'static str],
    form: Form,
) -> Case {
    Case::new(name, asks, Sample::Accounting(sample), command, form)
}

/// A case of the releases whose clients print documents.
const fn json(
    name: &'static str,
    asks: u16,
    sample: fn(&mut Gen) -> DbdMessage,
    command: &'static [&'static str],
) -> Case {
    case(name, asks, sample, command, Form::Json).since(Release::V24_11).volatile(CLIENT)
}

/// The cluster that clients are of.
const CLUSTER: &str = "judged";

/// All columns that sacctmgr of every release knows; a record leaves empty what it does not have.
const COLUMNS: &str = "format=Account%200,ActionRaw,Action,Actor,AdminLevel,Allowed,\
    Classification,ClusterNodes,Cluster,Coordinators,ControlHost,ControlPort,Count,CountAllowed,\
    CountUsed,CPUCount,DefaultAccount,DefaultQOS,DefaultWCKey,Description,Duration,EventRaw,\
    Event,Features,Federation,FedState,FedStateRaw,Flags,GraceTime,GrpTRES,GrpTRESMins,\
    GrpTRESRunMins,GrpJobs,GrpJobsAccrue,GrpSubmitJobs,GrpWall,ID,Info,servertype,\
    MaxTRESPerJob,MaxTRESPerNode,MaxTRESMinsPerJob,MaxTRESRunMinsPA,MaxTRESRunMinsPU,MaxTRESPA,\
    MaxTRESPU,MaxJobs,MaxJobsAccrue,MaxJobsAccruePA,MaxJobsAccruePU,MaxJobsPA,MaxJobsPU,\
    MinPrioThreshold,MaxSubmitJobs,MaxSubmitPA,MaxSubmitPU,MaxWall,MinTRESPerJob,Name,NodeCount,\
    NodeNames,Organization,ParentID,ParentName,Partition,PreemptMode,Preempt,\
    PreemptExemptTime,Priority,Problem,QOSRAWLevel,Reason,RPC,Server,Share,StateRaw,\
    State,TimeStamp,TimeEligible,TimeEnd,TimeStart,TimeSubmit,TRES,Type,UnusedWall,UsageFactor,\
    UsageThreshold,LimitFactor,Allocated,User,WCKeys,Where";

/// Columns that clusters and events do not have: sacctmgr shows what happens to stand in its memory.
const NUMBERS_OF_NOBODY: &[&str] = &["LimitFactor", "UnusedWall", "UsageFactor", "UsageThres"];
const RESOURCE: &str = "format=Allowed,Cluster,CountAllowed,CountUsed,Count,Description,ID,Flags,\
    ServerType,Name,Server,Type,Allocated";
const TRANSACTION: &str = "format=Account,ActionRaw,Action,Actor,Cluster,ID,Info,TimeStamp,User,\
    Where";
const RESERVATION: &str = "format=Associations,Cluster,Flags,ID,Name,NodeNames,NodeInx,TimeEnd,\
    TimeStart,TRES,UnusedWall";
const RUNAWAY: &str = "format=ID,Name,Partition,Cluster,State,TimeStart,TimeEnd,TimeSubmit,\
    TimeEligible";

/// `sacctmgr show`.
macro_rules! show {
    ($($word:expr),*) => {
        &["sacctmgr", "-i", "-P", "show", $($word),*]
    };
}

/// `sreport` on the weeks in which distinctive times lie.
macro_rules! report {
    ($($word:literal),*) => {
        &["sreport", "-P", "-t", "Seconds", $($word,)* "start=2023-11-14", "end=2024-03-01"]
    };
}

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("sacct", names::DBD_GET_JOBS_COND, jobs, SACCT, Form::Columns),
    json("sacct_json", names::DBD_GET_JOBS_COND, jobs, &["sacct", "--json"]),
    case(
        "sacctmgr_account",
        names::DBD_GET_ACCOUNTS,
        accounts,
        show!("account", "withassoc", "withcoord", COLUMNS),
        Form::Columns,
    ),
    case(
        "sacctmgr_association",
        names::DBD_GET_ASSOCS,
        associations,
        show!("association", COLUMNS),
        Form::Columns,
    ),
    case(
        "sacctmgr_cluster",
        names::DBD_GET_CLUSTERS,
        clusters,
        show!("cluster", COLUMNS),
        Form::Columns,
    )
    .volatile(NUMBERS_OF_NOBODY),
    case(
        "sacctmgr_user",
        names::DBD_GET_USERS,
        users,
        show!("user", "withassoc", COLUMNS),
        Form::Columns,
    ),
    case("sacctmgr_qos", names::DBD_GET_QOS, qos, show!("qos", COLUMNS), Form::Columns),
    case(
        "sacctmgr_tres",
        names::DBD_GET_TRES,
        tres,
        show!("tres", "format=ID,Name,Type"),
        Form::Columns,
    ),
    case(
        "sacctmgr_wckey",
        names::DBD_GET_WCKEYS,
        wckeys,
        show!("wckey", "format=Cluster,ID,Name,User"),
        Form::Columns,
    ),
    case(
        "sacctmgr_resource",
        names::DBD_GET_RES,
        resources,
        show!("resource", "withclusters", RESOURCE),
        Form::Columns,
    ),
    case("sacctmgr_event", names::DBD_GET_EVENTS, events, show!("event", COLUMNS), Form::Columns)
        .volatile(NUMBERS_OF_NOBODY),
    case(
        "sacctmgr_transaction",
        names::DBD_GET_TXN,
        transactions,
        show!("transaction", TRANSACTION),
        Form::Columns,
    ),
    case(
        "sacctmgr_reservation",
        names::DBD_GET_RESVS,
        reservations,
        show!("reservation", RESERVATION),
        Form::Columns,
    ),
    case(
        "sacctmgr_federation",
        names::DBD_GET_FEDERATIONS,
        federations,
        show!("federation", COLUMNS),
        Form::Columns,
    ),
    case(
        "sacctmgr_problem",
        names::DBD_GET_PROBS,
        problems,
        show!("problem", "format=Account,Cluster,Problem,User"),
        Form::Columns,
    ),
    case(
        "sacctmgr_instance",
        names::DBD_GET_INSTANCES,
        instances,
        &[
            "sacctmgr",
            "-P",
            "show",
            "instance",
            "format=Cluster,Extra,InstanceId,InstanceType,NodeName,TimeEnd,TimeStart",
        ],
        Form::Columns,
    )
    .since(Release::V23_11),
    case(
        "sacctmgr_runaway",
        names::DBD_GET_JOBS_COND,
        runaway,
        show!("runaway", RUNAWAY),
        Form::Columns,
    ),
    case(
        "sacctmgr_stats",
        names::DBD_GET_STATS,
        stats,
        &["sacctmgr", "show", "stats"],
        Form::Lines(":"),
    )
    .volatile(&["sacctmgr show stats*", "*****"]),
    case(
        "sacctmgr_config",
        names::DBD_GET_CONFIG,
        config,
        &["sacctmgr", "show", "config"],
        Form::Lines(" = "),
    )
    .volatile(&["", "HASH_VAL"]),
    json(
        "sacctmgr_account_json",
        names::DBD_GET_ACCOUNTS,
        accounts,
        &["sacctmgr", "--json", "show", "account", "withassoc", "withcoord"],
    ),
    json(
        "sacctmgr_association_json",
        names::DBD_GET_ASSOCS,
        associations,
        &["sacctmgr", "--json", "show", "association"],
    ),
    json(
        "sacctmgr_cluster_json",
        names::DBD_GET_CLUSTERS,
        clusters,
        &["sacctmgr", "--json", "show", "cluster"],
    ),
    json(
        "sacctmgr_user_json",
        names::DBD_GET_USERS,
        users,
        &["sacctmgr", "--json", "show", "user", "withassoc", "withcoord"],
    ),
    json("sacctmgr_qos_json", names::DBD_GET_QOS, lone_qos, &["sacctmgr", "--json", "show", "qos"]),
    json("sacctmgr_tres_json", names::DBD_GET_TRES, tres, &["sacctmgr", "--json", "show", "tres"]),
    json(
        "sacctmgr_wckey_json",
        names::DBD_GET_WCKEYS,
        wckeys,
        &["sacctmgr", "--json", "show", "wckey"],
    ),
    json(
        "sacctmgr_instance_json",
        names::DBD_GET_INSTANCES,
        instances,
        &["sacctmgr", "--json", "show", "instance"],
    ),
    case(
        "sreport_cluster",
        names::DBD_GET_CLUSTERS,
        clusters,
        report!("cluster", "Utilization"),
        Form::Columns,
    ),
    case(
        "sreport_account_by_user",
        names::DBD_GET_ASSOCS,
        reported_associations,
        report!("cluster", "AccountUtilizationByUser"),
        Form::Columns,
    ),
    case(
        "sreport_user_by_account",
        names::DBD_GET_ASSOCS,
        reported_associations,
        report!("cluster", "UserUtilizationByAccount"),
        Form::Columns,
    ),
    case(
        "sreport_user_by_wckey",
        names::DBD_GET_WCKEYS,
        reported_wckeys,
        report!("cluster", "UserUtilizationByWckey"),
        Form::Columns,
    ),
    case(
        "sreport_user_top",
        names::DBD_GET_USERS,
        reported_users,
        report!("user", "TopUsage"),
        Form::Columns,
    ),
    case(
        "sreport_wckey_by_user",
        names::DBD_GET_WCKEYS,
        reported_wckeys,
        report!("cluster", "WckeyUtilizationByUser"),
        Form::Columns,
    ),
];

const SACCT: &[&str] = &["sacct", "-a", "-D", "-P", "-o", "ALL"];

/// The resources that every cluster has, in the order of their numbers.
const RESOURCES: [(&str, &str); 8] = [
    ("cpu", ""),
    ("mem", ""),
    ("energy", ""),
    ("node", ""),
    ("billing", ""),
    ("fs", "disk"),
    ("vmem", ""),
    ("pages", ""),
];

/// What is true of a daemon that knows one cluster, which listens at `port`, and nothing of it.
pub(crate) fn fallback(asked: u16, release: Release, port: u16) -> DbdMessage {
    match asked {
        names::DBD_GET_TRES => DbdMessage::DbdGotTres(listing(known_tres())),
        names::DBD_GET_QOS => DbdMessage::DbdGotQos(listing(known_qos())),
        names::DBD_GET_CLUSTERS => {
            DbdMessage::DbdGotClusters(listing(vec![known_cluster(release, port)]))
        }
        names::DBD_GET_ACCOUNTS => DbdMessage::DbdGotAccounts(listing(Vec::new())),
        names::DBD_GET_ASSOCS => DbdMessage::DbdGotAssocs(listing(Vec::new())),
        names::DBD_GET_USERS => DbdMessage::DbdGotUsers(listing(Vec::new())),
        names::DBD_GET_WCKEYS => DbdMessage::DbdGotWckeys(listing(Vec::new())),
        names::DBD_GET_RES => DbdMessage::DbdGotRes(listing(Vec::new())),
        names::DBD_GET_FEDERATIONS => DbdMessage::DbdGotFederations(listing(Vec::new())),
        names::DBD_GET_JOBS_COND => DbdMessage::DbdGotJobs(listing(Vec::new())),
        names::DBD_GET_RESVS => DbdMessage::DbdGotResvs(listing(Vec::new())),
        names::DBD_GET_CONFIG if release >= Release::V26_05 => {
            DbdMessage::DbdGotConfig(Box::default())
        }
        _ => {
            let answer = PersistRc { comment: None, flags: 0, rc: 0, ret_info: asked };
            DbdMessage::PersistRc(answer)
        }
    }
}

fn listing<T: Wire>(records: Vec<T>) -> d::Listing<T> {
    d::Listing { records: Some(records), return_code: 0 }
}

fn known_tres() -> Vec<TresRecord> {
    let record = |(id, (kind, name)): (u32, &(&str, &str))| TresRecord {
        id,
        r#type: Some((*kind).to_owned()),
        name: (!name.is_empty()).then(|| (*name).to_owned()),
        ..Default::default()
    };
    (1..).zip(&RESOURCES).map(record).collect()
}

fn known_qos() -> Vec<d::Qos> {
    let name = |id| Some(format!("qos{id}"));
    (1..=8).map(|id| d::Qos { id, name: name(id), ..Default::default() }).collect()
}

fn known_cluster(release: Release, port: u16) -> d::Cluster {
    d::Cluster {
        name: Some(CLUSTER.to_owned()),
        // Reports are about clusters that had resources.
        accounting_list: Some(vec![d::ClusterAccounting {
            tres_rec: TresRecord { id: 1, count: 100, ..Default::default() },
            alloc_secs: 1_000_000,
            period_start: UnixTime(1_700_100_000),
            ..Default::default()
        }]),
        control_host: Some("127.0.0.1".to_owned()),
        control_port: u32::from(port),
        rpc_version: release.version(),
        dimensions: 1,
        ..Default::default()
    }
}

/// The number behind a drawn word, half a thousand more behind an altered one.
fn number(text: &str) -> u64 {
    let digits = text.trim_start_matches(|sign: char| !sign.is_ascii_digit());
    let number: u64 = digits.parse().unwrap_or_default();
    if text.starts_with("altered") { number + 500 } else { number }
}

/// Makes drawn words into amounts of resources, as a client takes them.
fn amounts<'a>(texts: impl IntoIterator<Item = &'a mut Option<String>>) {
    for text in texts.into_iter().flatten() {
        let amount = number(text);
        *text = format!("1={amount},2={}", 10_000 + amount);
    }
}

/// Makes drawn words into the number of something that a client knows.
pub(crate) fn numbers(list: &mut List<String>) {
    for text in list.iter_mut().flatten() {
        *text = if text.starts_with("altered") { "2" } else { "1" }.to_owned();
    }
}

fn sampled<T: Wire>(g: &mut Gen, mend: impl Fn(&mut T)) -> d::Listing<T> {
    let mut record = T::sample(g);
    mend(&mut record);
    listing(vec![record])
}

fn jobs(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotJobs(sampled(g, mend_job))
}

fn mend_job(job: &mut d::JobRecord) {
    job.state = pick(job.state, 3, 5);
    job.show_full = 1;
    job.qosid = pick(job.qosid, 1, 2);
    amounts([&mut job.tres_alloc_str, &mut job.tres_req_str]);
    job.steps.iter_mut().for_each(mend_step);
}

fn mend_step(step: &mut d::StepRecord) {
    step.state = pick(step.state, 3, 5);
    amounts([&mut step.tres_alloc_str]);
    let stats = &mut step.stats;
    amounts([
        &mut stats.tres_usage_in_ave,
        &mut stats.tres_usage_in_max,
        &mut stats.tres_usage_in_max_nodeid,
        &mut stats.tres_usage_in_max_taskid,
        &mut stats.tres_usage_in_min,
        &mut stats.tres_usage_in_min_nodeid,
        &mut stats.tres_usage_in_min_taskid,
        &mut stats.tres_usage_in_tot,
        &mut stats.tres_usage_out_ave,
        &mut stats.tres_usage_out_max,
        &mut stats.tres_usage_out_max_nodeid,
        &mut stats.tres_usage_out_max_taskid,
        &mut stats.tres_usage_out_min,
        &mut stats.tres_usage_out_min_nodeid,
        &mut stats.tres_usage_out_min_taskid,
        &mut stats.tres_usage_out_tot,
    ]);
}

fn runaway(g: &mut Gen) -> DbdMessage {
    let mend = |job: &mut d::JobRecord| {
        mend_job(job);
        known(&mut job.cluster);
        job.state = pick(job.state, 1, 0);
        job.steps.clear();
    };
    DbdMessage::DbdGotJobs(sampled(g, mend))
}

fn mend_association(assoc: &mut d::Association) {
    amounts([
        &mut assoc.grp_tres,
        &mut assoc.grp_tres_mins,
        &mut assoc.grp_tres_run_mins,
        &mut assoc.max_tres_mins_pj,
        &mut assoc.max_tres_run_mins,
        &mut assoc.max_tres_pj,
        &mut assoc.max_tres_pn,
    ]);
    numbers(&mut assoc.qos_list);
    assoc.def_qos_id = pick(assoc.def_qos_id, 1, 2);
    for used in assoc.accounting_list.iter_mut().flatten() {
        mend_resource(&mut used.tres_rec);
    }
}

/// Use is told of a resource that the client knows.
fn mend_resource(tres: &mut TresRecord) {
    tres.id = pick(tres.id, 1, 4);
}

fn associations(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotAssocs(sampled(g, mend_association))
}

fn problems(g: &mut Gen) -> DbdMessage {
    let mend = |assoc: &mut d::Association| {
        mend_association(assoc);
        assoc.id = pick(assoc.id, 1, 2);
    };
    DbdMessage::DbdGotProbs(sampled(g, mend))
}

/// What `sreport` sums up belongs to the cluster that it knows.
fn known(cluster: &mut Option<String>) {
    *cluster = Some(CLUSTER.to_owned());
}

fn reported_association(assoc: &mut d::Association) {
    mend_association(assoc);
    known(&mut assoc.cluster);
}

fn reported_associations(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotAssocs(sampled(g, reported_association))
}

fn reported_wckeys(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotWckeys(sampled(g, |key: &mut d::WcKey| {
        mend_wckey(key);
        known(&mut key.cluster);
    }))
}

fn reported_users(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotUsers(sampled(g, |user: &mut d::User| {
        user.assoc_list.iter_mut().flatten().for_each(reported_association);
    }))
}

fn accounts(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotAccounts(sampled(g, |account: &mut d::Account| {
        account.assoc_list.iter_mut().flatten().for_each(mend_association);
    }))
}

fn users(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotUsers(sampled(g, |user: &mut d::User| {
        user.admin_level = pick(user.admin_level, 1, 3);
        user.assoc_list.iter_mut().flatten().for_each(mend_association);
    }))
}

fn mend_cluster(cluster: &mut d::Cluster) {
    mend_association(&mut cluster.root_assoc);
    amounts([&mut cluster.tres_str]);
    cluster.fed_state = pick(cluster.fed_state, 1, 2);
    for used in cluster.accounting_list.iter_mut().flatten() {
        mend_resource(&mut used.tres_rec);
    }
}

fn clusters(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotClusters(sampled(g, mend_cluster))
}

fn federations(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotFederations(sampled(g, |federation: &mut d::Federation| {
        federation.cluster_list.iter_mut().flatten().for_each(mend_cluster);
    }))
}

/// One that preempts none: a document names those, and there are no others.
fn lone_qos(g: &mut Gen) -> DbdMessage {
    let mut message = qos(g);
    if let DbdMessage::DbdGotQos(listing) = &mut message {
        listing.records.iter_mut().flatten().for_each(|qos| qos.preempt_bitstr = None);
    }
    message
}

fn qos(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotQos(sampled(g, |qos: &mut d::Qos| {
        amounts([
            &mut qos.grp_tres,
            &mut qos.grp_tres_mins,
            &mut qos.grp_tres_run_mins,
            &mut qos.max_tres_mins_pj,
            &mut qos.max_tres_run_mins_pa,
            &mut qos.max_tres_run_mins_pu,
            &mut qos.max_tres_pa,
            &mut qos.max_tres_pj,
            &mut qos.max_tres_pn,
            &mut qos.max_tres_pu,
            &mut qos.min_tres_pj,
        ]);
        numbers(&mut qos.preempt_list);
        qos.preempt_mode = pick(qos.preempt_mode, 8, 4);
    }))
}

fn tres(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotTres(sampled(g, |_: &mut TresRecord| ()))
}

fn wckeys(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotWckeys(sampled(g, mend_wckey))
}

fn mend_wckey(key: &mut d::WcKey) {
    for used in key.accounting_list.iter_mut().flatten() {
        mend_resource(&mut used.tres_rec);
    }
}

fn resources(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotRes(sampled(g, |resource: &mut d::Resource| {
        resource.r#type = pick(resource.r#type, 1, 0);
    }))
}

fn events(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotEvents(sampled(g, |event: &mut d::Event| {
        event.event_type = pick(event.event_type, 2, 1);
        event.state = pick(event.state, 1, 2);
        amounts([&mut event.tres_str]);
    }))
}

fn transactions(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotTxn(sampled(g, |change: &mut d::Transaction| {
        change.action = pick(change.action, names::DBD_ADD_USERS, names::DBD_ADD_QOS);
    }))
}

fn reservations(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotResvs(sampled(g, mend_reservation))
}

fn mend_reservation(reservation: &mut d::ReservationRecord) {
    amounts([&mut reservation.tres_str]);
    reservation.tres_list.iter_mut().flatten().for_each(mend_resource);
}

fn instances(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotInstances(sampled(g, |_: &mut d::Instance| ()))
}

fn stats(g: &mut Gen) -> DbdMessage {
    DbdMessage::DbdGotStats(Box::new(d::DbdStats::sample(g)))
}

fn config(g: &mut Gen) -> DbdMessage {
    if g.release() >= Release::V26_05 {
        return DbdMessage::DbdGotConfig(Box::new(d::DbdConfig::sample(g)));
    }
    DbdMessage::DbdGotConfigKeypairs(sampled(g, |_: &mut flurm_wire::records::KeyPair| ()))
}
