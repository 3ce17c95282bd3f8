//! Generic resources: what nodes have, what jobs ask for, and what each was given (gres.conf(5),
//! sbatch(1) `--gres`, `--gpus` and kin).

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::count;
use serde::{Deserialize, Serialize};

use crate::Requests;

/// Kinds that one list may name.
const KINDS_MAX: usize = 64;

/// A part of a node's generic resources: one name and type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GresPart {
    /// Its name, such as `gpu`.
    pub name: String,
    /// Its type, if it has one.
    pub kind: Option<String>,
    /// How many there are.
    pub count: u64,
    /// The number of its first device; `None` where it is counted only. Devices of one name are
    /// numbered together.
    pub first: Option<u32>,
}

/// So many of a node's part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GresTake {
    /// The part's name.
    pub name: String,
    /// The part's type.
    pub kind: Option<String>,
    /// How many.
    pub count: u64,
}

/// What a job or step has of a node's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GresHeld {
    /// The part's name.
    pub name: String,
    /// The part's type.
    pub kind: Option<String>,
    /// How many.
    pub count: u64,
    /// Which devices; empty where they are counted only.
    pub devices: Vec<u32>,
}

/// What jobs have of one part of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GresUse {
    /// How many.
    pub count: u64,
    /// Which devices.
    pub devices: BTreeSet<u32>,
}

/// What jobs have of a node, by name and type.
pub type GresUses = BTreeMap<(String, Option<String>), GresUse>;

/// What a job or step asks of one name and type.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GresWish {
    /// The name.
    pub name: String,
    /// The type; `None` takes any.
    pub kind: Option<String>,
    /// On all nodes together; 0 where that is not asked.
    pub per_job: u64,
    /// On each node.
    pub per_node: u64,
    /// For each task.
    pub per_task: u64,
    /// CPUs beside each.
    pub cpus_each: u32,
    /// Memory beside each, MB.
    pub memory_each_mb: u64,
}

/// Why a request for generic resources cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GresFault(pub String);

impl GresPart {
    /// The parts of a node: what its configuration says (`Gres=`), with devices where the node has
    /// said that it has some (`found`, as [`list_found`] writes it).
    pub fn of_node(conf: Option<&str>, found: Option<&str>) -> Vec<Self> {
        let mut next: BTreeMap<String, u32> = BTreeMap::new();
        let devices = found_devices(found.unwrap_or_default());
        let mut parts: Vec<Self> = Vec::new();
        for (name, kind, count) in items(conf.unwrap_or_default()).unwrap_or_default() {
            let key = (name.clone(), kind.clone());
            let first = devices.contains(&key).then(|| {
                let first = next.entry(name.clone()).or_default();
                let mine = *first;
                *first = first.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                mine
            });
            parts.push(Self { name, kind, count, first });
        }
        parts
    }

    /// Its key among what jobs have.
    pub fn key(&self) -> (String, Option<String>) {
        (self.name.clone(), self.kind.clone())
    }

    /// Takes so many devices that are free, lowest numbers first.
    pub(crate) fn hold(&self, count: u64, used: Option<&GresUse>) -> GresHeld {
        let all = self.first.map_or(0..0, |first| {
            first..first.saturating_add(u32::try_from(self.count).unwrap_or(u32::MAX))
        });
        let free = all.filter(|device| used.is_none_or(|used| !used.devices.contains(device)));
        let devices = free.take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
        GresHeld { name: self.name.clone(), kind: self.kind.clone(), count, devices }
    }
}

/// What a node found of generic resources, as one text for its record: `gpu:tesla:2(IDX)` where it
/// has devices, `craynet:3` where it only counts.
pub fn list_found(found: &[(String, Option<String>, u64, bool)]) -> Option<String> {
    let text = |(name, kind, count, devices): &(String, Option<String>, u64, bool)| {
        let kind = kind.as_ref().map(|kind| format!(":{kind}")).unwrap_or_default();
        format!("{name}{kind}:{count}{}", if *devices { "(IDX)" } else { "" })
    };
    (!found.is_empty()).then(|| found.iter().map(text).collect::<Vec<_>>().join(","))
}

fn found_devices(text: &str) -> BTreeSet<(String, Option<String>)> {
    let with = text.split(',').filter_map(|item| item.strip_suffix("(IDX)"));
    with.filter_map(|item| item_of(item).ok()).map(|(name, kind, _)| (name, kind)).collect()
}

