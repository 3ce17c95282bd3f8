//! Every key of slurm.conf that a release from 22.05 to 26.05 knows: the one place that says what it
//! takes, what it defaults to and what FLURM does with it.

use crate::Release::{V22_05, V23_02, V23_11, V24_05, V24_11, V25_05, V25_11, V26_05};
use crate::key::{Key, Kind, U16, U32, U64};
use crate::words;

use Kind::{Each, Flag, Flags, LooseFlags, OneOf, Ports, Span, Text, Time};

const fn key(name: &'static str, kind: Kind) -> Key {
    Key::new(name, kind)
}

const GONE: &str = "Slurm has removed it";

/// What the planner hands out.
const CONSUMABLES: &[&str] = &[
    "CR_CPU",
    "CR_CPU_Memory",
    "CR_Socket",
    "CR_Socket_Memory",
    "CR_Core",
    "CR_Core_Memory",
    "CR_Memory",
];

/// What `AuthAltParameters` says about tokens of auth/jwt.
const JWT_OPTIONS: &[&str] =
    &["disable_token_creation", "jwks", "jwt_key", "max_token_lifespan", "userclaimfield"];

/// What is billed by `TRESBillingWeights`.
const BILLED: &[&str] = &["CPU", "Mem", "Node"];

/// What FLURM does of `PriorityFlags`.
const PRIORITY_FLAGS_HONOURED: &[&str] = &[
    "ACCRUE_ALWAYS",
    "CALCULATE_RUNNING",
    "DEPTH_OBLIVIOUS",
    "FAIR_TREE",
    "MAX_TRES",
    "NO_FAIR_TREE",
    "NO_NORMAL_ASSOC",
    "NO_NORMAL_PART",
    "NO_NORMAL_QOS",
    "NO_NORMAL_TRES",
    "SMALL_RELATIVE_TO_TIME",
];

/// How connections are made and believed. The two `block_` options are always on.
const COMMUNICATION: &[&str] =
    &["block_null_hash", "block_zero_hash", "NoCtldInAddrAny", "NoInAddrAny"];

/// What is enforced of accounts.
const ENFORCED: &[&str] = &["0", "1", "2", "associations", "limits", "none", "qos", "safe"];

