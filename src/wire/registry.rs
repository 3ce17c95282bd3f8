//! The messages whose bodies are understood. One line declares a message; its variant is Slurm's
//! name in camel case.

use std::fmt::Debug;

use crate::dbd as d;
use crate::messages as m;
use crate::persist as p;
use crate::records as r;
use crate::{DecodeError, Gen, Reader, Release, Schema, Visitor, Writer};

/// One registered message: what tests, documents and the schema lock go through.
#[derive(Debug)]
pub struct Registered<M: 'static = Message> {
    /// Its number.
    pub msg_type: u16,
    /// Its name in Slurm.
    pub name: &'static str,
    /// First release that has it.
    pub since: Release,
    /// Last release that has it.
    pub until: Release,
    /// The record that is its body, as declared; `None` for an empty body.
    pub body: Option<&'static str>,
    pub(crate) schema: fn(Release) -> Schema,
    pub(crate) sample: fn(&mut Gen) -> M,
    pub(crate) default: fn() -> M,
}

impl<M> Registered<M> {
    /// Whether a release has it.
    pub fn in_release(&self, release: Release) -> bool {
        self.since <= release && release <= self.until
    }

    /// Its layout in a release.
    pub fn schema(&self, release: Release) -> Schema {
        (self.schema)(release)
    }

    /// A message of this type in which every field has its default.
    pub fn default(&self) -> M {
        (self.default)()
    }

    /// An invented message of this type.
    pub fn sample(&self, g: &mut Gen) -> M {
        (self.sample)(g)
    }
}

/// Memory that a body is given before it is written, in bytes: enough for a submission.
const BODY_ROOM_BYTES: usize = 4 << 10;

/// What every set of messages offers, for tests, tools and documents that go through them all.
pub trait Registry: Clone + Debug + PartialEq + Sized + 'static {
    /// Every registered message.
    const REGISTERED: &'static [Registered<Self>];

    /// The message's number.
    fn msg_type(&self) -> u16;

    /// Appends the body in the writer's release.
    fn encode(&self, w: &mut Writer);

    /// Shows the body to a visitor.
    fn view(&self, v: &mut dyn Visitor);

    /// Reads a body out of a longer run of bytes.
    fn decode_from(msg_type: u16, r: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads the body of a message of this number. The body must be used up.
    fn decode(msg_type: u16, release: Release, body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(release, body);
        let message = Self::decode_from(msg_type, &mut r)?;
        r.finish()?;
        Ok(message)
    }

    /// The body's bytes in a release.
    fn to_bytes(&self, release: Release) -> Vec<u8> {
        let mut w = Writer::with_room(release, BODY_ROOM_BYTES);
        self.encode(&mut w);
        w.into_bytes()
    }

    /// The message's name in Slurm.
    fn name(&self) -> &'static str {
        crate::names::name(self.msg_type()).expect("a registered message has a name")
    }

    /// The registered message of this number in a release.
    fn registered(msg_type: u16, release: Release) -> Option<&'static Registered<Self>> {
        let fits =
            |entry: &&Registered<Self>| entry.msg_type == msg_type && entry.in_release(release);
        Self::REGISTERED.iter().find(fits)
    }
}

macro_rules! or_release {
    (OLDEST) => {
        $crate::Release::OLDEST
    };
    (NEWEST) => {
        $crate::Release::NEWEST
    };
    ($default:ident $given:ident) => {
        $crate::Release::$given
    };
}

