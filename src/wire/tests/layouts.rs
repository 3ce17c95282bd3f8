//! Declarations against the sources: every registered message has the values, in kind and order,
//! that the sources of each release unpack. What differs for a good reason is listed with it in
//! `layouts.txt`; a difference that is not listed fails, and so does a listed one without effect.

#![expect(clippy::unwrap_used, reason = "a test stops at a surprise")]

use std::collections::{BTreeMap, BTreeSet};

use flurm_wire::{DbdMessage, Message, Registry, Release};

const FACTS: &str = include_str!("layouts.txt");

/// A line that says where and why ours differ.
struct Difference {
    msg_type: Option<u16>,
    releases: (Release, Release),
    theirs: &'static str,
    ours: &'static str,
}

struct Facts {
    layouts: BTreeMap<(u16, Release), &'static str>,
    differences: Vec<Difference>,
}

fn releases(first: &str, last: &str) -> (Release, Release) {
    let named = |name| Release::from_name(name).unwrap_or_else(|| panic!("no release {name}"));
    (named(first), named(last))
}

fn values(word: &'static str) -> &'static str {
    if word == "-" { "" } else { word }
}

fn facts() -> Facts {
    let mut facts = Facts { layouts: BTreeMap::new(), differences: Vec::new() };
    let lines = FACTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        if let ["!", number, first, last, theirs, ours, _, ..] = words[..] {
            facts.differences.push(Difference {
                msg_type: (number != "*").then(|| number.parse().unwrap()),
                releases: releases(first, last),
                theirs: values(theirs),
                ours: values(ours),
            });
            continue;
        }
        let [number, first, last, layout] = words[..] else { panic!("{line}") };
        let (first, last) = releases(first, last);
        for release in Release::ALL.into_iter().filter(|one| first <= *one && *one <= last) {
            let key = (number.parse().unwrap(), release);
            let earlier = facts.layouts.insert(key, values(layout));
            assert!(earlier.is_none(), "{line} is there twice");
        }
    }
    facts
}

/// The letter of a kind, at the end of a row of a schema, and the path before it.
fn kind(row: &str) -> (&str, &'static str) {
    const KINDS: [(&str, &str); 22] = [
        ("u32 u32", "44"),
        ("size and mem", "4m"),
        ("str and switch", "s"),
        ("u8? rest", "1?"),
        ("step_id+sluid", "i"),
        ("step_id", "i"),
        ("longdouble", "l"),
        ("packed message", "m"),
        ("message", "M"),
        ("present", "1"),
        ("double", "d"),
        ("bitmap", "B"),
        ("bool", "1"),
        ("time", "t"),
        ("addr", "a"),
        ("str", "s"),
        ("mem", "m"),
        ("u64", "8"),
        ("i64", "8"),
        ("u32", "4"),
        ("u16", "2"),
        ("u8", "1"),
    ];
    let found = KINDS.iter().find_map(|(kind, letter)| {
        let path = row.strip_suffix(kind)?;
        (path.is_empty() || path.ends_with(' ')).then_some((path.trim_end(), *letter))
    });
    found.unwrap_or_else(|| panic!("{row} ends with a kind that has no letter"))
}

/// What stands in front of the values inside a part of a path.
fn opening(part: &str) -> Option<&'static str> {
    match part {
        "u8?" => Some("1"),
        "u16?" => Some("2"),
        "u32?" => Some("4"),
        "[]16" => Some("2"),
        "[]" | "list[]" => Some("4"),
        "count" | "count, if not 0: []" => Some("4"),
        "count16, if not 0: []" => Some("2"),
        _ => None,
    }
}

/// Our values in the letters of the facts.
fn ours(rows: &[String]) -> String {
    let mut letters = String::new();
    let mut open: Vec<&str> = Vec::new();
    for row in rows {
        let (path, letter) = kind(row);
        let parts: Vec<_> = path.split('.').collect();
        let same = open.iter().zip(&parts).take_while(|(a, b)| a == b).count();
        let last = parts.len() - 1;
        let array = parts[last].ends_with("[]") && parts[last] != "list[]";
        let primitive = letter.len() == 1 && !"aiM".contains(letter);
        for (at, part) in parts.iter().enumerate().skip(same) {
            let counted = at == last && (*part == "[]" && primitive || *part == "count");
            letters.push_str(opening(part).filter(|_| !counted).unwrap_or_default());
        }
        if array && primitive {
            letters.push('*');
        }
        letters.push_str(letter);
        open = parts;
    }
    letters
}

