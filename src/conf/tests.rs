//! Cases of whole files: what is understood and what is refused, with the words of the message.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    Conf, Diagnostic, FlurmConf, Limit, Memory, NodeState, PartitionState, Severity, Sharing, parse,
};

const ROOT: &str = "/etc/slurm/slurm.conf";

fn parse_files(files: &[(&str, &str)]) -> Result<Conf, Vec<Diagnostic>> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let load = |path: &str| files.get(path).map(|t| t.to_string()).ok_or("no such file".to_owned());
    parse(&load, ROOT)
}

/// A file that starts with what every cluster needs, on its first two lines.
fn with(rest: &str) -> String {
    format!("ClusterName=c\nSlurmctldHost=h1\n{rest}")
}

fn good(rest: &str) -> Conf {
    parse_files(&[(ROOT, &with(rest))]).unwrap_or_else(|errors| panic!("{}", show(&errors)))
}

fn show(messages: &[Diagnostic]) -> String {
    let short = |message: &Diagnostic| message.to_string().replace("/etc/slurm/", "");
    messages.iter().map(short).collect::<Vec<_>>().join("\n")
}

/// The errors of a file, one to a line.
fn errors(rest: &str) -> String {
    let mut messages = parse_files(&[(ROOT, &with(rest))]).expect_err("the file was accepted");
    messages.retain(|message| message.severity == Severity::Error);
    show(&messages)
}

fn warnings(rest: &str) -> String {
    show(&good(rest).warnings)
}

#[test]
fn the_smallest_file_has_slurms_defaults() {
    let conf = good("");
    assert_eq!(conf.cluster_name, "c");
    assert_eq!((conf.controllers[0].name.as_str(), conf.slurmctld_ports.first), ("h1", 6817));
    assert_eq!(conf.times.kill_wait.as_secs(), 30);
    assert_eq!(conf.times.slurmd_timeout.map(|span| span.as_secs()), Some(300));
    assert_eq!(conf.times.unkillable_step_timeout.as_secs(), 60);
    assert_eq!((conf.jobs.first_id, conf.jobs.last_id), (1, 67_043_328));
    assert_eq!(conf.jobs.default_memory, None);
    assert!(conf.jobs.requeue);
    assert!(conf.propagate_limits.contains("NOFILE"));
    assert_eq!(conf.number("SelectTypeParameters"), Some(20));
    assert!(conf.nodes.is_empty() && conf.partitions.is_empty() && conf.warnings.is_empty());
}

#[test]
fn what_a_cluster_must_have_is_asked_for() {
    let messages = parse_files(&[(ROOT, "")]).unwrap_err();
    let expected = "slurm.conf: error: ClusterName: must be set\n\
                    slurm.conf: error: SlurmctldHost: must be set, once for each controller";
    assert_eq!(show(&messages), expected);
}

