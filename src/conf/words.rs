//! The words that some keys take, with the numbers Slurm 26.05 has for them on the wire. Words that
//! only older releases know have no bit left and stand for 0.

/// A word and its number.
pub type Words = &'static [(&'static str, u64)];

/// Levels of a log.
pub const LOG_LEVELS: Words = &[
    ("quiet", 0),
    ("fatal", 1),
    ("error", 2),
    ("info", 3),
    ("verbose", 4),
    ("debug", 5),
    ("debug2", 6),
    ("debug3", 7),
    ("debug4", 8),
    ("debug5", 9),
    ("0", 0),
    ("1", 1),
    ("2", 2),
    ("3", 3),
    ("4", 4),
    ("5", 5),
    ("6", 6),
    ("7", 7),
    ("8", 8),
    ("9", 9),
];

/// `LogTimeFormat`.
pub const LOG_TIME_FORMATS: Words = &[
    ("iso8601_ms", 0),
    ("iso8601", 1),
    ("rfc5424_ms", 2),
    ("rfc5424", 3),
    ("clock", 4),
    ("short", 5),
    ("thread_id", 6),
    ("rfc3339", 7),
];

/// `AccountingStorageEnforce`.
pub const ACCOUNTING_ENFORCE: Words = &[
    ("none", 0),
    ("0", 0),
    ("associations", 1),
    ("1", 1),
    ("limits", 3),
    ("2", 3),
    ("wckeys", 5),
    ("qos", 9),
    ("safe", 19),
    ("all", 0xffff & !0x60),
    ("nosteps", 64),
    ("nojobs", 96),
];

/// `AccountingStoreFlags`, as bits of Slurm's `conf_flags`.
pub const ACCOUNTING_STORE: Words = &[
    ("job_comment", 1 << 1),
    ("job_extra", 1 << 8),
    ("job_script", 1 << 9),
    ("job_env", 1 << 10),
    ("no_stdio", 1 << 16),
];

/// `EnforcePartLimits`.
pub const ENFORCE_PART_LIMITS: Words = &[
    ("NO", 0),
    ("FALSE", 0),
    ("0", 0),
    ("DOWN", 0),
    ("ALL", 1),
    ("YES", 1),
    ("TRUE", 1),
    ("1", 1),
    ("UP", 1),
    ("ANY", 2),
];

/// `HealthCheckNodeState`.
pub const HEALTH_CHECK_STATES: Words = &[
    ("IDLE", 1),
    ("ALLOC", 2),
    ("MIXED", 4),
    ("NONDRAINED_IDLE", 8),
    ("ANY", 0xff),
    ("CYCLE", 1 << 8),
    ("START_ONLY", 1 << 9),
    ("REBOOT_ONLY", 1 << 10),
];

/// `PreemptMode`.
pub const PREEMPT_MODES: Words = &[
    ("OFF", 0),
    ("CLUSTER", 0),
    ("SUSPEND", 1),
    ("ON", 1),
    ("REQUEUE", 2),
    ("CANCEL", 8),
    ("PRIORITY", 0x2000),
    ("WITHIN", 0x4000),
    ("GANG", 0x8000),
];

/// `PriorityFlags`.
pub const PRIORITY_FLAGS: Words = &[
    ("ACCRUE_ALWAYS", 1 << 0),
    ("MAX_TRES", 1 << 1),
    ("SMALL_RELATIVE_TO_TIME", 1 << 2),
    ("DEPTH_OBLIVIOUS", 1 << 3),
    ("CALCULATE_RUNNING", 1 << 4),
    ("FAIR_TREE", 1 << 5),
    ("NO_FAIR_TREE", 0),
    ("INCR_ONLY", 1 << 6),
    ("NO_NORMAL_ASSOC", 1 << 7),
    ("NO_NORMAL_PART", 1 << 8),
    ("NO_NORMAL_QOS", 1 << 9),
    ("NO_NORMAL_TRES", 1 << 10),
    ("NO_NORMAL_ALL", 0xf << 7),
    ("MAX_TRES_GRES", 1 << 11),
];

