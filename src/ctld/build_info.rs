//! The configuration as `scontrol show config` and other clients read it.
//!
//! Input: what slurm.conf says and a few facts about this controller. Output: the record with the
//! numbers and names that the client's own release has for them.

use flurm_base::Time;
use flurm_conf::{Conf, words};
use flurm_wire::records::{BuildInfo, JobDefault};
use flurm_wire::{INFINITE, NO_VAL, NO_VAL16, Release};

/// What the configuration does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFacts {
    /// Where slurm.conf is.
    pub conf_path: String,
    /// When this controller started.
    pub started: Time,
    /// The time of the answer.
    pub now: Time,
    /// uid of SlurmUser.
    pub slurm_uid: u32,
    /// uid of SlurmdUser.
    pub slurmd_uid: u32,
    /// The id that the next job gets.
    pub job_id_next: u32,
    /// The client's release.
    pub release: Release,
}

/// What FLURM says its version is to a client of a release; see `docs/decisions/version-string.md`.
pub fn version(release: Release) -> String {
    format!("{}.0", release.name())
}

/// Answers `REQUEST_BUILD_INFO`.
pub fn build_info(conf: &Conf, facts: &BuildFacts) -> BuildInfo {
    let mut info = BuildInfo::default();
    let keys = Keys { conf, release: facts.release };
    identity(&mut info, &keys, facts);
    accounting(&mut info, &keys);
    security(&mut info, &keys);
    programs(&mut info, &keys);
    jobs(&mut info, &keys);
    plugins(&mut info, &keys);
    priority(&mut info, &keys);
    scheduling(&mut info, &keys);
    daemons(&mut info, &keys);
    power(&mut info, &keys);
    times(&mut info, &keys);
    removed(&mut info, facts.release);
    info
}

/// Where on the machine and in the cluster this controller is.
fn identity(info: &mut BuildInfo, keys: &Keys<'_>, facts: &BuildFacts) {
    let conf = keys.conf;
    info.last_update = facts.now.into();
    info.boot_time = facts.started.into();
    info.version = Some(version(facts.release));
    info.hash_val = conf.hash;
    info.slurm_conf = Some(facts.conf_path.clone());
    info.next_job_id = facts.job_id_next;
    info.slurm_user_id = facts.slurm_uid;
    info.slurm_user_name = keys.text("SlurmUser");
    info.slurmd_user_id = facts.slurmd_uid;
    info.slurmd_user_name = keys.text("SlurmdUser");
    info.cluster_name = keys.text("ClusterName");
    let hosts = conf.controllers.iter();
    info.control_machine = hosts.clone().map(|host| Some(host.name.clone())).collect();
    info.control_addr = hosts.map(|host| Some(host.addr.clone())).collect();
    info.conf_flags = conf_flags(keys);
}

fn accounting(info: &mut BuildInfo, keys: &Keys<'_>) {
    info.accounting_storage_enforce = keys.small("AccountingStorageEnforce");
    info.accounting_storage_backup_host = keys.text("AccountingStorageBackupHost");
    info.accounting_storage_host = keys.text("AccountingStorageHost");
    info.accounting_storage_ext_host = keys.text("AccountingStorageExternalHost");
    info.accounting_storage_params = keys.text("AccountingStorageParameters");
    info.accounting_storage_port = keys.small("AccountingStoragePort");
    info.accounting_storage_tres = Some(tracked(keys.conf.text("AccountingStorageTRES")));
    info.accounting_storage_type = keys.plugin("AccountingStorageType", "accounting_storage");
    info.acct_gather_conf = Some(Vec::new());
    info.acct_gather_energy_type = keys.plugin("AcctGatherEnergyType", "acct_gather_energy");
    let filesystem = keys.plugin("AcctGatherFilesystemType", "acct_gather_filesystem");
    info.acct_gather_filesystem_type = filesystem;
    let interconnect = keys.plugin("AcctGatherInterconnectType", "acct_gather_interconnect");
    info.acct_gather_interconnect_type = interconnect;
    info.acct_gather_node_freq = keys.small("AcctGatherNodeFreq");
    info.acct_gather_profile_type = keys.plugin("AcctGatherProfileType", "acct_gather_profile");
    info.job_acct_gather_freq = keys.text("JobAcctGatherFrequency");
    info.job_acct_gather_type = keys.plugin("JobAcctGatherType", "jobacct_gather");
    info.job_acct_gather_params = keys.text("JobAcctGatherParams");
    info.job_comp_host = keys.text("JobCompHost");
    info.job_comp_loc = keys.text("JobCompLoc");
    info.job_comp_params = keys.text("JobCompParams");
    info.job_comp_port = keys.small("JobCompPort");
    info.job_comp_type = keys.plugin("JobCompType", "jobcomp");
    info.job_comp_user = keys.text("JobCompUser");
    info.max_dbd_msgs = keys.small("MaxDBDMsgs");
}

