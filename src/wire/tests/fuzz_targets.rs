//! Every fuzz target over damaged captures and samples: a fixed number of cases, the same each time.
//! A failure names the seed that repeats it; `FUZZ_CASES` and `FUZZ_SEED` lengthen and move the run.
//! With `FUZZ_SEEDS` the undamaged inputs are written to that folder, where `ci/fuzz` begins.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

mod targets;

use std::path::Path;

use flurm_wire::frame::{self, LENGTH_BYTES};
use flurm_wire::{DbdMessage, Gen, Header, Message, Registry, Release, persist};
use targets::{Act, TARGETS, body_input};

/// Cases of one target in a plain test run.
const CASES: u64 = 4_000;
/// Damages of one input at most.
const DAMAGES_MAX: u64 = 8;
/// Inputs longer than this are not doubled.
const LENGTH_MAX: usize = 1 << 16;
/// Samples of each message and release among the seeds.
const SAMPLES: u64 = 2;

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by environment")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str, default: u64) -> u64 {
    setting(name).map_or(default, |text| text.parse().expect("FUZZ_… is a number"))
}

/// Captured frames, each without its length.
#[derive(Default)]
struct Frames {
    plain: Vec<Vec<u8>>,
    /// Those of persistent connections, which do not tell their release.
    persistent: Vec<(Release, Vec<u8>)>,
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn captured_frames() -> Frames {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut paths = Vec::new();
    for release in Release::ALL {
        let entries = std::fs::read_dir(root.join(release.name())).unwrap();
        paths.extend(entries.map(|entry| (release, entry.unwrap().path())));
    }
    paths.sort();
    let mut frames = Frames::default();
    for (release, path) in paths {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let digits: String = lines.flat_map(str::chars).filter(char::is_ascii_hexdigit).collect();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes = (LENGTH_BYTES * 2..digits.len()).step_by(2).map(byte).collect();
        if text.lines().any(|line| line.starts_with("# persistent ")) {
            frames.persistent.push((release, bytes));
        } else {
            frames.plain.push(bytes);
        }
    }
    frames
}

fn samples<M: Registry>(release: Release, g: &mut Gen) -> Vec<Vec<u8>> {
    let entries = M::REGISTERED.iter().filter(|entry| entry.in_release(release));
    let input = |entry: &flurm_wire::Registered<M>| {
        body_input(release, entry.msg_type, &entry.sample(g).to_bytes(release))
    };
    entries.map(input).collect()
}

/// Undamaged inputs of a target.
fn seeds(target: &str, frames: &Frames) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (release, bytes) in &frames.persistent {
        let parts = persist::split(bytes).unwrap();
        match target {
            "persist" => seeds.push(bytes.clone()),
            "dbd" => seeds.push(body_input(*release, parts.msg_type, parts.body)),
            _ => {}
        }
    }
    let plain = frames.plain.iter().filter(|_| !["persist", "dbd"].contains(&target));
    for bytes in plain {
        let Ok(parts) = frame::split(bytes) else { continue };
        let (header, auth) = (&parts.header, parts.auth_bytes);
        seeds.push(match target {
            "frame" => bytes.clone(),
            "header" => frame::build_raw(header, &[], b"")[LENGTH_BYTES..].to_vec(),
            "auth" => auth.to_vec(),
            _ => body_input(header.release, header.msg_type, parts.body),
        });
    }
    for release in Release::ALL {
        for seed in 0..SAMPLES {
            let mut g = Gen::new(release, seed);
            match target {
                "frame" | "header" => {
                    let header = Header::sample(&mut g);
                    seeds.push(frame::build(header, None, b"")[LENGTH_BYTES..].to_vec());
                }
                "body" => seeds.extend(samples::<Message>(release, &mut g)),
                "dbd" => seeds.extend(samples::<DbdMessage>(release, &mut g)),
                _ => {}
            }
        }
    }
    seeds
}

/// Changes a few bytes, counts, or the length, mostly where it hurts.
fn damage(bytes: &mut Vec<u8>, other: &[u8], g: &mut Gen) {
    for _ in 0..=g.below(DAMAGES_MAX) {
        let at = g.below(bytes.len() as u64 + 1) as usize;
        let end = bytes.len().min(at + 4);
        match g.below(8) {
            0 if at < bytes.len() => bytes[at] = g.bits() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << g.below(8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, g.bits() as u8),
            4 => bytes[at..end].fill([0, 0xff, 0xfe, 0x7f, 0x80, 1][g.below(6) as usize]),
            5 => drop(bytes.drain(at..end)),
            6 if bytes.len() < LENGTH_MAX => bytes.extend_from_within(at..),
            _ => {
                let from = g.below(other.len() as u64 + 1) as usize;
                let length = g.below(40) as usize;
                let piece = other[from..other.len().min(from + length)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn run(target: &str, act: Act, seeds: &[Vec<u8>]) {
    for bytes in seeds {
        act(bytes);
    }
    let (first, cases) = (number("FUZZ_SEED", 1), number("FUZZ_CASES", CASES));
    for seed in first..first + cases {
        let mut g = Gen::new(Release::NEWEST, seed);
        let mut pick = || &seeds[g.below(seeds.len() as u64) as usize];
        let (mut bytes, other) = (pick().clone(), pick());
        damage(&mut bytes, other, &mut g);
        let run = std::panic::catch_unwind(|| act(&bytes));
        assert!(run.is_ok(), "{target}: FUZZ_SEED={seed} FUZZ_CASES=1 repeats this");
    }
}

#[test]
fn no_target_is_harmed_by_damaged_captures() {
    let frames = captured_frames();
    for (target, act) in TARGETS {
        let seeds = seeds(target, &frames);
        assert!(seeds.len() >= 100, "{target} has {} seeds", seeds.len());
        run(target, *act, &seeds);
    }
}

/// Writes where `ci/fuzz` begins, when asked to.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test writes its data where it is told to")]
fn seeds_are_written_on_demand() {
    let Some(folder) = setting("FUZZ_SEEDS") else { return };
    let frames = captured_frames();
    for (target, _) in TARGETS {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (at, bytes) in seeds(target, &frames).iter().enumerate() {
            std::fs::write(folder.join(format!("seed{at:05}")), bytes).unwrap();
        }
    }
}