/// `PriorityUsageResetPeriod`.
pub const RESET_PERIODS: Words = &[
    ("NONE", 0),
    ("NOW", 1),
    ("DAILY", 2),
    ("WEEKLY", 3),
    ("MONTHLY", 4),
    ("QUARTERLY", 5),
    ("YEARLY", 6),
];

/// `PrivateData`.
pub const PRIVATE_DATA: Words = &[
    ("jobs", 1 << 0),
    ("job", 1 << 0),
    ("nodes", 1 << 1),
    ("node", 1 << 1),
    ("partitions", 1 << 2),
    ("partition", 1 << 2),
    ("usage", 1 << 3),
    ("users", 1 << 4),
    ("user", 1 << 4),
    ("accounts", 1 << 5),
    ("account", 1 << 5),
    ("reservations", 1 << 6),
    ("reservation", 1 << 6),
    ("events", 1 << 8),
    ("event", 1 << 8),
    ("all", 0xffff),
    ("none", 0),
];

/// `PrologFlags`. Some imply others, as in Slurm.
pub const PROLOG_FLAGS: Words = &[
    ("Alloc", 1),
    ("NoHold", 2),
    ("Contain", 4 | 1),
    ("Serial", 8),
    ("X11", 16 | 4 | 1),
    ("DeferBatch", 32 | 1),
    ("ForceRequeueOnFail", 64),
    ("RunInJob", 128 | 4 | 1),
];

/// `ReconfigFlags`.
pub const RECONFIG_FLAGS: Words =
    &[("KeepPartInfo", 1), ("KeepPartState", 2), ("KeepPowerSaveSettings", 4)];

/// `SelectTypeParameters`.
pub const SELECT_PARAMETERS: Words = &[
    ("CR_CPU", 1),
    ("CR_CPU_Memory", 1 | 16),
    ("CR_Socket", 2),
    ("CR_Socket_Memory", 2 | 16),
    ("CR_Core", 4),
    ("CR_Core_Memory", 4 | 16),
    ("CR_Memory", 16),
    ("ENFORCE_BINDING_GRES", 1 << 6),
    ("ONE_TASK_PER_SHARING_GRES", 1 << 7),
    ("CR_ONE_TASK_PER_CORE", 1 << 8),
    ("CR_PACK_NODES", 1 << 9),
    ("LL_SHARED_GRES", 1 << 10),
    ("CR_NO_DIST_TOPO_BLOCK", 1 << 11),
    ("CR_CORE_DEFAULT_DIST_BLOCK", 1 << 12),
    ("CR_LLN", 1 << 14),
    ("MULTIPLE_SHARING_GRES_PJ", 1 << 15),
    ("OTHER_CONS_RES", 0),
    ("OTHER_CONS_TRES", 0),
    ("NHC_NO", 0),
    ("NHC_NO_STEPS", 0),
    ("NHC_ABSOLUTELY_NO", 0),
];

/// `SelectTypeParameters` of a partition.
pub const PARTITION_SELECT_PARAMETERS: Words =
    &[("CR_Socket", 2), ("CR_Socket_Memory", 2 | 16), ("CR_Core", 4), ("CR_Core_Memory", 4 | 16)];

/// `TaskPluginParam`.
pub const TASK_PARAMETERS: Words = &[
    ("verbose", 1),
    ("threads", 2),
    ("cores", 4),
    ("sockets", 8),
    ("none", 0x20),
    ("autobind=none", 0),
    ("autobind=threads", 0x4000),
    ("autobind=cores", 0x10000),
    ("autobind=sockets", 0x20000),
    ("SlurmdOffSpec", 0x40000),
    ("OOMKillStep", 0x10_0000),
    ("SlurmdSpecOverride", 0x20_0000),
];

