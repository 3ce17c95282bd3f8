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
}

/// One line of the readable trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Nanos,
    /// Where: a host name, or `world`.
    pub lane: String,
    /// What kind.
    pub kind: Kind,
    /// What.
    pub text: String,
}

/// Most lines a readable trace keeps; the newest ones.
const LINES_MAX: usize = 2_000_000;

/// The trace of one world.
pub struct Trace {
    hash: [u64; 2],
    events: u64,
    kinds: [u64; Kind::NAMES.len() + 1],
    readable: bool,
    lines: std::collections::VecDeque<Line>,
    hashes: Vec<(Nanos, u64)>,
    keep_hashes: bool,
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
            self.hashes.push((at, self.hash[0]));
        }
        if self.readable {
            let (lane, text) = words();
            if !text.is_empty() {
                self.keep(Line { at, lane, kind, text });
            }
        }
    }

    /// Adds a line that is no event: what a component logged. It never counts for the digest, so
    /// that a run with a reader and one without have the same.
    pub fn say(&mut self, at: Nanos, lane: String, text: String) {
        if self.readable {
            self.keep(Line { at, lane, kind: Kind::Log, text });
        }
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

    /// The kept hashes: time of each event and the hash after it.
    pub fn hashes(&self) -> &[(Nanos, u64)] {
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
    fn bytes_with_the_same_beginning_differ() {
        let long = [1_u8; 17];
        assert_ne!(digest_bytes(&long), digest_bytes(&long[..16]));
        assert_ne!(digest_bytes(&[0]), digest_bytes(&[0, 0]));
    }
}
