//! Why a job waits or ended as it did, with Slurm's numbers and words.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        /// Slurm's `state_reason`.
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum Reason {
            #[default]
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Slurm's number.
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }

            /// Slurm's word, as squeue prints it.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// Nothing to say.
    None = 0 "None",
    /// Jobs of higher priority wait.
    Priority = 1 "Priority",
    /// A job it depends on has not ended.
    Dependency = 2 "Dependency",
    /// Resources are not free.
    Resources = 3 "Resources",
    /// Asks for more or fewer nodes than the partition gives.
    PartitionNodeLimit = 4 "PartitionNodeLimit",
    /// Asks for more time than the partition gives.
    PartitionTimeLimit = 5 "PartitionTimeLimit",
    /// The partition is DOWN.
    PartitionDown = 6 "PartitionDown",
    /// The partition is INACTIVE.
    PartitionInactive = 7 "PartitionInactive",
    /// Held by an administrator.
    HeldAdmin = 8 "JobHeldAdmin",
    /// Its begin time has not come.
    BeginTime = 9 "BeginTime",
    /// Licences are not free.
    Licenses = 10 "Licenses",
    /// Its reservation has not begun or is gone.
    Reservation = 14 "Reservation",
    /// A node it requires is DOWN or drained.
    RequiredNodeNotAvailable = 15 "ReqNodeNotAvail",
    /// Held by its user.
    HeldUser = 16 "JobHeldUser",
    /// Its partition was DOWN when it had to end.
    FailDownPartition = 19 "PartitionDown",
    /// A node failed under it.
    NodeDown = 20 "NodeDown",
    /// No node can ever satisfy it.
    BadConstraints = 21 "BadConstraints",
    /// The cluster itself failed it.
    System = 22 "SystemFailure",
    /// Its launch failed.
    Launch = 23 "JobLaunchFailure",
    /// It ended with a status other than zero.
    ExitCode = 24 "NonZeroExitCode",
    /// It reached its time limit.
    TimeLimit = 25 "TimeLimit",
    /// A signal ended it.
    Signal = 33 "RaisedSignal",
    /// Requeued, while an earlier attempt is being cleaned up.
    Cleaning = 35 "Cleaning",
    /// The prolog runs.
    Prolog = 36 "Prolog",
    /// Its dependency can never be satisfied.
    DependencyNeverSatisfied = 39 "DependencyNeverSatisfied",
    /// It was requeued too often after failed launches.
    MaxRequeue = 71 "JobHoldMaxRequeue",
    /// Its array may run no more tasks at once.
    ArrayTaskLimit = 72 "JobArrayTaskLimit",
    /// Its deadline passed.
    Deadline = 167 "DeadLine",
    /// The partition's configuration cannot serve it.
    PartitionConfig = 178 "PartitionConfig",
    /// It ran out of memory.
    OutOfMemory = 181 "OutOfMemory",
    /// Its constraints cannot be met at present.
    Constraints = 200 "Constraints",
    /// Its reservation is gone.
    ReservationDeleted = 198 "ReservationDeleted",
    /// `GrpTRES` of an association: CPUs.
    AssocGrpCpu = 57 "AssocGrpCpuLimit",
    /// `GrpTRES` of an association: memory.
    AssocGrpMemory = 61 "AssocGrpMemLimit",
    /// `GrpTRES` of an association: nodes.
    AssocGrpNode = 62 "AssocGrpNodeLimit",
    /// `GrpTRES` of an association: billing units.
    AssocGrpBilling = 183 "AssocGrpBilling",
    /// `GrpTRES` of an association: another resource.
    AssocGrpOther = 78 "AssocGrpUnknown",
    /// `GrpTRESMins` of an association: CPUs.
    AssocGrpCpuMinutes = 58 "AssocGrpCPUMinutesLimit",
    /// `GrpTRESMins` of an association: memory.
    AssocGrpMemoryMinutes = 85 "AssocGrpMemMinutes",
    /// `GrpTRESMins` of an association: nodes.
    AssocGrpNodeMinutes = 90 "AssocGrpNodeMinutes",
    /// `GrpTRESMins` of an association: billing units.
    AssocGrpBillingMinutes = 184 "AssocGrpBillingMinutes",
    /// `GrpTRESMins` of an association: another resource.
    AssocGrpOtherMinutes = 79 "AssocGrpUnknownMinutes",
    /// `GrpTRESRunMins` of an association: CPUs.
    AssocGrpCpuRunMinutes = 59 "AssocGrpCPURunMinutesLimit",
    /// `GrpTRESRunMins` of an association: memory.
    AssocGrpMemoryRunMinutes = 86 "AssocGrpMemRunMinutes",
    /// `GrpTRESRunMins` of an association: nodes.
    AssocGrpNodeRunMinutes = 91 "AssocGrpNodeRunMinutes",
    /// `GrpTRESRunMins` of an association: billing units.
    AssocGrpBillingRunMinutes = 185 "AssocGrpBillingRunMinutes",
    /// `GrpTRESRunMins` of an association: another resource.
    AssocGrpOtherRunMinutes = 80 "AssocGrpUnknownRunMinutes",
    /// `MaxTRESPerJob` of an association: CPUs.
    AssocMaxCpuPerJob = 66 "AssocMaxCpuPerJobLimit",
    /// `MaxTRESPerJob` of an association: memory.
    AssocMaxMemoryPerJob = 87 "AssocMaxMemPerJob",
    /// `MaxTRESPerJob` of an association: nodes.
    AssocMaxNodePerJob = 68 "AssocMaxNodePerJobLimit",
    /// `MaxTRESPerJob` of an association: billing units.
    AssocMaxBillingPerJob = 186 "AssocMaxBillingPerJob",
    /// `MaxTRESPerJob` of an association: another resource.
    AssocMaxOtherPerJob = 81 "AssocMaxUnknownPerJob",
    /// `MaxTRESPerNode` of an association: CPUs.
    AssocMaxCpuPerNode = 84 "AssocMaxCpuPerNode",
    /// `MaxTRESPerNode` of an association: memory.
    AssocMaxMemoryPerNode = 88 "AssocMaxMemPerNode",
    /// `MaxTRESPerNode` of an association: billing units.
    AssocMaxBillingPerNode = 187 "AssocMaxBillingPerNode",
    /// `MaxTRESPerNode` of an association: another resource.
    AssocMaxOtherPerNode = 82 "AssocMaxUnknownPerNode",
    /// `MaxTRESMinsPerJob` of an association: CPUs.
    AssocMaxCpuMinutesPerJob = 67 "AssocMaxCpuMinutesPerJobLimit",
    /// `MaxTRESMinsPerJob` of an association: memory.
    AssocMaxMemoryMinutesPerJob = 89 "AssocMaxMemMinutesPerJob",
    /// `MaxTRESMinsPerJob` of an association: nodes.
    AssocMaxNodeMinutesPerJob = 92 "AssocMaxNodeMinutesPerJob",
    /// `MaxTRESMinsPerJob` of an association: billing units.
    AssocMaxBillingMinutesPerJob = 188 "AssocMaxBillingMinutesPerJob",
    /// `MaxTRESMinsPerJob` of an association: another resource.
    AssocMaxOtherMinutesPerJob = 83 "AssocMaxUnknownMinutesPerJob",
    /// `GrpTRES` of a QOS: CPUs.
    QosGrpCpu = 40 "QOSGrpCpuLimit",
    /// `GrpTRES` of a QOS: memory.
    QosGrpMemory = 44 "QOSGrpMemLimit",
    /// `GrpTRES` of a QOS: nodes.
    QosGrpNode = 45 "QOSGrpNodeLimit",
    /// `GrpTRES` of a QOS: billing units.
    QosGrpBilling = 189 "QOSGrpBilling",
    /// `GrpTRES` of a QOS: another resource.
    QosGrpOther = 116 "QOSGrpUnknown",
    /// `GrpTRESMins` of a QOS: CPUs.
    QosGrpCpuMinutes = 41 "QOSGrpCPUMinutesLimit",
    /// `GrpTRESMins` of a QOS: memory.
    QosGrpMemoryMinutes = 125 "QOSGrpMemoryMinutes",
    /// `GrpTRESMins` of a QOS: nodes.
    QosGrpNodeMinutes = 140 "QOSGrpNodeMinutes",
    /// `GrpTRESMins` of a QOS: billing units.
    QosGrpBillingMinutes = 190 "QOSGrpBillingMinutes",
    /// `GrpTRESMins` of a QOS: another resource.
    QosGrpOtherMinutes = 117 "QOSGrpUnknownMinutes",
    /// `GrpTRESRunMins` of a QOS: CPUs.
    QosGrpCpuRunMinutes = 42 "QOSGrpCPURunMinutesLimit",
    /// `GrpTRESRunMins` of a QOS: memory.
    QosGrpMemoryRunMinutes = 126 "QOSGrpMemoryRunMinutes",
    /// `GrpTRESRunMins` of a QOS: nodes.
    QosGrpNodeRunMinutes = 141 "QOSGrpNodeRunMinutes",
    /// `GrpTRESRunMins` of a QOS: billing units.
    QosGrpBillingRunMinutes = 191 "QOSGrpBillingRunMinutes",
    /// `GrpTRESRunMins` of a QOS: another resource.
    QosGrpOtherRunMinutes = 118 "QOSGrpUnknownRunMinutes",
    /// `MaxTRESPerJob` of a QOS: CPUs.
    QosMaxCpuPerJob = 48 "QOSMaxCpuPerJobLimit",
    /// `MaxTRESPerJob` of a QOS: memory.
    QosMaxMemoryPerJob = 128 "QOSMaxMemoryPerJob",
    /// `MaxTRESPerJob` of a QOS: nodes.
    QosMaxNodePerJob = 50 "QOSMaxNodePerJobLimit",
    /// `MaxTRESPerJob` of a QOS: billing units.
    QosMaxBillingPerJob = 192 "QOSMaxBillingPerJob",
    /// `MaxTRESPerJob` of a QOS: another resource.
    QosMaxOtherPerJob = 119 "QOSMaxUnknownPerJob",
    /// `MaxTRESPerNode` of a QOS: CPUs.
    QosMaxCpuPerNode = 124 "QOSMaxCpuPerNode",
    /// `MaxTRESPerNode` of a QOS: memory.
    QosMaxMemoryPerNode = 129 "QOSMaxMemoryPerNode",
    /// `MaxTRESPerNode` of a QOS: billing units.
    QosMaxBillingPerNode = 193 "QOSMaxBillingPerNode",
    /// `MaxTRESPerNode` of a QOS: another resource.
    QosMaxOtherPerNode = 120 "QOSMaxUnknownPerNode",
    /// `MaxTRESMinsPerJob` of a QOS: CPUs.
    QosMaxCpuMinutesPerJob = 49 "QOSMaxCpuMinutesPerJobLimit",
    /// `MaxTRESMinsPerJob` of a QOS: memory.
    QosMaxMemoryMinutesPerJob = 127 "QOSMaxMemoryMinutesPerJob",
    /// `MaxTRESMinsPerJob` of a QOS: nodes.
    QosMaxNodeMinutesPerJob = 142 "QOSMaxNodeMinutesPerJob",
    /// `MaxTRESMinsPerJob` of a QOS: billing units.
    QosMaxBillingMinutesPerJob = 195 "QOSMaxBillingMinutesPerJob",
    /// `MaxTRESMinsPerJob` of a QOS: another resource.
    QosMaxOtherMinutesPerJob = 122 "QOSMaxUnknownMinutesPerJob",
    /// `MaxTRESPerUser` of a QOS: CPUs.
    QosMaxCpuPerUser = 52 "QOSMaxCpuPerUserLimit",
    /// `MaxTRESPerUser` of a QOS: memory.
    QosMaxMemoryPerUser = 130 "QOSMaxMemoryPerUser",
    /// `MaxTRESPerUser` of a QOS: nodes.
    QosMaxNodePerUser = 54 "QOSMaxNodePerUserLimit",
    /// `MaxTRESPerUser` of a QOS: billing units.
    QosMaxBillingPerUser = 194 "QOSMaxBillingPerUser",
    /// `MaxTRESPerUser` of a QOS: another resource.
    QosMaxOtherPerUser = 121 "QOSMaxUnknownPerUser",
    /// `MaxTRESPerAccount` of a QOS: CPUs.
    QosMaxCpuPerAccount = 169 "MaxCpuPerAccount",
    /// `MaxTRESPerAccount` of a QOS: memory.
    QosMaxMemoryPerAccount = 174 "MaxMemoryPerAccount",
    /// `MaxTRESPerAccount` of a QOS: nodes.
    QosMaxNodePerAccount = 172 "MaxNodePerAccount",
    /// `MaxTRESPerAccount` of a QOS: billing units.
    QosMaxBillingPerAccount = 196 "MaxBillingPerAccount",
    /// `MaxTRESPerAccount` of a QOS: another resource.
    QosMaxOtherPerAccount = 175 "MaxUnknownPerAccount",
    /// `MinTRESPerJob` of a QOS: CPUs.
    QosMinCpu = 56 "QOSMinCpuNotSatisfied",
    /// `MinTRESPerJob` of a QOS: memory.
    QosMinMemory = 131 "QOSMinMemory",
    /// `MinTRESPerJob` of a QOS: nodes.
    QosMinNode = 143 "QOSMinNode",
    /// `MinTRESPerJob` of a QOS: billing units.
    QosMinBilling = 197 "QOSMinBilling",
    /// `MinTRESPerJob` of a QOS: another resource.
    QosMinOther = 123 "QOSMinUnknown",
    /// `GrpJobs` of an association.
    AssocGrpJobs = 60 "AssocGrpJobsLimit",
    /// `GrpWall` of an association.
    AssocGrpWall = 64 "AssocGrpWallLimit",
    /// `MaxJobs` of an association.
    AssocMaxJobs = 65 "AssocMaxJobsLimit",
    /// `MaxWall` of an association.
    AssocMaxWall = 69 "AssocMaxWallDurationPerJobLimit",
    /// `GrpJobs` of a QOS.
    QosGrpJobs = 43 "QOSGrpJobsLimit",
    /// `GrpWall` of a QOS.
    QosGrpWall = 47 "QOSGrpWallLimit",
    /// `MaxJobsPerUser` of a QOS.
    QosMaxJobsPerUser = 53 "QOSMaxJobsPerUserLimit",
    /// `MaxJobsPerAccount` of a QOS.
    QosMaxJobsPerAccount = 176 "MaxJobsPerAccount",
    /// `MaxWall` of a QOS.
    QosMaxWall = 51 "QOSMaxWallDurationPerJobLimit",
}
