//! Replays: one seed as a story on one time line.

use std::io::Write as _;
use std::path::Path;

use super::args::{Args, Choice, time};
use super::tally::exit_of;
use super::{Exit, listen, only_scenario, run_fresh_until, timeline};
use crate::run::{Failure, Keep, Outcome};
use crate::world::trace::{Break, Kind, Line, clock_text};

fn shown(line: &Line, choice: &Choice) -> bool {
    let has =
        |word: &String| line.text.contains(word.as_str()) || line.lane.contains(word.as_str());
    let machine = choice.machines.is_empty() || choice.machines.contains(&line.lane);
    let kind = choice.kinds.is_empty() || choice.kinds.iter().any(|kind| kind == line.kind.name());
    let early = choice.from.is_some_and(|from| line.at < from);
    let late = choice.until.is_some_and(|until| until < line.at);
    !choice.quiet && machine && kind && !early && !late && choice.only.iter().all(has)
}

fn break_of(text: &str) -> Break {
    if let Some(number) = text.strip_prefix('#').and_then(|number| number.parse().ok()) {
        return Break::Event(number);
    }
    time(text).map_or_else(|_| Break::Text(text.to_owned()), Break::At)
}

/// One line as it is printed.
fn told(line: &Line, numbers: bool) -> String {
    let number = if numbers { format!("#{:<8} ", line.event) } else { String::new() };
    format!("{} {number}{:<8} {}", clock_text(line.at), line.lane, line.text)
}

/// Tells one seed.
pub(super) fn replay(args: &Args) -> Result<Exit, String> {
    let (path, scenario) = only_scenario(args)?;
    let seed = args.seed(&scenario);
    listen::listen();
    let stop = args.break_at.as_deref().map(break_of);
    let scene = args.files.html.is_some();
    let keep = Keep { lines: true, scene, disks: args.files.disks.is_some(), ..Keep::default() };
    let outcome = run_fresh_until(args.engine, &scenario, seed, keep, stop);
    tell(args, &path, &outcome);
    if let Some(file) = &args.files.html {
        let name = path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let page = timeline::page(&name, &scenario, &outcome);
        std::fs::write(file, page)
            .map_err(|error| format!("could not write {}: {error}", file.display()))?;
        println!("the timeline is in {}", file.display());
    }
    if let Some(folder) = &args.files.disks {
        write_disks(folder, &outcome)?;
        println!("the disks are in {}", folder.display());
    }
    Ok(outcome.failure.as_ref().map_or(Exit::Fine, exit_of))
}

fn tell(args: &Args, path: &Path, outcome: &Outcome) {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut print = |text: String| {
        // A closed pipe (`| head`) ends the reading, not the replay.
        let _reader_may_be_gone = writeln!(out, "{text}");
    };
    let last = outcome.stopped.as_ref().map_or(u64::MAX, |(event, _)| *event);
    let lines = outcome.lines.iter().filter(|line| line.event <= last);
    for line in lines.filter(|line| shown(line, &args.choice)) {
        print(told(line, args.choice.numbers));
    }
    match (&outcome.stopped, &args.break_at) {
        (Some((event, state)), _) => {
            print(format!("-- stopped at event #{event}"));
            state.iter().for_each(|line| print(line.clone()));
            print(String::new());
        }
        (None, Some(wanted)) => print(format!("-- `{wanted}` did not happen")),
        (None, None) => {}
    }
    let (seed, digest, events) = (outcome.seed, &outcome.digest, outcome.events);
    print(format!("{}: seed {seed}, {events} events, digest {digest}", path.display()));
    let Some(failure) = &outcome.failure else { return };
    print(format!("seed {seed} failed: {failure}"));
    if let Failure::Unsettled(reasons) = failure {
        for reason in reasons {
            print(format!("  waiting: {reason}"));
        }
    }
}

fn write_disks(folder: &Path, outcome: &Outcome) -> Result<(), String> {
    for (machine, files) in &outcome.disks {
        for (path, bytes) in files {
            let target = folder.join(machine).join(path.strip_prefix("/").unwrap_or(path));
            let parent = target.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&target, bytes))
                .map_err(|error| format!("could not write {}: {error}", target.display()))?;
        }
    }
    Ok(())
}

/// Whether lines of a kind are for people who want to see everything only.
pub(super) fn is_detail(kind: Kind) -> bool {
    matches!(kind, Kind::Poll | Kind::Connection | Kind::Send | Kind::Read | Kind::Disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u64, lane: &str, kind: Kind, text: &str) -> Line {
        Line { at, event: 7, lane: lane.into(), kind, text: text.into() }
    }

    #[test]
    fn a_line_is_shown_when_all_choices_agree() {
        let line = line(5_000_000_000, "n1", Kind::Process, "process 302 (job) starts");
        let mut choice = Choice { machines: vec!["n1".into()], ..Choice::default() };
        assert!(shown(&line, &choice));
        choice.kinds = vec!["process".into()];
        choice.only = vec!["302".into(), "starts".into()];
        (choice.from, choice.until) = (Some(5_000_000_000), Some(5_000_000_000));
        assert!(shown(&line, &choice));
        choice.only.push("ends".into());
        assert!(!shown(&line, &choice));
        assert!(!shown(&line, &Choice { kinds: vec!["log".into()], ..Choice::default() }));
        assert!(!shown(&line, &Choice { from: Some(6_000_000_000), ..Choice::default() }));
        assert!(!shown(&line, &Choice { quiet: true, ..Choice::default() }));
    }

    #[test]
    fn a_place_to_stop_is_a_time_an_event_or_words() {
        assert_eq!(break_of("12.5s"), Break::At(12_500_000_000));
        assert_eq!(break_of("#99"), Break::Event(99));
        assert_eq!(break_of("fault: kill"), Break::Text("fault: kill".into()));
        let text = told(&line(1_500_000_000, "ctl1", Kind::Log, "x"), true);
        assert_eq!(text, "    1.500000 #7        ctl1     x");
    }
}