/// The keys that stand alone.
pub const GLOBAL: &[Key] = &[
    key("AccountingStorageBackupHost", Text),
    key("AccountingStorageEnforce", Flags(words::ACCOUNTING_ENFORCE))
        .default("none")
        .partly(ENFORCED),
    key("AccountingStorageExternalHost", Text),
    key("AccountingStorageHost", Text).default("localhost"),
    key("AccountingStorageLoc", Text).until(V25_05).defunct(GONE),
    key("AccountingStorageParameters", Text),
    key("AccountingStoragePass", Text),
    key("AccountingStoragePort", U16).default("0"),
    key("AccountingStorageTRES", Text).default("cpu,mem,energy,node,billing,fs/disk,vmem,pages"),
    key("AccountingStorageType", Text),
    key("AccountingStorageUser", Text).defunct(GONE),
    key("AccountingStoreFlags", LooseFlags(words::ACCOUNTING_STORE)),
    key("AccountingStoreJobComment", Flag).refused("use AccountingStoreFlags=job_comment"),
    key("AcctGatherEnergyType", Text),
    key("AcctGatherFilesystemType", Text),
    key("AcctGatherInfinibandType", Text).renamed("AcctGatherInterconnectType"),
    key("AcctGatherInterconnectType", Text),
    key("AcctGatherNodeFreq", U16).default("0"),
    key("AcctGatherProfileType", Text),
    key("AllowSpecResourcesUsage", Flag).default("no"),
    key("AuthAltParameters", Text).partly(JWT_OPTIONS),
    key("AuthAltTypes", Text).honoured(),
    key("AuthInfo", Text).partly(&["disable_sack", "socket", "ttl", "use_client_ids"]),
    key("AuthType", Text).default("auth/munge").honoured(),
    key("BackupAddr", Text).honoured(),
    key("BackupController", Text).honoured(),
    key("BatchStartTimeout", U16).default("10"),
    key("BcastExclude", Text).default("/lib,/usr/lib,/lib64,/usr/lib64"),
    key("BcastParameters", Text),
    key("BurstBufferParameters", Text),
    key("BurstBufferType", Text),
    key("CertgenParameters", Text).since(V25_05),
    key("CertgenType", Text).since(V25_05),
    key("CertmgrParameters", Text).since(V24_11),
    key("CertmgrType", Text).since(V24_11),
    key("CliFilterParameters", Text).since(V25_11),
    key("CliFilterPlugins", Text),
    key("ClusterName", Text).honoured(),
    key("CommunicationParameters", Text).partly(COMMUNICATION),
    key("CompleteWait", U16).default("0"),
    key("ControlAddr", Text).honoured(),
    key("ControlMachine", Text).honoured(),
    key("CoreSpecPlugin", Text).defunct(GONE),
    key("CpuFreqDef", Text),
    key("CpuFreqGovernors", Text).default("OnDemand,Performance,UserSpace"),
    key("CredType", Text).default("cred/munge").honoured(),
    key("CryptoType", Text).renamed("CredType"),
    key("DataParserParameters", Text).since(V24_11),
    key("DebugFlags", Flags(words::DEBUG_FLAGS)),
    key("DefCPUPerGPU", U64),
    key("DefMemPerCPU", U64).honoured(),
    key("DefMemPerGPU", U64),
    key("DefMemPerNode", U64).honoured(),
    key("DependencyParameters", Text).partly(&["kill_invalid_depend"]),
    key("DisableRootJobs", Flag).default("no").honoured(),
    key("EioTimeout", U16).default("60"),
    key("EnforcePartLimits", OneOf(words::ENFORCE_PART_LIMITS)).default("NO").honoured(),
    key("Epilog", Each).honoured(),
    key("EpilogMsgTime", U32).default("2000"),
    key("EpilogSlurmctld", Each),
    key("EpilogTimeout", U16).since(V25_05).honoured(),
    key("ExtSensorsFreq", U16).default("0").defunct(GONE),
    key("ExtSensorsType", Text).defunct(GONE),
    key("FairShareDampeningFactor", U16).default("1").honoured(),
    key("FastSchedule", U16).default("1").refused("use SlurmdParameters=config_overrides for 2"),
    key("FederationParameters", Text),
    key("FirstJobId", U32).default("1").honoured(),
    key("GetEnvTimeout", U16).defunct(GONE),
    key("GpuFreqDef", Text),
    key("GresTypes", Text).honoured(),
    key("GroupUpdateForce", U16).default("1"),
    key("GroupUpdateTime", U16).default("600"),
    key("HashPlugin", Text).default("hash/k12").since(V24_05).honoured(),
    key("HealthCheckInterval", U16).default("0"),
    key("HealthCheckNodeState", Flags(words::HEALTH_CHECK_STATES)).default("ANY"),
    key("HealthCheckProgram", Text),
    key("HealthCheckTimeout", U16).default("60").since(V26_05),
    key("HttpParserType", Text).since(V25_11),
    key("InactiveLimit", U16).default("0"),
    key("InteractiveStepOptions", Text).default("--interactive --preserve-env --pty $SHELL"),
    key("JobAcctGatherFrequency", Text).default("30"),
    key("JobAcctGatherParams", Text),
    key("JobAcctGatherType", Text),
    key("JobCompHost", Text).default("localhost"),
    key("JobCompLoc", Text),
    key("JobCompParams", Text),
    key("JobCompPass", Text),
    key("JobCompPassScript", Text).since(V25_11),
    key("JobCompPort", U32).default("0"),
    key("JobCompType", Text),
    key("JobCompUser", Text).default("root"),
    key("JobContainerType", Text).renamed("NamespaceType"),
    key("JobCredentialPrivateKey", Text).defunct(GONE),
    key("JobCredentialPublicCertificate", Text).defunct(GONE),
    key("JobFileAppend", U16).default("0").honoured(),
    key("JobRequeue", U16).default("1").honoured(),
    key("JobSubmitPlugins", Text).refused("the site's rules for jobs would not be applied"),
    key("KeepAliveTime", U32),
    key("KillOnBadExit", U16).default("0"),
    key("KillWait", U16).default("30").honoured(),
    key("LaunchParameters", Text),
    key("LaunchType", Text).defunct(GONE),
    key("LicenseParameters", Text).since(V26_05),
    key("Licenses", Text).honoured(),
    key("LogTimeFormat", OneOf(words::LOG_TIME_FORMATS)).default("iso8601_ms"),
    key("MCSParameters", Text),
    key("MCSPlugin", Text).refused("jobs and nodes would not be kept apart"),
    key("MailDomain", Text),
    key("MailProg", Text).default("/bin/mail"),
    key("MaxArraySize", U32).default("1001").honoured(),
    key("MaxBatchRequeue", U32).default("5").since(V23_02).honoured(),
    key("MaxDBDMsgs", U32).default("0"),
    key("MaxJobCount", U32).default("10000").honoured(),
    key("MaxJobId", U32).default("67043328").honoured(),
    key("MaxMemPerCPU", U64).honoured(),
    key("MaxMemPerNode", U64).honoured(),
    key("MaxNodeCount", U32),
    key("MaxStepCount", U32).default("40000"),
    key("MaxTasksPerNode", U16).default("512"),
    key("MessageTimeout", U16).default("10").honoured(),
    key("MetricsAuthUsers", Text).since(V26_05),
    key("MetricsParameters", Text).since(V26_05),
    key("MetricsType", Text).since(V25_11),
    key("MinJobAge", U32).default("300").honoured(),
    key("MpiDefault", Text),
    key("MpiParams", Text),
    key("NamespaceType", Text).since(V25_11),
    key("NodeFeaturesPlugins", Text),
    key("OverTimeLimit", U16).default("0").honoured(),
    key("PlugStackConfig", Text),
    key("PluginDir", Text).default("/usr/lib/slurm"),
    key("PowerParameters", Text).defunct(GONE),
    key("PowerPlugin", Text).defunct(GONE),
    key("PrEpParameters", Text),
    key("PrEpPlugins", Text).default("prep/script"),
    key("PreemptExemptTime", Time),
    key("PreemptMode", Flags(words::PREEMPT_MODES)).default("OFF"),
    key("PreemptParameters", Text).since(V23_02),
    key("PreemptType", Text),
    key("PriorityCalcPeriod", Time).default("5").honoured(),
    key("PriorityDecayHalfLife", Time).default("7-0").honoured(),
    key("PriorityFavorSmall", Flag).default("no").honoured(),
    key("PriorityFlags", LooseFlags(words::PRIORITY_FLAGS)).partly(PRIORITY_FLAGS_HONOURED),
    key("PriorityMaxAge", Time).default("7-0").honoured(),
    key("PriorityParameters", Text),
    key("PrioritySiteFactorParameters", Text),
    key("PrioritySiteFactorPlugin", Text),
    key("PriorityType", Text).default("priority/multifactor").honoured(),
    key("PriorityUsageResetPeriod", OneOf(words::RESET_PERIODS)).default("NONE"),
    key("PriorityWeightAge", U32).default("0").honoured(),
    key("PriorityWeightAssoc", U32).default("0").honoured(),
    key("PriorityWeightFairshare", U32).default("0").honoured(),
    key("PriorityWeightJobSize", U32).default("0").honoured(),
    key("PriorityWeightPartition", U32).default("0").honoured(),
    key("PriorityWeightQOS", U32).default("0").honoured(),
    key("PriorityWeightTRES", Text).honoured(),
    key("PrivateData", LooseFlags(words::PRIVATE_DATA)).default("none").honoured(),
    key("ProctrackType", Text).default("proctrack/cgroup"),
    key("Prolog", Each).honoured(),
    key("PrologEpilogTimeout", U16).honoured(),
    key("PrologFlags", Flags(words::PROLOG_FLAGS)),
    key("PrologSlurmctld", Each),
    key("PrologTimeout", U16).since(V25_05).honoured(),
    key("PropagatePrioProcess", U16).default("0"),
    key("PropagateResourceLimits", Flags(words::RESOURCE_LIMITS)).default("ALL").honoured(),
    key("PropagateResourceLimitsExcept", Flags(words::RESOURCE_LIMITS)).honoured(),
    key("RebootProgram", Text),
    key("ReconfigFlags", Flags(words::RECONFIG_FLAGS)),
    key("RequeueExit", Text),
    key("RequeueExitHold", Text),
    key("ResumeFailProgram", Text),
    key("ResumeProgram", Text),
    key("ResumeRate", U16).default("300"),
    key("ResumeTimeout", U16).default("60"),
    key("ResvEpilog", Text),
    key("ResvOverRun", U16).default("0"),
    key("ResvProlog", Text),
    key("ReturnToService", U16).default("0").honoured(),
    key("RoutePlugin", Text),
    key("SallocDefaultCommand", Text).refused("use LaunchParameters=use_interactive_step"),
    key("SbcastParameters", Text).renamed("BcastParameters"),
    key("SchedulerAuth", Text).until(V23_11).defunct(GONE),
    key("SchedulerParameters", Text).partly(&[
        "bf_max_job_test",
        "enable_user_top",
        "kill_invalid_depend",
        "max_array_tasks",
    ]),
    key("SchedulerTimeSlice", U16).default("30"),
    key("SchedulerType", OneOf(words::SCHEDULER_TYPES)).default("sched/backfill").honoured(),
    key("ScronParameters", Text),
    key("SelectType", OneOf(words::SELECT_TYPES)).default("select/cons_tres").honoured(),
    key("SelectTypeParameters", Flags(words::SELECT_PARAMETERS))
        .default("CR_Core_Memory")
        .partly(CONSUMABLES),
    key("SlurmSchedLogFile", Text),
    key("SlurmSchedLogLevel", U16).default("0"),
    key("SlurmUser", Text).default("root").honoured(),
    key("SlurmctldAddr", Text),
    key("SlurmctldDebug", OneOf(words::LOG_LEVELS)).default("info").honoured(),
    key("SlurmctldHttpAuthParameters", Text).since(V26_05),
    key("SlurmctldLogFile", Text).honoured(),
    key("SlurmctldParameters", Text).partly(&["enable_configless"]),
    key("SlurmctldPidFile", Text).default("/var/run/slurmctld.pid").honoured(),
    key("SlurmctldPlugstack", Text).until(V22_05).defunct(GONE),
    key("SlurmctldPort", Ports).default("6817").honoured(),
    key("SlurmctldPrimaryOffProg", Text),
    key("SlurmctldPrimaryOnProg", Text),
    key("SlurmctldSyslogDebug", OneOf(words::LOG_LEVELS)),
    key("SlurmctldTimeout", U16).default("120"),
    key("SlurmdDebug", OneOf(words::LOG_LEVELS)).default("info").honoured(),
    key("SlurmdHttpAuthParameters", Text).since(V26_05),
    key("SlurmdLogFile", Text).honoured(),
    key("SlurmdParameters", Text).partly(&["config_overrides"]),
    key("SlurmdPidFile", Text).default("/var/run/slurmd.pid").honoured(),
    key("SlurmdPort", U32).default("6818").honoured(),
    key("SlurmdSpoolDir", Text).default("/var/spool/slurmd").honoured(),
    key("SlurmdSyslogDebug", OneOf(words::LOG_LEVELS)),
    key("SlurmdTimeout", U16).default("300").honoured(),
    key("SlurmdUser", Text).default("root").honoured(),
    key("SrunEpilog", Text).honoured(),
    key("SrunPortRange", Ports),
    key("SrunProlog", Text).honoured(),
    key("StateSaveLocation", Text).default("/var/spool").honoured(),
    key("SuspendExcNodes", Text),
    key("SuspendExcParts", Text),
    key("SuspendExcStates", Text).since(V23_02),
    key("SuspendProgram", Text),
    key("SuspendRate", U16).default("60"),
    key("SuspendTime", Text).default("INFINITE"),
    key("SuspendTimeout", U16).default("30"),
    key("SwitchParameters", Text),
    key("SwitchType", Text),
    key("TCPTimeout", U16).default("2"),
    key("TLSParameters", Text).since(V24_05),
    key("TLSType", Text)
        .default("tls/none")
        .since(V24_05)
        .refused("connections would not be encrypted"),
    key("TaskEpilog", Text).honoured(),
    key("TaskPlugin", Text),
    key("TaskPluginParam", Flags(words::TASK_PARAMETERS)),
    key("TaskProlog", Text).honoured(),
    key("TmpFS", Text).default("/tmp"),
    key("TopologyParam", Text),
    key("TopologyPlugin", Text).default("topology/flat"),
    key("TrackWCKey", Flag).default("no"),
    key("TreeWidth", U16).default("16"),
    key("UnkillableStepProgram", Text),
    key("UnkillableStepTimeout", U16).default("60").honoured(),
    key("UrlParserType", Text).since(V25_11),
    key("UsePAM", Flag).default("no"),
    key("VSizeFactor", U16).default("0"),
    key("WaitTime", U16).default("0"),
    key("X11Parameters", Text),
    key("DownNodes", Kind::Line(DOWN_NODES)).honoured(),
    key("FrontendName", Kind::Line(FRONTEND))
        .until(V24_11)
        .refused("front-end nodes are not supported"),
    key("NodeName", Kind::Line(NODE)).honoured(),
    key("NodeSet", Kind::Line(NODE_SET)).honoured(),
    key("PartitionName", Kind::Line(PARTITION)).honoured(),
    key("PowerAction", Kind::Line(POWER_ACTION)).since(V26_05),
    key("SlurmctldHost", Kind::Line(&[])).honoured(),
];

