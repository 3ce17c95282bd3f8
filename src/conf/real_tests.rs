//! What Slurm 22.05.8 made of `cases/slurm_22_05.conf`, as its `scontrol show` printed it, against
//! what this crate makes of it. To record anew: start `slurmctld -D -f` on the file with its paths
//! changed to a scratch folder, and store the lines of `scontrol show config`, `show node -o` and
//! `show partition -a -o`.

use std::collections::BTreeMap;

use crate::{Conf, Limit, Memory, NodeConf, NodeState, PartitionConf, PartitionState, Sharing};
use crate::{key, parse, table, value};

fn conf() -> Conf {
    let load = |path: &str| match path {
        "/etc/slurm/slurm.conf" => Ok(include_str!("cases/slurm_22_05.conf").to_owned()),
        _ => Err("no such file".to_owned()),
    };
    parse(&load, "/etc/slurm/slurm.conf").unwrap()
}

/// The `key=value` words of each recorded line.
fn recorded(text: &'static str) -> Vec<BTreeMap<&'static str, String>> {
    let line = |line: &'static str| {
        let mut words: BTreeMap<&str, String> = BTreeMap::new();
        let mut last = "";
        for word in line.split(' ') {
            match word.split_once('=') {
                Some((key, value)) => {
                    last = key;
                    words.insert(key, value.to_owned());
                }
                None => words.entry(last).or_default().push_str(&format!(" {word}")),
            }
        }
        words
    };
    text.lines().map(line).collect()
}

fn or_null(text: &str) -> String {
    if text.is_empty() { "(null)".to_owned() } else { text.to_owned() }
}

fn node_words(node: &NodeConf) -> Vec<(&'static str, String)> {
    let state = match node.state {
        NodeState::Drain => "UNKNOWN+DRAIN".to_owned(),
        state => state.name().to_owned(),
    };
    let mut words = vec![
        ("CoresPerSocket", node.cores_per_socket.to_string()),
        ("CPUEfctv", node.cpus_effective().to_string()),
        ("CPUTot", node.cpus.to_string()),
        ("AvailableFeatures", or_null(&node.features.join(","))),
        ("NodeAddr", node.addr.clone()),
        ("NodeHostName", node.hostname.clone()),
        ("Port", node.port.to_string()),
        ("RealMemory", node.real_memory_mib.to_string()),
        ("Sockets", node.sockets.to_string()),
        ("Boards", node.boards.to_string()),
        ("State", state),
        ("ThreadsPerCore", node.threads_per_core.to_string()),
        ("TmpDisk", node.tmp_disk_mib.to_string()),
        ("Weight", node.weight.to_string()),
    ];
    let mut sometimes = |key, set: bool, value: String| words.extend(set.then_some((key, value)));
    sometimes("MemSpecLimit", node.mem_spec_limit_mib > 0, node.mem_spec_limit_mib.to_string());
    sometimes("CoreSpecCount", node.core_spec_count > 0, node.core_spec_count.to_string());
    sometimes("Reason", node.reason.is_some(), node.reason.clone().unwrap_or_default());
    words
}

#[test]
fn nodes_are_as_slurm_sees_them() {
    let conf = conf();
    // Slurm lists no node that has yet to appear.
    let listed: Vec<_> = conf.nodes.iter().filter(|n| n.state != NodeState::Future).collect();
    let lines = recorded(include_str!("cases/slurm_22_05.nodes"));
    let names: Vec<&str> = lines.iter().map(|line| line["NodeName"].as_str()).collect();
    assert_eq!(listed.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), names);
    for (line, node) in lines.iter().zip(listed) {
        for (key, ours) in node_words(node) {
            assert_eq!(line.get(key), Some(&ours), "{} {key}", node.name);
        }
        let optional = ["MemSpecLimit", "CoreSpecCount", "Reason"];
        let ours: BTreeMap<_, _> = node_words(node).into_iter().collect();
        for key in optional.iter().filter(|key| line.contains_key(*key)) {
            assert!(ours.contains_key(key), "{} {key}", node.name);
        }
    }
}

