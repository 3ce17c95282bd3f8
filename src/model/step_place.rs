//! Where a step runs: nodes of its job, and tasks on them.
//!
//! Follows `step_mgr.c` and `slurm_step_layout.c`: what is free for the step on each node, which of
//! the nodes it takes, and how tasks spread over them.

use std::collections::BTreeSet;

use crate::step::step_flags;
use crate::{
    Errno, Job, JobSteps, Memory, NodeName, Refusal, Share, ShareState, StepPart, StepSpec,
};

/// Part of a distribution that says how tasks spread over nodes (slurm.h, `SLURM_DIST_NODEMASK`).
const DIST_NODE: u32 = 0xf00f;
const DIST_BASE: u32 = 0xffff;
const DIST_CYCLIC: u32 = 1;
const DIST_BLOCK: u32 = 2;
const DIST_ARBITRARY: u32 = 3;
const DIST_PLANE: u32 = 4;
const DIST_UNKNOWN: u32 = 0x2000;
const DIST_PACK_NODES: u32 = 0x80_0000;
/// Tasks a node may have (`MaxTasksPerNode`).
const TASKS_PER_NODE_MAX: u32 = 512;

/// A node of the job as the step finds it.
struct Candidate<'a> {
    share: &'a Share,
    /// CPUs the step could have now.
    usable: u32,
    /// CPUs it could have if no other step ran.
    total: u32,
    idle: bool,
}

/// A step's parts, its CPUs a task, or why it cannot have any.
pub(crate) fn place(
    job: &Job,
    steps: &JobSteps,
    spec: &StepSpec,
    is_up: impl Fn(&NodeName) -> bool,
) -> Result<(Vec<StepPart>, u16), Refusal> {
    let shares = job.allocation.as_ref().map_or(&[][..], |all| &all.shares);
    let held: Vec<&Share> = shares.iter().filter(|share| share.state == ShareState::Held).collect();
    if spec.tasks == 0 {
        return Err(Errno::BadTaskCount.into());
    }
    let cpus_per_task = cpus_per_task(spec, &held);
    let candidates: Vec<Candidate<'_>> = held
        .iter()
        .filter(|share| is_up(&share.node) && !spec.nodes_excluded.contains(&share.node))
        .map(|share| candidate(share, steps, spec))
        .collect();
    let picked = pick(spec, &held, &candidates, cpus_per_task)?;
    let most = u32::try_from(picked.len()).unwrap_or(u32::MAX).saturating_mul(TASKS_PER_NODE_MAX);
    if spec.tasks > most {
        return Err(Errno::BadTaskCount.into());
    }
    let tasks = spread(spec, &picked, cpus_per_task)?;
    let parts = picked.iter().zip(tasks).map(|(at, tasks)| part(spec, at, tasks, cpus_per_task));
    let mut parts: Vec<StepPart> = parts.collect();
    let picked: Vec<&Share> = picked.iter().map(|at| at.share).collect();
    crate::step_gres::give(spec, steps, &picked, &mut parts)?;
    Ok((parts, u16::try_from(cpus_per_task).unwrap_or(u16::MAX)))
}

/// What srun multiplied; 0 where tasks share CPUs.
fn cpus_per_task(spec: &StepSpec, held: &[&Share]) -> u32 {
    let cpus = if spec.has(step_flags::OVERCOMMIT) { 0 } else { spec.cpus };
    if cpus == 0 || !cpus.is_multiple_of(spec.tasks) {
        return 0;
    }
    let each = (cpus / spec.tasks).max(1);
    if held.iter().any(|share| share.cpus < each) {
        return 0;
    }
    let room: u32 = held.iter().map(|share| share.cpus / each).fold(0, u32::saturating_add);
    if room < spec.tasks { 0 } else { each }
}

