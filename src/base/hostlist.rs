//! Slurm's host list expressions: `n[1-4,7,010-012],login,r[1-2]s[1-8]`.
//!
//! Order and spelling follow Slurm's `hostlist_*` functions, including how neighbouring ranges of
//! different zero padding join or stay apart, so that lists print as its own tools print them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::natural;

/// The most hosts that one list holds: Slurm's own bound for a cluster.
pub const HOSTS_MAX: usize = 64 * 1024;
/// The most bracket groups in one name.
pub const DIMENSIONS_MAX: usize = 8;
/// The longest expression that is read, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4 << 20;
/// A number in a host name has at most this many digits, else it is ordinary text.
const DIGITS_MAX: usize = 18;

/// Why an expression could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// `[` without `]`, or the other way round.
    Brackets(String),
    /// A range that is not `n` or `n-m` with `n` not above `m`.
    Range(String),
    /// More than [`HOSTS_MAX`] hosts.
    TooManyHosts,
    /// More than [`DIMENSIONS_MAX`] bracket groups in one name.
    TooManyDimensions(String),
    /// More than [`EXPRESSION_BYTES_MAX`] bytes.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brackets(text) => write!(f, "unbalanced brackets in host list `{text}`"),
            Self::Range(text) => write!(f, "invalid range `{text}` in host list"),
            Self::TooManyHosts => write!(f, "host list has more than {HOSTS_MAX} hosts"),
            Self::TooManyDimensions(text) => {
                write!(f, "more than {DIMENSIONS_MAX} bracket groups in host name `{text}`")
            }
            Self::TooLong => write!(f, "host list is longer than {EXPRESSION_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for Error {}

/// Hosts that share a prefix and are numbered in a row, or one host without a number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    prefix: String,
    /// `None` for a host whose name ends in no number.
    numbers: Option<Numbers>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    low: u64,
    high: u64,
    /// Shorter numbers are padded with zeros to this many digits.
    width: usize,
}

/// An ordered list of host names, held as ranges. May hold a name twice; see [`uniq`](Self::uniq).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostlist {
    runs: Vec<Run>,
    hosts_count: usize,
}

impl Hostlist {
    /// The empty list.
    pub const fn new() -> Self {
        Self { runs: Vec::new(), hosts_count: 0 }
    }

    /// Reads an expression. Hosts are separated by commas or white space.
    pub fn parse(expression: &str) -> Result<Self, Error> {
        let mut list = Self::new();
        list.push(expression)?;
        Ok(list)
    }

