//! Fair share: what associations may expect beside what they have used.
//!
//! Two ways, as in Slurm's multifactor plugin: the fair tree ranks users level by level, the classic way
//! halves a factor with every share that was used too much.

use flurm_base::Time;
use flurm_conf::associations::{Association, USE_PARENT};

use crate::usage::{Usage, power_of_half};
use crate::{Cluster, Multifactor, priority_flags};

/// An association among the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Shares as a part of the whole: of its level in the fair tree.
    pub shares_norm: f64,
    /// Use.
    pub usage: Usage,
    /// Use as a part of all.
    pub usage_norm: f64,
    /// Use that counts against the shares.
    pub usage_effective: f64,
    /// The factor, 0 to 1; only users have it in the fair tree.
    pub factor: f64,
    /// Shares by use within the level, in the fair tree.
    pub level: f64,
}

/// All associations among each other at a time, in their list's order.
pub fn standings(cluster: &Cluster, rules: &Multifactor, now: Time) -> Vec<Standing> {
    let list = cluster.associations();
    let usage = cluster.usage_at(now);
    let mut tree = Tree::new(cluster, list, &usage);
    if list.is_empty() {
        return Vec::new();
    }
    // The one at the top has all.
    tree.rows[0].usage_effective = 1.0;
    if rules.has(priority_flags::FAIR_TREE) {
        tree.set_shares_by_level();
        let users = list.iter().filter(|one| !one.user.is_empty()).count();
        let mut ranks = Ranks { rank: users, next: users, users };
        let top = tree.children[0].clone();
        tree.rank(&top, false, &mut ranks, 0);
    } else {
        tree.set_shares_of_all();
        for at in 1..list.len() {
            tree.set_usage(at, rules);
        }
    }
    tree.rows
}

/// Levels that are followed.
const DEPTH_MAX: usize = 100;

struct Tree<'a> {
    list: &'a [Association],
    above: Vec<Option<usize>>,
    /// The nearest association above whose shares are its own.
    fair_above: Vec<Option<usize>>,
    /// Those that have this one for `fair_above`.
    children: Vec<Vec<usize>>,
    level_shares: Vec<u64>,
    rows: Vec<Standing>,
}

struct Ranks {
    rank: usize,
    next: usize,
    users: usize,
}

