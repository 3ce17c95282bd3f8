//! Associations' shares and use, as sshare shows them.

use flurm_model::{Multifactor, Standing, Usage, standings};
use flurm_wire::messages::{AssociationShares, SharesRequest, SharesResponse};
use flurm_wire::{List, LongDouble, Message, NO_VAL};

use crate::priority_view::TRACKED;
use crate::sight::Sight;
use crate::tables::Tables;

/// No limit, in lists of limits (slurm.h, `INFINITE64`).
const UNLIMITED: u64 = u64::MAX;

impl Tables<'_> {
    /// The associations that are asked for and may be seen (`assoc_mgr_get_shares`).
    pub(crate) fn shares(&self, ask: &SharesRequest, sight: Sight<'_>) -> Message {
        let fallback = Multifactor::default();
        let rules = self.weigher().rules().unwrap_or(&fallback);
        let rows = standings(self.cluster, rules, self.now);
        let to_come = self.cluster.usage_to_come(self.now);
        let list = self.cluster.associations();
        let is = |wanted: &List<String>, name: &str| {
            let wanted = wanted.as_deref().filter(|names| !names.is_empty());
            wanted.is_none_or(|names| names.iter().any(|one| one.eq_ignore_ascii_case(name)))
        };
        let wanted = |at: &usize| {
            let one = &list[*at];
            let user = one.user.is_empty() || is(&ask.user_list, &one.user);
            user && is(&ask.acct_list, &one.account) && sight.usage(&one.user)
        };
        let shown = self.depth_first().into_iter().filter(wanted);
        let associations: Vec<AssociationShares> =
            shown.map(|at| self.shares_of(at, &rows[at], to_come[at])).collect();
        Message::ResponseShareInfo(SharesResponse {
            tres_names: TRACKED.map(String::from).to_vec(),
            associations: List::from(associations),
            tot_shares: 0,
        })
    }

    /// Each account with its users, then the accounts below it, by name.
    fn depth_first(&self) -> Vec<usize> {
        let list = self.cluster.associations();
        let mut below: Vec<Vec<usize>> = vec![Vec::new(); list.len()];
        for at in 0..list.len() {
            if let Some(above) = self.cluster.association_above(at) {
                below[above].push(at);
            }
        }
        let (mut order, mut open) = (Vec::with_capacity(list.len()), Vec::new());
        open.extend((!list.is_empty()).then_some(0));
        while let Some(at) = open.pop() {
            order.push(at);
            let key = |at: &usize| {
                let one = &list[*at];
                (one.user.is_empty(), one.account.clone(), one.user.clone())
            };
            below[at].sort_by_key(key);
            open.extend(below[at].iter().rev());
        }
        order
    }

    fn shares_of(&self, at: usize, row: &Standing, to_come: Usage) -> AssociationShares {
        let one = &self.cluster.associations()[at];
        let is_user = !one.user.is_empty();
        let each = |count: &dyn Fn(&str) -> u64| TRACKED.iter().map(|name| count(name)).collect();
        let limit = |name: &str| {
            let found = one.limits.grp_tres_mins.iter().find(|(known, _)| known == name);
            found.map_or(UNLIMITED, |(_, minutes)| *minutes)
        };
        let used = TRACKED.iter().map(|name| LongDouble::from(row.usage.seconds(name)));
        let parent = Some(one.parent.clone()).filter(|parent| !parent.is_empty());
        AssociationShares {
            assoc_id: u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1),
            cluster: Some(self.cluster.settings().cluster_name.clone()),
            name: Some(if is_user { one.user.clone() } else { one.account.clone() }),
            parent,
            partition: Some(one.partition.clone()).filter(|name| !name.is_empty()),
            shares_norm: row.shares_norm,
            shares_raw: if at == 0 { NO_VAL } else { one.shares },
            tres_run_secs: each(&|name| to_come.seconds(name) as u64),
            tres_grp_mins: each(&limit),
            usage_efctv: row.usage_effective,
            usage_norm: row.usage_norm,
            usage_raw: row.usage.raw_s() as u64,
            usage_tres_raw: used.collect(),
            fs_factor: row.factor,
            level_fs: row.level,
            user: u16::from(is_user),
        }
    }
}
