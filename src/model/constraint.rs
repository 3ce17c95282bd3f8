//! `--constraint`: which features a job's nodes must have.
//!
//! Read from the text that the user wrote each time it is asked for. Operators outside of brackets are
//! taken from left to right, as in Slurm; parentheses group, and do not nest.

use std::collections::BTreeSet;

/// What the features of one node must be, `a&(b|c)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Features {
    /// This feature.
    One(String),
    /// Both.
    Both(Box<Features>, Box<Features>),
    /// Either.
    Either(Box<Features>, Box<Features>),
}

impl Features {
    /// Whether a node with these features is one.
    pub fn met_by(&self, features: &[String]) -> bool {
        match self {
            Self::One(name) => features.contains(name),
            Self::Both(left, right) => left.met_by(features) && right.met_by(features),
            Self::Either(left, right) => left.met_by(features) || right.met_by(features),
        }
    }

    fn names<'a>(&'a self, into: &mut BTreeSet<&'a str>) {
        match self {
            Self::One(name) => {
                into.insert(name);
            }
            Self::Both(left, right) | Self::Either(left, right) => {
                left.names(into);
                right.names(into);
            }
        }
    }

    fn joined(left: Option<Self>, operator: char, right: Self) -> Self {
        match left {
            None => right,
            Some(left) if operator == '|' => Self::Either(Box::new(left), Box::new(right)),
            Some(left) => Self::Both(Box::new(left), Box::new(right)),
        }
    }
}

/// What the features of a job's nodes must be. Source: `--constraint` in sbatch(1).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    /// Of every node.
    pub each: Option<Features>,
    /// Of so many nodes, no node counted twice: `a*2`, `[a*2&b*1]`.
    pub counts: Vec<(Features, u32)>,
    /// Of all nodes the same one: `[a|b]`. Empty where there is no such list.
    pub same: Vec<Features>,
}

/// Longest text of a constraint in bytes.
pub(crate) const CONSTRAINT_BYTES_MAX: usize = 4_096;