/// The keys of a `NodeName=` line.
pub const NODE: &[Key] = &[
    key("BcastAddr", Text),
    key("Boards", U16).default("1").honoured(),
    key("CPUSpecList", Text),
    key("CPUs", U16).default("1").honoured(),
    key("CoreSpecCount", U16).default("0").honoured(),
    key("CoresPerSocket", U16).default("1").honoured(),
    key("CpuBind", Text),
    key("Feature", Text).renamed("Features"),
    key("Features", Text).honoured(),
    key("Gres", Text).honoured(),
    key("GresConf", Text).since(V25_11),
    key("MemSpecLimit", U64).default("0").honoured(),
    key("NodeAddr", Text).honoured(),
    key("NodeHostname", Text).honoured(),
    key("Parameters", Text).since(V25_11),
    key("Port", Text).honoured(),
    key("Procs", U16).renamed("CPUs"),
    key("RealMemory", U64).default("1").honoured(),
    key("Reason", Text).honoured(),
    key("RestrictedCoresPerGPU", U16).since(V24_05),
    key("Sockets", U16).default("1").honoured(),
    key("SocketsPerBoard", U16).honoured(),
    key("State", Text).default("UNKNOWN").honoured(),
    key("SuspendTime", Text).since(V26_05),
    key("TRESWeights", Text),
    key("ThreadsPerCore", U16).default("1").honoured(),
    key("TmpDisk", U32).default("0").honoured(),
    key("Topology", Text).since(V25_05),
    key("Weight", U32).default("1").honoured(),
];

