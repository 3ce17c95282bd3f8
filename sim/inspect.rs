//! The state of a world where a story stops: machines, services, processes, jobs as clients saw
//! them, who seems to lead. Everything is seen from outside the components.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::cluster;
use crate::world::history::{Effect, History};
use crate::world::trace::clock_text;
use crate::world::{self, World};

thread_local! {
    static STATE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Remembers what the world of this thread looks like now.
pub(crate) fn stop_here() {
    let lines = world::try_with(|w| lines(w)).unwrap_or_default();
    STATE.set(Some(lines));
}

/// What was remembered.
pub fn take() -> Option<Vec<String>> {
    STATE.take()
}

/// The state of a world in lines.
fn lines(w: &World) -> Vec<String> {
    let mut lines = vec![format!("the world at {}", clock_text(w.now()).trim_start())];
    for machine in &w.machines {
        let power = if machine.up { "is up" } else { "has no power" };
        let off_us = machine.clock.wall(w.now()).0 - w.true_wall().0;
        lines.push(format!(
            "machine  {:<8} {power}, boot {}, wall clock off by {} ms",
            machine.name,
            machine.boots,
            off_us / 1000
        ));
    }
    if let Some(cluster) = cluster::current() {
        let leader = cluster.leader_in(w).map(|id| w.machine(id).name.clone());
        let leader = leader.unwrap_or_else(|| "nobody".to_owned());
        lines.push(format!("leader   {leader} seems to lead"));
        lines.extend(cluster.state_lines(w));
    }
    for process in w.processes.alive() {
        let job = process.job.as_ref().map_or_else(String::new, |job| {
            let number = job.job.map_or_else(|| "?".to_owned(), |job| job.to_string());
            format!(" of job {number} ({})", job.key.as_deref().unwrap_or("?"))
        });
        let lane = &w.machine(process.machine).name;
        let since = clock_text(process.started);
        lines.push(format!(
            "process  {lane:<8} {} {}{job}, since {}",
            process.pid,
            process.name,
            since.trim_start()
        ));
    }
    lines.extend(requests(&w.history));
    lines
}

/// Requests without an answer, and jobs as they were last listed.
fn requests(history: &History) -> Vec<String> {
    let mut open: BTreeMap<&str, u32> = BTreeMap::new();
    let mut listed = None;
    for (at, effect) in history.effects() {
        match effect {
            Effect::Submitting { key, tries } => {
                open.insert(key, *tries);
            }
            Effect::Submitted { key, .. } => {
                open.remove(key.as_str());
            }
            Effect::Listed { client, jobs, .. } => listed = Some((*at, *client, jobs)),
            _ => {}
        }
    }
    let waits = |(key, tries): (&str, u32)| format!("request  {key} waits, try {}", tries + 1);
    let mut lines: Vec<String> = open.into_iter().map(waits).collect();
    let Some((at, client, jobs)) = listed else { return lines };
    lines.push(format!("jobs     as client {client} saw them at {}", clock_text(at).trim_start()));
    for job in jobs {
        let state = crate::oracle::state_name(job.state);
        let (id, name, nodes, reason) = (job.job, &job.name, &job.nodes, &job.reason);
        lines.push(format!("job      {id} ({name}) {state} {nodes} {reason}"));
    }
    lines
}
