//! Where Debian's Slurm of a release lies that is not the machine's own.

use std::path::{Path, PathBuf};

use flurm_wire::Release;

/// The root folder that `ci/packages` put the release into; `None` for the machine's own.
pub(crate) fn root(release: Release) -> Option<PathBuf> {
    if release == Release::V22_05 {
        return None;
    }
    #[expect(clippy::disallowed_methods, reason = "where the side roots lie is said so")]
    let cache = std::env::var("FLURM_CACHE").unwrap_or("/var/cache/flurm".to_owned());
    Some(Path::new(&cache).join(format!("side-{}", release.name())))
}