/// The keys of a `PartitionName=` line.
pub const PARTITION: &[Key] = &[
    key("AllocNodes", Text).default("ALL").refused("from which host a job comes is not verified"),
    key("AllowAccounts", Text).honoured(),
    key("AllowGroups", Text).honoured(),
    key("AllowQos", Text).honoured(),
    key("Alternate", Text),
    key("CpuBind", Text),
    key("DefCPUPerGPU", U64),
    key("DefMemPerCPU", U64).honoured(),
    key("DefMemPerGPU", U64),
    key("DefMemPerNode", U64).honoured(),
    key("Default", Flag).default("no").honoured(),
    key("DefaultTime", Time).honoured(),
    key("DenyAccounts", Text).honoured(),
    key("DenyQos", Text).honoured(),
    key("DisableRootJobs", Flag).honoured(),
    key("Exclusive", Text).since(V26_05),
    key("ExclusiveTopo", Flag).default("no").since(V24_05),
    key("ExclusiveUser", Flag).default("no"),
    key("GraceTime", U32).default("0"),
    key("Hidden", Flag).default("no").honoured(),
    key("LLN", Flag).default("no"),
    key("MaxCPUsPerNode", U32).default("UNLIMITED").honoured(),
    key("MaxCPUsPerSocket", U32).default("UNLIMITED").since(V23_02),
    key("MaxMemPerCPU", U64).honoured(),
    key("MaxMemPerNode", U64).honoured(),
    key("MaxNodes", U32).default("UNLIMITED").honoured(),
    key("MaxTime", Time).default("UNLIMITED").honoured(),
    key("MinNodes", U32).default("0").honoured(),
    key("Nodes", Text).honoured(),
    key("OverSubscribe", Text).default("NO").honoured(),
    key("OverTimeLimit", U16).honoured(),
    key("PowerDownOnIdle", Flag).default("no").since(V23_02),
    key("PreemptMode", Flags(words::PREEMPT_MODES)),
    key("Priority", U16),
    key("PriorityJobFactor", U16).default("1").honoured(),
    key("PriorityTier", U16).default("1").honoured(),
    key("QOS", Text),
    key("ReqResv", Flag).default("no").honoured(),
    key("ResumeTimeout", U16),
    key("RootOnly", Flag).default("no").honoured(),
    key("SelectTypeParameters", OneOf(words::PARTITION_SELECT_PARAMETERS)),
    key("Shared", Text).renamed("OverSubscribe"),
    key("State", Text).default("UP").honoured(),
    key("SuspendTime", Text),
    key("SuspendTimeout", U16),
    key("TRESBillingWeights", Text).partly(BILLED),
    key("Topology", Text).since(V25_05),
];

