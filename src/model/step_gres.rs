//! Generic resources of steps: their own part of what the job has, or all of it.

use crate::{
    Errno, GresHeld, GresUses, GresWish, JobSteps, Refusal, Share, StepPart, StepSpec, held_of,
    step_flags,
};

/// Whether a node of the job has what each node of the step needs: now, and once no other step runs.
pub(crate) fn on_node(spec: &StepSpec, steps: &JobSteps, share: &Share) -> (bool, bool) {
    if spec.gres.is_empty() {
        return (true, true);
    }
    let used = taken(spec, steps, share);
    let least = |wish: &GresWish| wish.on_node(1).max(u64::from(wish.per_job > 0));
    let now = spec.gres.iter().all(|wish| free(share, &used, wish) >= least(wish));
    let ever = spec.gres.iter().all(|wish| held_of(&share.gres, wish) >= least(wish));
    (now, ever)
}

/// What other steps have of a node, as far as it keeps this one from having it.
fn taken(spec: &StepSpec, steps: &JobSteps, share: &Share) -> GresUses {
    match spec.has(step_flags::OVERLAP) {
        true => GresUses::new(),
        false => steps.gres_on(&share.node),
    }
}

fn free(share: &Share, used: &GresUses, wish: &GresWish) -> u64 {
    let like = used.iter().filter(|((name, kind), _)| wish.is_met_by(name, kind.as_deref()));
    let used = like.map(|(_, used)| used.count).fold(0, u64::saturating_add);
    held_of(&share.gres, wish).saturating_sub(used)
}

/// Gives the parts of a step their generic resources; `shares` are the parts' own, in their order.
pub(crate) fn give(
    spec: &StepSpec,
    steps: &JobSteps,
    shares: &[&Share],
    parts: &mut [StepPart],
) -> Result<(), Refusal> {
    if spec.gres.is_empty() {
        for (part, share) in parts.iter_mut().zip(shares) {
            part.gres = share.gres.clone();
        }
        return Ok(());
    }
    for wish in &spec.gres {
        give_one(spec, steps, shares, parts, wish)?;
    }
    Ok(())
}

fn give_one(
    spec: &StepSpec,
    steps: &JobSteps,
    shares: &[&Share],
    parts: &mut [StepPart],
    wish: &GresWish,
) -> Result<(), Refusal> {
    let mut left = wish.per_job;
    let count = parts.len();
    let mut could_have = 0_u64;
    for (at, (part, share)) in parts.iter_mut().zip(shares).enumerate() {
        let used = taken(spec, steps, share);
        let free = free(share, &used, wish);
        could_have = could_have.saturating_add(held_of(&share.gres, wish));
        let tasks = u32::try_from(part.tasks.len()).unwrap_or(u32::MAX);
        let needed = wish.on_node(tasks);
        // Each node after this one gets one at least, as in Slurm.
        let later = u64::try_from(count - at - 1).unwrap_or(u64::MAX);
        let more = left.saturating_sub(later).min(free);
        let amount = needed.max(more);
        if amount > free {
            let ever = held_of(&share.gres, wish) >= amount;
            return Err(if ever { Errno::NodesBusy } else { Errno::InvalidGres }.into());
        }
        left = left.saturating_sub(amount);
        part.gres.extend(hold(share, &used, wish, amount));
    }
    match left {
        0 => Ok(()),
        _ if could_have >= wish.per_job => Err(Errno::NodesBusy.into()),
        _ => Err(Errno::InvalidGres.into()),
    }
}

