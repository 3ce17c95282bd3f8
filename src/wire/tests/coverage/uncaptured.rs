//! `tests/captures/uncaptured.txt`: why a message has no capture in a packaged release.

use flurm_wire::Release;

const REASONS: &str = include_str!("../../../../tests/captures/uncaptured.txt");

/// Releases whose programs Debian packages, so that they can be recorded.
pub(crate) const PACKAGED: [Release; 3] = [Release::V22_05, Release::V24_11, Release::V26_05];

/// Why messages have no capture.
pub(crate) struct Reason {
    pub(crate) numbers: (u16, u16),
    pub(crate) releases: (Release, Release),
    pub(crate) why: &'static str,
}

impl Reason {
    pub(crate) fn covers(&self, msg_type: u16, release: Release) -> bool {
        let (first, last) = self.numbers;
        let (oldest, newest) = self.releases;
        (first..=last).contains(&msg_type) && oldest <= release && release <= newest
    }
}

/// All of them.
pub(crate) fn reasons() -> Vec<Reason> {
    let lines = REASONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let reason = |line: &'static str| {
        let words: Vec<_> = line.splitn(5, ' ').collect();
        let [first, last, oldest, newest, why] = words[..] else { panic!("{line}") };
        let named = |name| Release::from_name(name).unwrap_or_else(|| panic!("{line}"));
        let numbers = (first.parse().unwrap(), last.parse().unwrap());
        Reason { numbers, releases: (named(oldest), named(newest)), why }
    };
    lines.map(reason).collect()
}

/// Messages without a capture and a reason, and reasons that say of a captured message that it is
/// not, or of none at all. `uncaptured` says whether a message that a release has lacks a capture.
pub(crate) fn faults(
    numbers: &[u16],
    uncaptured: impl Fn(u16, Release) -> Option<bool>,
) -> Vec<String> {
    let reasons = reasons();
    let mut faults = Vec::new();
    for release in PACKAGED {
        for msg_type in numbers {
            let covered = reasons.iter().filter(|one| one.covers(*msg_type, release)).count();
            match (uncaptured(*msg_type, release), covered) {
                (Some(true), 1) | (Some(false), 0) => {}
                (Some(true), 0) => faults.push(format!("{msg_type} {release}: no reason")),
                (Some(true), _) => faults.push(format!("{msg_type} {release}: two reasons")),
                (Some(false), _) => {
                    faults.push(format!("{msg_type} {release}: a reason, but it is captured"));
                }
                // A range of releases may begin before the message does.
                (None, _) => {}
            }
        }
    }
    for reason in &reasons {
        let used = |release: &Release| {
            numbers.iter().any(|msg_type| {
                reason.covers(*msg_type, *release) && uncaptured(*msg_type, *release) == Some(true)
            })
        };
        if !PACKAGED.iter().any(used) || reason.why.len() < 20 {
            faults.push(format!("a reason about {:?} explains nothing", reason.numbers));
        }
    }
    faults
}
