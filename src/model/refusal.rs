//! Refusals: what a user may not have, with Slurm's error number.

use serde::{Deserialize, Serialize};

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Slurm's error numbers that the cluster answers with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Errno {
            $($(#[$doc])* $name,)*
        }

        impl Errno {
            /// Slurm's number, as in `slurm_errno.h`.
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }
        }
    };
}

errnos! {
    /// ESLURM_INVALID_PARTITION_NAME
    InvalidPartitionName = 2000,
    /// ESLURM_DEFAULT_PARTITION_NOT_SET
    DefaultPartitionNotSet = 2001,
    /// ESLURM_ACCESS_DENIED
    AccessDenied = 2002,
    /// ESLURM_REQUESTED_NODES_NOT_IN_PARTITION
    RequestedNodesNotInPartition = 2004,
    /// ESLURM_TOO_MANY_REQUESTED_CPUS
    TooManyRequestedCpus = 2005,
    /// ESLURM_INVALID_NODE_COUNT
    InvalidNodeCount = 2006,
    /// ESLURM_MAX_JOB_COUNT
    MaxJobCount = 2007,
    /// ESLURM_DUPLICATE_JOB_ID
    DuplicateJobId = 2011,
    /// ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE
    RequestedNodeConfigUnavailable = 2014,
    /// ESLURM_REQUESTED_PART_CONFIG_UNAVAILABLE
    RequestedPartConfigUnavailable = 2015,
    /// ESLURM_INVALID_JOB_ID
    InvalidJobId = 2017,
    /// ESLURM_INVALID_NODE_NAME
    InvalidNodeName = 2018,
    /// ESLURM_TRANSITION_STATE_NO_UPDATE
    TransitionStateNoUpdate = 2020,
    /// ESLURM_ALREADY_DONE
    AlreadyDone = 2021,
    /// ESLURM_JOB_PENDING
    JobPending = 2024,
    /// ESLURM_BAD_TASK_COUNT
    BadTaskCount = 2025,
    /// ESLURM_INVALID_NODE_STATE
    InvalidNodeState = 2028,
    /// ESLURM_INVALID_FEATURE
    InvalidFeature = 2029,
    /// ESLURM_NOT_SUPPORTED
    NotSupported = 2036,
    /// ESLURM_DISABLED
    Disabled = 2037,
    /// ESLURM_BATCH_ONLY
    BatchOnly = 2039,
    /// ESLURM_JOB_HELD
    JobHeld = 2042,
    /// ESLURM_INVALID_TASK_MEMORY
    InvalidTaskMemory = 2044,
    /// ESLURM_INVALID_TIME_LIMIT
    InvalidTimeLimit = 2051,
    /// ESLURM_INVALID_TIME_VALUE
    InvalidTimeValue = 2054,
    /// ESLURM_NODE_NOT_AVAIL
    NodeNotAvail = 2068,
    /// ESLURM_INVALID_CPU_COUNT
    InvalidCpuCount = 2069,
    /// ESLURM_PARTITION_NOT_AVAIL
    PartitionNotAvail = 2070,
    /// ESLURM_JOB_NOT_PENDING
    JobNotPending = 2073,
    /// ESLURM_PARTITION_IN_USE
    PartitionInUse = 2075,
    /// ESLURM_JOB_FINISHED
    JobFinished = 2084,
    /// ESLURM_JOB_NOT_RUNNING
    JobNotRunning = 2085,
    /// ESLURM_JOB_NOT_PENDING_NOR_RUNNING
    JobNotPendingNorRunning = 2086,
    /// ESLURM_INVALID_NICE
    InvalidNice = 2123,
    /// ESLURM_INVALID_TIME_MIN_LIMIT
    InvalidTimeMinLimit = 2124,
    /// ESLURM_JOB_SCRIPT_MISSING
    JobScriptMissing = 2009,
    /// ESLURM_PARTITION_DOWN
    PartitionDown = 2101,
    /// ESLURM_INVALID_NODE_STATE_TRANSITION
    InvalidNodeStateTransition = 2180,
    /// ESLURM_INVALID_ARRAY
    InvalidArray = 2081,
    /// ESLURM_DEPENDENCY
    Dependency = 2038,
    /// ESLURM_CIRCULAR_DEPENDENCY
    CircularDependency = 2071,
    /// ESLURM_NODES_BUSY
    NodesBusy = 2016,
    /// ESLURM_BAD_DIST
    BadDist = 2023,
    /// ESLURM_STEP_LIMIT
    StepLimit = 2076,
    /// ESLURM_DUPLICATE_STEP_ID
    DuplicateStepId = 2110,
    /// ESLURM_ACTIVE_FEATURE_NOT_SUBSET
    ActiveFeatureNotSubset = 2031,
    /// ESLURM_INVALID_PREFER
    InvalidPrefer = 2133,
    /// ESLURM_USER_ID_MISSING
    UserIdMissing = 2010,
    /// ESLURM_JOB_NOT_SUSPENDED
    JobNotSuspended = 2087,
    /// ESLURM_INVALID_LICENSES
    InvalidLicenses = 2048,
    /// ESLURM_RESERVATION_ACCESS
    ReservationAccess = 2052,
    /// ESLURM_RESERVATION_INVALID
    ReservationInvalid = 2053,
    /// ESLURM_RESERVATION_BUSY
    ReservationBusy = 2055,
    /// ESLURM_RESERVATION_OVERLAP
    ReservationOverlap = 2058,
    /// ESLURM_RESERVATION_EMPTY
    ReservationEmpty = 2080,
    /// ESLURM_RESERVATION_NAME_DUP
    ReservationNameDup = 2082,
    /// ESLURM_INVALID_ACCOUNT
    InvalidAccount = 2045,
    /// ESLURM_INVALID_QOS
    InvalidQos = 2066,
    /// ESLURM_ACCOUNTING_POLICY
    AccountingPolicy = 2050,
    /// ESLURM_INVALID_GRES
    InvalidGres = 2072,
}

/// Why a request is refused: goes back to the user in the reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Slurm's error.
    pub errno: Errno,
    /// One more sentence that names the limit or the closest fit; empty where there is none.
    pub text: String,
}

impl Refusal {
    /// A refusal with a sentence of its own.
    pub fn new(errno: Errno, text: impl Into<String>) -> Self {
        Self { errno, text: text.into() }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, text: String::new() }
    }
}
