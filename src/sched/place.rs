//! Nodes for one job: the lightest that suffice, and of those as few as possible.

use flurm_model::Placement;

use crate::NodeView;
use crate::demand::Demand;

/// A node with room, and how much.
#[derive(Clone, Copy, Debug)]
struct Room {
    at: usize,
    units: u32,
    weight: u32,
    required: bool,
}

/// Places a job on some of the nodes at `candidates` (lightest first), or says `None`. Each
/// placement comes with its node's position.
///
/// Nodes are taken in groups of equal weight, lightest first, until those at hand suffice; within
/// them as few nodes as possible, the first ones if they do, else the roomiest.
pub(crate) fn place(
    demand: &Demand,
    nodes: &[NodeView],
    candidates: &[usize],
) -> Option<Vec<(usize, Placement)>> {
    if !demand.constraint.same.is_empty() {
        return place_alike(demand, nodes, candidates);
    }
    if !demand.constraint.counts.is_empty() {
        return place_counted(demand, nodes, candidates);
    }
    if demand.has_totals() {
        return crate::totals::place(demand, nodes, candidates);
    }
    let mut rooms: Vec<Room> = Vec::new();
    let named = demand.contiguous || !demand.required.is_empty();
    for at in candidates {
        let Some(room) = room(demand, nodes, *at) else { continue };
        let heavier = rooms.last().is_some_and(|last| last.weight != room.weight);
        if !named
            && heavier
            && let Some(chosen) = choose(demand, &rooms)
            && chosen.len() >= demand.nodes_wanted as usize
        {
            return Some(distribute(demand, nodes, chosen));
        }
        // Lighter nodes together did not suffice, and no set has fewer nodes than one.
        if !named && demand.nodes_wanted == 1 && room.units >= demand.units {
            return Some(distribute(demand, nodes, vec![room]));
        }
        rooms.push(room);
    }
    let chosen = if demand.contiguous {
        neighbours(demand, &rooms)
    } else if named {
        choose_named(demand, &rooms)
    } else {
        choose(demand, &rooms)
    };
    chosen.map(|chosen| distribute(demand, nodes, chosen))
}

/// All nodes share one of some features: the first that does.
fn place_alike(
    demand: &Demand,
    nodes: &[NodeView],
    candidates: &[usize],
) -> Option<Vec<(usize, Placement)>> {
    let mut plain = demand.clone();
    plain.constraint.same = Vec::new();
    demand.constraint.same.iter().find_map(|same| {
        let alike = |at: &&usize| same.met_by(&nodes[**at].features);
        let alike: Vec<usize> = candidates.iter().filter(alike).copied().collect();
        place(&plain, nodes, &alike)
    })
}

/// So many nodes with these features, so many with those: the lightest of each, and what else the
/// job needs beside them.
fn place_counted(
    demand: &Demand,
    nodes: &[NodeView],
    candidates: &[usize],
) -> Option<Vec<(usize, Placement)>> {
    let has_room = |at: &&usize| room(demand, nodes, **at).is_some();
    let mut open: Vec<usize> = candidates.iter().filter(has_room).copied().collect();
    // Nodes that are required anyhow are counted first.
    open.sort_by_key(|at| !demand.required.contains(&nodes[*at].name));
    let features: Vec<&[String]> = open.iter().map(|at| &nodes[*at].features[..]).collect();
    let counted = demand.constraint.count_off(&features)?;
    let mut plain = demand.clone();
    plain.constraint.counts = Vec::new();
    plain.required.extend(counted.iter().map(|nth| nodes[open[*nth]].name.clone()));
    place(&plain, nodes, candidates)
}

fn room(demand: &Demand, nodes: &[NodeView], at: usize) -> Option<Room> {
    let node = &nodes[at];
    let units = if demand.suits(node) { demand.units_on(node) } else { 0 };
    let required = demand.required.contains(&node.name);
    (units > 0).then_some(Room { at, units, weight: node.weight, required })
}