/// A layout with `theirs` replaced by `ours`; `None` where it does not occur. A final `…` stands for
/// everything up to the end.
fn replaced(layout: &str, line: &Difference) -> Option<String> {
    if let Some(start) = line.theirs.strip_suffix('…') {
        return layout.find(start).map(|at| format!("{}{}", &layout[..at], line.ours));
    }
    let empty = line.theirs.is_empty();
    let occurs = if empty { layout.is_empty() } else { layout.contains(line.theirs) };
    occurs
        .then(|| if empty { line.ours.to_owned() } else { layout.replace(line.theirs, line.ours) })
}

/// The facts with what is known to differ, and the lines that had an effect.
fn expected(facts: &Facts, key: (u16, Release), used: &mut BTreeSet<usize>) -> Option<String> {
    let mut layout = (*facts.layouts.get(&key)?).to_owned();
    for (at, line) in facts.differences.iter().enumerate() {
        let (first, last) = line.releases;
        let fits = line.msg_type.is_none_or(|msg_type| msg_type == key.0);
        if fits
            && first <= key.1
            && key.1 <= last
            && let Some(changed) = replaced(&layout, line)
        {
            layout = changed;
            used.insert(at);
        }
    }
    Some(layout)
}

/// What differs in a set of messages.
fn faults<M: Registry>(facts: &Facts, used: &mut BTreeSet<usize>) -> Vec<String> {
    let mut faults = Vec::new();
    for entry in M::REGISTERED {
        for release in Release::ALL.into_iter().filter(|release| entry.in_release(*release)) {
            let ours = ours(entry.schema(release).rows());
            match expected(facts, (entry.msg_type, release), used) {
                Some(theirs) if theirs == ours => {}
                Some(theirs) => faults.push(format!(
                    "{} {release} {}\n  ours   {ours}\n  theirs {theirs}",
                    entry.msg_type, entry.name
                )),
                None => faults.push(format!("{} {release} is not in layouts.txt", entry.msg_type)),
            }
        }
    }
    faults
}

#[test]
fn every_message_has_the_values_of_the_sources() {
    let facts = facts();
    let mut used = BTreeSet::new();
    let mut faults = faults::<Message>(&facts, &mut used);
    faults.extend(self::faults::<DbdMessage>(&facts, &mut used));
    assert!(faults.is_empty(), "{}\n{} layouts differ", faults.join("\n"), faults.len());
    for (at, line) in facts.differences.iter().enumerate() {
        let (number, theirs) = (line.msg_type, line.theirs);
        assert!(used.contains(&at), "the difference of {number:?} at {theirs} has no effect");
    }
}

#[test]
fn rows_become_letters() {
    let rows = ["count u32", "jobs[count].a step_id", "jobs[count].b.[] str", "m.list[].x u8"];
    let more = ["m.list[].y bool", "f.u8?.z u16", "c.count.[] str", "g.[]16.h time", "e.[] addr"];
    let runs = ["r.count, if not 0: [] u16", "r.count, if not 0: [] u32"];
    let rows: Vec<_> = rows.into_iter().chain(more).chain(runs).map(str::to_owned).collect();
    assert_eq!(ours(&rows), "4i*s411124*s2t4a4*2*4");
}

#[test]
fn a_swapped_or_missing_value_is_seen() {
    let facts = facts();
    let entry = Message::registered(flurm_wire::names::REQUEST_REBOOT_NODES, Release::NEWEST);
    let mut rows = entry.unwrap().schema(Release::NEWEST).rows().to_vec();
    let theirs = expected(&facts, (1015, Release::NEWEST), &mut BTreeSet::new()).unwrap();
    assert_eq!(ours(&rows), theirs);
    rows.swap(0, 1);
    assert_ne!(ours(&rows), theirs);
    rows.pop();
    assert_ne!(ours(&rows), theirs);
}
