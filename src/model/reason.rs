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
    ReservationDeleted = 196 "ReservationDeleted",
}