fn security(info: &mut BuildInfo, keys: &Keys<'_>) {
    info.authalttypes = keys.text("AuthAltTypes");
    info.authalt_params = keys.text("AuthAltParameters");
    info.authinfo = keys.text("AuthInfo");
    info.authtype = keys.text("AuthType");
    info.cred_type = keys.text("CredType");
    info.certmgr_params = keys.text("CertmgrParameters");
    info.certmgr_type = keys.text("CertmgrType");
    info.hash_plugin = keys.text("HashPlugin");
    info.tls_params = keys.text("TLSParameters");
    info.tls_type = keys.text("TLSType");
    info.metrics_auth_users = keys.text("MetricsAuthUsers");
    info.metrics_params = keys.text("MetricsParameters");
    info.metrics_type = keys.text("MetricsType");
    info.slurmctld_http_auth_params = keys.text("SlurmctldHttpAuthParameters");
    info.slurmd_http_auth_params = keys.text("SlurmdHttpAuthParameters");
    info.http_parser_type = keys.text("HttpParserType");
    info.url_parser_type = keys.text("UrlParserType");
    info.private_data = keys.small("PrivateData");
}

fn programs(info: &mut BuildInfo, keys: &Keys<'_>) {
    let paths = &keys.conf.paths;
    info.prolog = paths.prolog.clone();
    info.epilog = paths.epilog.clone();
    info.prolog_slurmctld = paths.prolog_slurmctld.clone();
    info.epilog_slurmctld = paths.epilog_slurmctld.clone();
    info.task_prolog = keys.text("TaskProlog");
    info.task_epilog = keys.text("TaskEpilog");
    info.srun_prolog = keys.text("SrunProlog");
    info.srun_epilog = keys.text("SrunEpilog");
    info.resv_prolog = keys.text("ResvProlog");
    info.resv_epilog = keys.text("ResvEpilog");
    info.mail_domain = keys.text("MailDomain");
    info.mail_prog = keys.text("MailProg");
    info.reboot_program = keys.text("RebootProgram");
    info.unkillable_program = keys.text("UnkillableStepProgram");
    info.health_check_program = keys.text("HealthCheckProgram");
    info.slurmctld_primary_off_prog = keys.text("SlurmctldPrimaryOffProg");
    info.slurmctld_primary_on_prog = keys.text("SlurmctldPrimaryOnProg");
    let flags = keys.number("PrologFlags");
    let later = [(words::PROLOG_FLAGS, "RunInJob", Release::V24_05)];
    let flags = keys.known(flags, &later);
    let later = [(words::PROLOG_FLAGS, "ForceRequeueOnFail", Release::V23_02)];
    info.prolog_flags = small(keys.known(flags, &later));
}

