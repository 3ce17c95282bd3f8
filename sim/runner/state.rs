//! The state file of a long sweep: which seeds of which scenario are done and what they added up to,
//! so that an interrupted run goes on where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::{Args, Shard};
use super::seeds::Ranges;
use super::tally::Tally;
use crate::world::trace::digest_bytes;

const FORMAT: u32 = 1;

/// One scenario's part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// Hash of the scenario file.
    scenario: String,
    /// The first seed of all shards.
    pub(super) first: u64,
    /// Numbers of seeds within the shard that are done: from, up to but not including.
    done: Vec<(u64, u64)>,
    pub(super) tally: Tally,
}

impl Progress {
    /// Nothing done yet.
    pub(super) fn from(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    pub(super) fn done(&self) -> Ranges {
        Ranges(self.done.clone())
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    /// Hash of the executable: another build runs other things under the same seed.
    build: String,
    engine: String,
    shard: (u64, u64),
    scenarios: BTreeMap<String, Progress>,
}

/// The open state file; without a path it remembers nothing.
pub(super) struct State {
    path: Option<PathBuf>,
    stored: Stored,
}

fn hash_of(path: &Path) -> Result<String, String> {
    let bytes =
        std::fs::read(path).map_err(|e| format!("could not read {}: {e}", path.display()))?;
    Ok(format!("{:016x}", digest_bytes(&bytes)))
}

impl State {
    /// Opens the state file of a command line. What another build or another shard did is dropped,
    /// and said.
    pub(super) fn open(args: &Args) -> Result<Self, String> {
        let Shard { index, count } = args.shard;
        let path = args.files.state.clone();
        let build = match &path {
            Some(_) => hash_of(&std::env::current_exe().map_err(|error| error.to_string())?)?,
            None => String::new(),
        };
        let engine = args.how();
        let scenarios = BTreeMap::new();
        let empty = Stored { format: FORMAT, build, engine, shard: (index, count), scenarios };
        let mut state = Self { path, stored: empty };
        let Some(path) = &state.path else { return Ok(state) };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(format!("could not read {}: {error}", path.display())),
        };
        let found: Stored = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no state file: {error}", path.display()))?;
        let own = &state.stored;
        let same = (found.format, &found.build, &found.engine, found.shard)
            == (own.format, &own.build, &own.engine, own.shard);
        if same {
            state.stored.scenarios = found.scenarios;
        } else {
            eprintln!(
                "{}: of another build, engine or shard; everything is run again",
                path.display()
            );
        }
        Ok(state)
    }

    /// What is known of a scenario; `first` is its first seed when nothing is.
    pub(super) fn of(&self, scenario: &Path, first: u64) -> Result<Progress, String> {
        if self.path.is_none() {
            return Ok(Progress { first, ..Progress::default() });
        }
        let hash = hash_of(scenario)?;
        let known = self.stored.scenarios.get(&scenario.display().to_string());
        Ok(match known.filter(|known| known.scenario == hash) {
            Some(known) => known.clone(),
            None => Progress { scenario: hash, first, ..Progress::default() },
        })
    }

    /// Writes what a scenario has come to.
    pub(super) fn save(
        &mut self,
        scenario: &Path,
        before: &Progress,
        done: &Ranges,
        tally: &Tally,
    ) -> Result<(), String> {
        let Some(path) = &self.path else { return Ok(()) };
        let progress = Progress { done: done.0.clone(), tally: tally.clone(), ..before.clone() };
        self.stored.scenarios.insert(scenario.display().to_string(), progress);
        let text = serde_json::to_string(&self.stored).map_err(|error| error.to_string())?;
        let fresh = path.with_extension("new");
        let written = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, path));
        written.map_err(|error| format!("could not write {}: {error}", path.display()))
    }
}