fn minutes(limit: Limit) -> String {
    match limit {
        Limit::At(minutes) => value::show_time(u64::from(minutes) * 60),
        Limit::Unlimited => "UNLIMITED".to_owned(),
    }
}

fn partition_words(partition: &PartitionConf) -> Vec<(&'static str, String)> {
    let yes = |flag: bool| if flag { "YES" } else { "NO" }.to_owned();
    let all = |names: &[String]| if names.is_empty() { "ALL".into() } else { names.join(",") };
    let memory = |memory: Option<Memory>, kind: [&'static str; 2]| match memory {
        None => (kind[0], "UNLIMITED".to_owned()),
        Some(Memory::PerNode(mib)) => (kind[0], mib.to_string()),
        Some(Memory::PerCpu(mib)) => (kind[1], mib.to_string()),
    };
    let sharing = match partition.sharing {
        Sharing::Exclusive => "EXCLUSIVE".to_owned(),
        Sharing::No => "NO".to_owned(),
        Sharing::Yes(jobs) => format!("YES:{jobs}"),
        Sharing::Force(jobs) => format!("FORCE:{jobs}"),
    };
    let state = match partition.state {
        PartitionState::Up => "UP",
        PartitionState::Down => "DOWN",
        PartitionState::Drain => "DRAIN",
        PartitionState::Inactive => "INACTIVE",
    };
    let over = partition.over_time_limit_min;
    let over = over.map_or_else(|| "NONE".to_owned(), |limit| limit.to_string());
    vec![
        ("AllowGroups", all(&partition.allow_groups)),
        ("AllowAccounts", all(&partition.allow_accounts)),
        ("AllowQos", all(&partition.allow_qos)),
        ("Default", yes(partition.default)),
        ("DefaultTime", partition.default_time_min.map_or("NONE".into(), minutes)),
        ("DisableRootJobs", yes(partition.disable_root_jobs)),
        ("ExclusiveUser", yes(partition.exclusive_user)),
        ("GraceTime", partition.grace_time_s.to_string()),
        ("Hidden", yes(partition.hidden)),
        ("MaxNodes", partition.max_nodes.to_string()),
        ("MaxTime", minutes(partition.max_time_min)),
        ("MinNodes", partition.min_nodes.to_string()),
        ("LLN", yes(partition.least_loaded_nodes)),
        ("MaxCPUsPerNode", partition.max_cpus_per_node.to_string()),
        ("Nodes", or_null(&partition.nodes.to_string())),
        ("PriorityJobFactor", partition.priority_job_factor.to_string()),
        ("PriorityTier", partition.priority_tier.to_string()),
        ("RootOnly", yes(partition.root_only)),
        ("ReqResv", yes(partition.req_resv)),
        ("OverSubscribe", sharing),
        ("OverTimeLimit", over),
        ("State", state.to_owned()),
        memory(partition.default_memory, ["DefMemPerNode", "DefMemPerCPU"]),
        memory(partition.max_memory, ["MaxMemPerNode", "MaxMemPerCPU"]),
    ]
}

#[test]
fn partitions_are_as_slurm_sees_them() {
    let conf = conf();
    let lines = recorded(include_str!("cases/slurm_22_05.partitions"));
    assert_eq!(lines.len(), conf.partitions.len());
    for (line, partition) in lines.iter().zip(&conf.partitions) {
        assert_eq!(line["PartitionName"], partition.name);
        for (key, ours) in partition_words(partition) {
            assert_eq!(line.get(key), Some(&ours), "{} {key}", partition.name);
        }
    }
}

