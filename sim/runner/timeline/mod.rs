//! The timeline: a page that shows one run, a lane for each machine, messages as arrows, faults as
//! shading, processes as bars. It is one file without outside parts.

mod bars;

use serde::Serialize;

use super::replay::is_detail;
use crate::run::{Failure, Outcome, plan_of};
use crate::scenario::Scenario;
use crate::world::scene::{Scene, Send};
use crate::world::{MICRO, MachineId, Nanos};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Most lines of the story that a page holds, so that a browser can open it.
const LINES_MAX: usize = 60_000;
/// Most messages that a page holds.
const SENDS_MAX: usize = 150_000;

/// Microseconds of virtual time, for a page.
type Micros = u64;

/// A message: sent, arrives (0: never), source, target, class, label, bytes, connection.
type Arrow = (Micros, Micros, u32, u32, u8, usize, usize, u64);

/// What a page is made of. Short names and arrays keep it small.
#[derive(Serialize)]
struct Data {
    title: String,
    story: String,
    seed: u64,
    digest: String,
    failure: Option<String>,
    reasons: Vec<String>,
    /// When the failure was seen.
    failed_at: Option<Micros>,
    healed_at: Option<Micros>,
    end: Micros,
    machines: Vec<String>,
    /// What was planned: from, to, words.
    faults: Vec<(Micros, Micros, String)>,
    labels: Vec<String>,
    sends: Vec<Arrow>,
    bars: Vec<bars::Bar>,
    /// Machines without power: machine, from, to.
    dark: Vec<(u32, Micros, Micros)>,
    /// Broken links: from, to, source, target, kind.
    links: Vec<(Micros, Micros, u32, u32, u8)>,
    /// Who seemed to lead: from, to, machine.
    leaders: Vec<(Micros, Micros, u32)>,
    /// Time, machine (-1: the world), kind, words.
    lines: Vec<(Micros, i64, &'static str, String)>,
    /// What was left out for the page's size.
    left_out: Option<String>,
}

fn micros(at: Nanos) -> Micros {
    at / MICRO
}

/// Who talks to whom: clients (0), controllers and nodes (1), controllers among themselves (2).
fn class(machines: &[String], send: &Send) -> u8 {
    let is = |id: MachineId, role: &str| {
        machines.get(id.0 as usize).is_some_and(|name| name.starts_with(role))
    };
    let either = |role| is(send.source, role) || is(send.target, role);
    match () {
        () if either("login") => 0,
        () if is(send.source, "ctl") && is(send.target, "ctl") => 2,
        () => 1,
    }
}

fn sends(machines: &[String], scene: &Scene, data: &mut Data) {
    let mut known = std::collections::BTreeMap::new();
    for send in scene.sends.iter().take(SENDS_MAX) {
        let label = *known.entry(send.what.as_str()).or_insert_with(|| {
            data.labels.push(send.what.clone());
            data.labels.len() - 1
        });
        let arrives = send.arrives.map_or(0, |at| micros(at).max(1));
        let class = class(machines, send);
        let (source, target) = (send.source.0, send.target.0);
        data.sends.push((
            micros(send.at),
            arrives,
            source,
            target,
            class,
            label,
            send.bytes,
            send.conn,
        ));
    }
}

fn lines(machines: &[String], outcome: &Outcome, data: &mut Data) {
    let told = outcome.lines.iter().filter(|line| !is_detail(line.kind));
    for line in told.take(LINES_MAX) {
        let lane = machines.iter().position(|name| *name == line.lane);
        let lane = lane.map_or(-1, |lane| lane as i64);
        data.lines.push((micros(line.at), lane, line.kind.name(), line.text.clone()));
    }
}

fn left_out(outcome: &Outcome, scene: &Scene, data: &Data) -> Option<String> {
    let lines = outcome.lines.iter().filter(|line| !is_detail(line.kind)).count();
    let (lines, sends) = (lines - data.lines.len(), scene.sends.len() - data.sends.len());
    (lines + sends > 0)
        .then(|| format!("{sends} messages and {lines} lines at the end are left out"))
}

/// The page of a run that kept its scene and its lines.
pub(super) fn page(name: &str, scenario: &Scenario, outcome: &Outcome) -> String {
    let machines = outcome.machines.clone();
    let scene = outcome.scene.clone().unwrap_or_default();
    let end = micros(outcome.simulated);
    let (_, plan) = plan_of(scenario, outcome.seed);
    let named = |id: MachineId| machines.get(id.0 as usize).cloned().unwrap_or_default();
    let fault = |planned: &crate::fault::Planned| {
        let to = micros(planned.at.saturating_add(planned.lasts)).min(end);
        (micros(planned.at), to.max(micros(planned.at)), planned.act.words(named))
    };
    let (failed_at, reasons) = match &outcome.failure {
        Some(Failure::Oracle(violation)) => (Some(micros(violation.at)), Vec::new()),
        Some(Failure::Unsettled(reasons)) => (Some(end), reasons.clone()),
        Some(Failure::Panic(_)) => (Some(end), Vec::new()),
        None => (None, Vec::new()),
    };
    let mut data = Data {
        title: name.to_owned(),
        story: scenario.story.trim().replace('\n', " "),
        seed: outcome.seed,
        digest: outcome.digest.clone(),
        failure: outcome.failure.as_ref().map(ToString::to_string),
        reasons,
        failed_at,
        healed_at: outcome.healed_at.map(micros),
        end,
        faults: plan.iter().map(fault).collect(),
        labels: Vec::new(),
        sends: Vec::new(),
        bars: bars::bars(&scene.lives, end),
        dark: bars::dark(&scene.power, end),
        links: bars::links(&scene.links, end),
        leaders: bars::leaders(&machines, &scene.sends, end),
        lines: Vec::new(),
        left_out: None,
        machines: machines.clone(),
    };
    sends(&machines, &scene, &mut data);
    lines(&machines, outcome, &mut data);
    data.left_out = left_out(outcome, &scene, &data);
    let json = serde_json::to_string(&data).expect("a page has texts as keys only");
    // Nothing in the data may end the script element it stands in.
    let json = json.replace("</", "<\\/").replace("<!--", "<\\u0021--");
    PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT).replace("/*DATA*/", &json)
}
