//! The trace: a running hash over everything that happens, and a readable story when asked for.

use std::fmt::Write as _;

use super::Nanos;

/// What kind of thing happened; part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A task was polled.
    Poll = 1,
    /// A connection was made, refused, accepted or ended.
    Connection,
    /// Bytes were sent.
    Send,
    /// Bytes were read.
    Read,
    /// A file or folder changed, or was synced.
    Disk,
    /// A process started or ended.
    Process,
    /// A fault began or ended.
    Fault,
    /// A client asked or was answered.
    Client,
    /// A component logged something.
    Log,
    /// A credential was made or opened.
    Credential,
}

impl Kind {
    /// All kinds, by number from 1.
    const NAMES: [&str; 10] = [
        "poll",
        "connection",
        "send",
        "read",
        "disk",
        "process",
        "fault",
        "client",
        "log",
        "credential",
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize - 1]
    }

    /// Whether there is a kind of this name.
    pub fn is_named(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }
}

/// One line of the readable trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Nanos,
    /// The number of the event, or of the one before what a component logged.
    pub event: u64,
    /// Where: a host name, or `world`.
    pub lane: String,
    /// What kind.
    pub kind: Kind,
    /// What.
    pub text: String,
}

/// Most lines a readable trace keeps; the newest ones.
const LINES_MAX: usize = 2_000_000;

/// Where a story stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// At the first event at or after a moment.
    At(Nanos),
    /// At an event, counted from 1.
    Event(u64),
    /// At the first line with this text.
    Text(String),
}

impl Break {
    fn is_met(&self, at: Nanos, event: u64, text: &str) -> bool {
        match self {
            Self::At(moment) => *moment <= at,
            Self::Event(number) => *number <= event,
            Self::Text(wanted) => text.contains(wanted.as_str()),
        }
    }
}

/// One event among the kept ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When.
    pub at: Nanos,
    /// What kind.
    pub kind: Kind,
    /// The hash over all events up to this one.
    pub hash: u64,
}

/// The trace of one world.
pub struct Trace {
    hash: [u64; 2],
    events: u64,
    kinds: [u64; Kind::NAMES.len() + 1],
    readable: bool,
    lines: std::collections::VecDeque<Line>,
    hashes: Vec<Stamp>,
    keep_hashes: bool,
    breaks: Option<Break>,
    /// The event at which the story stopped.
    broke: Option<u64>,
    broke_now: bool,
}

impl Trace {
    /// An empty trace. `readable` keeps a line for each event that has words.
    pub fn new(readable: bool) -> Self {
        Self {
            hash: [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03],
            events: 0,
            kinds: [0; Kind::NAMES.len() + 1],
            readable,
            lines: std::collections::VecDeque::new(),
            hashes: Vec::new(),
            keep_hashes: false,
            breaks: None,
            broke: None,
            broke_now: false,
        }
    }

    /// Keeps the hash after each event, so that two runs can be compared event by event.
    pub fn keep_hashes(&mut self) {
        self.keep_hashes = true;
    }

    /// Notes an event. `lane` and `text` are asked for only when someone reads.
    pub fn note(
        &mut self,
        at: Nanos,
        kind: Kind,
        facts: [u64; 2],
        words: impl FnOnce() -> (String, String),
    ) {
        self.mix(at ^ (kind as u64).rotate_left(56));
        self.mix(facts[0]);
        self.mix(facts[1]);
        self.events += 1;
        self.kinds[kind as usize] += 1;
        if self.keep_hashes {
            self.hashes.push(Stamp { at, kind, hash: self.hash[0] });
        }
        if self.readable {
            let (lane, text) = words();
            self.look_for_break(at, &text);
            if !text.is_empty() {
                let event = self.events;
                self.keep(Line { at, event, lane, kind, text });
            }
        }
    }

    /// Adds a line that is no event: what a component logged. It never counts for the digest, so
    /// that a run with a reader and one without have the same.
    pub fn say(&mut self, at: Nanos, lane: String, text: String) {
        if self.readable {
            self.look_for_break(at, &text);
            let event = self.events;
            self.keep(Line { at, event, lane, kind: Kind::Log, text });
        }
    }

