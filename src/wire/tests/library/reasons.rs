//! Why the library only reads a message, or not even that: `reasons.txt`, a line a message or range
//! of messages: first number, last number, first release, last release, `reads` or `neither`, and
//! the reason.

use std::collections::BTreeMap;

use flurm_wire::Release;

const REASONS: &str = include_str!("reasons.txt");

/// Messages that the library reads to an end before their own, and says nothing about it.
const LEAVES: [u16; 1] = [flurm_wire::names::REQUEST_DBD_RELAY];

struct Reason {
    numbers: (u16, u16),
    releases: (Release, Release),
    verdict: &'static str,
    why: &'static str,
}

impl Reason {
    fn covers(&self, msg_type: u16, release: Release) -> bool {
        let (first, last) = self.numbers;
        let (oldest, newest) = self.releases;
        (first..=last).contains(&msg_type) && oldest <= release && release <= newest
    }
}

fn reasons() -> Vec<Reason> {
    let lines = REASONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let reason = |line: &'static str| {
        let words: Vec<_> = line.splitn(6, ' ').collect();
        let [first, last, oldest, newest, verdict, why] = words[..] else { panic!("{line}") };
        let named = |name| Release::from_name(name).unwrap_or_else(|| panic!("{line}"));
        let verdict = match verdict {
            "reads" => "R",
            "neither" => "-",
            _ => panic!("{line}"),
        };
        Reason {
            numbers: (first.parse().unwrap(), last.parse().unwrap()),
            releases: (named(oldest), named(newest)),
            verdict,
            why,
        }
    };
    lines.map(reason).collect()
}

/// Whether bytes may stay unread.
pub(crate) fn leaves(msg_type: u16) -> bool {
    LEAVES.contains(&msg_type)
}

/// Whether what the library writes of this message is known to be something else.
pub(crate) fn reads_only(msg_type: u16, release: Release) -> bool {
    reasons().iter().any(|reason| reason.covers(msg_type, release))
}

/// Messages without evidence of writing and without a reason, and reasons without such a message.
pub(crate) fn faults(evidence: &BTreeMap<(u16, Release), &str>) -> Vec<String> {
    let (reasons, mut faults) = (reasons(), Vec::new());
    for ((msg_type, release), verdict) in evidence {
        let reason = reasons.iter().find(|reason| reason.covers(*msg_type, *release));
        match (*verdict, reason.map(|reason| reason.verdict)) {
            ("R" | "-", None) => faults.push(format!("{msg_type} {release}: {verdict}, no reason")),
            (is, Some(said)) if is != said => {
                faults.push(format!("{msg_type} {release}: {is}, not {said} as reasons.txt says"));
            }
            _ => {}
        }
    }
    for reason in &reasons {
        let used = evidence.keys().any(|(msg_type, release)| reason.covers(*msg_type, *release));
        if !used || reason.why.len() < 10 {
            faults.push(format!("a reason about {:?} explains nothing", reason.numbers));
        }
    }
    faults
}