/// How many of each name a node found, of all types together.
pub fn found_counts(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let item = item.strip_suffix("(IDX)").unwrap_or(item);
        if let Ok((name, _, count)) = item_of(item) {
            let sum: &mut u64 = counts.entry(name).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    counts
}

/// What stands in such lists and is no generic resource: `--gres=none`, and the CPUs of
/// `--tres-per-task=cpu:N`, which clients turn into `--cpus-per-task` themselves.
const PASSED_OVER: [&str; 2] = ["none", "cpu"];

/// Which of a wish's counts a text is about.
type Field = fn(&mut GresWish) -> &mut u64;

type Item = (String, Option<String>, u64);

/// The items of a list such as `gpu:tesla:2,craynet:3`.
fn items(text: &str) -> Result<Vec<Item>, GresFault> {
    let texts: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if texts.len() > KINDS_MAX {
        return Err(GresFault(format!("more than {KINDS_MAX} kinds are named")));
    }
    texts.into_iter().map(item_of).collect()
}

/// `[gres:]name[:type][:count]`, as releases write it (`gres:` before 23.11, `gres/` since).
fn item_of(text: &str) -> Result<Item, GresFault> {
    let bare = text.strip_prefix("gres:").or_else(|| text.strip_prefix("gres/")).unwrap_or(text);
    let fault = || GresFault(format!("{text:?} is no generic resource"));
    // Sockets behind a node's count (`gpu:2(S:0-1)`) say where, not how many.
    let bare = bare.split('(').next().unwrap_or(bare);
    let words: Vec<&str> = bare.split([':', '=']).collect();
    let (name, kind, count) = match *words.as_slice() {
        [name] => (name, None, 1),
        [name, last] => match count::parse(last) {
            Some(count) => (name, None, count),
            None => (name, Some(last), 1),
        },
        [name, "no_consume", last] => (name, None, count::parse(last).ok_or_else(fault)?),
        [name, kind, last] => (name, Some(kind), count::parse(last).ok_or_else(fault)?),
        _ => return Err(fault()),
    };
    if name.is_empty() || kind.is_some_and(str::is_empty) {
        return Err(fault());
    }
    Ok((name.to_owned(), kind.map(str::to_owned), count))
}

impl GresWish {
    /// What a job asks for; nothing where it asks for no generic resource.
    pub fn of(requests: &Requests) -> Result<Vec<Self>, GresFault> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self::read(
            &text(&requests.tres_per_job),
            &text(&requests.tres_per_node),
            &text(&requests.tres_per_task),
            &text(&requests.cpus_per_tres),
            &text(&requests.mem_per_tres),
        )
    }

    /// What the texts of `--gpus`, `--gres`, `--gpus-per-task`, `--cpus-per-gpu` and
    /// `--mem-per-gpu` say together.
    pub fn read(
        per_job: &str,
        per_node: &str,
        per_task: &str,
        cpus_each: &str,
        memory_each: &str,
    ) -> Result<Vec<Self>, GresFault> {
        let mut wishes: Vec<Self> = Vec::new();
        let counts: [(&str, Field); 3] = [
            (per_job, |wish| &mut wish.per_job),
            (per_node, |wish| &mut wish.per_node),
            (per_task, |wish| &mut wish.per_task),
        ];
        for (text, field) in counts {
            let named =
                items(text)?.into_iter().filter(|(name, ..)| !PASSED_OVER.contains(&&**name));
            for (name, kind, count) in named {
                let same = |wish: &&mut Self| wish.name == name && wish.kind == kind;
                let wish = match wishes.iter_mut().find(same) {
                    Some(wish) => wish,
                    None => {
                        wishes.push(Self { name, kind, ..Self::default() });
                        wishes.last_mut().expect("it was put there just now")
                    }
                };
                let sum = field(wish);
                *sum = sum.saturating_add(count);
            }
        }
        wishes.retain(|wish| wish.per_job > 0 || wish.per_node > 0 || wish.per_task > 0);
        for (name, kind, cpus) in items(cpus_each)? {
            let with =
                |wish: &&mut Self| wish.name == name && (kind.is_none() || wish.kind == kind);
            let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
            wishes.iter_mut().filter(with).for_each(|wish| wish.cpus_each = cpus);
        }
        for (name, kind, mb) in items(memory_each)? {
            let with =
                |wish: &&mut Self| wish.name == name && (kind.is_none() || wish.kind == kind);
            wishes.iter_mut().filter(with).for_each(|wish| wish.memory_each_mb = mb);
        }
        let mixed = |wish: &&Self| {
            let typed = |other: &Self| other.name == wish.name && other.kind.is_some();
            wish.kind.is_none() && wishes.iter().any(typed)
        };
        if let Some(wish) = wishes.iter().find(mixed) {
            return Err(GresFault(format!("{} is asked for with and without a type", wish.name)));
        }
        Ok(wishes)
    }

    /// Whether a node's part is something like it.
    pub fn is_met_by(&self, name: &str, kind: Option<&str>) -> bool {
        self.name == name && self.kind.as_deref().is_none_or(|wanted| Some(wanted) == kind)
    }

    /// How many are needed on a node with so many tasks, whatever the job needs in all.
    pub fn on_node(&self, tasks: u32) -> u64 {
        self.per_node.max(self.per_task.saturating_mul(u64::from(tasks)))
    }

    /// So many of a node's parts, in their order; `None` where they do not suffice. `free` says how
    /// many of each part, by position, are to be had.
    pub fn take(
        &self,
        parts: &[GresPart],
        free: impl Fn(usize) -> u64,
        count: u64,
    ) -> Option<Vec<GresTake>> {
        let mut left = count;
        let mut taken = Vec::new();
        let fitting = parts.iter().enumerate();
        for (at, part) in fitting.filter(|(_, p)| self.is_met_by(&p.name, p.kind.as_deref())) {
            let count = free(at).min(left);
            if count > 0 {
                let (name, kind) = part.key();
                taken.push(GresTake { name, kind, count });
                left -= count;
            }
        }
        (left == 0).then_some(taken)
    }
}