/// The keys of a `DownNodes=` line.
pub const DOWN_NODES: &[Key] = &[
    key("Reason", Text).default("Set in slurm.conf").honoured(),
    key("State", Text).default("DOWN").honoured(),
];

/// The keys of a `NodeSet=` line.
pub const NODE_SET: &[Key] = &[key("Feature", Text).honoured(), key("Nodes", Text).honoured()];

/// The keys of a `PowerAction=` line.
pub const POWER_ACTION: &[Key] = &[key("Location", Text), key("Program", Text)];

/// The keys of a `FrontendName=` line.
pub const FRONTEND: &[Key] = &[
    key("AllowGroups", Text),
    key("AllowUsers", Text),
    key("DenyGroups", Text),
    key("DenyUsers", Text),
    key("FrontendAddr", Text),
    key("Port", U16),
    key("Reason", Text),
    key("State", Text),
];

/// The keys of gres.conf.
pub const GRES: &[Key] = &[
    key("AutoDetect", Text).default("off"),
    key("Name", Kind::Line(GRES_LINE)).honoured(),
    key("NodeName", Kind::Line(GRES_LINE)).honoured(),
];

/// The keys of a line of gres.conf.
pub const GRES_LINE: &[Key] = &[
    key("AutoDetect", Text).default("off"),
    key("CPUs", Text).renamed("Cores"),
    key("Cores", Text),
    key("Count", Text).honoured(),
    key("File", Text).honoured(),
    key("Flags", Text),
    key("Links", Text),
    key("MultipleFiles", Text).honoured(),
    key("Name", Text).honoured(),
    key("Type", Text).honoured(),
    key("UniqueId", Text),
];