#[test]
fn keys_are_found_in_any_case_and_the_last_value_counts() {
    let conf = good("killwait=5\nKILLWAIT=7");
    assert_eq!(conf.times.kill_wait.as_secs(), 7);
    let expected = "slurm.conf:4:10: warning: KillWait: is set again; line 3 no longer counts";
    assert_eq!(show(&conf.warnings), expected);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known() {
    let expected = "slurm.conf:3:1: error: KilWait: is not a known key; did you mean KillWait?\n\
                    slurm.conf:4:1: error: Frobnicate: is not a known key\n\
                    slurm.conf:5:13: error: CPU: is not a known key of NodeName; did you mean CPUs?";
    assert_eq!(errors("KilWait=5\nFrobnicate=1\nNodeName=n1 CPU=4"), expected);
}

#[test]
fn ill_typed_values_are_refused_with_what_is_allowed() {
    let rows = [
        (
            "KillWait=abc",
            "3:10: error: KillWait: `abc` is not a whole number from 0 to 65535 or UNLIMITED",
        ),
        (
            "KillWait=65536",
            "3:10: error: KillWait: `65536` is not a whole number from 0 to 65535 or UNLIMITED",
        ),
        ("DisableRootJobs=maybe", "3:17: error: DisableRootJobs: `maybe` is not YES or NO"),
        (
            "SelectType=select/foo",
            "3:12: error: SelectType: `select/foo` is not one of select/cons_tres, select/cons_res, select/linear, select/cray_aries",
        ),
        (
            "SlurmctldPort=0",
            "3:15: error: SlurmctldPort: `0` is not a port from 1 to 65535 or a range",
        ),
        (
            "ReconfigFlags=x",
            "3:15: error: ReconfigFlags: `x` is not one of KeepPartInfo, KeepPartState, KeepPowerSaveSettings",
        ),
        ("ReturnToService=3", "3:17: error: ReturnToService: expected 0, 1 or 2"),
        ("FirstJobId=10\nMaxJobId=9", "3:12: error: FirstJobId: is above MaxJobId 9"),
        (
            "AuthType=auth/foo",
            "3:10: error: AuthType: `auth/foo` is not one of auth/munge, auth/slurm, auth/none",
        ),
        (
            "AuthType=auth/jwt",
            "3:10: error: AuthType: `auth/jwt` is not one of auth/munge, auth/slurm, auth/none",
        ),
        (
            "AuthAltTypes=jwt,auth/none",
            "3:14: error: AuthAltTypes: `auth/none` is not one of auth/jwt, auth/munge, auth/slurm",
        ),
        (
            "CredType=cred/foo",
            "3:10: error: CredType: `cred/foo` is not one of cred/munge, auth/slurm, cred/none",
        ),
        ("HashPlugin=md5", "3:12: error: HashPlugin: `md5` is not one of hash/k12, hash/sha3"),
        ("SlurmctldHost=a(b", "3:15: error: SlurmctldHost: `a(b` is not `name` or `name(address)`"),
        ("SlurmctldHost=h1", "3:15: error: SlurmctldHost: h1 is listed twice"),
        (
            "SuspendTime=soon",
            "3:13: error: SuspendTime: expected a number of seconds, INFINITE or NONE",
        ),
        ("PreemptMode=CANCEL", "3:13: error: PreemptMode: needs a PreemptType"),
    ];
    for (text, expected) in rows {
        assert_eq!(errors(text), format!("slurm.conf:{expected}"), "{text}");
    }
}

#[test]
fn what_is_left_of_a_line_is_refused() {
    let expected = "slurm.conf:3:12: error: KillOnBadExit: starts on a line of its own (quote \
                    values with spaces)";
    assert_eq!(errors("KillWait=5 KillOnBadExit=1"), expected);
    assert_eq!(errors("rubbish"), "slurm.conf:3:1: error: `rubbish` is not a `key=value`");
    assert_eq!(errors("KillWait="), "slurm.conf:3:1: error: `KillWait=` is not a `key=value`");
}

#[test]
fn what_would_be_worse_to_ignore_is_refused_and_the_rest_is_warned_about() {
    let text = errors("JobSubmitPlugins=lua");
    assert!(text.ends_with("`lua` is refused: the site's rules for jobs would not be applied"));
    assert_eq!(warnings("JobSubmitPlugins=\"\""), "");
    assert_eq!(warnings("TreeWidth=16\nMailDomain=none\nSwitchType=switch/none"), "");
    let expected = "slurm.conf:3:11: warning: TreeWidth: `50` is accepted but has no effect yet";
    assert_eq!(warnings("TreeWidth=50"), expected);
    let text = warnings("PrivateData=jobs,cloud");
    assert!(text.contains("PrivateData: `cloud` is not known and has no effect"), "{text}");
    let text = errors("PartitionName=p AllocNodes=login1");
    assert!(text.ends_with("`login1` is refused: from which host a job comes is not verified"));
    let expected = "slurm.conf:3:18: warning: SlurmdParameters: `l3cache_as_socket` is accepted but has \
                    no effect yet";
    assert_eq!(warnings("SlurmdParameters=config_overrides,l3cache_as_socket"), expected);
    let text = warnings("CryptoType=crypto/munge");
    assert!(text.contains("CryptoType: is the old name of CredType"), "{text}");
}

#[test]
fn controllers_have_names_and_addresses() {
    let conf = good("SlurmctldHost=h2(10.0.0.2)\nSlurmctldPort=7000-7003");
    let hosts: Vec<_> =
        conf.controllers.iter().map(|h| (h.name.as_str(), h.addr.as_str())).collect();
    assert_eq!(hosts, [("h1", "h1"), ("h2", "10.0.0.2")]);
    assert_eq!(conf.slurmctld_ports.iter().count(), 4);
    assert_eq!(conf.controller("h2"), Some(1));
    let old = "ClusterName=c\nControlMachine=a\nControlAddr=1.1.1.1\nBackupController=b\n";
    let conf = parse_files(&[(ROOT, old)]).unwrap();
    let hosts: Vec<_> =
        conf.controllers.iter().map(|h| (h.name.as_str(), h.addr.as_str())).collect();
    assert_eq!(hosts, [("a", "1.1.1.1"), ("b", "b")]);
}

#[test]
fn included_files_are_read_from_the_same_folder() {
    let conf = parse_files(&[
        (ROOT, "ClusterName=Big\nInclude nodes-%c.conf\ninclude /else/where"),
        ("/etc/slurm/nodes-big.conf", "NodeName=n[1-2]\n"),
        ("/else/where", "SlurmctldHost=h1\nInclude more.conf"),
        ("/etc/slurm/more.conf", "KillWait=9"),
    ]);
    let conf = conf.unwrap();
    assert_eq!((conf.nodes.len(), conf.times.kill_wait.as_secs()), (2, 9));
    assert_eq!(conf.files.len(), 4);
}

#[test]
fn includes_that_cannot_be_followed_are_refused_where_they_stand() {
    assert_eq!(
        errors("Include gone.conf"),
        "slurm.conf:3:9: error: could not read gone.conf: no such file"
    );
    assert!(errors("Include slurm.conf").contains("include each other more than 16 deep"));
    assert!(errors("Include *.conf").contains("name each file"));
    let early = parse_files(&[(ROOT, "Include %c.conf\nClusterName=c\nSlurmctldHost=h")]);
    assert!(show(&early.unwrap_err()).contains("%c needs ClusterName"));
}

#[test]
fn a_node_line_describes_several_nodes() {
    let conf = good(
        "NodeName=DEFAULT CPUs=4 RealMemory=4K\n\
         NodeName=n[1-3] NodeHostname=h NodeAddr=10.0.0.[1-3] Port=7001-7003 Feature=a,b\n\
         NodeName=x State=future",
    );
    let n3 = conf.node("n3").unwrap();
    assert_eq!((n3.hostname.as_str(), n3.addr.as_str(), n3.port), ("h", "10.0.0.3", 7003));
    assert_eq!((n3.cpus, n3.sockets, n3.real_memory_mib), (4, 4, 4096));
    assert_eq!(n3.features, ["a", "b"]);
    let x = conf.node("x").unwrap();
    assert_eq!((x.addr.as_str(), x.port, x.state), ("x", 6818, NodeState::Future));
    assert_eq!(conf.paths.slurmd_spool_dir(x), "/var/spool/slurmd");
}

#[test]
fn nodes_are_in_natural_order_of_their_names() {
    let conf = good("NodeName=n10\nNodeName=n9,b\n");
    let names: Vec<&str> = conf.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["b", "n9", "n10"]);
}

