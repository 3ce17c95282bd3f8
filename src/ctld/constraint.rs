//! `--constraint` and `--prefer`: what is refused before a job is made.

use flurm_model::{Cluster, Constraint, Errno};

use crate::refused::Refused;

/// Refuses nonsense, and features that no node could ever have.
pub(crate) fn check(cluster: &Cluster, text: Option<&str>, errno: Errno) -> Result<(), Refused> {
    let Some(text) = text else { return Ok(()) };
    let Some(constraint) = Constraint::parse(text) else {
        return Err(Refused::because(errno.number(), format!("{text}: not well formed")));
    };
    let available = |name: &&str| {
        cluster.nodes().any(|node| node.conf.features.iter().any(|feature| feature == name))
    };
    match constraint.names().into_iter().find(|name| !available(name)) {
        None => Ok(()),
        Some(name) => {
            let text = format!("no node has the feature {name}");
            Err(Refused::because(errno.number(), text))
        }
    }
}
