//! Both directions of a connection: finds the messages, prints and keeps them.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use flurm_wire::stream::{Piece, Speech, Stream};
use flurm_wire::{Release, Value, names};

use super::{capture, decode};
use crate::arguments::Given;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who opened the connection.
    Client,
    /// Who accepted it.
    Server,
}

/// What becomes of messages.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: Option<PathBuf>,
    note: Option<PathBuf>,
    as_json: bool,
    messages: AtomicU64,
    connections: AtomicU64,
}

impl Keeper {
    /// As the options say.
    pub(super) fn new(given: &Given) -> Result<Self, String> {
        let folder = given.value('s').map(PathBuf::from);
        if let Some(folder) = &folder {
            let text = |error| format!("could not make {}: {error}", folder.display());
            fs::create_dir_all(folder).map_err(text)?;
        }
        let note = given.value('n').map(PathBuf::from);
        let (messages, connections) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { folder, note, as_json: given.count('j') > 0, messages, connections })
    }

    fn keep(&self, told: &Told<'_>, persistent: Option<Release>, bytes: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let sequence = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let release = told.release.map_or("unknown", Release::name);
        let folder = folder.join(release);
        fs::create_dir_all(&folder)?;
        let name = told.name.to_lowercase();
        let path = folder.join(format!("{}_{sequence:06}_{name}.hex", told.msg_type));
        let mut comments = vec![told.to_string()];
        // A note is about to be written when it cannot be read.
        if let Some(note) = self.note.as_ref().and_then(|path| fs::read_to_string(path).ok()) {
            comments.push(format!("while: {}", note.trim_end()));
        }
        fs::write(path, capture::to_text(&comments, persistent, bytes))
    }
}

/// A message and its way, as told in a line.
struct Told<'a> {
    release: Option<Release>,
    msg_type: u16,
    name: &'static str,
    from: &'a str,
    to: &'a str,
    answers: Option<&'static str>,
}

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from {} to {}", self.name, self.from, self.to)?;
        match self.answers {
            Some(request) => write!(f, ", answering {request}"),
            None => Ok(()),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conversation {
    number: u64,
    /// Addresses of client and server.
    names: [String; 2],
    streams: [Stream; 2],
    asked: Option<&'static str>,
}

impl Conversation {
    /// A connection that has just been opened.
    pub(super) fn new(keeper: &Keeper, client: String, server: String) -> Self {
        let number = keeper.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let streams = [(); 2].map(|()| Stream::new(Speech::Frames));
        Self { number, names: [client, server], streams, asked: None }
    }

    /// Takes what one side has sent. Fails when it cannot be printed or kept.
    pub(super) fn hear(&mut self, keeper: &Keeper, side: Side, bytes: &[u8]) -> io::Result<()> {
        let (own, other) = match side {
            Side::Client => (0, 1),
            Side::Server => (1, 0),
        };
        let pieces = self.streams[own].push(bytes);
        let speech = self.streams[own].speech();
        if matches!(speech, Speech::Persistent(_) | Speech::Channel)
            && self.streams[other].speech() == Speech::Frames
        {
            self.streams[other].set_speech(speech);
        }
        pieces.iter().try_for_each(|piece| self.tell(keeper, side, piece))
    }

    /// Says that one side will send no more.
    pub(super) fn end(&self, keeper: &Keeper, side: Side) -> io::Result<()> {
        let stream = &self.streams[side as usize];
        match stream.unfinished().len() {
            0 => Ok(()),
            left => self.line(keeper, side, &format!("ends within a message, after {left} bytes")),
        }
    }

    fn tell(&mut self, keeper: &Keeper, side: Side, piece: &Piece) -> io::Result<()> {
        let (bytes, persistent) = match piece {
            Piece::Introduction(bytes) | Piece::Channel(bytes) => {
                return self.tell_channel(keeper, side, piece, bytes.len());
            }
            Piece::Frame(bytes) => (bytes, None),
            Piece::Persistent(release, bytes) => (bytes, Some(*release)),
            Piece::TooLong(length) => {
                return self.line(keeper, side, &format!("a message of {length} bytes, not kept"));
            }
            Piece::Raw(bytes) => {
                return self.line(keeper, side, &format!("{} bytes without messages", bytes.len()));
            }
        };
        let found = decode::dissected(piece);
        let msg_type = found.msg_type.unwrap_or(0);
        let name = names::name(msg_type).unwrap_or("unknown");
        let answers = self.asked.filter(|_| side == Side::Server);
        if side == Side::Client {
            self.asked = Some(name);
        }
        let [from, to] = self.way(side);
        let told = Told { release: found.release, msg_type, name, from, to, answers };
        keeper.keep(&told, persistent, bytes)?;
        let value = found.to_value(false);
        if keeper.as_json {
            return self.json(side, &value);
        }
        let mut out = io::stdout().lock();
        let release = found.release.map_or("unknown release", Release::name);
        writeln!(out, "== {} {told} ({release}, {} bytes)", self.number, bytes.len())?;
        writeln!(out, "{}", value.to_pretty_json())?;
        out.flush()
    }

    /// Frames of a step's input and output are printed, and not kept.
    fn tell_channel(
        &self,
        keeper: &Keeper,
        side: Side,
        piece: &Piece,
        length: usize,
    ) -> io::Result<()> {
        let value = decode::dissected(piece).to_value(false);
        if keeper.as_json {
            return self.json(side, &value);
        }
        let what = match piece {
            Piece::Introduction(_) => "introduction of a node's input and output",
            _ => "input or output",
        };
        let [from, to] = self.way(side);
        let mut out = io::stdout().lock();
        writeln!(out, "== {} {what} from {from} to {to} ({length} bytes)", self.number)?;
        writeln!(out, "{}", value.to_pretty_json())?;
        out.flush()
    }

    fn way(&self, side: Side) -> [&str; 2] {
        let [client, server] = [self.names[0].as_str(), self.names[1].as_str()];
        match side {
            Side::Client => [client, server],
            Side::Server => [server, client],
        }
    }

    fn json(&self, side: Side, value: &Value) -> io::Result<()> {
        let [from, to] = self.way(side).map(|name| Value::Text(name.to_owned()));
        let connection = ("connection", Value::Unsigned(self.number));
        let line =
            Value::Record(vec![connection, ("from", from), ("to", to), ("message", value.clone())]);
        let mut out = io::stdout().lock();
        writeln!(out, "{}", line.to_json())?;
        out.flush()
    }

    fn line(&self, keeper: &Keeper, side: Side, text: &str) -> io::Result<()> {
        if keeper.as_json {
            return self.json(side, &Value::Text(text.to_owned()));
        }
        let [from, to] = self.way(side);
        let mut out = io::stdout().lock();
        writeln!(out, "== {} from {from} to {to}: {text}", self.number)?;
        out.flush()
    }
}
