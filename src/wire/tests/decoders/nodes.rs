//! What node daemons serve, and what a controller says of nodes and steps to `sinfo`, `sstat` and
//! `sattach`.

use flurm_wire::messages as m;
use flurm_wire::records as r;
use flurm_wire::{Bits, Gen, Message, Release, StepId, Wire, names};

use crate::cases::{self, Case, Sample, case};
use crate::shown::Form;

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case("sinfo_node", names::REQUEST_NODE_INFO, nodes, SINFO_NODE, Form::Columns),
    case(
        "sinfo_partition",
        names::REQUEST_PARTITION_INFO,
        partitions,
        SINFO_PARTITION,
        Form::Columns,
    ),
    case(
        "slurmd",
        names::REQUEST_DAEMON_STATUS,
        |g| Message::ResponseSlurmdStatus(Wire::sample(g)),
        &["scontrol", "show", "slurmd"],
        Form::Lines(" = "),
    ),
    case("sstat", names::REQUEST_JOB_STEP_STAT, usage, SSTAT, Form::Columns).since(Release::V24_11),
    case(
        "sattach",
        names::REQUEST_STEP_LAYOUT,
        layout,
        &["sattach", "--layout", "1.2"],
        Form::Lines(":"),
    ),
    Case::new(
        "addresses",
        names::REQUEST_NODE_ALIAS_ADDRS,
        Sample::Sealed(Wire::sample),
        &["scontrol", "getaddrs", "n1"],
        Form::Lines(": "),
    )
    .since(Release::V23_11),
];

/// Every column of 22.05's sinfo that is about nodes.
const SINFO_NODE: &[&str] = &[
    "sinfo",
    "-a",
    "-N",
    "-O",
    "AllocMem:200|,AllocNodes:200|,Available:200|,Comment:200|,CPUs:200|,CPUsLoad:200|,\
     CPUsState:200|,Cores:200|,Disk:200|,Extra:200|,Features:200|,features_act:200|,\
     FreeMem:200|,Gres:200|,GresUsed:200|,Memory:200|,NodeAddr:200|,NodeHost:200|,\
     NodeList:200|,NodeAI:200|,NodeAIOT:200|,Port:200|,Reason:200|,Sockets:200|,\
     SocketCoreThread:200|,StateComplete:200|,StateCompact:200|,StateLong:200|,Threads:200|,\
     Time:200|,Timestamp:200|,User:200|,Version:200|,Weight:200|",
];

/// Every column of 22.05's sinfo that is about partitions.
const SINFO_PARTITION: &[&str] = &[
    "sinfo",
    "-a",
    "-O",
    "AllocNodes:200|,Available:200|,DefaultTime:200|,Groups:200|,MaxCPUsPerNode:200|,\
     NodeList:200|,Nodes:200|,OverSubscribe:200|,Partition:200|,PartitionName:200|,\
     PreemptMode:200|,PriorityJobFactor:200|,PriorityTier:200|,Root:200|,Size:200|,Time:200|",
];

const SSTAT: &[&str] = &[
    "sstat",
    "-P",
    "--noconvert",
    "-o",
    "AveCPU,AveCPUFreq,AveDiskRead,AveDiskWrite,AvePages,AveRSS,AveVMSize,ConsumedEnergyRaw,JobID,\
     MaxDiskRead,MaxDiskReadNode,MaxDiskReadTask,MaxDiskWrite,MaxDiskWriteNode,MaxDiskWriteTask,\
     MaxPages,MaxPagesNode,MaxPagesTask,MaxRSS,MaxRSSNode,MaxRSSTask,MaxVMSize,MaxVMSizeNode,\
     MaxVMSizeTask,MinCPU,MinCPUNode,MinCPUTask,Nodelist,NTasks,Pids,TRESUsageInAve,\
     TRESUsageInMax,TRESUsageInMaxNode,TRESUsageInMaxTask,TRESUsageInMin,TRESUsageInMinNode,\
     TRESUsageInMinTask,TRESUsageInTot,TRESUsageOutAve,TRESUsageOutMax,TRESUsageOutMaxNode,\
     TRESUsageOutMaxTask,TRESUsageOutMin,TRESUsageOutMinNode,TRESUsageOutMinTask,TRESUsageOutTot",
    "-j",
    "1.2",
];