    /// Appends the hosts of an expression. On an error the list holds a part of them.
    pub fn push(&mut self, expression: &str) -> Result<(), Error> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(Error::TooLong);
        }
        for token in tokens(expression) {
            self.push_token(token)?;
        }
        Ok(())
    }

    /// Appends one plain host name.
    pub fn push_host(&mut self, name: &str) -> Result<(), Error> {
        self.push_run(Run::of_name(name))
    }

    /// How many names the list has.
    pub fn len(&self) -> usize {
        self.hosts_count
    }

    /// Whether the list has no name.
    pub fn is_empty(&self) -> bool {
        self.hosts_count == 0
    }

    /// The name at `index`.
    pub fn nth(&self, mut index: usize) -> Option<String> {
        for run in &self.runs {
            let count = run.count();
            if index < count {
                return Some(run.name(index));
            }
            index -= count;
        }
        None
    }

    /// Where `name` first is.
    pub fn find(&self, name: &str) -> Option<usize> {
        let mut before = 0;
        for run in &self.runs {
            if let Some(offset) = run.find(name) {
                return Some(before + offset);
            }
            before += run.count();
        }
        None
    }

    /// Whether `name` is in the list.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The names, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.runs.iter().flat_map(|run| (0..run.count()).map(|index| run.name(index)))
    }

    /// Sorts by name, shorter numbers first, then by value, and drops repeated names.
    pub fn uniq(&mut self) {
        let mut pieces: Vec<Run> = self.runs.drain(..).flat_map(Run::by_length).collect();
        pieces.sort_by(Run::order);
        for piece in pieces {
            match self.runs.last_mut() {
                Some(last) if last.meets(&piece) => last.extend_to(&piece),
                _ => self.runs.push(piece),
            }
        }
        self.hosts_count = self.runs.iter().map(Run::count).sum();
        assert!(self.hosts_count <= HOSTS_MAX, "dropping repeats made the list longer");
    }

    fn push_token(&mut self, token: &str) -> Result<(), Error> {
        let Some(open) = token.rfind('[') else {
            if token.contains(']') {
                return Err(Error::Brackets(token.to_owned()));
            }
            return self.push_host(token);
        };
        let (prefix, rest) = (&token[..open], &token[open + 1..]);
        let Some((list, suffix)) = rest.split_once(']') else {
            return Err(Error::Brackets(token.to_owned()));
        };
        if suffix.contains(']') {
            return Err(Error::Brackets(token.to_owned()));
        }
        if token.matches('[').count() > DIMENSIONS_MAX {
            return Err(Error::TooManyDimensions(token.to_owned()));
        }
        let ranges = ranges(list)?;
        self.push_ranges(prefix, suffix, &ranges)
    }

    /// Appends `prefix` × `ranges` × `suffix`. A bracket group inside the prefix varies slower than
    /// `ranges`; of several, the rightmost varies slowest, which is Slurm's order.
    fn push_ranges(&mut self, prefix: &str, suffix: &str, ranges: &[Numbers]) -> Result<(), Error> {
        let Some(open) = prefix.rfind('[') else {
            if prefix.contains(']') {
                return Err(Error::Brackets(prefix.to_owned()));
            }
            return ranges.iter().try_for_each(|range| self.push_numbers(prefix, suffix, *range));
        };
        let (before, rest) = (&prefix[..open], &prefix[open + 1..]);
        let Some((list, after)) = rest.rsplit_once(']') else {
            return Err(Error::Brackets(prefix.to_owned()));
        };
        for outer in self::ranges(list)? {
            for number in outer.low..=outer.high {
                let name = format!("{before}{number:0width$}{after}", width = outer.width);
                self.push_ranges(&name, suffix, ranges)?;
            }
        }
        Ok(())
    }

    fn push_numbers(&mut self, prefix: &str, suffix: &str, range: Numbers) -> Result<(), Error> {
        if suffix.is_empty() {
            let run = Run { prefix: prefix.to_owned(), numbers: Some(range) };
            return self.push_run(run);
        }
        for number in range.low..=range.high {
            let name = format!("{prefix}{number:0width$}{suffix}", width = range.width);
            self.push_run(Run { prefix: name, numbers: None })?;
        }
        Ok(())
    }

    fn push_run(&mut self, run: Run) -> Result<(), Error> {
        let hosts_count = self.hosts_count + run.count();
        if hosts_count > HOSTS_MAX {
            return Err(Error::TooManyHosts);
        }
        self.hosts_count = hosts_count;
        match self.runs.last_mut() {
            Some(last) if last.continues_with(&run) => last.extend_to(&run),
            _ => self.runs.push(run),
        }
        Ok(())
    }
}

impl Run {
    /// The run of one plain name: its trailing digits are the number.
    fn of_name(name: &str) -> Self {
        let prefix_len = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (prefix, digits) = name.split_at(prefix_len);
        let number = if digits.len() <= DIGITS_MAX { digits.parse::<u64>().ok() } else { None };
        match number {
            Some(low) => Self {
                prefix: prefix.to_owned(),
                numbers: Some(Numbers { low, high: low, width: digits.len() }),
            },
            None => Self { prefix: name.to_owned(), numbers: None },
        }
    }

    fn count(&self) -> usize {
        self.numbers.map_or(1, |numbers| numbers.count())
    }

