//! Judges the table of options, and writes `docs/options.md` from it: `UPDATE=1 cargo test -p
//! flurm-ctld` rewrites its generated part.

use std::collections::BTreeSet;

use flurm_wire::records::JobDesc;
use flurm_wire::{Errno, Record};

use crate::options::{Effect, Row, refuse_what_is_not_done};
use crate::options_table::{OTHER_FIELDS, ROWS};

const START: &str = "<!-- begin: made by `UPDATE=1 cargo test -p flurm-ctld options` -->\n";
const END: &str = "<!-- end -->\n";

/// What clients print for the errors that the table has.
fn words(errno: Errno) -> &'static str {
    match errno {
        Errno::ESLURM_NOT_SUPPORTED => "Requested operation not supported on this system",
        Errno::ESLURM_INVALID_GRES => "Invalid generic resource (gres) specification",
        other => panic!("the words of {other} are not known here"),
    }
}

fn line(row: &Row) -> String {
    let names: Vec<String> = row.names.iter().map(|name| format!("`--{name}`")).collect();
    let effect = match row.effect {
        Effect::Honoured => "yes".to_owned(),
        Effect::Client => "by the client".to_owned(),
        Effect::Recorded => "recorded only".to_owned(),
        Effect::Step => "of steps: [steps.md](steps.md)".to_owned(),
        Effect::Refused(ask) => format!("refused: {}", words(ask.errno)),
    };
    let shown: Vec<String> = match row.effect {
        Effect::Refused(ask) if !ask.example.is_empty() => {
            vec![format!("`options::what_is_not_served_is_refused` with `{}`", ask.example)]
        }
        _ => row.tests.iter().map(|test| format!("`{test}`")).collect(),
    };
    let note = if row.note.is_empty() { "–" } else { row.note };
    let shown = if shown.is_empty() { "–".to_owned() } else { shown.join(", ") };
    format!("| {} | {effect} | {note} | {shown} |\n", names.join(", "))
}

fn manual() -> String {
    let mut rows: Vec<&Row> = ROWS.iter().collect();
    rows.sort_by_key(|row| (matches!(row.effect, Effect::Client | Effect::Step), row.names[0]));
    let head = "| option | honoured | note | shown by |\n|---|---|---|---|\n";
    rows.into_iter().fold(head.to_owned(), |text, row| text + &line(row))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this test compares a file with the table")]
fn the_document_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/options.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(START).expect("the generated part begins");
    let (generated, after) = rest.split_once(END).expect("the generated part ends");
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(path, format!("{before}{START}{}{END}{after}", manual())).unwrap();
        return;
    }
    let outdated =
        "docs/options.md is out of date: run `UPDATE=1 cargo test -p flurm-ctld options`";
    assert!(generated == manual(), "{outdated}");
}

#[test]
fn every_field_of_a_submission_has_its_place() {
    let mut placed: BTreeSet<&str> = OTHER_FIELDS.iter().map(|(field, _)| *field).collect();
    placed.extend(ROWS.iter().flat_map(|row| row.fields));
    let fields: BTreeSet<&str> = JobDesc::FIELDS.iter().map(|field| field.name).collect();
    let forgotten: Vec<_> = fields.difference(&placed).collect();
    let invented: Vec<_> = placed.difference(&fields).collect();
    assert!(forgotten.is_empty() && invented.is_empty(), "{forgotten:?} {invented:?}");
}

#[test]
fn no_option_has_two_rows_and_every_effect_is_shown() {
    let mut names = BTreeSet::new();
    for row in ROWS {
        for name in row.names {
            assert!(names.insert(name), "--{name} stands twice");
        }
        if let Effect::Honoured = row.effect {
            assert!(!row.tests.is_empty(), "nothing shows --{}", row.names[0]);
        }
    }
}

#[test]
fn a_submission_that_asks_for_nothing_is_not_refused_and_each_request_is() {
    assert_eq!(refuse_what_is_not_done(&JobDesc::default()), Ok(()));
    type Change = fn(&mut JobDesc);
    let changes: [(Change, &str); 4] = [
        (|desc| desc.ntasks_per_tres = 2, "--ntasks-per-gpu"),
        (|desc| desc.bitflags = 1 << 44, "--spread-segments"),
        (|desc| desc.mem_update_delay = 5, "--mem-update"),
        (|desc| desc.power_flags = 1, "--power"),
    ];
    for (change, option) in changes {
        let mut desc = JobDesc::default();
        change(&mut desc);
        let refused = refuse_what_is_not_done(&desc).expect_err(option);
        assert!(refused.text.starts_with(option), "{option}: {}", refused.text);
    }
    let cpus = JobDesc { tres_per_task: Some("cpu:2".into()), ..JobDesc::default() };
    assert_eq!(refuse_what_is_not_done(&cpus), Ok(()));
}