/// A cluster's only node, for those who ask about something else.
pub(crate) fn known_nodes() -> Message {
    let node = r::NodeInfo { name: Some("n1".into()), ..Default::default() };
    Message::ResponseNodeInfo(r::NodeInfoMsg { nodes: vec![node], ..Default::default() })
}

/// A cluster's only partition, which has its only node.
pub(crate) fn known_partitions() -> Message {
    let partition = r::PartitionInfo {
        name: Some("p".to_owned()),
        nodes: Some("n1".to_owned()),
        node_inx: Some(Bits::from_indices(1, [0])),
        total_nodes: 1,
        state_up: 3,
        ..Default::default()
    };
    let partitions = vec![partition];
    Message::ResponsePartitionInfo(r::PartitionInfoMsg { partitions, ..Default::default() })
}

/// The only job.
pub(crate) fn known_jobs() -> Message {
    let job = r::JobInfo {
        job_id: 1,
        job_state: 1,
        array_task_id: flurm_wire::NO_VAL,
        ..Default::default()
    };
    Message::ResponseJobInfo(r::JobInfoMsg { jobs: vec![job], ..Default::default() })
}

/// The step asked about, on the only node.
pub(crate) fn known_steps(version: u16, step_id: StepId) -> Message {
    let step = r::StepInfo {
        step_id,
        nodes: Some("n1".to_owned()),
        start_protocol_ver: version,
        state: 1,
        ..Default::default()
    };
    Message::ResponseJobStepInfo(r::StepInfoMsg { steps: vec![step], ..Default::default() })
}

/// Where the step is that others ask about: one task on one node.
pub(crate) fn known_layout(version: u16) -> Message {
    let layout = r::StepLayout {
        node_list: Some("n1".to_owned()),
        node_cnt: 1,
        start_protocol_ver: version,
        task_cnt: 1,
        tids: vec![vec![0]],
        ..Default::default()
    };
    Message::ResponseStepLayout(r::StepLayoutAnswer { layout: Some(layout) })
}

fn nodes(g: &mut Gen) -> Message {
    let mut message = cases::nodes(g);
    if let Message::ResponseNodeInfo(listing) = &mut message {
        listing.nodes.truncate(1);
    }
    message
}

fn partitions(g: &mut Gen) -> Message {
    let mut message = cases::partitions(g);
    if let Message::ResponsePartitionInfo(listing) = &mut message {
        for partition in &mut listing.partitions {
            partition.node_inx = Some(Bits::from_indices(1, [0]));
        }
    }
    message
}

fn usage(g: &mut Gen) -> Message {
    let mut stat = m::StepStat::sample(g);
    stat.return_code = 0;
    if let Some(used) = &mut stat.jobacct {
        // A client knows resources by their places, and counts what it finds.
        used.tres_ids = (1..).take(used.tres_ids.len()).collect();
    }
    Message::ResponseJobStepStat(Box::new(stat))
}

fn layout(g: &mut Gen) -> Message {
    let mut answer = r::StepLayoutAnswer::sample(g);
    if let Some(layout) = &mut answer.layout {
        layout.start_protocol_ver = g.release().version();
        // A client opens the credential, and these two are one list.
        layout.net_cred = None;
        let runs = layout.cpt_compact_array.len().min(layout.cpt_compact_reps.len());
        layout.cpt_compact_array.truncate(runs);
        layout.cpt_compact_reps.truncate(runs);
    }
    Message::ResponseStepLayout(answer)
}