    fn name(&self, index: usize) -> String {
        match self.numbers {
            Some(n) => format!("{}{:0width$}", self.prefix, n.low + index as u64, width = n.width),
            None => self.prefix.clone(),
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        let digits = name.strip_prefix(self.prefix.as_str())?;
        let Some(numbers) = self.numbers else {
            return digits.is_empty().then_some(0);
        };
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = plain.then(|| digits.parse().ok()).flatten()?;
        let inside = (numbers.low..=numbers.high).contains(&number);
        let spelled = digits.len() == numbers.width.max(digits_count(number));
        if inside && spelled { usize::try_from(number - numbers.low).ok() } else { None }
    }

    /// Slurm's sorting order: by prefix; hosts without a number before those with one; shorter
    /// numbers first, then by value.
    fn order(&self, other: &Self) -> Ordering {
        let rank = |run: &Self| run.numbers.map(|n| (n.width.max(digits_count(n.low)), n.low));
        natural::order(&self.prefix, &other.prefix).then(rank(self).cmp(&rank(other)))
    }

    /// Whether `next` starts right after the end and its padding looks the same.
    fn continues_with(&self, next: &Self) -> bool {
        match (self.numbers, next.numbers) {
            (Some(mine), Some(theirs)) => {
                mine.high.checked_add(1) == Some(theirs.low)
                    && self.prefix == next.prefix
                    && common_width(mine, theirs).is_some()
            }
            _ => false,
        }
    }

    fn extend_to(&mut self, next: &Self) {
        if let (Some(mine), Some(theirs)) = (self.numbers.as_mut(), next.numbers) {
            mine.width = common_width(*mine, theirs).unwrap_or(mine.width);
            mine.high = mine.high.max(theirs.high);
        }
    }

    /// Whether this run, whose piece of the sorting order comes first, touches or overlaps `next`.
    fn meets(&self, next: &Self) -> bool {
        match (self.numbers, next.numbers) {
            (Some(mine), Some(theirs)) => {
                self.prefix == next.prefix
                    && theirs.low <= mine.high.saturating_add(1)
                    && common_width(mine, theirs).is_some()
            }
            (None, None) => self.prefix == next.prefix,
            _ => false,
        }
    }

    /// Cuts the run where its numbers grow by a digit, so that every piece has one spelled length.
    fn by_length(self) -> Vec<Self> {
        let Some(Numbers { mut low, high, width }) = self.numbers else { return vec![self] };
        let mut pieces = Vec::new();
        while low <= high {
            let width = width.max(digits_count(low));
            let last = 10u64.checked_pow(width as u32).map_or(high, |limit| high.min(limit - 1));
            let numbers = Some(Numbers { low, high: last, width });
            pieces.push(Self { prefix: self.prefix.clone(), numbers });
            low = last + 1;
        }
        pieces
    }
}

impl Numbers {
    fn count(self) -> usize {
        usize::try_from(self.high - self.low).map_or(usize::MAX, |span| span.saturating_add(1))
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.width;
        write!(f, "{:0width$}", self.low)?;
        if self.high > self.low {
            write!(f, "-{:0width$}", self.high)?;
        }
        Ok(())
    }
}

/// Slurm's ranged string: neighbouring runs of one prefix share a bracket.
impl fmt::Display for Hostlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.runs.as_slice();
        let mut comma = "";
        while let Some(first) = rest.first() {
            write!(f, "{comma}{}", first.prefix)?;
            comma = ",";
            let same = |run: &&Run| run.numbers.is_some() && run.prefix == first.prefix;
            let group: Vec<Numbers> =
                rest.iter().take_while(same).filter_map(|run| run.numbers).collect();
            rest = &rest[group.len().max(1)..];
            match group.as_slice() {
                [] => {}
                [one] if one.low == one.high => write!(f, "{one}")?,
                [first, more @ ..] => {
                    write!(f, "[{first}")?;
                    more.iter().try_for_each(|numbers| write!(f, ",{numbers}"))?;
                    write!(f, "]")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Hostlist {
    type Err = Error;
    fn from_str(expression: &str) -> Result<Self, Error> {
        Self::parse(expression)
    }
}

impl TryFrom<String> for Hostlist {
    type Error = Error;
    fn try_from(expression: String) -> Result<Self, Error> {
        Self::parse(&expression)
    }
}

impl From<Hostlist> for String {
    fn from(list: Hostlist) -> Self {
        list.to_string()
    }
}

/// The compressed, sorted expression of some host names, each once. Names that do not fit into one
/// list are left out.
pub fn compress<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = Hostlist::new();
    for name in names {
        if list.push_host(name).is_err() {
            break;
        }
    }
    list.uniq();
    list.to_string()
}

/// The comma- or space-separated parts of an expression; commas inside brackets do not separate.
fn tokens(expression: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    let separates = move |c: char| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        !inside && matches!(c, ',' | ' ' | '\t' | '\n')
    };
    expression.split(separates).filter(|token| !token.is_empty())
}

fn ranges(list: &str) -> Result<Vec<Numbers>, Error> {
    let mut hosts_count = 0;
    let mut ranges = Vec::new();
    for text in list.split(',') {
        let range = range(text).ok_or_else(|| Error::Range(text.to_owned()))?;
        hosts_count = range.count().saturating_add(hosts_count);
        if hosts_count > HOSTS_MAX {
            return Err(Error::TooManyHosts);
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn range(text: &str) -> Option<Numbers> {
    let (low_text, high_text) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (number(low_text)?, number(high_text)?);
    (low <= high).then_some(Numbers { low, high, width: low_text.len() })
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= DIGITS_MAX;
    plain.then(|| text.parse().ok()).flatten()
}

/// The padding width that spells both ranges as they are, if one does.
fn common_width(left: Numbers, right: Numbers) -> Option<usize> {
    let padding = |number: u64, width: usize| width.saturating_sub(digits_count(number));
    let left_same = padding(left.low, left.width) == padding(left.low, right.width);
    let right_same = padding(right.low, right.width) == padding(right.low, left.width);
    match (left_same, right_same) {
        (_, true) => Some(left.width),
        (true, false) => Some(right.width),
        (false, false) => None,
    }
}

fn digits_count(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
#[path = "hostlist_tests.rs"]
mod tests;