fn jobs(info: &mut BuildInfo, keys: &Keys<'_>) {
    let rules = &keys.conf.jobs;
    info.def_mem_per_cpu = rules.default_memory.map_or(0, flurm_conf::Memory::wire);
    info.max_mem_per_cpu = rules.max_memory.map_or(0, flurm_conf::Memory::wire);
    info.job_defaults_list = job_defaults(keys);
    info.enforce_part_limits = keys.small("EnforcePartLimits");
    info.first_job_id = rules.first_id;
    info.max_job_id = rules.last_id;
    info.max_job_cnt = rules.count_max;
    info.max_array_sz = rules.array_size_max;
    info.max_step_cnt = rules.steps_max;
    info.max_tasks_per_node = rules.tasks_per_node_max;
    info.max_batch_requeue = rules.requeues_max;
    info.max_node_cnt = keys.number_or("MaxNodeCount", keys.conf.nodes.len() as u64);
    info.interactive_step_opts = keys.text("InteractiveStepOptions");
    info.job_file_append = u16::from(rules.file_append);
    info.job_requeue = u16::from(rules.requeue);
    info.job_submit_plugins = keys.text("JobSubmitPlugins");
    info.kill_on_bad_exit = u16::from(rules.kill_on_bad_exit);
    info.over_time_limit = rules.over_time_limit_min.wire16();
    info.requeue_exit = keys.text("RequeueExit");
    info.requeue_exit_hold = keys.text("RequeueExitHold");
    info.licenses = keys.text("Licenses");
    info.license_params = keys.text("LicenseParameters");
    info.dependency_params = keys.text("DependencyParameters");
    info.launch_params = keys.text("LaunchParameters");
    info.mpi_params = keys.text("MpiParams");
    info.propagate_prio_process = keys.small("PropagatePrioProcess");
    info.propagate_rlimits = keys.text("PropagateResourceLimits");
    info.propagate_rlimits_except = keys.text("PropagateResourceLimitsExcept");
    info.resv_over_run = keys.small("ResvOverRun");
    info.vsize_factor = keys.small("VSizeFactor");
    info.scron_params = keys.text("ScronParameters");
    info.x11_params = keys.text("X11Parameters");
}

fn plugins(info: &mut BuildInfo, keys: &Keys<'_>) {
    info.bb_type = keys.text("BurstBufferType");
    info.bcast_exclude = keys.text("BcastExclude");
    info.bcast_parameters = keys.text("BcastParameters");
    info.cli_filter_params = keys.text("CliFilterParameters");
    info.cli_filter_plugins = keys.text("CliFilterPlugins");
    info.data_parser_parameters = keys.text("DataParserParameters");
    info.fed_params = keys.text("FederationParameters");
    info.gres_plugins = keys.text("GresTypes");
    info.gpu_freq_def = keys.text("GpuFreqDef");
    info.cpu_freq_def = governors(keys.conf.text("CpuFreqDef")).unwrap_or(NO_VAL);
    info.cpu_freq_govs = governors(keys.conf.text("CpuFreqGovernors")).unwrap_or(GOVERNORS);
    info.mcs_plugin = keys.plugin("MCSPlugin", "mcs");
    info.mcs_plugin_params = keys.text("MCSParameters");
    let bare = keys.release <= NONE_UNTIL;
    let mpi = keys.text("MpiDefault");
    info.mpi_default = mpi.or_else(|| bare.then(|| "none".to_owned()));
    info.namespace_plugin = namespace(keys);
    info.node_features_plugins = keys.text("NodeFeaturesPlugins");
    info.plugindir = keys.text("PluginDir");
    info.plugstack = keys.text("PlugStackConfig");
    info.prep_params = keys.text("PrEpParameters");
    info.prep_plugins = keys.text("PrEpPlugins");
    info.proctrack_type = keys.text("ProctrackType");
    info.switch_param = keys.text("SwitchParameters");
    info.switch_type = keys.plugin("SwitchType", "switch");
    info.task_plugin = keys.plugin("TaskPlugin", "task");
    info.task_plugin_param = task_parameters(keys);
    info.topology_param = keys.text("TopologyParam");
    info.topology_plugin = Some(topology(keys).to_owned());
    info.tree_width = keys.small("TreeWidth");
}

fn priority(info: &mut BuildInfo, keys: &Keys<'_>) {
    info.fs_dampening_factor = keys.small("FairShareDampeningFactor");
    info.priority_type = keys.text("PriorityType");
    info.priority_decay_hl = keys.small("PriorityDecayHalfLife");
    info.priority_calc_period = keys.small("PriorityCalcPeriod");
    info.priority_favor_small = keys.small("PriorityFavorSmall");
    info.priority_flags = priority_flags(keys);
    info.priority_max_age = keys.small("PriorityMaxAge");
    info.priority_params = keys.text("PriorityParameters");
    info.priority_reset_period = keys.small("PriorityUsageResetPeriod");
    info.priority_weight_age = keys.small("PriorityWeightAge");
    info.priority_weight_assoc = keys.small("PriorityWeightAssoc");
    info.priority_weight_fs = keys.small("PriorityWeightFairshare");
    info.priority_weight_js = keys.small("PriorityWeightJobSize");
    info.priority_weight_part = keys.small("PriorityWeightPartition");
    info.priority_weight_qos = keys.small("PriorityWeightQOS");
    info.priority_weight_tres = keys.text("PriorityWeightTRES");
}