macro_rules! messages {
    (
        $(#[$note:meta])*
        $set:ident:
        $($name:ident => $variant:ident $(($body:ty))?
            $(since $since:ident)? $(until $until:ident)?;)*
    ) => {
        $(#[$note])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $set {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                $variant $(($body))?,
            )*
        }

        impl $crate::Registry for $set {
            const REGISTERED: &'static [$crate::Registered<Self>] = &[$(
                $crate::Registered {
                    msg_type: $crate::names::$name,
                    name: stringify!($name),
                    since: $crate::registry::or_release!(OLDEST $($since)?),
                    until: $crate::registry::or_release!(NEWEST $($until)?),
                    body: messages!(@body $($body)?),
                    schema: messages!(@schema $($body)?),
                    sample: messages!(@sample $variant $($body)?),
                    default: messages!(@default $variant $($body)?),
                },
            )*];

            fn msg_type(&self) -> u16 {
                match self {
                    $(messages!(@any $variant $($body)?) => $crate::names::$name,)*
                }
            }

            fn encode(&self, w: &mut $crate::Writer) {
                match self {
                    $(messages!(@bind $variant body $($body)?) =>
                        messages!(@encode body w $($body)?),)*
                }
            }

            fn view(&self, v: &mut dyn $crate::Visitor) {
                match self {
                    $(messages!(@bind $variant body $($body)?) =>
                        messages!(@view $variant body v $($body)?),)*
                }
            }

            fn decode_from(
                msg_type: u16,
                r: &mut $crate::Reader<'_>,
            ) -> Result<Self, $crate::DecodeError> {
                let release = r.release();
                match msg_type {
                    $($crate::names::$name
                        if $crate::registry::or_release!(OLDEST $($since)?) <= release
                            && release <= $crate::registry::or_release!(NEWEST $($until)?) =>
                    {
                        messages!(@decode $variant r $($body)?)
                    })*
                    _ => {
                        let name = $crate::names::name(msg_type);
                        Err(r.fault($crate::Fault::UnknownMessage { msg_type, name }))
                    }
                }
            }
        }
    };
    (@body) => { None };
    (@body $body:ty) => { Some(stringify!($body)) };
    (@schema) => { |_| $crate::Schema::default() };
    (@schema $body:ty) => { $crate::Schema::of::<$body> };
    (@default $variant:ident) => { || Self::$variant };
    (@default $variant:ident $body:ty) => { || Self::$variant(<$body>::default()) };
    (@sample $variant:ident) => { |_| Self::$variant };
    (@sample $variant:ident $body:ty) => {
        |g| Self::$variant(<$body as $crate::Wire>::sample(g))
    };
    (@any $variant:ident) => { Self::$variant };
    (@any $variant:ident $body:ty) => { Self::$variant(_) };
    (@bind $variant:ident $name:ident) => { Self::$variant };
    (@bind $variant:ident $name:ident $body:ty) => { Self::$variant($name) };
    (@encode $name:ident $w:ident) => { () };
    (@encode $name:ident $w:ident $body:ty) => { <$body as $crate::Wire>::encode($name, $w) };
    (@view $variant:ident $name:ident $v:ident) => {{
        $v.record_begin(stringify!($variant));
        $v.record_end();
    }};
    (@view $variant:ident $name:ident $v:ident $body:ty) => {
        <$body as $crate::Wire>::view($name, $v)
    };
    (@decode $variant:ident $r:ident) => { Ok(Self::$variant) };
    (@decode $variant:ident $r:ident $body:ty) => {
        <$body as $crate::Wire>::decode($r).map(Self::$variant)
    };
}

pub(crate) use {messages, or_release};

/// The same without the trait, because nearly everyone speaks of these messages only.
impl Message {
    /// Every registered message.
    pub const REGISTERED: &'static [Registered] = <Self as Registry>::REGISTERED;

    /// The message's number.
    pub fn msg_type(&self) -> u16 {
        Registry::msg_type(self)
    }

    /// Appends the body in the writer's release.
    pub fn encode(&self, w: &mut Writer) {
        Registry::encode(self, w);
    }

    /// Shows the body to a visitor.
    pub fn view(&self, v: &mut dyn Visitor) {
        Registry::view(self, v);
    }

    /// Reads the body of a message of this number. The body must be used up.
    pub fn decode(msg_type: u16, release: Release, body: &[u8]) -> Result<Self, DecodeError> {
        <Self as Registry>::decode(msg_type, release, body)
    }

