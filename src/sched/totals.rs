//! Nodes for a job that wants so many of something on all of them together (`--gpus`): as few
//! nodes as have it, the first ones if they do, else those with the most.

use flurm_model::Placement;

use crate::NodeView;
use crate::demand::Demand;

/// A node with room for one task at least.
#[derive(Clone, Debug)]
struct Room {
    at: usize,
    units: u32,
    required: bool,
    /// How many of each wish it could give beside one task.
    gres: Vec<u64>,
}

/// Places a job on some of the nodes at `candidates`, lightest first.
pub(crate) fn place(
    demand: &Demand,
    nodes: &[NodeView],
    candidates: &[usize],
) -> Option<Vec<(usize, Placement)>> {
    let room = |at: &usize| {
        let node = &nodes[*at];
        let units = if demand.suits(node) { demand.units_on(node) } else { 0 };
        let most = |nth: usize| demand.gres_most(node, 1, nth, demand.gres[nth].per_job);
        let gres = (0..demand.gres.len()).map(most).collect();
        let required = demand.required.contains(&node.name);
        (units > 0).then_some(Room { at: *at, units, required, gres })
    };
    let mut rooms: Vec<Room> = candidates.iter().filter_map(room).collect();
    if rooms.iter().filter(|room| room.required).count() < demand.required.len() {
        return None;
    }
    let most = rooms.len().min(demand.nodes_max as usize);
    let least = (demand.nodes_min as usize).max(demand.required.len()).max(1);
    if demand.contiguous {
        rooms.sort_by_key(|room| room.at);
        let runs = (least..=most).flat_map(|count| rooms.windows(count).map(<[Room]>::to_vec));
        let mut whole = runs.filter(|run| is_whole(demand, run));
        return whole.find_map(|run| settle(demand, nodes, &run));
    }
    rooms.sort_by_key(|room| !room.required);
    let by = |key: fn(&Room) -> (Vec<u64>, u32)| {
        let mut sorted = rooms.clone();
        sorted.sort_by_key(|room| (!room.required, std::cmp::Reverse(key(room))));
        sorted
    };
    let rich = by(|room| (room.gres.clone(), room.units));
    let roomy = by(|room| (vec![u64::from(room.units)], 0));
    // As many as are wanted, else as few as suffice.
    let wanted = (demand.nodes_wanted as usize).clamp(least, most.max(least)).min(most);
    let sizes = (wanted..=wanted).chain(least..=most).filter(|count| *count >= least);
    let found = sizes.into_iter().find_map(|count| {
        let sets = [&rooms[..count], &rich[..count], &roomy[..count]];
        sets.into_iter().find_map(|set| settle_in_order(demand, nodes, set.iter()))
    });
    found.or_else(|| try_all(demand, nodes, &rooms, least, most))
}

/// Up to so many nodes with room every set of them is tried before a job is said to have no place.
const TRIED_MAX: usize = 10;

/// Tasks and totals may be scarce on different nodes: where few nodes have any room, every set of them
/// is looked at, smaller ones first.
fn try_all(
    demand: &Demand,
    nodes: &[NodeView],
    rooms: &[Room],
    least: usize,
    most: usize,
) -> Option<Vec<(usize, Placement)>> {
    if rooms.len() > TRIED_MAX {
        return None;
    }
    (least..=most).find_map(|count| {
        let sets = (1_u32..1 << rooms.len()).filter(|set| set.count_ones() as usize == count);
        sets.into_iter().find_map(|set| {
            let chosen = || rooms.iter().enumerate().filter(move |(at, _)| set & (1 << at) != 0);
            let required = chosen().filter(|(_, room)| room.required).count();
            let chosen = chosen().map(|(_, room)| room);
            if required < demand.required.len() {
                return None;
            }
            settle_in_order(demand, nodes, chosen)
        })
    })
}

fn settle_in_order<'r>(
    demand: &Demand,
    nodes: &[NodeView],
    rooms: impl Iterator<Item = &'r Room>,
) -> Option<Vec<(usize, Placement)>> {
    let mut set: Vec<Room> = rooms.cloned().collect();
    set.sort_by_key(|room| room.at);
    settle(demand, nodes, &set)
}

/// Whether a run of nodes has no gap and all nodes that must be among them.
fn is_whole(demand: &Demand, run: &[Room]) -> bool {
    let adjacent = run.windows(2).all(|pair| pair[0].at + 1 == pair[1].at);
    let required = run.iter().filter(|room| room.required).count();
    adjacent && required == demand.required.len()
}

/// Spreads tasks and totals over the nodes: each gets one at least, and the first as many as they
/// have room for, as in Slurm.
fn settle(demand: &Demand, nodes: &[NodeView], rooms: &[Room]) -> Option<Vec<(usize, Placement)>> {
    let count = u32::try_from(rooms.len()).ok()?;
    let mut left = demand.units.max(count) - count;
    let mut totals: Vec<u64> = demand.gres.iter().map(|wish| wish.per_job).collect();
    if totals.iter().any(|total| *total > 0 && *total < u64::from(count)) {
        return None;
    }
    let mut placed = Vec::with_capacity(rooms.len());
    for (nth, room) in rooms.iter().enumerate() {
        let node = &nodes[room.at];
        let units = 1 + left.min(room.units - 1);
        left -= units - 1;
        let later = (rooms.len() - nth - 1) as u64;
        let mut counts = Vec::with_capacity(totals.len());
        for (wish, total) in totals.iter_mut().enumerate() {
            let cap = total.saturating_sub(later);
            let given =
                demand.gres_most(node, units, wish, cap).max(demand.gres[wish].on_node(units));
            *total = total.saturating_sub(given);
            counts.push(given);
        }
        if !demand.fits_with(node, units, &counts) {
            return None;
        }
        placed.push((room.at, demand.placement_with(node, units, &counts)));
    }
    let complete = left == 0 && totals.iter().all(|total| *total == 0);
    complete.then(|| {
        let (places, mut parts): (Vec<usize>, Vec<Placement>) = placed.into_iter().unzip();
        demand.trim_tasks(&mut parts);
        places.into_iter().zip(parts).collect()
    })
}
