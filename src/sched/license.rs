//! Licences that are free, as a pass gives them away.

use std::collections::BTreeMap;

use flurm_model::{Cluster, JobSpec};

/// How many of each licence are free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Licenses(BTreeMap<String, u32>);

impl Licenses {
    /// Of a cluster as it is.
    pub fn of(cluster: &Cluster) -> Self {
        let free = |one: flurm_model::License<'_>| {
            (one.name.to_owned(), one.total.saturating_sub(one.used))
        };
        Self(cluster.licenses().map(free).collect())
    }

    /// What a job would take; `None` where it is not free.
    pub(crate) fn choose(&self, spec: &JobSpec) -> Option<Vec<(String, u32)>> {
        flurm_model::choose_licenses(spec, |name| self.0.get(name).copied())
    }

    /// Gives them away.
    pub(crate) fn take(&mut self, licenses: &[(String, u32)]) {
        for (name, count) in licenses {
            if let Some(free) = self.0.get_mut(name) {
                *free = free.saturating_sub(*count);
            }
        }
    }

    /// Takes them back.
    pub(crate) fn give_back(&mut self, licenses: &[(String, u32)]) {
        for (name, count) in licenses {
            if let Some(free) = self.0.get_mut(name) {
                *free = free.saturating_add(*count);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn put(&mut self, name: &str, free: u32) {
        self.0.insert(name.to_owned(), free);
    }
}
