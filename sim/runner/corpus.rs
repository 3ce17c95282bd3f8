//! A folder of seeds worth keeping: each that failed, and those that reached what few others did.
//! Every one is a scenario file of its own with its plan written out, so that it runs and replays
//! like any other, also after its scenario has changed.

use std::path::{Path, PathBuf};

use super::args::Args;
use super::tally::Tally;
use super::written_out;
use crate::scenario::write;

/// Failing seeds kept for each kind of failure of a scenario.
const FAILING_MAX: usize = 20;
/// Rare seeds added by one sweep of a scenario.
const RARE_MAX: usize = 8;
/// Rare seeds of a scenario in the folder.
const RARE_KEPT_MAX: usize = 64;

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// How many files of a folder begin with this scenario's name.
fn kept(folder: &Path, prefix: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    names.filter(|name| name.to_string_lossy().starts_with(prefix)).count()
}

struct Keeper<'a> {
    folder: &'a Path,
    scenario: &'a Path,
    args: &'a Args,
}

impl Keeper<'_> {
    fn keep(&self, kind: &str, seed: u64, remark: String) -> Result<PathBuf, String> {
        let folder = self.folder.join(kind);
        let wrong = |e: std::io::Error| format!("could not write to {}: {e}", folder.display());
        std::fs::create_dir_all(&folder).map_err(wrong)?;
        let path = folder.join(format!("{}-{seed}.toml", stem(self.scenario)));
        let from = format!("seed {seed} of {}", self.scenario.display());
        let text = write(&written_out(self.args, self.scenario, seed)?, &[from, remark])?;
        std::fs::write(&path, text).map_err(wrong)?;
        Ok(path)
    }
}

/// Keeps what a sweep found; the files written.
pub(super) fn keep(
    args: &Args,
    folder: &Path,
    scenario: &Path,
    tally: &Tally,
) -> Result<Vec<PathBuf>, String> {
    let keeper = Keeper { folder, scenario, args };
    let mut written = Vec::new();
    for failures in tally.failures.values() {
        for failed in failures.kept.iter().take(FAILING_MAX) {
            written.push(keeper.keep("failing", failed.seed, failed.text.clone())?);
        }
    }
    let room = RARE_KEPT_MAX
        .saturating_sub(kept(&folder.join("rare"), &format!("{}-", stem(scenario))))
        .min(RARE_MAX);
    for (seed, worth) in tally.rarest(room) {
        let remark = format!("kept for what it reached; rarity {worth:.2}");
        written.push(keeper.keep("rare", seed, remark)?);
    }
    Ok(written)
}