/// All required nodes, and of the others the lightest that make them suffice.
fn choose_named(demand: &Demand, rooms: &[Room]) -> Option<Vec<Room>> {
    let required = rooms.iter().filter(|room| room.required).count();
    if required < demand.required.len() {
        return None;
    }
    let mut end = 0;
    while end < rooms.len() {
        let weight = rooms[end].weight;
        end += rooms[end..].iter().take_while(|room| room.weight == weight).count();
        let later = rooms[end..].iter().filter(|room| room.required);
        let at_hand: Vec<Room> = rooms[..end].iter().chain(later).copied().collect();
        if let Some(chosen) = choose(demand, &at_hand)
            && (chosen.len() >= demand.nodes_wanted as usize || end == rooms.len())
        {
            return Some(chosen);
        }
    }
    None
}

/// As few of the rooms as suffice, or as many as are wanted; all required ones among them.
fn choose(demand: &Demand, rooms: &[Room]) -> Option<Vec<Room>> {
    let must: Vec<Room> = rooms.iter().filter(|room| room.required).copied().collect();
    let free: Vec<Room> = rooms.iter().filter(|room| !room.required).copied().collect();
    let mut roomy = free.clone();
    roomy.sort_by_key(|room| (std::cmp::Reverse(room.units), room.weight, room.at));
    let fixed: u64 = units_of(&must);
    let least = (demand.nodes_min as usize).saturating_sub(must.len());
    let most = (demand.nodes_max as usize).checked_sub(must.len())?.min(free.len());
    let mut total = fixed + units_of(&roomy[..least.min(roomy.len())]);
    if least > most {
        return None;
    }
    let mut extra = least;
    while total < u64::from(demand.units) {
        if extra == most {
            return None;
        }
        total += u64::from(roomy[extra].units);
        extra += 1;
    }
    let wanted = (demand.nodes_wanted as usize).saturating_sub(must.len());
    extra = extra.max(wanted.min(most));
    if must.is_empty() && extra == 1 {
        let enough = |room: &&Room| room.units >= demand.units;
        return rooms.iter().find(enough).map(|room| vec![*room]);
    }
    let first = &free[..extra];
    let suffices = fixed + units_of(first) >= u64::from(demand.units);
    let picked = if suffices { first } else { &roomy[..extra] };
    let mut chosen: Vec<Room> = must.into_iter().chain(picked.iter().copied()).collect();
    chosen.sort_by_key(|room| room.at);
    Some(chosen)
}

/// The first run of neighbouring nodes that suffices.
fn neighbours(demand: &Demand, rooms: &[Room]) -> Option<Vec<Room>> {
    if rooms.iter().filter(|room| room.required).count() < demand.required.len() {
        return None;
    }
    let mut sorted = rooms.to_vec();
    sorted.sort_by_key(|room| room.at);
    let run = run_of(demand, &sorted, demand.nodes_wanted);
    run.or_else(|| run_of(demand, &sorted, demand.nodes_min))
}

/// The first run of at least so many neighbours that suffices.
fn run_of(demand: &Demand, sorted: &[Room], least: u32) -> Option<Vec<Room>> {
    let must = sorted.iter().filter(|room| room.required).count();
    for start in 0..sorted.len() {
        let mut run: Vec<Room> = Vec::new();
        for room in &sorted[start..] {
            let adjacent = run.last().is_none_or(|last| last.at + 1 == room.at);
            if !adjacent || run.len() >= demand.nodes_max as usize {
                break;
            }
            run.push(*room);
            let has_all = run.iter().filter(|room| room.required).count() == must;
            let enough = units_of(&run) >= u64::from(demand.units);
            if has_all && enough && run.len() >= least as usize {
                return Some(run);
            }
        }
    }
    None
}

fn units_of(rooms: &[Room]) -> u64 {
    rooms.iter().map(|room| u64::from(room.units)).sum()
}

/// One unit on every chosen node, then as many as fit, in order.
fn distribute(demand: &Demand, nodes: &[NodeView], chosen: Vec<Room>) -> Vec<(usize, Placement)> {
    let count = u32::try_from(chosen.len()).expect("chosen nodes are within a u32 limit");
    let mut rest = demand.units.saturating_sub(count);
    let mut placements: Vec<Placement> = Vec::with_capacity(chosen.len());
    let places: Vec<usize> = chosen.iter().map(|room| room.at).collect();
    for room in chosen {
        let more = rest.min(room.units - 1);
        rest -= more;
        placements.push(demand.placement(&nodes[room.at], 1 + more));
    }
    assert_eq!(rest, 0, "chosen nodes have room for all units");
    demand.trim_tasks(&mut placements);
    places.into_iter().zip(placements).collect()
}
