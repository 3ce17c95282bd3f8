//! `flurm wire decode`: captures as JSON.

use std::io::{self, Write};
use std::process::ExitCode;

use flurm_wire::dissect::{self, Dissection};
use flurm_wire::stream::{Piece, Speech};
use flurm_wire::{Release, Value};

use super::capture;
use crate::arguments::Given;

/// Decodes files, or standard input where none is named.
pub(super) fn run(given: &Given, files: &[&str]) -> super::Outcome {
    let speech = speech(given)?;
    let files = if files.is_empty() { &["-"] } else { files };
    let mut is_whole = true;
    let mut out = io::stdout().lock();
    for file in files {
        for piece in capture::read(file, speech)? {
            let found = dissected(&piece);
            is_whole &= found.damage.is_empty();
            let value = found.to_value(given.count('o') > 0);
            let text = if given.count('j') > 0 { value.to_json() } else { value.to_pretty_json() };
            if writeln!(out, "{text}").is_err() {
                // Whoever reads has seen enough.
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How the bytes of a capture are framed, by the options.
pub(super) fn speech(given: &Given) -> Result<Speech, String> {
    let Some(name) = given.value('r') else { return Ok(Speech::Frames) };
    let names = Release::ALL.map(Release::name).join(", ");
    let release = Release::from_name(name);
    release.map(Speech::Persistent).ok_or_else(|| format!("'{name}' is none of {names}"))
}

/// What is in a piece.
pub(super) fn dissected(piece: &Piece) -> Dissection {
    match piece {
        Piece::Frame(bytes) | Piece::Raw(bytes) => dissect::frame(bytes),
        Piece::Persistent(release, bytes) => dissect::persistent(*release, bytes),
        Piece::Introduction(bytes) => dissect::introduction(bytes),
        Piece::Channel(bytes) => dissect::channel(bytes),
        Piece::TooLong(length) => {
            let text = format!("a frame of {length} bytes is too long to be kept");
            Dissection { damage: vec![text], ..Dissection::default() }
        }
    }
}

/// All messages of a capture, as records.
pub(super) fn values(file: &str, speech: Speech) -> Result<Vec<Value>, String> {
    let pieces = capture::read(file, speech)?;
    Ok(pieces.iter().map(|piece| dissected(piece).to_value(false)).collect())
}
