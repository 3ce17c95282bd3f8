//! The shape of a key: its name, what values it takes, its default, and what FLURM does with it.

use crate::Release;

/// Values a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text; the key may be repeated, every value counts.
    Each,
    /// A whole number up to a maximum, which `INFINITE` and `UNLIMITED` stand for. Above 16 bits a
    /// `K` multiplies by 1024.
    Number(u64),
    /// Yes or no.
    Flag,
    /// A time: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, … or no limit.
    Time,
    /// A short time with a unit: `500us`, `100ms`, `8s`. Only FLURM's own keys have these.
    Span,
    /// One port or a range of them.
    Ports,
    /// One of some words, in any case, each with the number Slurm has for it.
    OneOf(&'static [(&'static str, u64)]),
    /// Some of these words with commas between, each with the bits Slurm has for it.
    Flags(&'static [(&'static str, u64)]),
    /// Like `Flags`, but Slurm skips a word that it does not know.
    LooseFlags(&'static [(&'static str, u64)]),
    /// The key starts a line of its own with these further keys.
    Line(&'static [Key]),
}

/// The maximum of 16-bit numbers.
pub const U16: Kind = Kind::Number(0xffff);
/// The maximum of 32-bit numbers.
pub const U32: Kind = Kind::Number(0xffff_ffff);
/// The maximum of 64-bit numbers.
pub const U64: Kind = Kind::Number(u64::MAX);

/// What FLURM does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has the effect Slurm's manual describes.
    Honoured,
    /// These of its words have the effect Slurm's manual describes; the others are only shown.
    Partly(&'static [&'static str]),
    /// It is checked and shown, but changes nothing yet. Setting it to something else than its
    /// default gives a warning.
    Accepted,
    /// Any value but the default is refused, because to ignore it would be worse.
    Refused(&'static str),
    /// Slurm itself has stopped to look at it.
    Defunct(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Its name; case does not matter in a file.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The value it has when it is not set; empty when it then has none.
    pub default: &'static str,
    /// What FLURM does with it.
    pub status: Status,
    /// The first release that knows it.
    pub since: Release,
    /// The last release that knows it.
    pub until: Release,
    /// The newer name of the same setting.
    pub renamed: Option<&'static str>,
}

impl Key {
    /// A key of every release that is accepted and has no default.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            default: "",
            status: Status::Accepted,
            since: Release::FIRST,
            until: Release::LAST,
            renamed: None,
        }
    }

    /// With a default.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// Honoured.
    pub const fn honoured(mut self) -> Self {
        self.status = Status::Honoured;
        self
    }

    /// Honoured as far as some words go.
    pub const fn partly(mut self, words: &'static [&'static str]) -> Self {
        self.status = Status::Partly(words);
        self
    }

    /// Refused, and why.
    pub const fn refused(mut self, reason: &'static str) -> Self {
        self.status = Status::Refused(reason);
        self
    }

    /// Defunct in Slurm.
    pub const fn defunct(mut self, reason: &'static str) -> Self {
        self.status = Status::Defunct(reason);
        self
    }

    /// Known since a later release.
    pub const fn since(mut self, release: Release) -> Self {
        self.since = release;
        self
    }

    /// Known up to an earlier release.
    pub const fn until(mut self, release: Release) -> Self {
        self.until = release;
        self
    }

    /// The old name of another key.
    pub const fn renamed(mut self, name: &'static str) -> Self {
        self.renamed = Some(name);
        self
    }
}

/// Finds a key of `table` by name, in any case.
pub fn find(table: &'static [Key], name: &str) -> Option<&'static Key> {
    table.iter().find(|key| key.name.eq_ignore_ascii_case(name))
}

/// The name among `names` that `text` probably means.
pub fn nearest<'a>(names: impl Iterator<Item = &'a str>, text: &str) -> Option<&'a str> {
    /// Longer names are not compared: they are no typing slip.
    const LETTERS_MAX: usize = 64;
    if text.chars().count() > LETTERS_MAX {
        return None;
    }
    let wanted = text.to_ascii_lowercase();
    let distances = names.map(|name| (edits(&name.to_ascii_lowercase(), &wanted), name));
    let (distance, name) = distances.min()?;
    (distance <= 1 + wanted.len() / 4).then_some(name)
}

/// How many letters must be added, dropped or replaced to turn one text into the other.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let names = ["KillWait", "MinJobAge", "NodeAddr"];
        let nearest = |text| nearest(names.into_iter(), text);
        assert_eq!(nearest("kilwait"), Some("KillWait"));
        assert_eq!(nearest("NodeAddress"), Some("NodeAddr"));
        assert_eq!(nearest("Whatever"), None);
        assert_eq!(nearest(&"x".repeat(1000)), None);
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("same", "same"), 0);
    }
}
