//! `docs/configuration.md` is written from the tables: `UPDATE=1 cargo test -p flurm-conf` rewrites
//! its generated part, and without that the test fails when it is out of date.

use std::fmt::Write as _;

use crate::key::{Key, Kind, Status};
use crate::{Release, table};

const START: &str = "<!-- generated from src/conf/table.rs -->\n";

fn values(key: &Key) -> String {
    let words = |words: &[(&str, u64)]| {
        words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" ")
    };
    match key.kind {
        Kind::Text => "text".to_owned(),
        Kind::Each => "text, repeatable".to_owned(),
        Kind::Number(max) => format!("number to {max}"),
        Kind::Flag => "YES or NO".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Span => "`500us`, `100ms`, `8s`".to_owned(),
        Kind::Ports => "port or range".to_owned(),
        Kind::OneOf(list) => words(list),
        Kind::Flags(list) | Kind::LooseFlags(list) => format!("any of {}", words(list)),
        Kind::Line(_) => "a line of its own".to_owned(),
    }
}

fn effect(key: &Key) -> String {
    if let Some(new) = key.renamed {
        return format!("old name of `{new}`");
    }
    match key.status {
        Status::Honoured => "**honoured**".to_owned(),
        Status::Partly(list) => {
            let list: Vec<String> = list.iter().map(|word| format!("`{word}`")).collect();
            format!("**honoured** for {}, else accepted", list.join(" "))
        }
        Status::Accepted => "accepted, no effect yet".to_owned(),
        Status::Refused(reason) => format!("refused unless default: {reason}"),
        Status::Defunct(reason) => format!("no effect: {reason}"),
    }
}

fn releases(key: &Key) -> String {
    match (key.since > Release::FIRST, key.until < Release::LAST) {
        (true, _) => format!("from {}", key.since),
        (_, true) => format!("to {}", key.until),
        _ => String::new(),
    }
}

fn section(out: &mut String, title: &str, keys: &[Key]) {
    let own = std::ptr::eq(keys, table::FLURM) || std::ptr::eq(keys, table::PEER);
    write!(out, "\n### {title}\n").unwrap();
    if own {
        out.push_str("\n| key | values | default |\n|---|---|---|\n");
    } else {
        out.push_str("\n| key | effect | values | default | releases |\n|---|---|---|---|---|\n");
    }
    for key in keys {
        let default =
            if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let (name, values) = (key.name, values(key));
        if own {
            writeln!(out, "| `{name}` | {values} | {default} |").unwrap();
        } else {
            let (effect, releases) = (effect(key), releases(key));
            writeln!(out, "| `{name}` | {effect} | {values} | {default} | {releases} |").unwrap();
        }
    }
}

fn manual() -> String {
    let mut out = START.to_owned();
    section(&mut out, "Keys of slurm.conf", table::GLOBAL);
    section(&mut out, "Keys of a NodeName line", table::NODE);
    section(&mut out, "Keys of a PartitionName line", table::PARTITION);
    section(&mut out, "Keys of a DownNodes line", table::DOWN_NODES);
    section(&mut out, "Keys of a NodeSet line", table::NODE_SET);
    section(&mut out, "Keys of a PowerAction line", table::POWER_ACTION);
    section(&mut out, "Keys of gres.conf", table::GRES);
    section(&mut out, "Keys of a line of gres.conf", table::GRES_LINE);
    section(&mut out, "Keys of flurm.conf", table::FLURM);
    section(&mut out, "Keys of a Peer line of flurm.conf", table::PEER);
    out
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this test compares a file with the tables")]
fn the_manual_lists_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (written, generated) = text.split_at(text.find(START).expect("the generated part starts"));
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(path, format!("{written}{}", manual())).unwrap();
        return;
    }
    let outdated = "docs/configuration.md is out of date: run `UPDATE=1 cargo test -p flurm-conf`";
    assert!(generated == manual(), "{outdated}");
}