fn scheduling(info: &mut BuildInfo, keys: &Keys<'_>) {
    let mode = keys.number("PreemptMode");
    let later = [(words::PREEMPT_MODES, "PRIORITY", Release::V25_05)];
    info.preempt_mode = small(keys.known(mode, &later));
    info.preempt_params = keys.text("PreemptParameters");
    info.preempt_type = keys.plugin("PreemptType", "preempt");
    info.preempt_exempt_time = keys.small("PreemptExemptTime");
    info.sched_params = keys.text("SchedulerParameters");
    info.sched_logfile = keys.text("SlurmSchedLogFile");
    info.sched_log_level = keys.small("SlurmSchedLogLevel");
    info.sched_time_slice = keys.small("SchedulerTimeSlice");
    info.schedtype = keys.text("SchedulerType");
    info.select_type = keys.text("SelectType");
    info.select_type_param = select_parameters(keys);
}

fn daemons(info: &mut BuildInfo, keys: &Keys<'_>) {
    let ports = keys.conf.slurmctld_ports;
    info.slurmctld_port = u32::from(ports.first);
    info.slurmctld_port_count = ports.last - ports.first + 1;
    info.slurmd_port = u32::from(keys.conf.slurmd_port);
    let srun = flurm_conf::value::ports(keys.conf.text("SrunPortRange"));
    (info.srun_port_range_0, info.srun_port_range_1) = srun.unwrap_or_default();
    info.slurmctld_addr = keys.text("SlurmctldAddr");
    info.slurmctld_debug = keys.small("SlurmctldDebug");
    info.slurmctld_logfile = keys.text("SlurmctldLogFile");
    info.slurmctld_params = keys.text("SlurmctldParameters");
    info.slurmctld_pidfile = keys.text("SlurmctldPidFile");
    info.slurmctld_syslog_debug = keys.number_or("SlurmctldSyslogDebug", LOG_LEVEL_END);
    info.slurmd_debug = keys.small("SlurmdDebug");
    info.slurmd_logfile = keys.text("SlurmdLogFile");
    info.slurmd_params = keys.text("SlurmdParameters");
    info.slurmd_pidfile = keys.text("SlurmdPidFile");
    info.slurmd_spooldir = keys.text("SlurmdSpoolDir");
    info.slurmd_syslog_debug = keys.number_or("SlurmdSyslogDebug", LOG_LEVEL_END);
    info.state_save_location = keys.text("StateSaveLocation");
    info.tmp_fs = keys.text("TmpFS");
    info.comm_params = keys.text("CommunicationParameters");
    info.debug_flags = debug_flags(keys);
    info.log_fmt = keys.small("LogTimeFormat");
    info.ret2service = keys.small("ReturnToService");
    let flags = keys.number("ReconfigFlags");
    let later = [(words::RECONFIG_FLAGS, "KeepPowerSaveSettings", Release::V23_02)];
    info.reconfig_flags = small(keys.known(flags, &later));
    info.group_force = keys.small("GroupUpdateForce");
    info.health_check_node_state = health_check_states(keys);
}

fn power(info: &mut BuildInfo, keys: &Keys<'_>) {
    info.resume_fail_program = keys.text("ResumeFailProgram");
    info.resume_program = keys.text("ResumeProgram");
    info.resume_rate = keys.small("ResumeRate");
    info.resume_timeout = keys.small("ResumeTimeout");
    info.suspend_exc_nodes = keys.text("SuspendExcNodes");
    info.suspend_exc_parts = keys.text("SuspendExcParts");
    info.suspend_exc_states = keys.text("SuspendExcStates");
    info.suspend_program = keys.text("SuspendProgram");
    info.suspend_rate = keys.small("SuspendRate");
    info.suspend_time = keys.conf.times.suspend_time_s.wire();
    info.suspend_timeout = keys.small("SuspendTimeout");
}