#[test]
fn node_lines_that_make_no_sense_are_refused() {
    let rows = [
        ("NodeName=n[1-2] NodeAddr=a[1-3]", "NodeAddr: has 3 hosts for 2 nodes; expected 1 or 2"),
        ("NodeName=n[1-2] Port=[1-3]", "Port: has 3 ports for 2 nodes; expected 1 or 2"),
        ("NodeName=n1 Port=0", "Port: `0` is not a port from 1 to 65535 or a range of them"),
        ("NodeName=n1\nNodeName=n[1-2]", "NodeName: node n1 is described twice"),
        ("NodeName=n[1-", "NodeName: unbalanced brackets in host list `n[1-`"),
        ("NodeName=ALL", "NodeName: `ALL` is a reserved word"),
        ("NodeName=n[0-65536]", "NodeName: host list has more than 65536 hosts"),
        (
            "NodeName=n1 State=sleepy",
            "State: `sleepy` is not one of UNKNOWN, DOWN, IDLE, DRAIN, FAIL, FUTURE, CLOUD, EXTERNAL",
        ),
        ("NodeName=DEFAULT NodeAddr=a", "NodeAddr: is not allowed with NodeName=DEFAULT"),
        (
            "NodeName=n1 Sockets=1000 CoresPerSocket=1000",
            "NodeName: the line gives 1000000 CPUs, but at most 65535 fit",
        ),
        ("DownNodes=n1", "DownNodes: there is no node n1"),
    ];
    for (text, expected) in rows {
        let errors = errors(text);
        assert!(errors.ends_with(expected), "{text}: {errors}");
    }
}

#[test]
fn partitions_take_nodes_by_name_set_and_all() {
    let nodes = "NodeName=n[1-4] Feature=f\nNodeName=m1\nNodeSet=set Feature=f Nodes=m1\n";
    let conf = good(&format!(
        "{nodes}PartitionName=a Nodes=all Default=yes\nPartitionName=b Nodes=set\n\
         PartitionName=c Nodes=n2,n1,n1 Default=YES DefMemPerCPU=5 DefMemPerNode=7"
    ));
    let nodes = |name: &str| conf.partition(name).unwrap().nodes.to_string();
    assert_eq!(
        (nodes("a"), nodes("b"), nodes("c")),
        ("m1,n[1-4]".into(), "m1,n[1-4]".into(), "n[1-2]".into())
    );
    let c = conf.partition("c").unwrap();
    assert!(c.default && !conf.partition("a").unwrap().default);
    assert_eq!(c.default_memory, Some(Memory::PerNode(7)));
    assert_eq!(
        (c.state, c.sharing, c.max_time_min),
        (PartitionState::Up, Sharing::No, Limit::Unlimited)
    );
}

