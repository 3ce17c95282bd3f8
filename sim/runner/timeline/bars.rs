//! Spans of a timeline: from what began and ended, when.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Micros, micros};
use crate::world::net::Link;
use crate::world::scene::{Life, Send};
use crate::world::{MachineId, Nanos};

/// A process that lived for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Bar {
    /// Machine.
    m: u32,
    /// From.
    f: Micros,
    /// To.
    t: Micros,
    /// Program.
    n: String,
    /// Process id.
    p: u32,
    /// Job number.
    j: Option<u32>,
    /// What the client calls the job; empty for a daemon.
    k: String,
    /// How it ended.
    e: String,
}

/// Processes as spans.
pub(super) fn bars(lives: &[Life], end: Micros) -> Vec<Bar> {
    let mut open: BTreeMap<u32, Bar> = BTreeMap::new();
    let mut bars = Vec::new();
    for life in lives {
        match &life.ended {
            None => {
                let (job, key) = life.job.clone().unwrap_or_default();
                let bar = Bar {
                    m: life.machine.0,
                    f: micros(life.at),
                    t: end,
                    n: life.name.rsplit('/').next().unwrap_or(&life.name).to_owned(),
                    p: life.pid,
                    j: job,
                    k: key,
                    e: String::new(),
                };
                open.insert(life.key, bar);
            }
            Some(how) => {
                if let Some(bar) = open.remove(&life.key) {
                    bars.push(Bar { t: micros(life.at), e: how.clone(), ..bar });
                }
            }
        }
    }
    bars.extend(open.into_values());
    bars.sort_by_key(|bar| (bar.m, bar.f, bar.p));
    bars
}

/// Machines without power.
pub(super) fn dark(power: &[(Nanos, MachineId, bool)], end: Micros) -> Vec<(u32, Micros, Micros)> {
    let mut since: BTreeMap<u32, Micros> = BTreeMap::new();
    let mut spans = Vec::new();
    for (at, machine, on) in power {
        if !on {
            since.entry(machine.0).or_insert_with(|| micros(*at));
        } else if let Some(from) = since.remove(&machine.0) {
            spans.push((machine.0, from, micros(*at)));
        }
    }
    spans.extend(since.into_iter().map(|(machine, from)| (machine, from, end)));
    spans
}

/// A broken link: cut (0), loses (1), slow (2).
fn kind(link: Link) -> u8 {
    match link {
        Link { cut: true, .. } => 0,
        Link { loss, .. } if loss > 0.0 => 1,
        Link { .. } => 2,
    }
}

/// Links that were broken: from, to, source, target, kind.
pub(super) fn links(
    changes: &[(Nanos, MachineId, MachineId, Link)],
    end: Micros,
) -> Vec<(Micros, Micros, u32, u32, u8)> {
    let mut since: BTreeMap<(u32, u32), (Micros, u8)> = BTreeMap::new();
    let mut spans = Vec::new();
    for (at, source, target, link) in changes {
        let pair = (source.0, target.0);
        if let Some((from, kind)) = since.remove(&pair) {
            spans.push((from, micros(*at), pair.0, pair.1, kind));
        }
        if *link != Link::default() {
            since.insert(pair, (micros(*at), kind(*link)));
        }
    }
    let open = since.into_iter();
    spans.extend(open.map(|((source, target), (from, kind))| (from, end, source, target, kind)));
    spans.sort_unstable();
    spans
}

/// Window in which the controller that asks its peers most seems to lead.
const WINDOW: Micros = 500_000;

/// Who seemed to lead, from outside: who sent appends and heartbeats.
pub(super) fn leaders(
    machines: &[String],
    sends: &[Send],
    end: Micros,
) -> Vec<(Micros, Micros, u32)> {
    let is_controller =
        |id: MachineId| machines.get(id.0 as usize).is_some_and(|name| name.starts_with("ctl"));
    let leads = |send: &&Send| {
        let words = send.what.starts_with("append ") || send.what.starts_with("heartbeat");
        send.asks && words && is_controller(send.source) && is_controller(send.target)
    };
    let mut counts: BTreeMap<Micros, BTreeMap<u32, u32>> = BTreeMap::new();
    for send in sends.iter().filter(leads) {
        let window = micros(send.at) / WINDOW;
        *counts.entry(window).or_default().entry(send.source.0).or_insert(0) += 1;
    }
    let mut spans: Vec<(Micros, Micros, u32)> = Vec::new();
    for (window, by) in counts {
        let most = by.into_iter().max_by_key(|(machine, count)| (*count, u32::MAX - machine));
        let (machine, _) = most.expect("a window that counts has a sender");
        let (from, to) = (window * WINDOW, ((window + 1) * WINDOW).min(end));
        match spans.last_mut() {
            Some(last) if last.2 == machine && from <= last.1 + WINDOW => last.1 = to,
            Some(_) | None => spans.push((from, to, machine)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_lasts_to_the_end() {
        let on = MachineId(1);
        let power = [(1_000_000, on, false), (2_000_000, on, true), (5_000_000, on, false)];
        assert_eq!(dark(&power, 9_000), [(1, 1_000, 2_000), (1, 5_000, 9_000)]);
        let cut = Link { cut: true, ..Link::default() };
        let (a, b) = (MachineId(0), MachineId(1));
        let changes = [
            (1_000_000, a, b, cut),
            (3_000_000, a, b, Link::default()),
            (4_000_000, b, a, Link { delay: 5, ..Link::default() }),
        ];
        assert_eq!(links(&changes, 9_000), [(1_000, 3_000, 0, 1, 0), (4_000, 9_000, 1, 0, 2)]);
    }

    #[test]
    fn a_process_is_a_bar_between_its_start_and_its_end() {
        let life = |at, key, ended: Option<&str>| Life {
            at,
            machine: MachineId(2),
            key,
            pid: 300 + key,
            name: "/spool/job/script".into(),
            job: Some((Some(7), "c1-2".into())),
            ended: ended.map(str::to_owned),
        };
        let lives = [life(1_000, 1, None), life(2_000, 2, None), life(3_000, 1, Some("exit 0"))];
        let bars = bars(&lives, 9);
        let spans: Vec<(u64, u64, &str)> =
            bars.iter().map(|bar| (bar.f, bar.t, bar.e.as_str())).collect();
        assert_eq!(spans, [(1, 3, "exit 0"), (2, 9, "")]);
        assert_eq!((bars[0].n.as_str(), bars[0].j), ("script", Some(7)));
    }
}
