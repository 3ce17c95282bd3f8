//! Replays: one seed as a story on one time line.

use std::fmt::Write as _;
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::{Args, Exit, run_fresh};
use crate::run::{Failure, Keep};
use crate::world;
use crate::world::trace::{Line, clock_text};

/// Puts what components log into the trace of the world on this thread.
struct IntoTrace;

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        written.expect("writing to a string cannot fail");
    }
}

impl Subscriber for IntoTrace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("flurm");
        *metadata.level() <= if ours { Level::DEBUG } else { Level::WARN }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        let level = event.metadata().level().as_str().to_lowercase();
        let target = event.metadata().target().trim_start_matches("flurm_");
        let text = format!("{level} {target}: {}", words.0);
        let place = world::current();
        // A component that logs while the world is borrowed would be the simulator itself.
        world::try_with(|w| {
            let lane = place.map_or("world".to_owned(), |p| w.machine(p.machine).name.clone());
            let now = w.now();
            w.trace.say(now, lane, text);
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn shown(line: &Line, args: &Args) -> bool {
    if args.quiet {
        return false;
    }
    let only = args.only.as_deref();
    only.is_none_or(|word| line.text.contains(word) || line.lane.contains(word))
}

/// Tells one seed.
pub(super) fn replay(args: &Args) -> Exit {
    let scenarios = match args.scenarios() {
        Ok(scenarios) => scenarios,
        Err(text) => {
            eprintln!("flurm-sim: {text}");
            return Exit::Usage;
        }
    };
    // A second subscriber in one process is a second replay; the first one serves it too.
    let _first_serves_all = tracing::subscriber::set_global_default(IntoTrace);
    let mut worst = Exit::Fine;
    for (path, scenario) in &scenarios {
        let keep = Keep { lines: true, hashes: false, ..Keep::default() };
        let outcome = run_fresh(args.engine, scenario, args.first, keep);
        let mut out = std::io::stdout().lock();
        let mut print = |text: String| {
            // A closed pipe (`| head`) ends the reading, not the replay.
            let _reader_may_be_gone = writeln!(out, "{text}");
        };
        for line in outcome.lines.iter().filter(|line| shown(line, args)) {
            print(format!("{} {:<8} {}", clock_text(line.at), line.lane, line.text));
        }
        let (seed, digest, events) = (outcome.seed, &outcome.digest, outcome.events);
        print(format!("{}: seed {seed}, {events} events, digest {digest}", path.display()));
        if let Some(failure) = outcome.failure {
            print(format!("seed {seed} failed: {failure}"));
            if let Failure::Unsettled(reasons) = &failure {
                for reason in reasons {
                    print(format!("  waiting: {reason}"));
                }
            }
            worst = worst.max(super::sweep::exit_of(&failure));
        }
    }
    worst
}