fn candidate<'a>(share: &'a Share, steps: &JobSteps, spec: &StepSpec) -> Candidate<'a> {
    let (used_cpus, used_mb) = steps.used_on(&share.node);
    let overlaps = spec.has(step_flags::OVERLAP);
    let (mut usable, mut total) = (share.cpus, share.cpus);
    if !overlaps {
        let blocked = spec.has(step_flags::WHOLE) && used_cpus > 0;
        usable = if blocked { 0 } else { share.cpus.saturating_sub(used_cpus) };
    }
    let free_mb = if overlaps { share.memory_mb } else { share.memory_mb.saturating_sub(used_mb) };
    let counts = !spec.has(step_flags::MEM_ZERO) && share.memory_mb > 0;
    match spec.memory.filter(|_| counts) {
        Some(Memory::PerCpu(mb)) if mb > 0 => {
            let fits = |mb_free: u64| u32::try_from(mb_free / mb).unwrap_or(u32::MAX);
            total = total.min(fits(share.memory_mb));
            usable = usable.min(fits(free_mb));
        }
        Some(Memory::PerNode(mb)) if mb > 0 => {
            total = if mb > share.memory_mb { 0 } else { total };
            usable = if mb > free_mb { 0 } else { usable };
        }
        Some(Memory::PerCpu(_) | Memory::PerNode(_)) | None => {}
    }
    let (has, may_have) = crate::step_gres::on_node(spec, steps, share);
    usable = if has { usable } else { 0 };
    total = if may_have { total } else { 0 };
    Candidate { share, usable, total, idle: !steps.is_busy(&share.node) }
}

fn pick<'c, 'a>(
    spec: &StepSpec,
    held: &[&Share],
    candidates: &'c [Candidate<'a>],
    cpus_per_task: u32,
) -> Result<Vec<&'c Candidate<'a>>, Refusal> {
    let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
    let most = if spec.nodes_max == 0 { count } else { spec.nodes_max };
    let mut least = spec.nodes_min.unwrap_or(count);
    if most < least {
        return Err(Errno::InvalidNodeCount.into());
    }
    let each = cpus_per_task.max(1);
    let is_open = |at: &&Candidate<'_>| at.usable >= each || (cpus_per_task == 0 && at.usable > 0);
    let never = candidates.iter().filter(|at| at.total < each).count();
    if least == count && never > 0 {
        return Err(impossible(spec));
    }
    let open: Vec<&Candidate<'_>> = candidates.iter().filter(is_open).collect();
    let mut picked = required(spec, held, &open, most)?;
    let cpus = if spec.has(step_flags::OVERCOMMIT) { 0 } else { spec.cpus };
    let same = held.iter().all(|share| share.cpus == held[0].cpus);
    if cpus > 0 && same && !held.is_empty() {
        least = least.max(cpus.div_ceil(held[0].cpus.max(1)));
    }
    if most < least {
        return Err(Errno::TooManyRequestedCpus.into());
    }
    let skipped = usize::from(spec.relative.unwrap_or(0));
    if skipped >= held.len() {
        return Err(Errno::RequestedNodeConfigUnavailable.into());
    }
    let left_out: BTreeSet<&NodeName> = held[..skipped].iter().map(|share| &share.node).collect();
    let more: Vec<&Candidate<'_>> = open
        .iter()
        .copied()
        .filter(|at| !left_out.contains(&at.share.node))
        .filter(|at| !picked.iter().any(|one| one.share.node == at.share.node))
        .collect();
    fill(spec, &mut picked, more, least, cpus);
    let most = if spec.distribution & DIST_PACK_NODES != 0 { least.max(1) } else { most };
    add_for_cpus(&mut picked, &open, &left_out, cpus, most);
    let have = u32::try_from(picked.len()).unwrap_or(u32::MAX);
    let found: u32 = picked.iter().map(|at| at.usable).fold(0, u32::saturating_add);
    if have < least.max(1) || found < cpus {
        let ever: u32 = candidates.iter().map(|at| at.total).fold(0, u32::saturating_add);
        let waits = candidates.iter().any(|at| at.usable < at.total);
        return Err(match (waits && ever >= cpus, have < least.max(1)) {
            (true, _) => Errno::NodesBusy.into(),
            (false, true) if candidates.len() < held.len() => Errno::NodesBusy.into(),
            (false, _) if ever < cpus => Errno::TooManyRequestedCpus.into(),
            (false, _) => Errno::RequestedNodeConfigUnavailable.into(),
        });
    }
    let place = |at: &&Candidate<'_>| held.iter().position(|share| share.node == at.share.node);
    picked.sort_by_key(place);
    Ok(picked)
}