#[test]
fn partition_lines_that_make_no_sense_are_refused() {
    let rows = [
        ("PartitionName=p Nodes=n9", "Nodes: there is no node n9"),
        ("PartitionName=p\nPartitionName=p", "PartitionName: partition p is described twice"),
        (
            "PartitionName=p MaxTime=soon",
            "MaxTime: `soon` is not a time: expected minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]] or UNLIMITED",
        ),
        ("PartitionName=p State=open", "State: `open` is not one of UP, DOWN, DRAIN, INACTIVE"),
        (
            "PartitionName=p OverSubscribe=x",
            "OverSubscribe: `x` is not NO, EXCLUSIVE, YES[:n] or FORCE[:n]",
        ),
        ("PartitionName=p Exclusive=x", "Exclusive: `x` is not one of NO, NODE, USER, TOPO"),
        ("NodeName=n1\nNodeSet=n1", "NodeSet: a node is named n1 too"),
    ];
    for (text, expected) in rows {
        let errors = errors(text);
        assert!(errors.ends_with(expected), "{text}: {errors}");
    }
}

#[test]
fn exclusive_use_has_an_old_and_a_new_spelling() {
    let conf = good(
        "PartitionName=a Exclusive=TOPO\nPartitionName=b OverSubscribe=EXCLUSIVE Exclusive=NO\n\
         PartitionName=c Exclusive=user\nPartitionName=d OverSubscribe=FORCE Exclusive=NO",
    );
    let get = |name: &str| {
        let partition = conf.partition(name).unwrap();
        (partition.sharing, partition.exclusive_user, partition.exclusive_topo)
    };
    assert_eq!(get("a"), (Sharing::Exclusive, false, true));
    assert_eq!(get("b"), (Sharing::No, false, false));
    assert_eq!(get("c"), (Sharing::No, true, false));
    assert_eq!(get("d"), (Sharing::Force(4), false, false));
}

#[test]
fn programs_may_be_listed_by_repeating_the_key() {
    let conf = good("Prolog=/a\nProlog=/b\nEpilog=/c");
    assert_eq!(conf.paths.prolog, ["/a", "/b"]);
    assert_eq!(conf.text("Prolog"), "/a,/b");
}

#[test]
fn limits_are_passed_on_but_for_exceptions() {
    let conf = good("PropagateResourceLimitsExcept=MEMLOCK,STACK");
    let limits = conf.propagate_limits;
    assert!(limits.contains("NOFILE") && !limits.contains("MEMLOCK") && !limits.contains("STACK"));
    assert!(!good("PropagateResourceLimits=NONE").propagate_limits.contains("NOFILE"));
}

#[test]
fn the_check_sum_is_slurms() {
    let files: BTreeMap<&str, &str> = BTreeMap::from([
        ("/a/slurm.conf", "ClusterName=c # x\nInclude b.conf\nKillWait=\\\n5"),
        ("/a/b.conf", "SlurmctldHost=hé\n"),
    ]);
    let load = |path: &str| Ok(files[path].to_owned());
    assert_eq!(parse(&load, "/a/slurm.conf").unwrap().hash, HASH);
}

/// What Slurm's own routine gives for these bytes in this order.
const HASH: u32 = 2633810812;

fn flurm(text: &str) -> Result<FlurmConf, String> {
    let conf = good("SlurmctldHost=h2(10.0.0.2)\nSlurmctldPort=7000\nStateSaveLocation=/state");
    let load = |_: &str| Ok(text.to_owned());
    FlurmConf::parse(&load, "/etc/slurm/flurm.conf", &conf).map_err(|errors| show(&errors))
}

#[test]
fn without_flurm_conf_the_peers_follow_from_slurm_conf() {
    let flurm = FlurmConf::without_file(&good("SlurmctldHost=h2(10.0.0.2)\nSlurmctldPort=7000"));
    let flurm = flurm.unwrap();
    let peers: Vec<_> = flurm.peers.iter().map(|p| (p.id, p.addr.as_str(), p.port)).collect();
    assert_eq!(peers, [(1, "h1", 7013), (2, "10.0.0.2", 7013)]);
    assert_eq!(flurm.data_dir("h2"), "/var/spool/flurm-h2");
    assert_eq!(flurm.heartbeat_interval.as_millis(), 100);
}