    /// Reads a body out of a longer run of bytes.
    pub(crate) fn decode_from(msg_type: u16, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        <Self as Registry>::decode_from(msg_type, r)
    }

    /// The body's bytes in a release.
    pub fn to_bytes(&self, release: Release) -> Vec<u8> {
        Registry::to_bytes(self, release)
    }

    /// The registered message of this number in a release.
    pub fn registered(msg_type: u16, release: Release) -> Option<&'static Registered> {
        <Self as Registry>::registered(msg_type, release)
    }

    /// The message's name in Slurm.
    pub fn name(&self) -> &'static str {
        Registry::name(self)
    }
}

messages! {
    /// A message of any registered type, as it follows a header.
    Message:
    REQUEST_NODE_REGISTRATION_STATUS => RequestNodeRegistrationStatus;
    MESSAGE_NODE_REGISTRATION_STATUS => MessageNodeRegistrationStatus(Box<r::NodeRegistration>);
    REQUEST_RECONFIGURE => RequestReconfigure;
    REQUEST_RECONFIGURE_WITH_CONFIG => RequestReconfigureWithConfig(m::ConfigResponse);
    REQUEST_SHUTDOWN => RequestShutdown(m::Shutdown);
    REQUEST_RECONFIGURE_SACKD => RequestReconfigureSackd(m::ConfigResponse) since V23_11;
    REQUEST_PING => RequestPing;
    REQUEST_CONTROL => RequestControl;
    REQUEST_SET_DEBUG_LEVEL => RequestSetDebugLevel(m::DebugLevel);
    REQUEST_HEALTH_CHECK => RequestHealthCheck;
    REQUEST_TAKEOVER => RequestTakeover;
    REQUEST_SET_SCHEDLOG_LEVEL => RequestSetSchedlogLevel(m::DebugLevel);
    REQUEST_SET_DEBUG_FLAGS => RequestSetDebugFlags(m::DebugFlags);
    REQUEST_REBOOT_NODES => RequestRebootNodes(m::RebootNodes);
    RESPONSE_PING_SLURMD => ResponsePingSlurmd(m::PingSlurmd);
    REQUEST_ACCT_GATHER_UPDATE => RequestAcctGatherUpdate;
    RESPONSE_ACCT_GATHER_UPDATE => ResponseAcctGatherUpdate(m::NodeEnergy);
    REQUEST_ACCT_GATHER_ENERGY => RequestAcctGatherEnergy(m::EnergyRequest);
    RESPONSE_ACCT_GATHER_ENERGY => ResponseAcctGatherEnergy(m::NodeEnergy);
    REQUEST_LICENSE_INFO => RequestLicenseInfo(m::InfoRequest);
    RESPONSE_LICENSE_INFO => ResponseLicenseInfo(r::LicenseInfoMsg);
    REQUEST_SET_FS_DAMPENING_FACTOR => RequestSetFsDampeningFactor(m::DampeningFactor);
    RESPONSE_NODE_REGISTRATION => ResponseNodeRegistration(r::NodeRegistrationAnswer);
    REQUEST_SET_SUSPEND_EXC_NODES => RequestSetSuspendExcNodes(m::SuspendExceptions) since V23_02;
    REQUEST_SET_SUSPEND_EXC_PARTS => RequestSetSuspendExcParts(m::SuspendExceptions) since V23_02;
    REQUEST_SET_SUSPEND_EXC_STATES => RequestSetSuspendExcStates(m::SuspendExceptions) since V23_02;
    REQUEST_DBD_RELAY => RequestDbdRelay(d::Relay) since V24_05;
    REQUEST_NODE_HEALTH_CHECK => RequestNodeHealthCheck(m::NodeHealth) since V26_05;
    PERSIST_RC => PersistRc(p::PersistRc);
    REQUEST_BUILD_INFO => RequestBuildInfo(m::LastUpdate);
    RESPONSE_BUILD_INFO => ResponseBuildInfo(Box<r::BuildInfo>);
    REQUEST_JOB_INFO => RequestJobInfo(m::JobInfoRequest);
    RESPONSE_JOB_INFO => ResponseJobInfo(r::JobInfoMsg);
    REQUEST_JOB_STEP_INFO => RequestJobStepInfo(m::StepInfoRequest);
    RESPONSE_JOB_STEP_INFO => ResponseJobStepInfo(r::StepInfoMsg);
    REQUEST_NODE_INFO => RequestNodeInfo(m::InfoRequest);
    RESPONSE_NODE_INFO => ResponseNodeInfo(r::NodeInfoMsg);
    REQUEST_PARTITION_INFO => RequestPartitionInfo(m::InfoRequest);
    RESPONSE_PARTITION_INFO => ResponsePartitionInfo(r::PartitionInfoMsg);
    REQUEST_TOPO_CONFIG => RequestTopoConfig since V25_05;
    RESPONSE_TOPO_CONFIG => ResponseTopoConfig(m::TopologyConfig) since V25_05;
    REQUEST_JOB_ID => RequestJobId(m::JobIdRequest);
    RESPONSE_JOB_ID => ResponseJobId(m::JobIdResponse);
    REQUEST_CONFIG => RequestConfig(m::ConfigRequest);
    RESPONSE_CONFIG => ResponseConfig(m::ConfigResponse);
    REQUEST_TRIGGER_SET => RequestTriggerSet(m::Triggers);
    REQUEST_TRIGGER_GET => RequestTriggerGet(m::Triggers);
    REQUEST_TRIGGER_CLEAR => RequestTriggerClear(m::Triggers);
    RESPONSE_TRIGGER_GET => ResponseTriggerGet(m::Triggers);
    REQUEST_JOB_INFO_SINGLE => RequestJobInfoSingle(m::JobQuery);
    REQUEST_SHARE_INFO => RequestShareInfo(m::SharesRequest);
    RESPONSE_SHARE_INFO => ResponseShareInfo(m::SharesResponse);
    REQUEST_RESERVATION_INFO => RequestReservationInfo(m::ReservationInfoRequest);
    RESPONSE_RESERVATION_INFO => ResponseReservationInfo(r::ReservationInfoMsg);
    REQUEST_PRIORITY_FACTORS => RequestPriorityFactors(m::PriorityFactorsRequest);
    RESPONSE_PRIORITY_FACTORS => ResponsePriorityFactors(m::PriorityFactorsResponse);
    REQUEST_TOPO_INFO => RequestTopoInfo(m::TopologyRequest);
    RESPONSE_TOPO_INFO => ResponseTopoInfo(m::TopologyResponse);
    REQUEST_TRIGGER_PULL => RequestTriggerPull(m::Triggers);
    REQUEST_FRONT_END_INFO => RequestFrontEndInfo(m::LastUpdate) until V24_11;
    RESPONSE_FRONT_END_INFO => ResponseFrontEndInfo(r::FrontEndInfoMsg) until V24_11;
    REQUEST_STATS_INFO => RequestStatsInfo(r::StatsRequest);
    RESPONSE_STATS_INFO => ResponseStatsInfo(Box<r::Stats>);
    REQUEST_BURST_BUFFER_INFO => RequestBurstBufferInfo;
    RESPONSE_BURST_BUFFER_INFO => ResponseBurstBufferInfo(r::BurstBufferInfoMsg);
    REQUEST_JOB_USER_INFO => RequestJobUserInfo(m::JobUserInfoRequest);
    REQUEST_NODE_INFO_SINGLE => RequestNodeInfoSingle(m::NodeInfoSingleRequest);
    REQUEST_HOSTLIST_EXPANSION => RequestHostlistExpansion(m::HostlistExpansion) since V25_05;
    RESPONSE_HOSTLIST_EXPANSION => ResponseHostlistExpansion(m::HostlistExpansion) since V25_05;
    REQUEST_ASSOC_MGR_INFO => RequestAssocMgrInfo(m::AssocMgrInfoRequest);
    RESPONSE_ASSOC_MGR_INFO => ResponseAssocMgrInfo(d::AssocMgrInfo);
    REQUEST_FED_INFO => RequestFedInfo;
    RESPONSE_FED_INFO => ResponseFedInfo(Box<Option<d::Federation>>);
    REQUEST_BATCH_SCRIPT => RequestBatchScript(m::JobQuery);
    RESPONSE_BATCH_SCRIPT => ResponseBatchScript(m::BatchScript);
    REQUEST_CONTROL_STATUS => RequestControlStatus;
    RESPONSE_CONTROL_STATUS => ResponseControlStatus(m::ControlStatus);
    REQUEST_BURST_BUFFER_STATUS => RequestBurstBufferStatus(r::BurstBufferStatusRequest);
    RESPONSE_BURST_BUFFER_STATUS => ResponseBurstBufferStatus(r::BurstBufferStatus);
    REQUEST_JOB_STATE => RequestJobState(m::JobStateRequest) since V23_11;
    RESPONSE_JOB_STATE => ResponseJobState(m::JobStateResponse) since V23_11;
    REQUEST_CRONTAB => RequestCrontab(m::CrontabRequest);
    RESPONSE_CRONTAB => ResponseCrontab(m::CrontabResponse);
    REQUEST_UPDATE_CRONTAB => RequestUpdateCrontab(m::CrontabUpdate);
    RESPONSE_UPDATE_CRONTAB => ResponseUpdateCrontab(m::CrontabUpdateResponse);
    REQUEST_TLS_CERT => RequestTlsCert(m::TlsCertRequest) since V24_11;
    RESPONSE_TLS_CERT => ResponseTlsCert(m::TlsCertResponse) since V24_11;
    REQUEST_UPDATE_JOB => RequestUpdateJob(Box<r::JobDesc>);
    REQUEST_UPDATE_NODE => RequestUpdateNode(Box<r::UpdateNode>);
    REQUEST_CREATE_PARTITION => RequestCreatePartition(Box<r::UpdatePartition>);
    REQUEST_DELETE_PARTITION => RequestDeletePartition(r::DeletePartition);
    REQUEST_UPDATE_PARTITION => RequestUpdatePartition(Box<r::UpdatePartition>);
    REQUEST_CREATE_RESERVATION => RequestCreateReservation(Box<r::UpdateReservation>);
    RESPONSE_CREATE_RESERVATION => ResponseCreateReservation(r::ReservationName);
    REQUEST_DELETE_RESERVATION => RequestDeleteReservation(r::ReservationName);
    REQUEST_UPDATE_RESERVATION => RequestUpdateReservation(Box<r::UpdateReservation>);
    REQUEST_RUN_POWER_ACTION => RequestRunPowerAction(m::RunPowerAction) since V26_05;
    REQUEST_UPDATE_FRONT_END => RequestUpdateFrontEnd(r::UpdateFrontEnd) until V24_11;
    REQUEST_DELETE_NODE => RequestDeleteNode(Box<r::UpdateNode>);
    REQUEST_CREATE_NODE => RequestCreateNode(Box<r::UpdateNode>);
    REQUEST_NODE_ALIAS_ADDRS => RequestNodeAliasAddrs(m::NodeAddrs) since V23_11;
    RESPONSE_NODE_ALIAS_ADDRS => ResponseNodeAliasAddrs(m::NodeAddrsAnswer) since V23_11;
    REQUEST_RESOURCE_ALLOCATION => RequestResourceAllocation(Box<r::JobDesc>);
    RESPONSE_RESOURCE_ALLOCATION => ResponseResourceAllocation(Box<r::Allocation>);
    REQUEST_SUBMIT_BATCH_JOB => RequestSubmitBatchJob(Box<r::JobDesc>);
    RESPONSE_SUBMIT_BATCH_JOB => ResponseSubmitBatchJob(m::SubmitResponse);
    REQUEST_BATCH_JOB_LAUNCH => RequestBatchJobLaunch(Box<r::BatchJobLaunch>);
    REQUEST_RESOURCE_LAYOUT => RequestResourceLayout(m::JobQuery) since V25_11;
    RESPONSE_RESOURCE_LAYOUT => ResponseResourceLayout(m::ResourceLayout) since V25_11;
    REQUEST_JOB_WILL_RUN => RequestJobWillRun(Box<r::JobDesc>);
    RESPONSE_JOB_WILL_RUN => ResponseJobWillRun(r::WillRun);
    REQUEST_JOB_ALLOCATION_INFO => RequestJobAllocationInfo(m::JobAllocInfo);
    RESPONSE_JOB_ALLOCATION_INFO => ResponseJobAllocationInfo(Box<r::Allocation>);
    REQUEST_JOB_READY => RequestJobReady(m::JobQuery);
    RESPONSE_JOB_READY => ResponseJobReady(m::ReturnCode);
    REQUEST_JOB_END_TIME => RequestJobEndTime(m::JobAllocInfo);
    REQUEST_JOB_NOTIFY => RequestJobNotify(m::JobNotify);
    REQUEST_JOB_SBCAST_CRED => RequestJobSbcastCred(m::SelectedStep);
    RESPONSE_JOB_SBCAST_CRED => ResponseJobSbcastCred(r::SbcastAnswer);
    REQUEST_HET_JOB_ALLOCATION => RequestHetJobAllocation(r::JobDescList);
    RESPONSE_HET_JOB_ALLOCATION => ResponseHetJobAllocation(r::AllocationList);
    REQUEST_HET_JOB_ALLOC_INFO => RequestHetJobAllocInfo(m::JobAllocInfo);
    REQUEST_SUBMIT_BATCH_HET_JOB => RequestSubmitBatchHetJob(r::JobDescList);
    REQUEST_SBCAST_CRED_NO_JOB => RequestSbcastCredNoJob(m::SbcastNodes) since V24_11;
    REQUEST_CTLD_MULT_MSG => RequestCtldMultMsg(m::MultiMessage);
    RESPONSE_CTLD_MULT_MSG => ResponseCtldMultMsg(m::MultiMessage);
    REQUEST_SIB_MSG => RequestSibMsg(Box<m::SiblingMessage>);
    REQUEST_SIB_JOB_LOCK => RequestSibJobLock(Box<m::SiblingMessage>);
    REQUEST_SIB_JOB_UNLOCK => RequestSibJobUnlock(Box<m::SiblingMessage>);
    REQUEST_SEND_DEP => RequestSendDep(m::SendDependency);
    REQUEST_UPDATE_ORIGIN_DEP => RequestUpdateOriginDep(m::UpdateOriginDependency);
    REQUEST_JOB_STEP_CREATE => RequestJobStepCreate(Box<r::StepCreate>);
    RESPONSE_JOB_STEP_CREATE => ResponseJobStepCreate(Box<r::StepCreated>);
    REQUEST_STEPMGR_RESIZE_KILL_STEPS => RequestStepmgrResizeKillSteps(m::StepsOfLostNodes) since V26_05;
    REQUEST_CANCEL_JOB_STEP => RequestCancelJobStep(m::JobStepKill);
    REQUEST_UPDATE_JOB_STEP => RequestUpdateJobStep(m::UpdateStep);
    REQUEST_STEP_BY_CONTAINER_ID => RequestStepByContainerId(m::ContainerQuery) since V23_02;
    RESPONSE_STEP_BY_CONTAINER_ID => ResponseStepByContainerId(m::ContainerSteps) since V23_02;
    REQUEST_SUSPEND => RequestSuspend(m::Suspend);
    REQUEST_STEP_COMPLETE => RequestStepComplete(Box<m::StepComplete>);
    REQUEST_COMPLETE_JOB_ALLOCATION => RequestCompleteJobAllocation(m::CompleteJobAllocation);
    REQUEST_COMPLETE_BATCH_SCRIPT => RequestCompleteBatchScript(Box<m::CompleteBatchScript>);
    REQUEST_JOB_STEP_STAT => RequestJobStepStat(crate::StepId);
    RESPONSE_JOB_STEP_STAT => ResponseJobStepStat(Box<m::StepStat>);
    REQUEST_STEP_LAYOUT => RequestStepLayout(crate::StepId);
    RESPONSE_STEP_LAYOUT => ResponseStepLayout(r::StepLayoutAnswer);
    REQUEST_JOB_REQUEUE => RequestJobRequeue(m::Requeue);
    REQUEST_DAEMON_STATUS => RequestDaemonStatus;
    RESPONSE_SLURMD_STATUS => ResponseSlurmdStatus(Box<m::SlurmdStatus>);
    REQUEST_JOB_STEP_PIDS => RequestJobStepPids(crate::StepId);
    RESPONSE_JOB_STEP_PIDS => ResponseJobStepPids(m::StepPids);
    REQUEST_FORWARD_DATA => RequestForwardData(m::ForwardData);
    REQUEST_SUSPEND_INT => RequestSuspendInt(m::SuspendProcesses);
    REQUEST_KILL_JOB => RequestKillJob(m::JobStepKill);
    RESPONSE_JOB_ARRAY_ERRORS => ResponseJobArrayErrors(m::JobArrayErrors);
    REQUEST_NETWORK_CALLERID => RequestNetworkCallerid(m::NetworkCallerId);
    RESPONSE_NETWORK_CALLERID => ResponseNetworkCallerid(m::NetworkCallerIdAnswer);
    REQUEST_TOP_JOB => RequestTopJob(m::TopJob);
    REQUEST_AUTH_TOKEN => RequestAuthToken(m::TokenRequest);
    RESPONSE_AUTH_TOKEN => ResponseAuthToken(m::TokenResponse);
    REQUEST_KILL_JOBS => RequestKillJobs(Box<m::KillJobs>) since V23_11;
    RESPONSE_KILL_JOBS => ResponseKillJobs(m::KillJobsResponse) since V23_11;
    REQUEST_STEPS_DRAINED_SUBSCRIBE => RequestStepsDrainedSubscribe(m::StepsDrainedSubscribe) since V26_05;
    REQUEST_LAUNCH_TASKS => RequestLaunchTasks(Box<r::LaunchTasks>);
    RESPONSE_LAUNCH_TASKS => ResponseLaunchTasks(m::LaunchedTasks);
    MESSAGE_TASK_EXIT => MessageTaskExit(m::TaskExit);
    REQUEST_SIGNAL_TASKS => RequestSignalTasks(m::SignalTasks);
    REQUEST_JOB_MEM_USAGE => RequestJobMemUsage(crate::StepId) since V26_05;
    REQUEST_TERMINATE_TASKS => RequestTerminateTasks(m::SignalTasks);
    REQUEST_REATTACH_TASKS => RequestReattachTasks(r::Reattach);
    RESPONSE_REATTACH_TASKS => ResponseReattachTasks(m::Reattached);
    REQUEST_KILL_TIMELIMIT => RequestKillTimelimit(Box<r::KillJob>);
    REQUEST_UPDATE_JOB_MEM => RequestUpdateJobMem(m::UpdateJobMem) since V26_05;
    REQUEST_TERMINATE_JOB => RequestTerminateJob(Box<r::KillJob>);
    MESSAGE_EPILOG_COMPLETE => MessageEpilogComplete(m::EpilogComplete);
    REQUEST_ABORT_JOB => RequestAbortJob(Box<r::KillJob>);
    REQUEST_FILE_BCAST => RequestFileBcast(Box<r::FileBcast>);
    RESPONSE_UPDATE_JOB_MEM => ResponseUpdateJobMem(m::UpdatedJobMem) since V26_05;
    REQUEST_KILL_PREEMPTED => RequestKillPreempted(Box<r::KillJob>);
    REQUEST_LAUNCH_PROLOG => RequestLaunchProlog(Box<r::PrologLaunch>);
    REQUEST_COMPLETE_PROLOG => RequestCompleteProlog(r::PrologComplete);
    RESPONSE_PROLOG_EXECUTING => ResponsePrologExecuting(m::ReturnCode);
    RESPONSE_JOB_MEM_USAGE => ResponseJobMemUsage(m::JobMemUsage) since V26_05;
    REQUEST_PERSIST_INIT => RequestPersistInit(p::PersistInit);
    REQUEST_PERSIST_INIT_TLS => RequestPersistInitTls(p::PersistInit) since V24_05 until V24_11;
    SRUN_PING => SrunPing;
    SRUN_TIMEOUT => SrunTimeout(m::SrunTimeout);
    SRUN_NODE_FAIL => SrunNodeFail(m::SrunNodes);
    SRUN_JOB_COMPLETE => SrunJobComplete(crate::StepId);
    SRUN_USER_MSG => SrunUserMsg(m::SrunUserMsg);
    SRUN_STEP_MISSING => SrunStepMissing(m::SrunNodes);
    SRUN_REQUEST_SUSPEND => SrunRequestSuspend(m::Suspend);
    SRUN_STEP_SIGNAL => SrunStepSignal(m::JobStepKill);
    SRUN_NET_FORWARD => SrunNetForward(m::NetForward);
    SRUN_STEPS_DRAINED => SrunStepsDrained since V26_05;
    RESPONSE_SLURM_RC => ResponseSlurmRc(m::ReturnCode);
    RESPONSE_SLURM_RC_MSG => ResponseSlurmRcMsg(m::RcMsg);
    RESPONSE_SLURM_REROUTE_MSG => ResponseSlurmRerouteMsg(Box<d::Reroute>);
    RESPONSE_FORWARD_FAILED => ResponseForwardFailed;
    ACCOUNTING_UPDATE_MSG => AccountingUpdateMsg(d::AccountingUpdate);
    ACCOUNTING_FIRST_REG => AccountingFirstReg;
    ACCOUNTING_REGISTER_CTLD => AccountingRegisterCtld;
    REQUEST_CONTAINER_START => RequestContainerStart since V23_02;
    RESPONSE_CONTAINER_START => ResponseContainerStart(m::ContainerStarted) since V23_02;
    REQUEST_CONTAINER_PTY => RequestContainerPty since V23_02;
    RESPONSE_CONTAINER_PTY => ResponseContainerPty(m::ReturnCode) since V23_02;
    REQUEST_CONTAINER_EXEC => RequestContainerExec(m::ContainerExec) since V23_02;
    RESPONSE_CONTAINER_EXEC => ResponseContainerExec(m::ReturnCode) since V23_02;
    REQUEST_CONTAINER_KILL => RequestContainerKill(m::ContainerSignal) since V23_02;
    RESPONSE_CONTAINER_KILL => ResponseContainerKill(m::ReturnCode) since V23_02;
    REQUEST_CONTAINER_DELETE => RequestContainerDelete(m::ContainerDelete) since V23_02;
    RESPONSE_CONTAINER_DELETE => ResponseContainerDelete(m::ReturnCode) since V23_02;
    REQUEST_CONTAINER_STATE => RequestContainerState since V23_02;
    RESPONSE_CONTAINER_STATE => ResponseContainerState(m::ContainerState) since V23_02;
}
