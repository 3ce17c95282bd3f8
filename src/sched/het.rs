//! Heterogeneous jobs: all components start in one pass, or each is given room at the same later
//! time.

use std::collections::BTreeMap;

use flurm_base::{JobId, Time};
use flurm_model::{Amounts, Limit, Reason, Start};

use crate::ahead::Ahead;
use crate::plan::Pass;
use crate::timeline::length;
use crate::{JobView, NodeView, PartitionView};

/// How often a later common start is looked for: components that still differ keep their own.
const ROUNDS_MAX: u32 = 4;

/// What a pass is taken back to when a component has no room.
struct Before<'a> {
    nodes: Vec<NodeView>,
    licenses: crate::Licenses,
    ledger: Option<flurm_model::Ledger<'a>>,
    ahead: Option<Ahead<'a>>,
    started: BTreeMap<JobId, u32>,
    filled: usize,
    starts: Vec<Start>,
}

impl<'a> Pass<'a> {
    /// Looks at all components of the job that one belongs to, once.
    pub(crate) fn consider_together(&mut self, job: &'a JobView) {
        let Some(het) = &job.het else { return };
        if !self.together.insert(het.leader) {
            return;
        }
        let pending = &self.snapshot.pending;
        let find = |id: &JobId| pending.iter().find(|view| view.id == *id);
        let members: Vec<&'a JobView> = het.members.iter().filter_map(find).collect();
        if members.len() < het.members.len() {
            // An earlier attempt of another component is still being cleaned up.
            return members.iter().for_each(|one| self.explain(one, Reason::None, String::new()));
        }
        if let Some(reason) = members.iter().find_map(|one| self.kept_back(one)) {
            return members.iter().for_each(|one| {
                let own = self.kept_back(one).unwrap_or(reason);
                self.explain(one, own, String::new());
            });
        }
        let before = self.remember();
        if members.iter().all(|one| self.start_anywhere(one)) {
            flurm_base::sometimes!("the components of a heterogeneous job start together");
            return;
        }
        self.take_back(before);
        self.wait_together(&members);
    }

    fn partitions_of(&self, job: &JobView) -> Vec<&'a PartitionView> {
        let snapshot = self.snapshot;
        job.partitions.iter().filter_map(|name| snapshot.partition(name.as_str())).collect()
    }

    /// Why none of its partitions lets a component start, other than for want of room.
    fn kept_back(&self, job: &'a JobView) -> Option<Reason> {
        let mut first = None;
        for partition in self.partitions_of(job) {
            let why = self.waits_for(job, partition).or(self.bounds(job, partition).err());
            match why {
                None => return None,
                Some(reason) => first = first.or(Some(reason)),
            }
        }
        first.or(Some(Reason::PartitionConfig))
    }

    fn start_anywhere(&mut self, job: &'a JobView) -> bool {
        self.partitions_of(job).into_iter().any(|partition| self.start_in(job, partition))
    }

    fn start_in(&mut self, job: &'a JobView, partition: &'a PartitionView) -> bool {
        let blocked = self.blocked.contains(partition.conf.name.as_str());
        if self.waits_for(job, partition).is_some() || (self.ahead.is_none() && blocked) {
            return false;
        }
        let Ok(bounds) = self.bounds(job, partition) else { return false };
        let demands = self.demands(job, partition);
        let length = length(job.time_limit, self.over_time(partition));
        let Some(licenses) = self.licenses.choose(&job.spec) else { return false };
        let Some(placed) = self.place_now(partition, &demands, length, &bounds) else {
            return false;
        };
        let amounts = Amounts::placed(placed.iter().map(|(_, part)| part));
        if self.limited(job, partition, amounts).is_some() {
            return false;
        }
        self.licenses.take(&licenses);
        self.start(job, partition, placed, length);
        true
    }

    fn over_time(&self, partition: &PartitionView) -> Limit {
        partition.conf.over_time_limit.unwrap_or(self.snapshot.over_time_limit)
    }

    /// Plans all components for the time when the last of them has room.
    fn wait_together(&mut self, members: &[&'a JobView]) {
        for _ in 0..ROUNDS_MAX {
            members.iter().for_each(|one| self.wait_for_room(one));
            let starts = || {
                let ahead = self.ahead.as_ref()?;
                let all = members.iter().map(|one| ahead.start_of(one.id));
                all.collect::<Option<Vec<Time>>>()
            };
            let Some(starts) = starts() else { break };
            let latest = starts.iter().max().copied().unwrap_or(self.snapshot.now);
            if starts.iter().all(|start| *start == latest) {
                break;
            }
            let Some(ahead) = &mut self.ahead else { break };
            members.iter().for_each(|one| ahead.give_back(one.id));
            self.planned_from = latest;
        }
        self.planned_from = self.snapshot.now;
    }

    fn wait_for_room(&mut self, job: &'a JobView) {
        for partition in self.partitions_of(job) {
            let Ok(bounds) = self.bounds(job, partition) else { continue };
            let demands = self.demands(job, partition);
            let Some(last) = demands.last() else {
                return self.explain(job, Reason::BadConstraints, String::new());
            };
            if self.licenses.choose(&job.spec).is_none() {
                return self.explain(job, Reason::Licenses, String::new());
            }
            let length = length(job.time_limit, self.over_time(partition));
            match self.ahead.is_some() {
                true => self.plan_ahead(job, partition, last, length, &bounds, 1),
                false => self.find_blocked(job, partition, last, &bounds),
            }
        }
    }

    fn remember(&self) -> Before<'a> {
        Before {
            nodes: self.nodes.clone(),
            licenses: self.licenses.clone(),
            ledger: self.ledger.clone(),
            ahead: self.ahead.clone(),
            started: self.started.clone(),
            filled: self.filled,
            starts: self.starts.clone(),
        }
    }

    fn take_back(&mut self, before: Before<'a>) {
        self.nodes = before.nodes;
        self.licenses = before.licenses;
        self.ledger = before.ledger;
        self.ahead = before.ahead;
        self.started = before.started;
        self.filled = before.filled;
        self.starts = before.starts;
        self.candidates.clear();
    }
}
