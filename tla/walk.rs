//! Walks everything the product can do under a specification's bounds, and compares the two graphs.

use std::collections::{BTreeSet, VecDeque};

use tla_eval::State;

use crate::dump::Graph;

/// A part of the product with a small world around it.
pub(crate) trait World: Clone {
    /// What the specification sees of it.
    fn view(&self) -> State;
    /// What decides although the view does not show it: worlds that look alike and differ here are
    /// walked on from both.
    fn hidden(&self) -> Vec<u16>;
    /// All steps it can take: the action's name in the specification, and the world after it.
    fn steps(&self) -> Vec<(&'static str, Self)>;
}

/// More states than this are not walked.
const STATES_MAX: usize = 2_000_000;

/// The graph of a world, breadth first. Of worlds that look alike and have nothing hidden that
/// differs, the first one met is walked on from.
///
/// # Errors
/// There are more than [`STATES_MAX`] states.
pub(crate) fn graph_of<W: World>(start: W) -> Result<Graph, String> {
    let mut graph = Graph::default();
    let first = start.view();
    graph.initial.insert(first.clone());
    graph.states.insert(first.clone());
    let mut seen = BTreeSet::from([(first.clone(), start.hidden())]);
    let mut queue = VecDeque::from([(first, start)]);
    while let Some((from, world)) = queue.pop_front() {
        for (action, next) in world.steps() {
            let to = next.view();
            let hidden = next.hidden();
            if to == from && hidden == world.hidden() {
                continue;
            }
            graph.states.insert(to.clone());
            if seen.insert((to.clone(), hidden)) {
                if seen.len() > STATES_MAX {
                    return Err(format!("more than {STATES_MAX} states"));
                }
                queue.push_back((to.clone(), next));
            }
            if to != from {
                graph.steps.insert((from.clone(), String::from(action), to));
            }
        }
    }
    Ok(graph)
}

/// Whether a world leaves a specification's graph, or does not fill it: with a bug planted it may
/// have no end, so the walk ends at the first step that the specification does not have.
/// An assertion that fails is no step of the specification either.
#[cfg(flurm_planted)]
pub(crate) fn departs<W: World>(start: W, spec: &Graph) -> bool {
    let walked = std::panic::AssertUnwindSafe(|| walks_elsewhere(start, spec));
    std::panic::catch_unwind(walked).unwrap_or(true)
}

#[cfg(flurm_planted)]
fn walks_elsewhere<W: World>(start: W, spec: &Graph) -> bool {
    let first = start.view();
    let mut seen = BTreeSet::from([(first.clone(), start.hidden())]);
    let mut steps_seen = BTreeSet::new();
    let mut queue = VecDeque::from([(first, start)]);
    while let Some((from, world)) = queue.pop_front() {
        for (action, next) in world.steps() {
            let to = next.view();
            let hidden = next.hidden();
            if to == from && hidden == world.hidden() {
                continue;
            }
            if to != from {
                let step = (from.clone(), String::from(action), to.clone());
                if !spec.steps.contains(&step) {
                    return true;
                }
                steps_seen.insert(step);
            }
            if seen.insert((to.clone(), hidden)) {
                queue.push_back((to, next));
            }
        }
    }
    steps_seen.len() != spec.steps.len()
}

/// How two graphs differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Of the specification's states, those the code does not reach.
    pub states_missing: usize,
    /// States that only the code reaches.
    pub states_added: usize,
    /// Of the specification's steps, those the code does not take.
    pub steps_missing: usize,
    /// Steps that only the code takes.
    pub steps_added: usize,
    /// The first few of either kind, in words.
    pub examples: Vec<String>,
}

/// Examples shown of each kind.
const EXAMPLES_MAX: usize = 2;

impl Difference {
    /// Compares the graph of a specification with that of the code.
    pub fn between(spec: &Graph, code: &Graph) -> Self {
        let missing: Vec<_> = spec.steps.difference(&code.steps).collect();
        let added: Vec<_> = code.steps.difference(&spec.steps).collect();
        let initial = usize::from(spec.initial != code.initial);
        // From a state that both know is where the two first part.
        let known = |step: &&&(State, String, State)| {
            spec.states.contains(&step.0) && code.states.contains(&step.0)
        };
        let mut examples = Vec::new();
        for (what, steps) in [("only the specification", &missing), ("only the code", &added)] {
            for (from, action, to) in steps.iter().filter(known).take(EXAMPLES_MAX) {
                examples.push(format!("{what} takes {action}:{}", changes(from, to)));
            }
        }
        Self {
            states_missing: spec.states.difference(&code.states).count() + initial,
            states_added: code.states.difference(&spec.states).count() + initial,
            steps_missing: missing.len(),
            steps_added: added.len(),
            examples,
        }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a step changes, and what it starts from, a line for each variable.
fn changes(from: &State, to: &State) -> String {
    let mut text = String::new();
    for (name, before) in from {
        match to.get(name) {
            Some(after) if after != before => {
                text.push_str(&format!("\n    {name}: {before}\n      becomes {after}"));
            }
            Some(_) => text.push_str(&format!("\n    {name}: {before}")),
            None => text.push_str(&format!("\n    {name}: {before}\n      is gone")),
        }
    }
    text
}
