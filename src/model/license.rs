//! Licences: how many there are, who has them, and whether a job can have its own.
//!
//! A job keeps its licences until nothing of it is left on any node, also while it is suspended. When
//! a configuration has fewer than are in use, those who have them keep them.

use flurm_base::license::LicenseList;

use crate::{Cluster, Errno, Job, JobSpec, Refusal};

/// A kind of licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct License<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many there are.
    pub total: u32,
    /// How many jobs have; more than there are, where a configuration took some away.
    pub used: u32,
}

impl Cluster {
    /// All kinds of licences, in the configuration's order.
    pub fn licenses(&self) -> impl Iterator<Item = License<'_>> {
        let used = |name: &str| self.index.licenses.get(name).copied().unwrap_or(0);
        let license = move |(name, total): &'_ (String, u32)| (*total, used(name));
        self.settings.licenses.iter().map(move |entry| {
            let (total, used) = license(entry);
            License { name: &entry.0, total, used }
        })
    }

    /// Refuses a list that means nothing, or that asks for what the cluster does not have.
    pub(crate) fn check_licenses(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let Some(text) = &spec.requests.licenses else { return Ok(()) };
        let refuse = |text: String| Err(Refusal::new(Errno::InvalidLicenses, text));
        let Some(list) = LicenseList::parse(text) else {
            return refuse(format!("{text} is not a list of licenses"));
        };
        for (name, count) in &list.items {
            match self.settings.licenses.iter().find(|(known, _)| known == name) {
                None => return refuse(format!("there is no license {name}")),
                Some((_, total)) if count > total => {
                    return refuse(format!("there are {total} licenses {name}"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// The licences that a job would get if it started; `None` where they are not free.
    pub(crate) fn licenses_for(&self, job: &Job) -> Option<Vec<(String, u32)>> {
        let free = self.licenses().map(|one| (one.name, one.total.saturating_sub(one.used)));
        let free: std::collections::BTreeMap<&str, u32> = free.collect();
        choose(&job.spec, |name| free.get(name).copied())
    }
}

/// The licences that a job takes of those that are free: all it asks for, or the first of several.
/// `None` where it must wait.
pub fn choose(spec: &JobSpec, free: impl Fn(&str) -> Option<u32>) -> Option<Vec<(String, u32)>> {
    let Some(text) = &spec.requests.licenses else { return Some(Vec::new()) };
    let list = LicenseList::parse(text)?;
    let forgets = flurm_base::planted::is("model_forgets_licenses");
    let has =
        |(name, count): &&(String, u32)| forgets || free(name).is_some_and(|free| free >= *count);
    if list.any {
        return list.items.iter().find(has).map(|one| vec![one.clone()]);
    }
    list.items.iter().all(|one| has(&one)).then_some(list.items)
}
