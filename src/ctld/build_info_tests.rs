//! What real controllers of three releases answered to `REQUEST_BUILD_INFO`, against what this crate
//! makes of the same files.
//!
//! To record anew: start `slurmctld -D -i` of the release as host `c1` on `cases/build_info/small.conf`,
//! or on `large.conf`, `large_<release>.conf` and `large_nodes.conf` behind one another, in `/tmp/c`,
//! and store the frame that answers a request with auth/none.

use std::collections::BTreeMap;

use flurm_base::Time;
use flurm_conf::Conf;
use flurm_wire::records::BuildInfo;
use flurm_wire::{Message, Reader, Release, Visitor, Wire, Writer, frame};

use crate::{BuildFacts, build_info, version};

const CONF_PATH: &str = "/tmp/c/slurm.conf";
const DAEMON_UID: u32 = 1;

/// One recorded answer and the file behind it.
struct Case {
    release: Release,
    conf: Conf,
    theirs: BuildInfo,
    slurm_uid: u32,
}

fn conf(text: &str) -> Conf {
    let load = |path: &str| match path {
        CONF_PATH => Ok(text.to_owned()),
        _ => Err("no such file".to_owned()),
    };
    flurm_conf::parse(&load, CONF_PATH).unwrap()
}

fn recorded(text: &str) -> BuildInfo {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let bytes = flurm_base::hex::decode(&lines.collect::<String>()).unwrap();
    let frame = frame::split(&bytes[frame::LENGTH_BYTES..]).unwrap();
    match frame.message().unwrap() {
        Message::ResponseBuildInfo(info) => *info,
        other => panic!("{}", other.name()),
    }
}

macro_rules! case {
    ($name:literal) => {
        include_str!(concat!("cases/build_info/", $name))
    };
}

fn cases() -> Vec<Case> {
    let large = |own: &str| format!("{}{own}{}", case!("large.conf"), case!("large_nodes.conf"));
    let small = |release, text| Case {
        release,
        conf: conf(case!("small.conf")),
        theirs: recorded(text),
        slurm_uid: 0,
    };
    let rich = |release, own, text| Case {
        release,
        conf: conf(&large(own)),
        theirs: recorded(text),
        slurm_uid: DAEMON_UID,
    };
    vec![
        small(Release::V22_05, case!("small_22_05.hex")),
        small(Release::V24_11, case!("small_24_11.hex")),
        small(Release::V26_05, case!("small_26_05.hex")),
        rich(Release::V22_05, "", case!("large_22_05.hex")),
        rich(Release::V24_11, case!("large_24_11.conf"), case!("large_24_11.hex")),
        rich(Release::V26_05, case!("large_26_05.conf"), case!("large_26_05.hex")),
    ]
}

/// The fields of a record, each as text.
#[derive(Default)]
struct Fields {
    depth: usize,
    at: &'static str,
    texts: BTreeMap<&'static str, String>,
}

impl Fields {
    fn of(info: &BuildInfo) -> BTreeMap<&'static str, String> {
        let mut fields = Self::default();
        info.view(&mut fields);
        fields.texts
    }

    fn push(&mut self, text: &str) {
        let field = self.texts.entry(self.at).or_default();
        field.push_str(text);
        field.push(' ');
    }
}

impl Visitor for Fields {
    fn record_begin(&mut self, _: &'static str) {
        self.depth += 1;
    }
    fn field(&mut self, name: &'static str) {
        if self.depth == 1 {
            self.at = name;
            self.texts.insert(name, String::new());
        } else {
            self.push(name);
        }
    }
    fn record_end(&mut self) {
        self.depth -= 1;
    }
    fn list_begin(&mut self, length: usize) {
        self.push(&format!("[{length}"));
    }
    fn list_end(&mut self) {
        self.push("]");
    }
    fn unsigned(&mut self, value: u64) {
        self.push(&value.to_string());
    }
    fn signed(&mut self, value: i64) {
        self.push(&value.to_string());
    }
    fn fraction(&mut self, value: f64) {
        self.push(&value.to_string());
    }
    fn boolean(&mut self, value: bool) {
        self.push(&value.to_string());
    }
    fn text(&mut self, value: &str) {
        self.push(&format!("{value:?}"));
    }
    fn bytes(&mut self, value: &[u8]) {
        self.push(&format!("{value:?}"));
    }
    fn null(&mut self) {
        self.push("none");
    }
}