impl<'a> Tree<'a> {
    fn new(cluster: &Cluster, list: &'a [Association], usage: &[Usage]) -> Self {
        let above: Vec<Option<usize>> =
            (0..list.len()).map(|at| cluster.association_above(at)).collect();
        let own = |at: &usize| list[*at].shares != USE_PARENT || *at == 0;
        let fair_above: Vec<Option<usize>> =
            (0..list.len()).map(|at| cluster.associations_up(at).skip(1).find(own)).collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); list.len()];
        for (at, fair) in fair_above.iter().enumerate() {
            if let Some(fair) = fair {
                children[*fair].push(at);
            }
        }
        let mut level_shares = vec![0; list.len()];
        for level in &children {
            let shares = level.iter().map(|at| list[*at].shares);
            let sum = shares.filter(|shares| *shares != USE_PARENT).map(u64::from).sum();
            level.iter().for_each(|at| level_shares[*at] = sum);
        }
        let all = usage.first().map_or(0.0, |usage| usage.raw_s());
        let row = |usage: &Usage| Standing {
            usage: *usage,
            usage_norm: if all > 0.0 { (usage.raw_s() / all).min(1.0) } else { 0.0 },
            ..Standing::default()
        };
        let mut rows: Vec<Standing> = usage.iter().map(row).collect();
        if let Some(top) = rows.first_mut() {
            top.usage_norm = 0.0;
        }
        Self { list, above, fair_above, children, level_shares, rows }
    }

    /// The one whose shares count: itself, or where it takes its parent's, that.
    fn sharing(&self, at: usize) -> usize {
        match self.list[at].shares {
            USE_PARENT => self.fair_above[at].unwrap_or(at),
            _ => at,
        }
    }

    fn part_of_level(&self, at: usize) -> f64 {
        match self.level_shares[at] {
            0 => 0.0,
            all => f64::from(self.list[at].shares) / all as f64,
        }
    }

    fn set_shares_by_level(&mut self) {
        for at in 0..self.list.len() {
            self.rows[at].shares_norm = self.part_of_level(self.sharing(at));
        }
    }

    fn set_shares_of_all(&mut self) {
        self.rows[0].shares_norm = 1.0;
        // An account comes before what is below it.
        for at in 1..self.list.len() {
            let up = std::iter::successors(Some(self.sharing(at)), |at| self.above[*at]);
            let shared = up.take(DEPTH_MAX).filter(|at| self.above[*at].is_some());
            let own = shared.filter(|at| self.list[*at].shares != USE_PARENT);
            self.rows[at].shares_norm = own.map(|at| self.part_of_level(at)).product();
        }
    }

    /// The classic way (`_set_assoc_usage_efctv`, `priority_p_calc_fs_factor`).
    fn set_usage(&mut self, at: usize, rules: &Multifactor) {
        let Some(fair) = self.fair_above[at] else { return };
        let own = self.rows[at].usage_norm;
        let above = self.rows[fair].usage_effective;
        self.rows[at].usage_effective = if fair == 0 {
            own
        } else if self.list[at].shares == USE_PARENT {
            above
        } else if rules.has(priority_flags::DEPTH_OBLIVIOUS) {
            self.depth_oblivious(at, fair)
        } else if self.level_shares[at] == 0 {
            above
        } else {
            own + (above - own) * self.part_of_level(at)
        };
        let counted = self.sharing(at);
        let row = self.rows[counted];
        self.rows[at].factor = match row.shares_norm > 0.0 {
            true => {
                let used = row.usage_effective / row.shares_norm;
                power_of_half(used / f64::from(rules.dampening.max(1)))
            }
            false => 0.0,
        };
    }

    /// `_depth_oblivious_set_usage_efctv`: the ratio of the account above is mended by the own one
    /// where they lie on the same side of 1.
    fn depth_oblivious(&self, at: usize, fair: usize) -> f64 {
        /// How much the account's own use matters when it is off.
        const IMPACT: f64 = 5.0;
        let (row, above) = (&self.rows[at], &self.rows[fair]);
        let parts = [row.shares_norm, above.shares_norm, above.usage_effective, row.usage_norm];
        if parts.contains(&0.0) {
            return row.usage_norm;
        }
        let ratio_above = above.usage_effective / above.shares_norm;
        let level = self.children[fair].iter().filter(|at| self.list[**at].shares != USE_PARENT);
        let used: f64 = level.map(|at| self.rows[*at].usage_norm).sum();
        let ratio = (row.usage_norm / row.shares_norm) / (used / above.shares_norm);
        let power = match ratio_above.ln() * ratio.ln() >= 0.0 {
            true => 1.0,
            false => 1.0 / (1.0 + (IMPACT * ratio_above.ln()).powi(2)),
        };
        ratio_above * ratio.powf(power) * row.shares_norm
    }

    /// The fair tree (`_calc_tree_fs`): each level in the order of shares by use, users getting lower
    /// ranks one after the other. Accounts of one level that stand alike are not merged, as in Slurm;
    /// what comes first in the later one shares the last rank of the one before.
    fn rank(&mut self, level: &[usize], begins_tied: bool, ranks: &mut Ranks, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        for at in level {
            self.set_level(*at);
        }
        let mut order = level.to_vec();
        let is_account = |at: usize| self.list[at].user.is_empty();
        order.sort_by(|one, other| {
            let (first, second) = (self.rows[*one].level, self.rows[*other].level);
            let by_level = second.partial_cmp(&first).unwrap_or(std::cmp::Ordering::Equal);
            by_level.then(is_account(*one).cmp(&is_account(*other)))
        });
        let mut before = None;
        for (nth, at) in order.into_iter().enumerate() {
            let own = self.rows[at].level;
            let tied = if nth == 0 && begins_tied { true } else { before == Some(own) };
            if self.list[at].user.is_empty() {
                let below = self.children[at].clone();
                self.rank(&below, tied, ranks, depth + 1);
            } else {
                if !tied {
                    ranks.rank = ranks.next;
                }
                self.rows[at].factor = ranks.rank as f64 / ranks.users as f64;
                ranks.next = ranks.next.saturating_sub(1);
            }
            before = Some(own);
        }
    }

    fn set_level(&mut self, at: usize) {
        let fair = self.fair_above[at].map_or(0.0, |fair| self.rows[fair].usage.raw_s());
        let row = &mut self.rows[at];
        row.usage_effective = if fair > 0.0 { row.usage.raw_s() / fair } else { 0.0 };
        /// slurm.h, `NO_VAL`: an account that takes its parent's shares has no level.
        const NONE: f64 = 0xffff_fffe_u32 as f64;
        row.level = match (self.list[at].shares, self.list[at].user.is_empty()) {
            (USE_PARENT, true) => NONE,
            (USE_PARENT, false) => f64::INFINITY,
            _ if row.shares_norm == 0.0 => 0.0,
            _ => row.shares_norm / row.usage_effective,
        };
    }
}
