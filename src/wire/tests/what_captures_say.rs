//! What the captured frames say in every release, field by field: a layout can reproduce bytes and
//! still call them by the wrong names.
//!
//! The cluster they come from: nodes n1 (2 sockets of 2 cores, two GPUs) and n2 (4 sockets),
//! partitions debug, long (n2 only, 60 minutes) and hid. Between Debian's releases, the daemon of
//! the next newer one answered in the older release's layout.

use std::ops::Deref;
use std::path::Path;

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::records::{Credential, JobInfo, NodeInfo, PartitionInfo};
use flurm_wire::{Message, NO_VAL, Release};

/// Marks an amount of memory as one for each CPU.
const MEM_PER_CPU: u64 = 1 << 63;

/// Releases whose own daemons were recorded.
fn is_native(release: Release) -> bool {
    [Release::V22_05, Release::V24_11, Release::V26_05].contains(&release)
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn message(release: Release, native: &str, answered: &str) -> Message {
    let name = if is_native(release) { native } else { answered };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let path = folder.join(release.name()).join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    let parts = frame::split(&bytes[LENGTH_BYTES..]).expect("a whole frame");
    assert_eq!(parts.header.release, release);
    parts.message().expect("a registered message")
}

fn text(value: &Option<impl Deref<Target = str>>) -> &str {
    value.as_deref().unwrap_or("(null)")
}

#[test]
fn a_held_job_looks_the_same_in_every_release() {
    for release in Release::ALL {
        let Message::ResponseJobInfo(listing) =
            message(release, "2004_scontrol_d_show_job.hex", "2004_answer.hex")
        else {
            panic!("{release}: not a listing of jobs");
        };
        let held = |job: &&JobInfo| text(&job.comment) == "hi" && job.job_state == 0;
        let job = listing.jobs.iter().find(held).expect("a held job is listed");
        assert!(listing.last_update.0 > 1_700_000_000, "{release}");
        let strings = [&job.name, &job.partition, &job.dependency, &job.alloc_node, &job.cluster];
        let expected = ["demo", "debug", "singleton(unfulfilled)", "vm", "capture"];
        assert_eq!(strings.map(text), expected, "{release}");
        assert_eq!(text(&job.tres_req_str), "cpu=1,mem=1000M,node=1,billing=1", "{release}");
        assert!(text(&job.command).contains("/job.sh"), "{release}");
        let numbers = [job.time_limit, job.priority, job.num_cpus, job.num_nodes, job.num_tasks];
        assert_eq!(numbers, [10, 0, 1, 1, 1], "{release}");
        assert_eq!([job.user_id, job.group_id, job.nice], [0, 0, 0x8000_0000], "{release}");
        assert_eq!([job.array_task_id, job.het_job_offset], [NO_VAL, 0], "{release}");
        assert_eq!([job.batch_flag, job.requeue, job.cpus_per_task], [1, 1, 1], "{release}");
        assert_eq!(job.state_reason, 16, "{release}: held by a user");
        assert!(0 < job.job_number() && job.job_number() < 100, "{release}");
        assert!(job.submit_time.0 <= listing.last_update.0, "{release}");
        assert_eq!(job.start_time.0, 0, "{release}");
    }
}

#[test]
fn a_running_job_shows_its_resources_in_detail() {
    for release in Release::ALL.into_iter().filter(|release| is_native(*release)) {
        let Message::ResponseJobInfo(listing) =
            message(release, "2004_scontrol_d_show_job.hex", "")
        else {
            panic!("{release}: not a listing of jobs");
        };
        let mut held = listing.jobs.iter().filter_map(|job| job.job_resrcs.as_ref());
        let resources = held.find(|held| text(&held.nodes) == "n1").expect("a job runs on n1");
        assert_eq!(resources.nhosts, 1, "{release}");
        assert_eq!(u32::from(resources.cpus[0]), resources.ncpus, "{release}");
        assert_eq!(*resources.sockets_per_node, [2], "{release}");
        assert_eq!(*resources.cores_per_socket, [2], "{release}");
        let cores = resources.core_bitmap.as_ref().expect("cores are known");
        assert_eq!(cores.size(), 4, "{release}");
    }
}

fn check_node(release: Release, node: &NodeInfo) {
    let shape = [node.cpus, node.boards, node.sockets, node.cores, node.threads];
    assert_eq!(shape, [4, 1, 2, 2, 1], "{release}");
    let strings = [&node.node_addr, &node.arch, &node.features, &node.features_act, &node.gres];
    assert_eq!(strings.map(text), ["127.0.0.1", "x86_64", "fast", "fast", "gpu:2"], "{release}");
    assert_eq!((node.real_memory, node.weight, node.owner), (1000, 1, NO_VAL), "{release}");
    let tres = text(&node.tres_fmt_str);
    assert!(tres.starts_with("cpu=4,mem=1000M,billing=4"), "{release}: {tres}");
    assert!(text(&node.os).starts_with("Linux "), "{release}");
    assert!(node.boot_time.0 < node.slurmd_start_time.0, "{release}");
    assert_eq!(node.cpus_efctv, 4, "{release}");
}

#[test]
fn a_node_looks_the_same_in_every_release() {
    for release in Release::ALL {
        let Message::ResponseNodeInfo(listing) =
            message(release, "2008_scontrol_d_show_job.hex", "2008_answer.hex")
        else {
            panic!("{release}: not a listing of nodes");
        };
        let names: Vec<_> = listing.nodes.iter().map(|node| text(&node.name)).collect();
        assert_eq!(names, ["n1", "n2"], "{release}");
        check_node(release, &listing.nodes[0]);
    }
}

#[test]
fn a_hidden_node_keeps_its_place() {
    for release in Release::ALL.into_iter().filter(|release| is_native(*release)) {
        let Message::ResponseNodeInfo(listing) = message(release, "2008_hidden_node.hex", "")
        else {
            panic!("{release}: not a listing of nodes");
        };
        let named = |(at, node): (u32, &NodeInfo)| (at, node.name.clone());
        let places: Vec<_> = listing.positions().map(named).collect();
        let n1 = (0, Some("n1".into()));
        match release {
            Release::V22_05 => assert_eq!(places, [n1, (1, None)], "{release}"),
            _ => assert_eq!(places, [n1], "{release}"),
        }
    }
}

#[test]
fn partitions_look_the_same_in_every_release() {
    for release in Release::ALL.into_iter().filter(|release| !is_native(*release)) {
        let Message::ResponsePartitionInfo(listing) = message(release, "", "2010_answer.hex")
        else {
            panic!("{release}: not a listing of partitions");
        };
        let long = |part: &&PartitionInfo| text(&part.name) == "long";
        let part = listing.partitions.iter().find(long).expect("long is listed");
        assert_eq!((part.max_time, part.def_mem_per_cpu), (60, MEM_PER_CPU | 10), "{release}");
        assert_eq!([part.total_nodes, part.total_cpus, part.min_nodes], [1, 4, 0], "{release}");
        assert_eq!((text(&part.nodes), part.state_up), ("n2", 3), "{release}");
        let nodes = part.node_inx.as_ref().expect("positions of nodes");
        assert_eq!(nodes.iter().collect::<Vec<_>>(), [1], "{release}");
    }
}

#[test]
fn the_configuration_is_read_under_its_names() {
    for release in Release::ALL {
        let Message::ResponseBuildInfo(conf) =
            message(release, "2002_scontrol_show_config.hex", "2002_answer.hex")
        else {
            panic!("{release}: not a configuration");
        };
        let strings = [&conf.authtype, &conf.cred_type, &conf.schedtype, &conf.select_type];
        let expected = ["auth/none", "cred/none", "sched/backfill", "select/cons_tres"];
        assert_eq!(strings.map(text), expected, "{release}");
        assert!(text(&conf.version).contains('.'), "{release}");
        assert_eq!(conf.msg_timeout, 10, "{release}");
        assert_eq!([conf.ret2service, conf.wait_time], [2, 0], "{release}");
        assert_eq!([conf.min_job_age, conf.max_job_cnt], [300, 10_000], "{release}");
    }
}

#[test]
fn a_launch_carries_its_credential_in_every_release() {
    for release in Release::ALL.into_iter().filter(|release| !is_native(*release)) {
        let Message::RequestBatchJobLaunch(launch) = message(release, "", "4005_to_node.hex")
        else {
            panic!("{release}: not a launch");
        };
        let strings = [&launch.partition, &launch.nodes, &launch.account, &launch.std_in];
        assert_eq!(strings.map(text), ["debug", "n2", "ac", "/dev/null"], "{release}");
        assert!(launch.script.as_deref().is_some_and(|s| s.starts_with("#!/bin/sh")), "{release}");
        assert!(launch.environment.iter().any(|e| e == "SLURM_NTASKS=3"), "{release}");
        assert_eq!((launch.ntasks, launch.array_task_id), (3, 4), "{release}");
        assert_eq!(launch.cpus_per_node.at(0), Some(3), "{release}");
        let Credential::Signed(signed) = &launch.cred.credential else {
            panic!("a credential of munge");
        };
        let body = &signed.body;
        let strings = [&body.job_account, &body.job_comment, &body.job_hostlist];
        assert_eq!(strings.map(text), ["ac", "co", "n2"], "{release}");
        assert_eq!(text(&body.job_licenses), "lic:1", "{release}");
        assert_eq!(text(&body.step_hostlist), "n2", "{release}");
        assert_eq!(text(&body.job_partition.name), "debug", "{release}");
        assert_eq!((body.job_nhosts, body.job_ntasks, body.id.uid), (1, 3, 0), "{release}");
        assert_eq!(body.job_mem_alloc.at(0), Some(21), "{release}: 7 MB for each CPU");
        assert_eq!(body.cpu_array.at(0), Some(3), "{release}");
        let cores = body.job_core_bitmap.as_ref().expect("cores are granted");
        assert_eq!((cores.size(), cores.count()), (4, 3), "{release}");
        assert_eq!(body.tot_core_cnt, 4, "{release}");
    }
}