/// The keys of flurm.conf, which stands beside slurm.conf and may be absent.
pub const FLURM: &[Key] = &[
    key("DataDir", Text).honoured(),
    key("ElectionTimeoutMax", Span).default("800ms").honoured(),
    key("ElectionTimeoutMin", Span).default("400ms").honoured(),
    key("GroupCommitDelay", Span).default("0s"),
    key("HeartbeatInterval", Span).default("100ms").honoured(),
    key("HoldTime", Span).default("8s").honoured(),
    key("ListenAddr", Text).honoured(),
    key("RaftPort", U16).honoured(),
    key("SackSocket", Text).honoured(),
    key("SnapshotEvery", U64).default("10000").honoured(),
    key("Peer", Kind::Line(PEER)).honoured(),
];

/// The keys of a `Peer=` line of flurm.conf.
pub const PEER: &[Key] =
    &[key("Addr", Text).honoured(), key("Id", U64).honoured(), key("Port", U16).honoured()];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::Status, value};

    fn tables() -> [&'static [Key]; 11] {
        let lines = [NODE, PARTITION, DOWN_NODES, NODE_SET, POWER_ACTION, FRONTEND];
        let [node, partition, down, set, power, front] = lines;
        [GLOBAL, node, partition, down, set, power, front, FLURM, PEER, GRES, GRES_LINE]
    }

    #[test]
    fn names_are_unique_whatever_their_case() {
        for table in tables() {
            let mut names: Vec<_> = table.iter().map(|k| k.name.to_ascii_lowercase()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), table.len());
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for key in tables().into_iter().flatten().filter(|key| !key.default.is_empty()) {
            assert!(value::read(key.kind, key.default).is_ok(), "{}", key.name);
        }
    }

    #[test]
    fn renamed_and_refused_keys_say_what_to_use() {
        for table in tables() {
            for key in table {
                assert!(key.renamed.is_none_or(|new| table.iter().any(|k| k.name == new)));
                if let Status::Refused(reason) | Status::Defunct(reason) = key.status {
                    assert!(!reason.is_empty(), "{}", key.name);
                }
                assert!(key.since <= key.until, "{}", key.name);
            }
        }
    }
}