/// What a client of the release makes of our bytes.
fn ours(case: &Case) -> BuildInfo {
    let facts = BuildFacts {
        conf_path: CONF_PATH.to_owned(),
        started: Time::from_secs(case.theirs.boot_time.0),
        now: Time::from_secs(case.theirs.last_update.0),
        slurm_uid: case.slurm_uid,
        slurmd_uid: 0,
        job_id_next: case.conf.jobs.first_id,
        release: case.release,
    };
    received(&build_info(&case.conf, &facts), case.release)
}

fn received(info: &BuildInfo, release: Release) -> BuildInfo {
    let mut writer = Writer::new(release);
    info.encode(&mut writer);
    BuildInfo::decode(&mut Reader::new(release, writer.bytes())).unwrap()
}

/// Where we differ from real Slurm: how the case's name starts, the field, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("", "plugindir", "a matter of the build"),
    ("", "version", "see docs/decisions/version-string.md"),
    ("small", "slurmd_pidfile", "a matter of the build"),
    ("small 22.05", "gpu_freq_def", "has no default any more"),
    ("small 22.05", "job_comp_loc", "has no default any more"),
    ("small 22.05", "priority_type", "priority/multifactor is the default since 23.11"),
    ("small 22.05", "select_type", "select/cons_tres is the default since 24.05"),
    ("small 22.05", "select_type_param", "CR_Core_Memory is the default of select/cons_tres"),
    ("small 22.05", "tree_width", "16 is the default since 23.11"),
    ("small 24.11", "mpi_conf", "there is no plugin for PMIx that could have settings"),
    ("large 24.11", "mpi_conf", "there is no plugin for PMIx that could have settings"),
    ("small 26.05", "health_check_timeout", "Slurm tells 0 although its manual says 60"),
    ("large 22.05", "job_comp_params", "22.05 reads it and does not tell it"),
];

