//! Layouts are written down twice: for machines in `schema.lock`, where a released row must never
//! change, and for people in `docs/wire.md`; `coverage` keeps a third. `UPDATE=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

#[path = "coverage/mod.rs"]
mod coverage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use flurm_wire::hash::{HashKind, hash_block};
use flurm_wire::{DbdMessage, FieldInfo, Message, Registered, Registry, Release, names};

const LOCK: &str = "schema.lock";
const DOCUMENT: &str = "../../docs/wire.md";

#[expect(clippy::disallowed_methods, reason = "a test reads and, when told to, writes its data")]
fn compare(file: &str, fresh: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, fresh).map_err(|error| error.to_string())?;
        return Ok(());
    }
    let stored = std::fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
    if stored == fresh {
        return Ok(());
    }
    let stored: BTreeSet<&str> = stored.lines().collect();
    let fresh: BTreeSet<&str> = fresh.lines().collect();
    let gone = stored.difference(&fresh).map(|line| format!("- {line}"));
    let new = fresh.difference(&stored).map(|line| format!("+ {line}"));
    let lines: Vec<_> = gone.chain(new).take(40).collect();
    Err(format!("{file} differs; UPDATE=1 rewrites it\n{}", lines.join("\n")))
}

/// One line a message and release: how many values, and a digest of their names and kinds and of
/// the bytes of an all-default message, which covers what the rows cannot say.
fn lock_line<M: Registry>(entry: &Registered<M>, release: Release) -> String {
    let schema = entry.schema(release);
    let rows = schema.rows();
    let mut covered = rows.join("\n").into_bytes();
    covered.extend(entry.default().to_bytes(release));
    let digest = hash_block(HashKind::K12, &covered, entry.msg_type);
    let mut line = format!("{} {} {release} {} ", entry.msg_type, entry.name, rows.len());
    for byte in &digest[1..9] {
        write!(line, "{byte:02x}").unwrap();
    }
    line
}

fn lock_lines<M: Registry>(text: &mut String) {
    for entry in M::REGISTERED {
        for release in Release::ALL.into_iter().filter(|release| entry.in_release(*release)) {
            writeln!(text, "{}", lock_line(entry, release)).unwrap();
        }
    }
}

fn lock() -> String {
    let mut text = String::from("# number name release values digest; see tests/schema.rs\n");
    lock_lines::<Message>(&mut text);
    text.push_str("# accounting\n");
    lock_lines::<DbdMessage>(&mut text);
    text
}

fn releases(since: Release, until: Release) -> String {
    match (since == Release::OLDEST, until == Release::NEWEST) {
        (true, true) => "all".to_owned(),
        (false, true) => format!("{since}–"),
        (true, false) => format!("–{until}"),
        (false, false) => format!("{since}–{until}"),
    }
}

fn body<M>(entry: &Registered<M>) -> String {
    let Some(body) = entry.body else {
        return "empty".to_owned();
    };
    let inner = body.strip_prefix("Box<").and_then(|rest| rest.strip_suffix('>')).unwrap_or(body);
    let words = inner.split_inclusive(|c: char| "<>, ".contains(c));
    words.map(|word| word.rsplit("::").next().unwrap_or(word)).collect()
}

fn records<M: Registry>(records: &mut BTreeMap<&'static str, &'static [FieldInfo]>) {
    for entry in M::REGISTERED {
        for release in Release::ALL.into_iter().filter(|release| entry.in_release(*release)) {
            for (name, fields) in entry.schema(release).records() {
                let other = records.insert(name, fields);
                let same = other.is_none_or(|other| names_of(other) == names_of(fields));
                assert!(same, "two records are called {name}");
            }
        }
    }
}

fn names_of(fields: &[FieldInfo]) -> Vec<&'static str> {
    fields.iter().map(|field| field.name).collect()
}

fn table<M: Registry>(text: &mut String) {
    text.push_str("| number | name | body | releases |\n|---|---|---|---|\n");
    for entry in M::REGISTERED {
        let (body, range) = (body(entry), releases(entry.since, entry.until));
        let body = if body.contains('<') { format!("`{body}`") } else { body };
        writeln!(text, "| {} | {} | {body} | {range} |", entry.msg_type, entry.name).unwrap();
    }
}

fn document() -> String {
    let mut text = String::from(
        "# Messages\n\nGenerated from the declarations in `src/wire`; `UPDATE=1 cargo test -p \
         flurm-wire` rewrites this file.\n\n",
    );
    table::<Message>(&mut text);
    text.push_str("\n# Accounting messages\n\nOn persistent connections with `slurmdbd`.\n\n");
    table::<DbdMessage>(&mut text);
    text.push_str("\n# Records\n\nFields in the newest release's order.\n");
    let mut all = BTreeMap::new();
    records::<Message>(&mut all);
    records::<DbdMessage>(&mut all);
    for (name, fields) in all {
        write!(text, "\n## {name}\n\n| field | type | wire | releases |\n|---|---|---|---|\n")
            .unwrap();
        for field in fields {
            let range = releases(field.since, field.until);
            let when = if field.conditional { ", conditional" } else { "" };
            let FieldInfo { name, declared, kind, .. } = field;
            writeln!(text, "| {name} | `{declared}` | {kind} | {range}{when} |").unwrap();
        }
    }
    let missing: Vec<_> = names::ALL.iter().filter(|(number, _)| !registered(*number)).collect();
    text.push_str("\n# Known by name only\n\n");
    for (number, name) in missing {
        writeln!(text, "- {number} {name}").unwrap();
    }
    text
}

fn registered(msg_type: u16) -> bool {
    Message::REGISTERED.iter().any(|entry| entry.msg_type == msg_type)
        || DbdMessage::REGISTERED.iter().any(|entry| entry.msg_type == msg_type)
}

#[test]
fn released_layouts_do_not_change() {
    compare(LOCK, &lock()).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn the_document_is_up_to_date() {
    compare(DOCUMENT, &document()).unwrap_or_else(|difference| panic!("{difference}"));
}

#[test]
fn a_field_that_comes_or_goes_changes_the_lock() {
    let entry = Message::registered(names::RESPONSE_PING_SLURMD, Release::NEWEST).unwrap();
    let (old, new) = (entry.schema(Release::V25_11), entry.schema(Release::V26_05));
    assert_eq!(old.rows(), ["cpu_load u32", "free_mem u64"]);
    assert_eq!(new.rows(), ["cpu_load u32", "free_mem u64", "node_name str"]);
}
