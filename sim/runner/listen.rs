//! Listens to what components log, and puts it into the story.

use std::fmt::Write as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::world;

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

/// Lets the worlds of this process hear what components log.
pub(super) fn listen() {
    // A second subscriber in one process is a second replay; the first one serves it too.
    let _first_serves_all = tracing::subscriber::set_global_default(IntoTrace);
}