#[test]
fn the_configuration_is_as_slurm_tells_it() {
    let mut wrong = Vec::new();
    for case in cases() {
        let name = format!("{} {}", case.conf.cluster_name, case.release.name());
        let (ours, theirs) = (Fields::of(&ours(&case)), Fields::of(&case.theirs));
        assert!(ours.len() > 200, "{} fields are too few", ours.len());
        for (field, text) in &ours {
            let mut rows = DIFFERENT.iter();
            let explained = rows.any(|row| name.starts_with(row.0) && row.1 == *field);
            let same = text == &theirs[field];
            if same == explained {
                wrong.push(format!("{name} {field}: Slurm has {}, we have {text}", theirs[field]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a client of a release reads of one line beside what every file needs.
fn told(release: Release, line: &str) -> BuildInfo {
    let conf = conf(&format!("{}{line}\n", case!("small.conf")));
    let facts = BuildFacts {
        conf_path: CONF_PATH.to_owned(),
        started: Time::from_secs(1),
        now: Time::from_secs(2),
        slurm_uid: 0,
        slurmd_uid: 0,
        job_id_next: 7,
        release,
    };
    received(&build_info(&conf, &facts), release)
}

#[test]
fn debug_flags_are_told_with_the_bits_of_the_clients_release() {
    let line = "DebugFlags=WorkQ,ConMgr,TLS,AuditRPCs,Gres";
    let rows = [
        (Release::V22_05, 1 << 9 | 1 << 6),
        (Release::V24_05, 1 << 9 | 1 << 19 | 1 << 25 | 1 << 6),
        (Release::V24_11, 1 << 9 | 1 << 19 | 1 << 25 | 1 << 6),
        (Release::V25_05, 1 << 9 | 1 << 15 | 1 << 19 | 1 << 25 | 1 << 6),
        (Release::V26_05, 1 << 43 | 1 << 9 | 1 << 15 | 1 << 19 | 1 << 25 | 1 << 6),
    ];
    for (release, bits) in rows {
        assert_eq!(told(release, line).debug_flags, bits, "{release:?}");
    }
    assert_eq!(told(Release::V24_11, "DebugFlags=ConMgr").debug_flags, 1 << 9);
    assert_eq!(told(Release::V24_05, "DebugFlags=ConMgr").debug_flags, 0);
}

#[test]
fn words_that_a_release_does_not_know_are_left_out() {
    let prolog = "PrologFlags=RunInJob,ForceRequeueOnFail";
    assert_eq!(told(Release::V26_05, prolog).prolog_flags, 128 | 64 | 4 | 1);
    assert_eq!(told(Release::V23_02, prolog).prolog_flags, 64 | 4 | 1);
    assert_eq!(told(Release::V22_05, prolog).prolog_flags, 4 | 1);
    let states = "HealthCheckNodeState=IDLE,NONDRAINED_IDLE,CYCLE,START_ONLY";
    assert_eq!(told(Release::V26_05, states).health_check_node_state, 1 | 8 | 1 << 8 | 1 << 9);
    assert_eq!(told(Release::V23_02, states).health_check_node_state, 1 | 8 | 0x8000);
    assert_eq!(told(Release::V22_05, states).health_check_node_state, 1 | 0x8000);
    let spec = "TaskPlugin=task/cgroup\nTaskPluginParam=OOMKillStep";
    assert_eq!(told(Release::V24_11, spec).task_plugin_param, 0x10_0000);
    assert_eq!(told(Release::V24_05, spec).task_plugin_param, 0);
}

#[test]
fn values_are_completed_as_slurm_completes_them() {
    let newest = |line: &str| told(Release::V26_05, line);
    let tres = newest("AccountingStorageTRES=gres/gpu,node").accounting_storage_tres.unwrap();
    assert!(tres.ends_with(",pages,gres/gpu,gres/gpumem,gres/gpuutil"), "{tres}");
    assert_eq!(newest("PriorityFlags=NO_FAIR_TREE,MAX_TRES").priority_flags, 2);
    assert_eq!(newest("PriorityFlags=MAX_TRES").priority_flags, 34);
    assert_eq!(newest("CpuFreqGovernors=nonsense").cpu_freq_govs, 0x8680_0000);
    assert_eq!(newest("OverTimeLimit=UNLIMITED").over_time_limit, u16::MAX);
    assert_eq!(newest("PreemptExemptTime=-1").preempt_exempt_time, u32::MAX);
    assert_eq!(newest("EpilogTimeout=5").prolog_timeout, 0xfffe);
    assert_eq!(told(Release::V24_11, "EpilogTimeout=5").prolog_epilog_timeout, 0xfffe);
    assert_eq!(told(Release::V24_05, "Epilog=/a\nEpilog=/b").epilog, ["/a", "/b"]);
    assert_eq!(told(Release::V22_05, "Epilog=/a\nEpilog=/b").epilog, ["/a"]);
    let tmpfs = "NamespaceType=namespace/tmpfs";
    assert_eq!(newest(tmpfs).namespace_plugin.as_deref(), Some("namespace/tmpfs"));
    let older = told(Release::V25_05, tmpfs).namespace_plugin;
    assert_eq!(older.as_deref(), Some("job_container/tmpfs"));
    assert_eq!(newest("").next_job_id, 7);
}

#[test]
fn versions_are_the_clients_own_release() {
    assert_eq!(version(Release::V22_05), "22.05.0");
    assert_eq!(version(Release::V26_05), "26.05.0");
}