#[test]
fn flurm_conf_deviates_where_it_says_so() {
    let text = "RaftPort=9000\nPeer=h2 Addr=10.1.0.2 Port=9001 Id=7\nDataDir=/d/%h\n\
                HeartbeatInterval=50ms\nListenAddr=10.0.0.1,10.1.0.1";
    let flurm = flurm(text).unwrap();
    let peers: Vec<_> = flurm.peers.iter().map(|p| (p.id, p.addr.as_str(), p.port)).collect();
    assert_eq!(peers, [(1, "h1", 9000), (7, "10.1.0.2", 9001)]);
    assert_eq!((flurm.data_dir("x").as_str(), flurm.listen_addrs.len()), ("/d/x", 2));
    assert_eq!(flurm.heartbeat_interval.as_millis(), 50);
}

#[test]
fn flurm_conf_that_makes_no_sense_is_refused() {
    let rows = [
        ("Peer=h3", "Peer: h3 is no SlurmctldHost; those are h1, h2"),
        ("Peer=h2 Id=1", "Peer: two controllers have the same Id"),
        ("Raftport=x", "RaftPort: `x` is not a whole number from 0 to 65535 or UNLIMITED"),
        ("RaftPorts=1", "RaftPorts: is not a known key; did you mean RaftPort?"),
        ("HoldTime=8", "HoldTime: `8` is not a time such as 500us, 100ms or 8s"),
        ("HeartbeatInterval=1s", "ElectionTimeoutMin: must be at least twice HeartbeatInterval"),
        ("ElectionTimeoutMax=300ms", "ElectionTimeoutMax: must be above ElectionTimeoutMin"),
        ("SnapshotEvery=0", "SnapshotEvery: must be above 0"),
    ];
    for (text, expected) in rows {
        let errors = flurm(text).expect_err(text);
        assert!(errors.ends_with(expected), "{text}: {errors}");
    }
}

#[test]
fn a_configuration_survives_being_stored() {
    let conf = good("NodeName=n[1-3] CPUs=2 Feature=a\nPartitionName=p Nodes=ALL MaxTime=5");
    let stored = serde_json::to_string(&conf).unwrap();
    assert_eq!(serde_json::from_str::<Conf>(&stored).unwrap(), conf);
}

/// Text made of pieces that mean something, so that a random file goes deep.
fn any_file() -> impl Strategy<Value = String> {
    let words = [
        "NodeName",
        "PartitionName",
        "SlurmctldHost",
        "ClusterName",
        "KillWait",
        "Include",
        "DEFAULT",
        "ALL",
        "n[1-3]",
        "n[",
        "=",
        " ",
        "\n",
        "\\",
        "\\\n",
        "\"",
        "#",
        "CPUs",
        "Sockets",
        "Nodes",
        "Port",
        "1",
        "0",
        "4294967295",
        "UNLIMITED",
        "é",
        "%c",
        "State",
        "DownNodes",
        "NodeSet",
        "Feature",
        "-",
        ",",
        "SlurmctldPort",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any_file(), noise in "\\PC{0,60}") {
        for text in [text.as_str(), noise.as_str(), &with(&text)] {
            let load = |_: &str| Ok(text.to_owned());
            if let Err(messages) = parse(&load, "slurm.conf") {
                prop_assert!(messages.iter().any(|m| m.severity == Severity::Error));
            }
        }
    }

    /// What is shown as the effective value can be written into a file again and means the same.
    #[test]
    fn shown_settings_read_back_the_same(
        kill_wait in 0u16..65_535, memory in 1u64..1_000_000, root: bool, flags in 0usize..8,
    ) {
        let names = ["Alloc", "X11", "Contain"].iter().enumerate();
        let prolog: Vec<&str> =
            names.filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, name)| *name).collect();
        let first = good(&format!(
            "KillWait={kill_wait}\nDefMemPerCPU={memory}\nDisableRootJobs={}\nPrologFlags=\"{}\"",
            u8::from(root), prolog.join(",")
        ));
        let shown: String = first
            .settings
            .iter()
            .filter(|(key, setting)| setting.set && *key != "ClusterName")
            .map(|(key, setting)| format!("{key}=\"{}\"\n", setting.text))
            .collect();
        let second = good(&shown);
        prop_assert_eq!(&first.settings, &second.settings);
    }
}