/// `PropagateResourceLimits` and its opposite, one bit for each limit.
pub const RESOURCE_LIMITS: Words = &[
    ("ALL", 0x7ff),
    ("NONE", 0),
    ("AS", 1 << 0),
    ("CORE", 1 << 1),
    ("CPU", 1 << 2),
    ("DATA", 1 << 3),
    ("FSIZE", 1 << 4),
    ("MEMLOCK", 1 << 5),
    ("NOFILE", 1 << 6),
    ("NPROC", 1 << 7),
    ("RSS", 1 << 8),
    ("STACK", 1 << 9),
    ("OFILE", 1 << 10),
];

/// `SchedulerType`; the numbers are ours.
pub const SCHEDULER_TYPES: Words =
    &[("sched/backfill", 0), ("sched/builtin", 1), ("backfill", 0), ("builtin", 1)];

/// `SelectType`.
pub const SELECT_TYPES: Words = &[
    ("select/cons_tres", 109),
    ("select/cons_res", 101),
    ("select/linear", 102),
    ("select/cray_aries", 107),
];

/// `DebugFlags`.
pub const DEBUG_FLAGS: Words = &[
    ("SelectType", 1 << 0),
    ("Steps", 1 << 1),
    ("Triggers", 1 << 2),
    ("Trigger", 1 << 2),
    ("CPU_Bind", 1 << 3),
    ("Task", 0),
    ("NetRaw", 1 << 4),
    ("NetworkRaw", 1 << 4),
    ("NO_CONF_HASH", 1 << 5),
    ("Gres", 1 << 6),
    ("MPI", 1 << 7),
    ("Data", 1 << 8),
    ("ConMgr", 1 << 9),
    ("Net", 1 << 10),
    ("Network", 1 << 10),
    ("Priority", 1 << 11),
    ("Backfill", 1 << 12),
    ("Gang", 1 << 13),
    ("Reservation", 1 << 14),
    ("Sack", 1 << 16),
    ("Switch", 1 << 17),
    ("Energy", 1 << 18),
    ("TLS", 1 << 19 | 1 << 15),
    ("AuditTLS", 1 << 15),
    ("AuditRPCs", 1 << 25),
    ("License", 1 << 20),
    ("Profile", 1 << 21),
    ("Interconnect", 1 << 22),
    ("GLOB_SILENCE", 1 << 23),
    ("Namespace", 1 << 24),
    ("JobContainer", 1 << 24),
    ("Protocol", 1 << 26),
    ("BackfillMap", 1 << 27),
    ("TraceJobs", 1 << 28),
    ("Route", 1 << 29),
    ("DB_Assoc", 1 << 30),
    ("DB_Event", 1 << 31),
    ("DB_Job", 1 << 32),
    ("DB_QOS", 1 << 33),
    ("DB_Query", 1 << 34),
    ("DB_Reservation", 1 << 35),
    ("DB_Resource", 1 << 36),
    ("DB_Step", 1 << 37),
    ("DB_Usage", 1 << 38),
    ("DB_WCKey", 1 << 39),
    ("BurstBuffer", 1 << 40),
    ("CpuFrequency", 1 << 41),
    ("Power", 1 << 42),
    ("PowerSave", 1 << 42),
    ("Thread", 1 << 43),
    ("Threads", 1 << 43),
    ("WorkQ", 1 << 43),
    ("WorkQueue", 1 << 43),
    ("DB_Archive", 1 << 44),
    ("DB_TRES", 1 << 45),
    ("JobComp", 1 << 46),
    ("Elasticsearch", 1 << 46),
    ("NodeFeatures", 1 << 47),
    ("Federation", 1 << 48),
    ("Hetjob", 1 << 49),
    ("Accrue", 1 << 50),
    ("DBD_Agent", 1 << 51),
    ("Agent", 1 << 52),
    ("Dependency", 1 << 53),
    ("JAG", 1 << 54),
    ("JobAccountGather", 1 << 54),
    ("Cgroup", 1 << 55),
    ("Script", 1 << 56),
    ("Metrics", 1 << 57),
    ("ExtSensors", 0),
    ("FrontEnd", 0),
    ("TimeCray", 0),
];