/// A node cannot ever do what every node has to.
fn impossible(spec: &StepSpec) -> Refusal {
    match spec.memory {
        _ if !spec.gres.is_empty() => Errno::InvalidGres.into(),
        Some(_) => Errno::InvalidTaskMemory.into(),
        None => Errno::RequestedNodeConfigUnavailable.into(),
    }
}

/// The nodes that were named.
fn required<'c, 'a>(
    spec: &StepSpec,
    held: &[&Share],
    open: &[&'c Candidate<'a>],
    most: u32,
) -> Result<Vec<&'c Candidate<'a>>, Refusal> {
    let names: BTreeSet<&NodeName> = spec.nodes_required.iter().collect();
    let strangers = names.iter().any(|name| !held.iter().any(|share| share.node == **name));
    if strangers || names.iter().any(|name| spec.nodes_excluded.contains(name)) {
        return Err(Errno::RequestedNodeConfigUnavailable.into());
    }
    let found: Vec<&Candidate<'_>> =
        open.iter().copied().filter(|at| names.contains(&at.share.node)).collect();
    if found.len() < names.len() {
        return Err(Errno::NodesBusy.into());
    }
    let wanted = u32::try_from(names.len()).unwrap_or(u32::MAX);
    if wanted > most {
        return Err(Errno::RequestedNodeConfigUnavailable.into());
    }
    // More named than wanted: these are what is chosen from.
    let cut = spec.nodes_min.filter(|least| wanted > *least && *least > 0);
    let keep = cut.filter(|_| spec.nodes_of_tasks.is_empty()).map_or(found.len(), |n| n as usize);
    Ok(found.into_iter().take(keep).collect())
}

/// Takes nodes until there are `least`: idle ones where they suffice.
fn fill<'c, 'a>(
    spec: &StepSpec,
    picked: &mut Vec<&'c Candidate<'a>>,
    more: Vec<&'c Candidate<'a>>,
    least: u32,
    cpus: u32,
) {
    let have: u32 = picked.iter().map(|at| at.usable).fold(0, u32::saturating_add);
    let needed = (least as usize).saturating_sub(picked.len());
    let wanted = cpus.saturating_sub(have);
    let all = more.clone();
    let idle: Vec<&Candidate<'_>> =
        more.into_iter().filter(|at| at.idle || spec.relative.is_some()).collect();
    for from in [idle, all] {
        if needed == 0 || from.len() < needed {
            continue;
        }
        let first: Vec<&Candidate<'_>> = from.iter().copied().take(needed).collect();
        if first.iter().map(|at| at.usable).fold(0, u32::saturating_add) >= wanted {
            picked.extend(first);
            return;
        }
        let mut largest = from;
        largest.sort_by_key(|at| std::cmp::Reverse(at.usable));
        largest.truncate(needed);
        if largest.iter().map(|at| at.usable).fold(0, u32::saturating_add) >= wanted {
            picked.extend(largest);
            return;
        }
    }
}

/// Adds nodes until there are enough CPUs.
fn add_for_cpus<'c, 'a>(
    picked: &mut Vec<&'c Candidate<'a>>,
    open: &[&'c Candidate<'a>],
    left_out: &BTreeSet<&NodeName>,
    cpus: u32,
    most: u32,
) {
    for at in open.iter().copied().filter(|at| !left_out.contains(&at.share.node)) {
        let have: u32 = picked.iter().map(|one| one.usable).fold(0, u32::saturating_add);
        if have >= cpus || picked.len() >= most as usize {
            return;
        }
        if !picked.iter().any(|one| one.share.node == at.share.node) {
            picked.push(at);
        }
    }
}