/// So many of what the job has on a node, lowest device numbers first.
fn hold(share: &Share, used: &GresUses, wish: &GresWish, count: u64) -> Vec<GresHeld> {
    let mut left = count;
    let mut held = Vec::new();
    let like = share.gres.iter().filter(|of| wish.is_met_by(&of.name, of.kind.as_deref()));
    for of in like {
        let used = used.get(&(of.name.clone(), of.kind.clone()));
        let count = of.count.saturating_sub(used.map_or(0, |used| used.count)).min(left);
        if count == 0 {
            continue;
        }
        left -= count;
        let free = of.devices.iter().filter(|one| used.is_none_or(|u| !u.devices.contains(one)));
        let devices = free.take(usize::try_from(count).unwrap_or(usize::MAX)).copied().collect();
        held.push(GresHeld { name: of.name.clone(), kind: of.kind.clone(), count, devices });
    }
    held
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use flurm_base::{Span, Time};

    use super::*;
    use crate::{NodeName, ShareState, Step};

    fn share(node: &str, devices: &[u32]) -> Share {
        let count = devices.len() as u64;
        let held = GresHeld { name: "gpu".into(), kind: None, count, devices: devices.into() };
        Share {
            node: NodeName::from(node),
            cpus: 4,
            memory_mb: 0,
            tasks: 1,
            whole_node: false,
            state: ShareState::Held,
            user_only: false,
            gres: vec![held],
        }
    }

    fn part(node: &str) -> StepPart {
        StepPart {
            node: NodeName::from(node),
            cpus: 1,
            cpus_counted: 1,
            memory_counted_mb: 0,
            memory_mb: 0,
            tasks: vec![0],
            ended: false,
            gres: Vec::new(),
            gres_counted: true,
        }
    }

    fn wanting(per_job: u64, per_node: u64) -> StepSpec {
        let wish = GresWish { name: "gpu".into(), per_job, per_node, ..GresWish::default() };
        StepSpec { gres: vec![wish], ..StepSpec::default() }
    }

    fn beside(part: StepPart) -> JobSteps {
        let step = Step {
            number: 0,
            spec: Arc::default(),
            key: None,
            start: Time(0),
            cpus_per_task: 1,
            parts: vec![part],
            status: 0,
            timed_out: false,
            signals: Vec::new(),
            signal_next: 0,
            paused: Span(0),
        };
        JobSteps { running: BTreeMap::from([(0, step)]), ..JobSteps::default() }
    }

    #[test]
    fn a_step_that_asks_for_nothing_has_all() {
        let n1 = share("n1", &[0, 1]);
        let mut parts = [part("n1")];
        give(&StepSpec::default(), &JobSteps::default(), &[&n1], &mut parts).unwrap();
        assert_eq!(parts[0].gres, n1.gres);
    }

    #[test]
    fn steps_take_turns_at_devices() {
        let n1 = share("n1", &[2, 3]);
        let mut parts = [part("n1")];
        give(&wanting(0, 1), &JobSteps::default(), &[&n1], &mut parts).unwrap();
        assert_eq!(parts[0].gres[0].devices, [2]);
        let steps = beside(parts[0].clone());
        let mut more = [part("n1")];
        give(&wanting(0, 1), &steps, &[&n1], &mut more).unwrap();
        assert_eq!(more[0].gres[0].devices, [3]);
        let busy = give(&wanting(0, 2), &steps, &[&n1], &mut [part("n1")]).unwrap_err();
        assert_eq!(busy.errno, Errno::NodesBusy);
        let never = give(&wanting(0, 3), &steps, &[&n1], &mut [part("n1")]).unwrap_err();
        assert_eq!(never.errno, Errno::InvalidGres);
        assert_eq!(on_node(&wanting(0, 2), &steps, &n1), (false, true));
        let overlapping = StepSpec { flags: step_flags::OVERLAP, ..wanting(0, 2) };
        give(&overlapping, &steps, &[&n1], &mut [part("n1")]).unwrap();
    }

    #[test]
    fn a_total_is_spread_with_one_on_every_node() {
        let (n1, n2) = (share("n1", &[0, 1, 2, 3]), share("n2", &[0, 1]));
        let counts = |total: u64| {
            let mut parts = [part("n1"), part("n2")];
            let gave = give(&wanting(total, 0), &JobSteps::default(), &[&n1, &n2], &mut parts);
            gave.map(|()| parts.map(|part| part.gres[0].count))
        };
        assert_eq!(counts(3), Ok([2, 1]));
        assert_eq!(counts(6), Ok([4, 2]));
        assert_eq!(counts(7).unwrap_err().errno, Errno::InvalidGres);
    }
}