/// Keys where 26.05, whose defaults are ours, and this build of 22.05 differ.
const DIFFERENT: &[(&str, &str)] = &[
    ("AccountingStorageUser", "removed"),
    ("GetEnvTimeout", "removed"),
    ("GpuFreqDef", "has no default any more"),
    ("JobCompLoc", "has no default any more"),
    ("LaunchType", "removed"),
    ("MaxNodeCount", "22.05 shows how many nodes there are"),
    ("PluginDir", "a matter of the build"),
    ("PriorityType", "priority/multifactor is the default since 23.02"),
    ("RoutePlugin", "removed"),
    ("SlurmdPidFile", "a matter of the build"),
    ("TopologyPlugin", "topology/flat is the default since 25.05"),
    ("TreeWidth", "16 is the default since 23.11"),
];

#[test]
fn settings_are_as_slurm_sees_them() {
    let conf = conf();
    let mut compared_count = 0;
    for line in include_str!("cases/slurm_22_05.config").lines() {
        let (name, theirs) = line.split_once(" =").unwrap();
        let Some(key) = key::find(table::GLOBAL, name) else {
            assert_eq!(name, "JobDefaults", "a key of Slurm is missing");
            continue;
        };
        let theirs = theirs.trim();
        let theirs = match theirs {
            "(null)" | "(null type)" | "Unknown" | "65534" | "0-0" | "none" => "",
            _ if theirs.ends_with("/none") => "",
            "UNLIMITED" if name.contains("Mem") => "",
            "00:00:00" if name == "PreemptExemptTime" => "",
            "root(0)" => "root",
            _ => theirs.split(' ').next().filter(|_| key.kind != key::Kind::Text).unwrap_or(theirs),
        };
        let ours = conf.text(key.name);
        let ours = if ours.ends_with("/none") || ours == "none" { "" } else { ours };
        let same = ours.eq_ignore_ascii_case(theirs)
            || (key.kind == key::Kind::Flag && ours == "no" && theirs == "0");
        let explained = DIFFERENT.iter().any(|(name, _)| *name == key.name);
        assert_eq!(same, !explained, "{name}: Slurm has `{theirs}`, we have `{ours}`");
        compared_count += 1;
    }
    assert!(compared_count > 150, "{compared_count} keys are too few");
}

/// Lines that Slurm takes and we refuse, or the other way round.
const JUDGED_DIFFERENTLY: &[(&str, &str)] = &[
    ("ReconfigFlags=x", "Slurm logs an error and drops all flags"),
    ("ReturnToService=7", "Slurm takes every number above 1 for 2 in some places only"),
    ("PartitionName=p OverSubscribe=YES:0", "Slurm logs an error and uses NO"),
    ("DownNodes=n1 State=DOWN", "only the controller looks whether there is such a node"),
    ("Include nothere.conf", "Slurm waits a minute for the file to appear, and then refuses"),
    ("HealthCheckNodeState=SLEEPY", "Slurm logs an error and runs no checks"),
    ("MaxArraySize=5000000", "Slurm logs an error and runs out of memory later"),
];

#[test]
fn files_are_accepted_and_refused_as_slurm_does() {
    let lines = include_str!("cases/slurm_22_05.verdicts").lines();
    let mut judged_count = 0;
    for line in lines.filter(|line| !line.starts_with('#')) {
        let (verdict, written) = line.split_once(' ').unwrap();
        let text = written.replace("\\n", "\n").replace("\\\\", "\\");
        let text = format!("ClusterName=c\nSlurmctldHost=localhost\n{text}\n");
        let load = |path: &str| match path {
            "slurm.conf" => Ok(text.clone()),
            _ => Err("no such file".to_owned()),
        };
        let result = parse(&load, "slurm.conf");
        let same = result.is_ok() == (verdict == "accept");
        let explained = JUDGED_DIFFERENTLY.iter().any(|(line, _)| *line == written);
        assert_eq!(same, !explained, "{written}: Slurm would {verdict} it; {result:?}");
        judged_count += 1;
    }
    assert!(judged_count > 100, "{judged_count} lines are too few");
}