/// The tasks of each picked node, numbered within the step.
fn spread(
    spec: &StepSpec,
    picked: &[&Candidate<'_>],
    cpus_per_task: u32,
) -> Result<Vec<Vec<u32>>, Refusal> {
    let mut kind = spec.distribution & DIST_BASE;
    if kind == DIST_UNKNOWN {
        kind = DIST_BLOCK;
    }
    if kind == DIST_ARBITRARY {
        return arbitrary(spec, picked);
    }
    if kind == DIST_PLANE {
        return Ok(plane(spec.tasks, u32::from(spec.plane_size), picked.len()));
    }
    let each = cpus_per_task.max(1);
    let room: Vec<u32> = picked.iter().map(|at| (at.usable / each).max(1)).collect();
    match kind & DIST_NODE {
        DIST_CYCLIC => Ok(cyclic(spec.tasks, &room)),
        DIST_BLOCK => Ok(block(spec, &room)),
        _ => Err(Errno::BadDist.into()),
    }
}

/// One task a node, then each node full, then whatever is left in turns.
fn block(spec: &StepSpec, room: &[u32]) -> Vec<Vec<u32>> {
    let nodes = u32::try_from(room.len()).unwrap_or(u32::MAX);
    let packs = spec.distribution & DIST_PACK_NODES != 0;
    let first = u32::from(spec.tasks >= nodes && !packs);
    let mut counts = vec![first; room.len()];
    let mut left = spec.tasks - counts.iter().sum::<u32>();
    for (count, room) in counts.iter_mut().zip(room) {
        let more = room.saturating_sub(*count).min(left);
        *count += more;
        left -= more;
    }
    let turns = counts.len();
    for at in 0..left as usize {
        counts[at % turns] += 1;
    }
    let mut next = 0;
    let take = |count: &u32| {
        let from = next;
        next += count;
        (from..next).collect()
    };
    counts.iter().map(take).collect()
}

/// One task a node in turns, leaving out full nodes while others have room.
fn cyclic(tasks: u32, room: &[u32]) -> Vec<Vec<u32>> {
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); room.len()];
    let total: u32 = room.iter().fold(0, |sum, room| sum.saturating_add(*room));
    let mut at = 0;
    for task in 0..tasks {
        while task < total && lists[at % room.len()].len() >= room[at % room.len()] as usize {
            at += 1;
        }
        lists[at % room.len()].push(task);
        at += 1;
    }
    lists
}

fn plane(tasks: u32, size: u32, nodes: usize) -> Vec<Vec<u32>> {
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); nodes];
    for task in 0..tasks {
        let turn = (task / size.max(1)) as usize;
        lists[turn % nodes].push(task);
    }
    lists
}

/// Each task where its entry says.
fn arbitrary(spec: &StepSpec, picked: &[&Candidate<'_>]) -> Result<Vec<Vec<u32>>, Refusal> {
    let mut lists: Vec<Vec<u32>> = vec![Vec::new(); picked.len()];
    if spec.nodes_of_tasks.len() != spec.tasks as usize {
        return Err(Errno::BadTaskCount.into());
    }
    for (task, node) in (0..spec.tasks).zip(&spec.nodes_of_tasks) {
        let at = picked.iter().position(|at| at.share.node == *node);
        lists[at.ok_or_else(|| Refusal::from(Errno::RequestedNodeConfigUnavailable))?].push(task);
    }
    Ok(lists)
}

fn part(spec: &StepSpec, at: &Candidate<'_>, tasks: Vec<u32>, cpus_per_task: u32) -> StepPart {
    let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    let cpus = match (spec.has(step_flags::WHOLE), cpus_per_task) {
        (true, _) => at.share.cpus,
        (false, 0) => at.usable.min(count.max(1)),
        (false, each) => count.saturating_mul(each).clamp(1, at.usable.max(1)),
    };
    let overlaps = spec.has(step_flags::OVERLAP);
    let memory_mb = match spec.memory.filter(|_| !spec.has(step_flags::MEM_ZERO)) {
        Some(Memory::PerCpu(mb)) => mb.saturating_mul(u64::from(cpus)),
        Some(Memory::PerNode(mb)) => mb,
        None => 0,
    };
    StepPart {
        node: at.share.node.clone(),
        cpus,
        cpus_counted: if overlaps { 0 } else { cpus },
        memory_counted_mb: if overlaps { 0 } else { memory_mb.min(at.share.memory_mb) },
        memory_mb,
        tasks,
        ended: false,
        gres: Vec::new(),
        gres_counted: !overlaps && !spec.gres.is_empty(),
    }
}
