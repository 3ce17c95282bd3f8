//! Which messages are declared and which were captured, release by release, as a document that
//! `UPDATE=1` rewrites. The list is every number of Slurm's enumerations, in `names`.

mod library;
mod uncaptured;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use flurm_wire::{DbdMessage, Message, Registry, Release, frame, names, persist};

pub(crate) const DOCUMENT: &str = "../../docs/wire-coverage.md";

/// Numbers that belong to nobody whom FLURM talks to, and why.
const OUT_OF_SCOPE: &[(u16, u16, &str)] = &[
    (1456, 1456, "no release sends it: workload keys are not modified"),
    (1482, 1484, "no release sends it: a name inside the accounting daemon"),
    (1499, 1500, "no release sends it: a name inside the accounting daemon"),
    (1505, 1507, "no release sends it: a kind of query inside the accounting daemon"),
    (4006, 4006, "no release sends it"),
    (10004, 10005, "an error number in an answer, not a message"),
    (7201, 7204, "PMI1, between tasks and their launcher"),
    (13001, 13004, "between a node daemon and its own step daemons"),
];

/// How often a message was captured in each release.
type Captured = BTreeMap<(u16, Release), usize>;

/// Which releases have a message according to their sources; `tests/layouts.rs` reads the same.
const FACTS: &str = include_str!("../layouts.txt");

fn in_sources() -> BTreeSet<(u16, Release)> {
    let mut known = BTreeSet::new();
    for line in FACTS.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [number, first, last, _] = words[..] else { continue };
        let Ok(number) = number.parse() else { continue };
        let named = |name| Release::from_name(name).unwrap();
        let (first, last) = (named(first), named(last));
        let within = |release: &Release| first <= *release && *release <= last;
        known.extend(Release::ALL.into_iter().filter(within).map(|release| (number, release)));
    }
    known
}

/// One row: a message, and in which releases it is declared.
struct Row {
    msg_type: u16,
    name: &'static str,
    declared: Vec<Release>,
}

fn rows() -> Vec<Row> {
    let row = |(msg_type, name): &(u16, &'static str)| {
        let declared = |release: &Release| is_declared(*msg_type, *release);
        let declared = Release::ALL.into_iter().filter(declared).collect();
        Row { msg_type: *msg_type, name, declared }
    };
    names::ALL.iter().map(row).collect()
}

fn is_declared(msg_type: u16, release: Release) -> bool {
    Message::registered(msg_type, release).is_some()
        || DbdMessage::registered(msg_type, release).is_some()
}

fn reason(msg_type: u16) -> Option<&'static str> {
    let covers = |(first, last, _): &&(u16, u16, _)| (*first..=*last).contains(&msg_type);
    OUT_OF_SCOPE.iter().find(covers).map(|(_, _, reason)| *reason)
}

/// The types of the frames under `tests/captures`, counted.
fn captured() -> Captured {
    let mut captured = Captured::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    for release in Release::ALL {
        for text in texts_in(&root.join(release.name())) {
            if let Some(msg_type) = type_in(&text) {
                *captured.entry((msg_type, release)).or_default() += 1;
            }
        }
    }
    captured
}

#[expect(clippy::disallowed_methods, reason = "a test reads its data")]
fn texts_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn type_in(text: &str) -> Option<u16> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect::<Option<_>>()?;
    let bytes = bytes.get(frame::LENGTH_BYTES..)?;
    if text.lines().any(|line| line.starts_with("# persistent ")) {
        return persist::split(bytes).ok().map(|parts| parts.msg_type);
    }
    frame::split(bytes).ok().map(|frame| frame.header.msg_type)
}

fn cell(row: &Row, release: Release, captured: &Captured, known: bool) -> String {
    let frames = captured.get(&(row.msg_type, release)).copied().unwrap_or(0);
    match (row.declared.contains(&release), frames) {
        (true, 0) => library::cell(row.msg_type, release).to_owned(),
        (true, frames) => format!("{frames} captured"),
        (false, 0) if !known => String::new(),
        (false, _) => "**missing**".to_owned(),
    }
}

fn totals(rows: &[Row], captured: &Captured, text: &mut String) {
    text.push_str("| | ");
    text.push_str(&Release::ALL.map(Release::name).join(" | "));
    text.push_str(" |\n|---|---|---|---|---|---|---|---|---|\n");
    let mut line = |what: &str, count: &dyn Fn(Release) -> usize| {
        let counts = Release::ALL.map(|release| count(release).to_string());
        writeln!(text, "| {what} | {} |", counts.join(" | ")).unwrap();
    };
    let declared = |release| rows.iter().filter(|row| row.declared.contains(&release)).count();
    line("messages declared", &declared);
    let kinds = |release| captured.keys().filter(|key| key.1 == release).count();
    line("of these captured", &kinds);
    let frames =
        |release| captured.iter().filter(|(key, _)| key.1 == release).map(|(_, n)| n).sum();
    line("frames captured", &frames);
}

