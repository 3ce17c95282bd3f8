//! Real clients judge our replies: each is served a reply in which every value is unlike its
//! neighbours, and once more for each value with that one altered. What they print differently then
//! tells under which name they read the value.
//!
//! `decoders/<release>/<case>.txt` keeps the verdicts, one line a value: the field of our
//! declaration, and what the client showed for it before and after. `UPDATE=1` rewrites them;
//! `CASE=node,job` is for those cases only whose names begin so. A
//! field that moved, grew or shrank changes what the client prints for all that follow.
//!
//! Needs munge and Debian's clients: 22.05 on the machine, 24.11 and 26.05 in side roots.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

#[path = "decoders/accounting.rs"]
mod accounting;
#[path = "decoders/cases.rs"]
mod cases;
#[path = "decoders/client.rs"]
mod client;
#[path = "decoders/errands.rs"]
mod errands;
#[path = "decoders/nodes.rs"]
mod nodes;
#[path = "decoders/outcomes.rs"]
mod outcomes;
#[path = "decoders/report.rs"]
mod report;
#[path = "decoders/seal.rs"]
mod seal;
#[path = "decoders/serve.rs"]
mod serve;
#[path = "decoders/shown.rs"]
mod shown;
#[path = "decoders/side.rs"]
mod side;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use cases::{Answer, CASES, Case, Sample};
use client::Clients;
use flurm_wire::{Gen, Json, Release};
use serve::Server;
use shown::Shown;

/// Values of one reply; a sample with more draws lots it should not.
const VALUES_MAX: u64 = 900;

fn all() -> impl Iterator<Item = &'static Case> {
    CASES
        .iter()
        .chain(nodes::CASES)
        .chain(outcomes::CASES)
        .chain(errands::CASES)
        .chain(accounting::CASES)
}

/// The values of a message by the names that lead to them.
fn fields(message: &Answer) -> BTreeMap<String, String> {
    let mut json = Json::default();
    message.view(&mut json);
    let value = serde_json::from_str(json.text()).unwrap();
    let mut fields = BTreeMap::new();
    let mut put = |path: &str, value: &str| {
        let mut path = path.to_owned();
        while fields.contains_key(&path) {
            path.push('+');
        }
        fields.insert(path, value.to_owned());
    };
    shown::flatten("", &value, &mut put);
    fields
}

/// Which fields of two messages differ, and how.
fn altered(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let differ = |(name, value): (&String, &String)| {
        let new = after.get(name).map_or("gone", String::as_str);
        (value != new).then(|| format!("{name}: {value} → {new}"))
    };
    before.iter().filter_map(differ).collect()
}

fn ask(server: &Server, clients: &Clients, case: &Case, message: Answer) -> Result<Shown, String> {
    server.say(vec![(case.asks, clients.seal(message))]);
    let part = match case.sample {
        Sample::Controller(_) => "",
        Sample::Accounting(_) => "accounting",
        Sample::Sealed(_) => "sealed",
    };
    clients.run(part, case.command, case.fails).and_then(|text| shown::take_apart(case.form, &text))
}

/// The verdict of one release's client on one reply.
fn verdict(release: Release, server: &Server, clients: &Clients, case: &Case) -> String {
    let mut g = Gen::distinct(release);
    let base = case.sample.make(&mut g);
    let drawn = g.drawn();
    assert!(drawn < VALUES_MAX, "{}: {drawn} values", case.name);
    let shown = ask(server, clients, case, base.clone());
    let shown = match shown {
        Ok(shown) => shown,
        Err(error) => return format!("refused as a whole: {}", error.trim()),
    };
    let base = fields(&base);
    let mut text = format!("# {}\n", case.command[..case.command.len().min(4)].join(" "));
    for nth in 1..=drawn {
        let message = case.sample.make(&mut Gen::distinct(release).altering(nth));
        let field = altered(&base, &fields(&message)).join("; ");
        if field.is_empty() {
            continue;
        }
        writeln!(text, "{field}").unwrap();
        match ask(server, clients, case, message) {
            Ok(new) => {
                let changes = shown::changes(&shown, &new, case.volatile);
                for change in &changes {
                    writeln!(text, "    {change}").unwrap();
                }
                if changes.is_empty() {
                    writeln!(text, "    not shown").unwrap();
                }
            }
            Err(error) => writeln!(text, "    refused: {}", error.trim()).unwrap(),
        }
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "verdicts are kept in files")]
fn judge(release: Release) {
    let server = Server::start();
    let clients = Clients::new(release, server.port);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decoders").join(release.name());
    let only = std::env::var("CASE").ok();
    let mut faults = Vec::new();
    for case in all().filter(|case| case.in_release(release)) {
        let is_one = |only: &str| only.split(',').any(|name| case.name.starts_with(name));
        if only.as_deref().is_some_and(|only| !is_one(only)) {
            continue;
        }
        let fresh = verdict(release, &server, &clients, case);
        let path = folder.join(format!("{}.txt", case.name));
        if fresh.starts_with("refused") {
            faults.push(format!("{release} {}: {fresh}", case.name));
            continue;
        }
        if std::env::var("UPDATE").is_ok() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &fresh).unwrap();
            continue;
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some((old, new)) = stored.lines().zip(fresh.lines()).find(|(old, new)| old != new) {
            faults.push(format!("{}: was {old}\n  is {new}", path.display()));
        } else if stored.lines().count() != fresh.lines().count() {
            faults.push(format!("{}: has another length", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_reply_is_judged_or_has_a_reason() {
    let (document, mut faults) = report::report(all());
    faults.extend(report::compare(&document));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn clients_of_22_05_read_every_value_under_its_name() {
    judge(Release::V22_05);
}

#[test]
fn clients_of_24_11_read_every_value_under_its_name() {
    judge(Release::V24_11);
}

#[test]
fn clients_of_26_05_read_every_value_under_its_name() {
    judge(Release::V26_05);
}
