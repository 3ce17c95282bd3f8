//! Which replies real clients judge, and which they do not, as a document that `UPDATE=1` rewrites.
//! `unjudged.txt` says why: a line a reply, its number and the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use flurm_wire::{DbdMessage, Gen, Message, Registry, Release, names};

use crate::cases::{Answer, Case};

const REASONS: &str = include_str!("unjudged.txt");
const DOCUMENT: &str = "../../docs/wire-judged.md";
/// Releases whose clients there are.
const PACKAGED: [Release; 3] = [Release::V22_05, Release::V24_11, Release::V26_05];

/// The replies of a set: what is named so.
fn replies<M: Registry>() -> BTreeSet<(u16, Release)> {
    let mut replies = BTreeSet::new();
    for entry in M::REGISTERED {
        if entry.name.starts_with("RESPONSE_") || entry.name.starts_with("DBD_GOT_") {
            let of = PACKAGED.into_iter().filter(|release| entry.in_release(*release));
            replies.extend(of.map(|release| (entry.msg_type, release)));
        }
    }
    replies
}

/// The commands that read each reply out.
fn judged<'a>(cases: impl Iterator<Item = &'a Case>) -> BTreeMap<(u16, Release), Vec<String>> {
    let mut judged = BTreeMap::<_, Vec<String>>::new();
    for case in cases {
        for release in PACKAGED.into_iter().filter(|release| case.in_release(*release)) {
            let msg_type = match case.sample.make(&mut Gen::distinct(release)) {
                Answer::Controller(message) => message.msg_type(),
                Answer::Accounting(message) => message.msg_type(),
                Answer::Sealed(_) => names::RESPONSE_NODE_ALIAS_ADDRS,
            };
            let words = case.command.iter().filter(|word| word.len() < 30).take(4);
            let command = words.copied().collect::<Vec<_>>().join(" ");
            judged.entry((msg_type, release)).or_default().push(command);
        }
    }
    judged
}

fn reasons() -> BTreeMap<u16, &'static str> {
    let lines = REASONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let reason = |line: &'static str| {
        let (number, why) = line.split_once(' ').unwrap();
        (number.parse().unwrap(), why)
    };
    lines.map(reason).collect()
}

/// The document, and what is wrong with the reasons.
pub(crate) fn report<'a>(cases: impl Iterator<Item = &'a Case>) -> (String, Vec<String>) {
    let (judged, reasons) = (judged(cases), reasons());
    let mut all = replies::<Message>();
    all.extend(replies::<DbdMessage>());
    all.extend(judged.keys().copied());
    let mut text = String::from(
        "# Replies read out by real clients\n\nGenerated; `UPDATE=1 cargo test -p flurm-wire --test \
         real_decoders` rewrites this file. Clients of 22.05, 24.11 and 26.05 are served each reply \
         with a distinctive value in every field, and once more for each value with that one \
         altered; `src/wire/tests/decoders/<release>` keeps what they print.\n\n\
         | number | name | releases | commands, or why none |\n|---|---|---|---|\n",
    );
    let (mut faults, numbers) = (Vec::new(), all.iter().map(|(number, _)| *number));
    for msg_type in numbers.collect::<BTreeSet<_>>() {
        let of = |release: &&Release| judged.contains_key(&(msg_type, **release));
        let releases: Vec<_> = PACKAGED.iter().filter(of).map(|one| one.name()).collect();
        let read = judged.iter().filter(|((number, _), _)| *number == msg_type);
        let commands: BTreeSet<_> = read.flat_map(|(_, commands)| commands.clone()).collect();
        let name = names::name(msg_type).unwrap();
        let told = match (commands.is_empty(), reasons.get(&msg_type)) {
            (false, None) => format!("`{}`", Vec::from_iter(commands).join("`, `")),
            (true, Some(why)) => format!("not judged: {why}"),
            (false, Some(_)) => {
                faults.push(format!("{msg_type} {name}: judged, but with a reason"));
                continue;
            }
            (true, None) => {
                faults.push(format!("{msg_type} {name}: not judged, without a reason"));
                continue;
            }
        };
        writeln!(text, "| {msg_type} | {name} | {} | {told} |", releases.join(", ")).unwrap();
    }
    let unknown = |number: &&u16| !all.iter().any(|(msg_type, _)| msg_type == *number);
    faults.extend(reasons.keys().filter(unknown).map(|number| format!("{number} is no reply")));
    (text, faults)
}

#[expect(clippy::disallowed_methods, reason = "a test reads and, when told to, writes its data")]
pub(crate) fn compare(fresh: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, fresh).unwrap();
        return None;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    (stored != fresh).then(|| format!("{DOCUMENT} differs; UPDATE=1 rewrites it"))
}