impl Constraint {
    /// Reads what a user wrote; `None` for nonsense.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > CONSTRAINT_BYTES_MAX {
            return None;
        }
        let text: String = text.chars().map(|c| if c == ',' { '&' } else { c }).collect();
        let mut constraint = Self::default();
        let mut bracketed = false;
        for (operator, item) in items(&text)? {
            let inside = item.strip_prefix('[').and_then(|item| item.strip_suffix(']'));
            let Some(inside) = inside else {
                let (features, count) = term(item)?;
                match count {
                    None => {
                        let each = constraint.each.take();
                        constraint.each = Some(Features::joined(each, operator, features));
                    }
                    Some(count) if operator == '&' => constraint.counts.push((features, count)),
                    Some(_) => return None,
                }
                continue;
            };
            if bracketed || operator != '&' {
                return None;
            }
            bracketed = true;
            constraint.read_brackets(inside)?;
        }
        Some(constraint)
    }

    /// `a*2&b*1` or `a|b`.
    fn read_brackets(&mut self, inside: &str) -> Option<()> {
        let items = items(inside)?;
        let alternatives = items.iter().skip(1).any(|(operator, _)| *operator == '|');
        for (nth, (operator, item)) in items.iter().enumerate() {
            if nth > 0 && alternatives != (*operator == '|') {
                return None;
            }
            match (term(item)?, alternatives || items.len() == 1) {
                ((features, None), true) => self.same.push(features),
                ((features, Some(count)), false) => self.counts.push((features, count)),
                ((features, Some(count)), true) if items.len() == 1 => {
                    self.counts.push((features, count));
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// All features that it names.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let counted = self.counts.iter().map(|(features, _)| features);
        for features in self.each.iter().chain(counted).chain(&self.same) {
            features.names(&mut names);
        }
        names
    }

    /// Nodes that it counts.
    pub fn nodes_counted(&self) -> u32 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether nodes with these features, one list a node, meet it together.
    pub fn met_by(&self, nodes: &[&[String]]) -> bool {
        let all = |features: &Features| nodes.iter().all(|node| features.met_by(node));
        let each = self.each.as_ref().is_none_or(all);
        let same = self.same.is_empty() || self.same.iter().any(all);
        each && same && self.count_off(nodes).is_some()
    }

    /// Which of the nodes, by position and earlier ones preferred, are counted for each count;
    /// `None` when there are not enough.
    pub fn count_off(&self, nodes: &[&[String]]) -> Option<BTreeSet<usize>> {
        let mut taken: Vec<Option<usize>> = vec![None; nodes.len()];
        let mut seats: Vec<&Features> = Vec::new();
        for (features, count) in &self.counts {
            if self.nodes_counted() as usize > nodes.len() {
                return None;
            }
            seats.extend(std::iter::repeat_n(features, *count as usize));
        }
        for seat in 0..seats.len() {
            let mut tried = vec![false; nodes.len()];
            if !seated(seat, &seats, nodes, &mut taken, &mut tried) {
                return None;
            }
        }
        let chosen = taken.iter().enumerate().filter(|(_, seat)| seat.is_some());
        Some(chosen.map(|(at, _)| at).collect())
    }
}

/// Gives a seat a node, moving others along where that helps (an augmenting path).
fn seated(
    seat: usize,
    seats: &[&Features],
    nodes: &[&[String]],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    // The path is walked with a stack of its own: its length is that of the cluster.
    let mut path: Vec<usize> = vec![seat];
    let mut chosen: Vec<usize> = Vec::new();
    while let Some(seat) = path.last().copied() {
        let fits = |at: &usize| !tried[*at] && seats[seat].met_by(nodes[*at]);
        let free = (0..nodes.len()).find(|at| taken[*at].is_none() && fits(at));
        let next = free.or_else(|| (0..nodes.len()).find(fits));
        let Some(at) = next else {
            path.pop();
            chosen.pop();
            continue;
        };
        tried[at] = true;
        chosen.push(at);
        match taken[at] {
            Some(other) => path.push(other),
            None => {
                for (seat, at) in path.iter().zip(&chosen) {
                    taken[*at] = Some(*seat);
                }
                return true;
            }
        }
    }
    false
}

/// Items with the operator in front of each (`&` for the first), brackets and parentheses kept whole.
fn items(text: &str) -> Option<Vec<(char, &str)>> {
    let (mut items, mut start, mut operator) = (Vec::new(), 0, '&');
    let (mut brackets, mut parentheses) = (0_u32, 0_u32);
    for (at, sign) in text.char_indices() {
        match sign {
            '[' => brackets += 1,
            '(' => parentheses += 1,
            ']' => brackets = brackets.checked_sub(1)?,
            ')' => parentheses = parentheses.checked_sub(1)?,
            '&' | '|' if brackets == 0 && parentheses == 0 => {
                items.push((operator, &text[start..at]));
                (start, operator) = (at + 1, sign);
            }
            _ => {}
        }
        if brackets > 1 || parentheses > 1 {
            return None;
        }
    }
    items.push((operator, &text[start..]));
    let whole = brackets == 0 && parentheses == 0;
    (whole && items.iter().all(|(_, item)| !item.is_empty())).then_some(items)
}

/// A name or a group, with `*count` behind it.
fn term(item: &str) -> Option<(Features, Option<u32>)> {
    let (body, count) = match item.rsplit_once('*') {
        None => (item, None),
        Some((body, count)) => (body, Some(count.parse::<u32>().ok().filter(|count| *count > 0)?)),
    };
    let group = body.strip_prefix('(').and_then(|body| body.strip_suffix(')'));
    let features = match group {
        None => name(body)?,
        Some(inside) => {
            let mut features = None;
            for (operator, item) in items(inside)? {
                features = Some(Features::joined(features.take(), operator, name(item)?));
            }
            features?
        }
    };
    Some((features, count))
}

fn name(text: &str) -> Option<Features> {
    let odd = |c: char| "[]()*!@".contains(c) || c.is_whitespace();
    (!text.is_empty() && !text.contains(odd)).then(|| Features::One(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes by their features: `"a,x a,y b"`.
    fn met(constraint: &str, nodes: &str) -> bool {
        let split = |node: &str| node.split(',').map(str::to_owned).collect::<Vec<String>>();
        let nodes: Vec<Vec<String>> = nodes.split(' ').map(split).collect();
        let views: Vec<&[String]> = nodes.iter().map(Vec::as_slice).collect();
        Constraint::parse(constraint).expect("it is well formed").met_by(&views)
    }

    #[test]
    fn every_node_meets_what_stands_outside_of_brackets() {
        assert!(met("a", "a,x a"));
        assert!(!met("a", "a,x b"));
        assert!(met("a&x", "a,x") && met("a,x", "a,x") && !met("a&x", "a"));
        assert!(met("a|b", "a b") && !met("a|b", "a c"));
        assert!(met("a&(x|y)", "a,x a,y") && !met("a&(x|y)", "a,z"));
        assert!(!met("a|b&x", "a"), "from left to right");
        assert!(met("(b&x)|a", "a b,x"));
    }

    #[test]
    fn all_nodes_share_one_of_the_alternatives() {
        assert!(met("[a|b]", "a a,x") && met("[a|b]", "b b") && !met("[a|b]", "a b"));
        assert!(met("x&[a|b]", "a,x x,a") && !met("x&[a|b]", "a,x a"));
        assert!(met("[(a&x)|b]", "a,x a,x") && !met("[(a&x)|b]", "a,x a"));
    }

    #[test]
    fn so_many_nodes_are_counted_each_once() {
        assert!(met("a*2", "a a b") && !met("a*2", "a b b"));
        assert!(met("[a*1&b*1]", "a,b a") && !met("[a*1&b*1]", "a,b x"));
        assert!(met("[a*2&b*1]", "a,b a a b,a") && !met("[a*2&b*2]", "a,b a b"));
        assert!(!met("a*4000000000", "a"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "", "a&", "|a", "a&&b", "[a", "a]", "(a", "a)", "((a))", "[a&b]", "[a*1|b]", "a*0",
            "a*x", "[a]&[b]", "a|[b|c]", "a b", "!a", "[a|b&c]", "()", "[]", "a*1|b*2",
        ] {
            assert_eq!(Constraint::parse(text), None, "{text}");
        }
    }
}