fn times(info: &mut BuildInfo, keys: &Keys<'_>) {
    info.batch_start_timeout = keys.small("BatchStartTimeout");
    info.complete_wait = keys.small("CompleteWait");
    info.eio_timeout = keys.small("EioTimeout");
    info.epilog_msg_time = keys.small("EpilogMsgTime");
    info.group_time = keys.small("GroupUpdateTime");
    info.health_check_interval = keys.small("HealthCheckInterval");
    info.health_check_timeout = keys.small("HealthCheckTimeout");
    info.inactive_limit = keys.small("InactiveLimit");
    info.kill_wait = keys.small("KillWait");
    info.min_job_age = keys.small("MinJobAge");
    info.msg_timeout = keys.small("MessageTimeout");
    info.slurmctld_timeout = keys.small("SlurmctldTimeout");
    info.slurmd_timeout = keys.small("SlurmdTimeout");
    info.tcp_timeout = keys.small("TCPTimeout");
    info.unkillable_timeout = keys.small("UnkillableStepTimeout");
    info.wait_time = keys.small("WaitTime");
    let forever = u64::from(NO_VAL16);
    info.prolog_timeout = keys.number_or("PrologTimeout", forever);
    info.epilog_timeout = keys.number_or("EpilogTimeout", forever);
    // Before 25.05 there is one for both: the longer, which no script is stopped before.
    info.prolog_epilog_timeout = info.prolog_timeout.max(info.epilog_timeout);
}

/// Fields of older releases whose keys Slurm has removed: what those releases say when the key is
/// not set.
fn removed(info: &mut BuildInfo, release: Release) {
    /// Seconds, `GetEnvTimeout`.
    const GET_ENV_TIMEOUT: u16 = 2;
    info.accounting_storage_user = Some("root".to_owned());
    info.get_env_timeout = GET_ENV_TIMEOUT;
    info.launch_type = Some("launch/slurm".to_owned());
    info.route_plugin = Some("route/default".to_owned());
    info.power_plugin = Some(String::new()).filter(|_| release <= NONE_UNTIL);
    info.core_spec_plugin = none("core_spec", release);
    info.ext_sensors_type = none("ext_sensors", release);
}

/// The last release that names the absence of a plugin `<kind>/none`.
const NONE_UNTIL: Release = Release::V23_02;
/// OnDemand, Performance and UserSpace: used when a list of governors has an unknown one.
const GOVERNORS: u32 = 0x8680_0000;
/// A syslog level that is not set.
const LOG_LEVEL_END: u64 = 10;

fn none(kind: &str, release: Release) -> Option<String> {
    (release <= NONE_UNTIL).then(|| format!("{kind}/none"))
}

/// The settings, as one release sees them.
struct Keys<'a> {
    conf: &'a Conf,
    release: Release,
}