/// Whether a message that a release has lacks a capture there.
fn lacks(rows: &[Row], captured: &Captured, msg_type: u16, release: Release) -> Option<bool> {
    let row = rows.iter().find(|row| row.msg_type == msg_type)?;
    row.declared.contains(&release).then(|| !captured.contains_key(&(msg_type, release)))
}

fn not_captured(rows: &[Row], captured: &Captured, text: &mut String) {
    text.push_str(
        "\n## Without a capture\n\nIn releases with packages, and why: \
         `tests/captures/uncaptured.txt`, of which a test says what is missing or out of date.\n\n\
         | number | name | releases | why |\n|---|---|---|---|\n",
    );
    for reason in uncaptured::reasons() {
        let (first, last) = reason.numbers;
        for row in rows.iter().filter(|row| (first..=last).contains(&row.msg_type)) {
            let without = |release: &Release| {
                reason.covers(row.msg_type, *release)
                    && lacks(rows, captured, row.msg_type, *release) == Some(true)
            };
            let releases: Vec<_> =
                uncaptured::PACKAGED.into_iter().filter(without).map(Release::name).collect();
            if !releases.is_empty() {
                let (msg_type, name, why) = (row.msg_type, row.name, reason.why);
                let releases = releases.join(", ");
                writeln!(text, "| {msg_type} | {name} | {releases} | {why} |").unwrap();
            }
        }
    }
}

/// The whole document.
pub(crate) fn document() -> String {
    let (rows, captured, sources) = (rows(), captured(), in_sources());
    let mut text = String::from(
        "# Coverage of the protocol\n\nGenerated from the declarations and from the captured frames; \
         `UPDATE=1 cargo test -p flurm-wire --test schema` rewrites this file. A message is captured \
         where frames of it, recorded between Slurm's own programs, are kept under \
         `tests/captures`; tests reproduce each byte for byte. Where there is none, *library* says \
         that Slurm's own library was the judge, as told below; *read* that it reads our bytes to \
         their end, but does not write such a message.\n\n",
    );
    totals(&rows, &captured, &mut text);
    library::totals(&mut text);
    text.push_str(
        "\n## Messages\n\nAn empty cell: the release's \
         sources have no such message.\n\n| number | name | ",
    );
    text.push_str(&Release::ALL.map(Release::name).join(" | "));
    text.push_str(" |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for row in rows.iter().filter(|row| !row.declared.is_empty()) {
        let cells = Release::ALL.map(|release| {
            cell(row, release, &captured, sources.contains(&(row.msg_type, release)))
        });
        writeln!(text, "| {} | {} | {} |", row.msg_type, row.name, cells.join(" | ")).unwrap();
    }
    not_captured(&rows, &captured, &mut text);
    library::reasons(&mut text);
    let absent = |row: &&Row| row.declared.is_empty();
    let (out, open): (Vec<_>, Vec<_>) =
        rows.iter().filter(absent).partition(|row| reason(row.msg_type).is_some());
    text.push_str("\n## Out of scope\n\n");
    for row in out {
        let reason = reason(row.msg_type).unwrap_or_default();
        writeln!(text, "- {} {}: {reason}", row.msg_type, row.name).unwrap();
    }
    text.push_str("\n## Not declared\n\n");
    if open.is_empty() {
        text.push_str("None.\n");
    }
    for row in open {
        writeln!(text, "- {} {}", row.msg_type, row.name).unwrap();
    }
    text
}

#[test]
fn what_is_out_of_scope_is_not_declared() {
    for (first, last, reason) in OUT_OF_SCOPE {
        assert!(first <= last && !reason.is_empty());
        for msg_type in *first..=*last {
            let declared = Release::ALL.into_iter().any(|one| is_declared(msg_type, one));
            assert!(!declared, "{msg_type}: {reason}");
        }
    }
}

/// A message that is declared at all is declared in every release whose sources have it.
#[test]
fn no_release_is_left_out() {
    let sources = in_sources();
    for row in rows().iter().filter(|row| !row.declared.is_empty()) {
        let missing: Vec<_> = Release::ALL
            .into_iter()
            .filter(|release| sources.contains(&(row.msg_type, *release)))
            .filter(|release| !row.declared.contains(release))
            .collect();
        assert!(missing.is_empty(), "{} {} is missing in {missing:?}", row.msg_type, row.name);
    }
}

#[test]
fn every_message_is_captured_or_has_a_reason() {
    let (rows, captured) = (rows(), captured());
    let numbers: Vec<_> = rows.iter().map(|row| row.msg_type).collect();
    let faults = uncaptured::faults(&numbers, |msg_type, release| {
        lacks(&rows, &captured, msg_type, release)
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_missing_and_a_stale_reason_are_seen() {
    let faults = |answer| uncaptured::faults(&[1008, 1009], move |_, _| answer).join("\n");
    assert!(faults(Some(true)).contains("1008 24.11: no reason"));
    assert!(faults(Some(false)).contains("1009 24.11: a reason, but it is captured"));
    assert!(faults(None).contains("explains nothing"));
}

#[test]
fn the_coverage_is_up_to_date() {
    super::compare(DOCUMENT, &document()).unwrap_or_else(|difference| panic!("{difference}"));
}