/// How many of a name and type are among what is held.
pub fn held_of(held: &[GresHeld], wish: &GresWish) -> u64 {
    let like = held.iter().filter(|held| wish.is_met_by(&held.name, held.kind.as_deref()));
    like.map(|held| held.count).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(per_job: &str, per_node: &str, per_task: &str) -> Result<Vec<GresWish>, GresFault> {
        GresWish::read(per_job, per_node, per_task, "", "")
    }

    #[test]
    fn lists_are_read_as_both_generations_of_clients_write_them() {
        for text in ["gres:gpu:tesla:2,gres:craynet:3", "gres/gpu:tesla:2,gres/craynet:3"] {
            let read = wishes("", text, "").unwrap();
            let short = |wish: &GresWish| (wish.name.clone(), wish.kind.clone(), wish.per_node);
            let found: Vec<_> = read.iter().map(short).collect();
            assert_eq!(
                found,
                [("gpu".into(), Some("tesla".into()), 2), ("craynet".into(), None, 3)]
            );
        }
        assert_eq!(wishes("", "gres:gpu:x", "").unwrap()[0].kind.as_deref(), Some("x"));
        assert_eq!(wishes("", "gres:gpu:2k", "").unwrap()[0].per_node, 2048);
        assert_eq!(wishes("", "gres:gpu:0", "").unwrap(), []);
        assert_eq!(wishes("", "none", "").unwrap(), []);
    }

    #[test]
    fn requests_that_mean_nothing_are_refused() {
        for bad in ["gres:gpu:a:b", "gres::2", "gres:gpu::2", "gres:gpu:a:1:2"] {
            assert!(wishes("", bad, "").is_err(), "{bad}");
        }
        assert!(wishes("gres:gpu:tesla:1,gres:gpu:1", "", "").is_err());
        let many = vec!["gpu:1"; KINDS_MAX + 1].join(",");
        assert!(wishes("", &many, "").is_err());
    }

    #[test]
    fn what_goes_with_each_is_found() {
        let read = GresWish::read("gres:gpu:2", "", "gres:gpu:1", "gres:gpu:2", "gres:gpu:100");
        let wish = &read.unwrap()[0];
        assert_eq!((wish.per_job, wish.per_task), (2, 1));
        assert_eq!((wish.cpus_each, wish.memory_each_mb), (2, 100));
        assert_eq!(wish.on_node(3), 3);
    }

    #[test]
    fn devices_of_one_name_are_numbered_together() {
        let conf = "gpu:tesla:2,gpu:kepler:2,craynet:3";
        let found = "gpu:tesla:2(IDX),gpu:kepler:2(IDX),craynet:3";
        let parts = GresPart::of_node(Some(conf), Some(found));
        let firsts: Vec<Option<u32>> = parts.iter().map(|part| part.first).collect();
        assert_eq!(firsts, [Some(0), Some(2), None]);
        let used = GresUse { count: 1, devices: BTreeSet::from([2]) };
        assert_eq!(parts[1].hold(1, Some(&used)).devices, [3]);
        assert_eq!(parts[2].hold(2, None).devices, [0; 0]);
        assert_eq!(found_counts(found), BTreeMap::from([("craynet".into(), 3), ("gpu".into(), 4)]));
        let one = GresPart::of_node(Some(conf), None);
        assert!(one.iter().all(|part| part.first.is_none()));
    }

    #[test]
    fn any_type_will_do_where_none_is_named() {
        let parts = GresPart::of_node(Some("gpu:tesla:2,gpu:kepler:2"), None);
        let wish = &wishes("gres:gpu:3", "", "").unwrap()[0];
        let taken = wish.take(&parts, |_| 2, 3).unwrap();
        assert_eq!(taken.iter().map(|take| take.count).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(wish.take(&parts, |_| 1, 3), None);
        let typed = &wishes("gres:gpu:kepler:2", "", "").unwrap()[0];
        assert_eq!(typed.take(&parts, |_| 2, 2).unwrap()[0].kind.as_deref(), Some("kepler"));
    }
}