impl Keys<'_> {
    fn text(&self, key: &str) -> Option<String> {
        Some(self.conf.text(key)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A plugin, or how the release says that there is none.
    fn plugin(&self, key: &str, kind: &str) -> Option<String> {
        self.text(key).or_else(|| none(kind, self.release))
    }

    fn number(&self, key: &str) -> u64 {
        self.conf.number(key).unwrap_or(0)
    }

    fn small<T: TryFrom<u64> + Most>(&self, key: &str) -> T {
        small(self.number(key))
    }

    fn number_or<T: TryFrom<u64> + Most>(&self, key: &str, otherwise: u64) -> T {
        small(self.conf.number(key).unwrap_or(otherwise))
    }

    /// Without the own bits of words that only later releases know, which older ones would show
    /// under another name or not at all.
    fn known(&self, bits: u64, later: &[(words::Words, &str, Release)]) -> u64 {
        let unknown = later.iter().filter(|(_, _, since)| self.release < *since);
        unknown.fold(bits, |bits, (words, word, _)| bits & !own_bits(words, word))
    }
}

/// The bits of a word without those of the words it implies.
fn own_bits(words: words::Words, word: &str) -> u64 {
    let of = |name: &str| words.iter().find(|(word, _)| *word == name).map_or(0, |(_, bits)| *bits);
    let own = of(word);
    let implied = words.iter().map(|(_, bits)| *bits).filter(|bits| bits & own == *bits);
    implied.filter(|bits| *bits != own).fold(own, |own, bits| own & !bits)
}

/// The largest number of a type stands for no limit.
trait Most {
    const MOST: Self;
}

impl Most for u16 {
    const MOST: Self = Self::MAX;
}

impl Most for u32 {
    const MOST: Self = INFINITE;
}

/// A number that the key's kind keeps small, unless it stands for no limit.
fn small<T: TryFrom<u64> + Most>(number: u64) -> T {
    T::try_from(number).unwrap_or(T::MOST)
}

/// What Slurm always tracks, and what is named beside it.
fn tracked(named: &str) -> String {
    const ALWAYS: &str = "cpu,mem,energy,node,billing,fs/disk,vmem,pages";
    let mut all: Vec<&str> = Vec::new();
    for name in ALWAYS.split(',').chain(named.split(',')).filter(|name| !name.is_empty()) {
        if !all.iter().any(|listed| listed.eq_ignore_ascii_case(name)) {
            all.push(name);
        }
    }
    if all.contains(&"gres/gpu") {
        for usage in ["gres/gpumem", "gres/gpuutil"] {
            if !all.contains(&usage) {
                all.push(usage);
            }
        }
    }
    all.join(",")
}

fn job_defaults(keys: &Keys<'_>) -> Option<Vec<JobDefault>> {
    /// slurm.h, `JOB_DEF_CPU_PER_GPU` and `JOB_DEF_MEM_PER_GPU`.
    const TYPES: [(&str, u16); 2] = [("DefCPUPerGPU", 1), ("DefMemPerGPU", 2)];
    let of = |(key, kind): (&str, u16)| {
        keys.conf.number(key).map(|value| JobDefault { r#type: kind, value })
    };
    let defaults: Vec<_> = TYPES.into_iter().filter_map(of).collect();
    Some(defaults).filter(|defaults| !defaults.is_empty())
}

/// The bits of some governors of CPU frequency, told apart by how they start; nothing when one is
/// unknown.
fn governors(text: &str) -> Option<u32> {
    const STARTS: [(&str, u32); 6] = [
        ("co", 0x8800_0000),
        ("perf", 0x8200_0000),
        ("pow", 0x8100_0000),
        ("user", 0x8080_0000),
        ("onde", 0x8400_0000),
        ("sche", 0x8040_0000),
    ];
    let bits = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        STARTS.iter().find(|(start, _)| word.starts_with(start)).map(|(_, bits)| *bits)
    };
    let all: Option<Vec<u32>> = text.split(',').map(bits).collect();
    all.map(|all| all.into_iter().fold(0, |all, bits| all | bits))
}

fn namespace(keys: &Keys<'_>) -> Option<String> {
    let plugin = keys.plugin("NamespaceType", "job_container")?;
    match plugin.strip_prefix("namespace/") {
        Some(name) if keys.release < Release::V25_11 => Some(format!("job_container/{name}")),
        _ => Some(plugin),
    }
}

/// The topology plugin; the flat one had other names.
fn topology<'a>(keys: &Keys<'a>) -> &'a str {
    match keys.conf.text("TopologyPlugin") {
        "topology/flat" if keys.release <= NONE_UNTIL => "topology/none",
        "topology/flat" if keys.release < Release::V25_05 => "topology/default",
        plugin => plugin,
    }
}