    /// Stops the story somewhere: from then on [`Trace::take_break`] says so once. For readable
    /// traces only.
    pub fn break_at(&mut self, place: Break) {
        self.breaks = Some(place);
    }

    fn look_for_break(&mut self, at: Nanos, text: &str) {
        if self.breaks.as_ref().is_some_and(|place| place.is_met(at, self.events, text)) {
            self.breaks = None;
            self.broke = Some(self.events);
            self.broke_now = true;
        }
    }

    /// Whether the story stopped since this was last asked.
    pub fn take_break(&mut self) -> bool {
        std::mem::take(&mut self.broke_now)
    }

    /// The event at which the story stopped.
    pub fn broke(&self) -> Option<u64> {
        self.broke
    }

    fn keep(&mut self, line: Line) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn mix(&mut self, word: u64) {
        let [a, b] = self.hash;
        let next = (a.rotate_left(23) ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
        self.hash = [next ^ (next >> 29), b.wrapping_add(next).rotate_left(31)];
    }

    /// Whether lines are kept.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// The hash over all events so far, in hexadecimal.
    pub fn digest(&self) -> String {
        format!("{:016x}{:016x}", self.hash[0], self.hash[1])
    }

    /// How many events were noted.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many events of each kind were noted.
    pub fn kinds(&self) -> Vec<(&'static str, u64)> {
        Kind::NAMES.into_iter().zip(self.kinds[1..].iter().copied()).collect()
    }

    /// The kept lines.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// The kept events.
    pub fn hashes(&self) -> &[Stamp] {
        &self.hashes
    }
}

/// A hash of bytes for the trace.
pub fn digest_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0x243f_6a88_85a3_08d3_u64 ^ bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("a chunk of eight"));
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
    }
    for byte in words.remainder() {
        hash = (hash.rotate_left(9) ^ u64::from(*byte)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    }
    hash ^ (hash >> 31)
}

/// A point in virtual time as people read it: seconds and microseconds.
pub fn clock_text(at: Nanos) -> String {
    let mut text = String::new();
    let micros = at / 1_000;
    write!(text, "{:>5}.{:06}", micros / 1_000_000, micros % 1_000_000)
        .expect("writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(facts: &[[u64; 2]]) -> String {
        let mut trace = Trace::new(false);
        for fact in facts {
            trace.note(7, Kind::Poll, *fact, || (String::new(), String::new()));
        }
        trace.digest()
    }

    #[test]
    fn the_digest_depends_on_every_fact_and_on_their_order() {
        let base = noted(&[[1, 2], [3, 4]]);
        assert_eq!(base, noted(&[[1, 2], [3, 4]]));
        assert_ne!(base, noted(&[[3, 4], [1, 2]]));
        assert_ne!(base, noted(&[[1, 2], [3, 5]]));
        assert_ne!(base, noted(&[[1, 2]]));
    }

    #[test]
    fn a_story_stops_once_where_it_should() {
        let stops = |place: Break| {
            let mut trace = Trace::new(true);
            trace.break_at(place);
            for at in 1..=5 {
                let words = || ("a".to_owned(), format!("line {at}"));
                trace.note(at * 10, Kind::Disk, [0, 0], words);
                if trace.take_break() {
                    assert_eq!(trace.broke(), Some(at));
                    assert!(!trace.take_break());
                }
            }
            trace.broke()
        };
        assert_eq!(stops(Break::At(25)), Some(3));
        assert_eq!(stops(Break::Event(2)), Some(2));
        assert_eq!(stops(Break::Text("line 4".into())), Some(4));
        assert_eq!(stops(Break::Text("line 9".into())), None);
    }

    #[test]
    fn bytes_with_the_same_beginning_differ() {
        let long = [1_u8; 17];
        assert_ne!(digest_bytes(&long), digest_bytes(&long[..16]));
        assert_ne!(digest_bytes(&[0]), digest_bytes(&[0, 0]));
    }
}
