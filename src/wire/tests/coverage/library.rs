//! What Slurm's own library said of each message, which `real_library` keeps in
//! `library/verdicts.txt`, and its reasons, as parts of the document.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use flurm_wire::{Release, names};

const VERDICTS: &str = include_str!("../library/verdicts.txt");
const REASONS: &str = include_str!("../library/reasons.txt");

/// The words of `verdicts.txt`, and what a row of the table of totals calls them.
const KINDS: [(&str, &[&str]); 4] = [
    ("our bytes read, and written again as they were", &["W", "WC"]),
    ("captured bytes written for this release, and read and written again by us", &["C", "WC"]),
    ("either", &["W", "C", "WC"]),
    ("our bytes read only", &["R"]),
];

type Verdicts = BTreeMap<(u16, Release), &'static str>;

fn verdicts() -> &'static Verdicts {
    static READ: OnceLock<Verdicts> = OnceLock::new();
    READ.get_or_init(read_verdicts)
}

fn read_verdicts() -> Verdicts {
    let mut verdicts = BTreeMap::new();
    for line in VERDICTS.lines().filter(|line| !line.starts_with('#')) {
        let (msg_type, words) = line.split_once(' ').unwrap();
        let words = Release::ALL.into_iter().zip(words.split(' '));
        let msg_type = msg_type.parse().unwrap();
        verdicts.extend(words.map(|(release, word)| ((msg_type, release), word)));
    }
    verdicts
}

/// What stands in the cell of a message without a capture.
pub(crate) fn cell(msg_type: u16, release: Release) -> &'static str {
    match verdicts().get(&(msg_type, release)).copied() {
        Some("W" | "C" | "WC") => "library",
        Some("R") => "read",
        _ => "declared",
    }
}

/// How many messages were judged, and how.
pub(crate) fn totals(text: &mut String) {
    text.push_str(
        "\n## Judged by Slurm's own library\n\nDebian's `libslurmfull` of 22.05, 24.11 and 26.05 \
         reads and writes bodies of its own release, 24.11's also those of 23.02, 23.11 and 24.05, \
         26.05's those of 25.05 and 25.11, which have no packages. `real_library` gives it invented \
         bodies with a distinctive value in every field, and captured ones; a message counts where \
         all bytes come back. Besides, every message comes back from its bytes in every release \
         (`round_trip`), its values are as many and as wide as the sources unpack (`layouts`), and a \
         field that a release shares with those beside it keeps its captured value there \
         (`neighbours`).\n\n| messages | ",
    );
    text.push_str(&Release::ALL.map(Release::name).join(" | "));
    text.push_str(" |\n|---|---|---|---|---|---|---|---|---|\n");
    let verdicts = verdicts();
    for (what, words) in KINDS {
        let count = |release| {
            let of =
                |(key, word): &(&(u16, Release), &&str)| key.1 == release && words.contains(word);
            verdicts.iter().filter(of).count().to_string()
        };
        writeln!(text, "| {what} | {} |", Release::ALL.map(count).join(" | ")).unwrap();
    }
}

/// Why the library does no more for some.
pub(crate) fn reasons(text: &mut String) {
    text.push_str(
        "\n## Not written by the library\n\n| numbers | releases | the library | why |\n\
         |---|---|---|---|\n",
    );
    for line in REASONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = line.splitn(6, ' ').collect();
        let [first, last, oldest, newest, verdict, why] = words[..] else { panic!("{line}") };
        let name = |number: &str| names::name(number.parse().unwrap()).unwrap();
        let numbers = match first == last {
            true => format!("{first} {}", name(first)),
            false => format!("{first} {} to {last} {}", name(first), name(last)),
        };
        let releases = match oldest == newest {
            true => oldest.to_owned(),
            false => format!("{oldest}–{newest}"),
        };
        writeln!(text, "| {numbers} | {releases} | {verdict} | {why} |").unwrap();
    }
}