/// Slurm's `conf_flags`: what is only yes or no.
fn conf_flags(keys: &Keys<'_>) -> u32 {
    const IPV4: u64 = 1 << 6;
    let has = |key: &str, option: &str| {
        keys.conf.text(key).to_ascii_lowercase().contains(&option.to_ascii_lowercase())
    };
    let slurmd = |option: &str| has("SlurmdParameters", option);
    let communication = |option: &str| has("CommunicationParameters", option);
    let yes = |key: &str| keys.number(key) == 1;
    let l3 = slurmd("l3cache_as_socket");
    let later = [
        (words::ACCOUNTING_STORE, "job_extra", Release::V23_02),
        (words::ACCOUNTING_STORE, "no_stdio", Release::V24_05),
    ];
    let stored = keys.known(keys.number("AccountingStoreFlags"), &later);
    let flags = [
        (slurmd("config_override"), 1 << 0),
        (yes("DisableRootJobs"), 1 << 2),
        (yes("AllowSpecResourcesUsage"), 1 << 3),
        (yes("UsePAM"), 1 << 4),
        (yes("TrackWCKey"), 1 << 5),
        (!communication("DisableIPv4"), IPV4),
        (communication("EnableIPv6"), 1 << 7),
        (l3, 1 << 11),
        (slurmd("numa_node_as_socket") && !l3, 1 << 12),
        (slurmd("allow_ecores"), 1 << 13),
        (slurmd("shutdown_on_reboot"), 1 << 14),
        (slurmd("contain_spank"), 1 << 15),
        (communication("disable_http"), 1 << 17),
    ];
    let set = flags.into_iter().filter(|(set, _)| *set);
    small(set.fold(stored, |all, (_, bit)| all | bit))
}

/// `DebugFlags`, whose bits have been given to other words over time.
fn debug_flags(keys: &Keys<'_>) -> u64 {
    const THREAD: u64 = 1 << 43;
    const WORK_QUEUE_BEFORE: u64 = 1 << 9;
    let flags = words::DEBUG_FLAGS;
    let later = [
        (flags, "Sack", Release::V23_11),
        (flags, "GLOB_SILENCE", Release::V23_11),
        (flags, "TLS", Release::V24_05),
        (flags, "AuditRPCs", Release::V24_05),
        (flags, "DBD_Agent", Release::V24_05),
        (flags, "ConMgr", Release::V24_11),
        (flags, "AuditTLS", Release::V25_05),
        (flags, "Metrics", Release::V25_11),
        (flags, "Thread", Release::V26_05),
    ];
    let bits = keys.number("DebugFlags");
    let known = keys.known(bits, &later);
    let work_queue = bits & THREAD != 0 && keys.release < Release::V24_11;
    if work_queue { known | WORK_QUEUE_BEFORE } else { known }
}

/// `HealthCheckNodeState`, numbered anew in 25.11.
fn health_check_states(keys: &Keys<'_>) -> u16 {
    const ANY: u64 = 0xff;
    const CYCLE: u64 = 1 << 8;
    const NONDRAINED_IDLE: u64 = 8;
    let states = words::HEALTH_CHECK_STATES;
    let bits = keys.number("HealthCheckNodeState");
    if keys.release >= Release::V25_11 {
        return small(keys.known(bits, &[(states, "REBOOT_ONLY", Release::V26_05)]));
    }
    let low = match bits & ANY {
        ANY => 0xf,
        low if keys.release < Release::V23_02 => low & !NONDRAINED_IDLE,
        low => low,
    };
    small(if bits & CYCLE != 0 { low | 0x8000 } else { low })
}

fn priority_flags(keys: &Keys<'_>) -> u16 {
    const FAIR_TREE: u64 = 1 << 5;
    let flags = words::PRIORITY_FLAGS;
    let later = [(flags, "MAX_TRES_GRES", Release::V25_05)];
    let bits = keys.known(keys.number("PriorityFlags"), &later);
    let level = keys.conf.text("PriorityFlags").split(',').any(|word| word == "NO_FAIR_TREE");
    small(if level { bits } else { bits | FAIR_TREE })
}

fn select_parameters(keys: &Keys<'_>) -> u16 {
    let all = words::SELECT_PARAMETERS;
    let later = [
        (all, "ENFORCE_BINDING_GRES", Release::V23_11),
        (all, "ONE_TASK_PER_SHARING_GRES", Release::V23_11),
        (all, "LL_SHARED_GRES", Release::V23_11),
        (all, "MULTIPLE_SHARING_GRES_PJ", Release::V23_11),
        (all, "CR_NO_DIST_TOPO_BLOCK", Release::V26_05),
    ];
    small(keys.known(u64::from(keys.conf.select_type_parameters), &later))
}

fn task_parameters(keys: &Keys<'_>) -> u32 {
    let all = words::TASK_PARAMETERS;
    let later =
        [(all, "OOMKillStep", Release::V24_11), (all, "SlurmdSpecOverride", Release::V25_05)];
    small(keys.known(keys.number("TaskPluginParam"), &later))
}
