//! Deliberate bugs that the simulator must catch.
//!
//! A product build cannot contain one: [`is`] is a constant `false` unless the whole build is made
//! with `--cfg flurm_planted`, and even then no bug is active until a thread plants it.

/// Every bug that can be planted, and what it breaks. A name that is not here is refused by
/// `plant`, and a test looks through the sources for names that are missing here.
pub const KNOWN: &[(&str, &str)] = &[
    (
        "host_accepts_before_commit",
        "a submission is answered while its command is still on its way",
    ),
    (
        "host_cancels_before_commit",
        "a cancellation is answered while its command is still on its way",
    ),
    ("host_forgets_time_limits_of_others", "a leader ends only jobs that started since it leads"),
    ("host_judges_silence_by_the_wall_clock", "a clock that jumps makes nodes look silent"),
    ("host_kills_once", "processes that outlive one SIGKILL count as gone"),
    ("host_gives_up_a_refused_report", "any refusal of a report counts as its answer"),
    ("host_leaves_steps_behind", "whoever ends a job on a node forgets its steps"),
    ("host_loses_exit_codes", "every job that failed is reported with exit code 1"),
    ("host_never_repeats_an_order", "an order to a node that got no answer is not sent again"),
    ("host_numbers_devices_anew", "a job is told of the first devices, whoever has them"),
    ("host_planner_stops_when_idle", "a leader that has nothing to start never plans again"),
    ("host_reads_without_a_leader", "any controller shows the queue as it last heard of it"),
    ("host_refuses_what_it_may_have_taken", "a submission of unknown fate is refused"),
    ("host_reports_once", "a report that no controller took is not repeated"),
    (
        "host_starts_before_it_remembers",
        "a job is started before the ledger that names it is on the disk",
    ),
    ("host_starts_a_step_again", "a repeated launch of a step starts its tasks again"),
    (
        "host_takes_nodes_of_a_new_leader_for_silent",
        "a new leader finds all nodes DOWN before it asked",
    ),
    ("host_stops_no_process", "a node says that it stopped a suspended job, which runs on"),
    ("host_tells_srun_of_success", "srun hears that every task succeeded"),
    ("model_counts_the_time_of_suspended_jobs", "a time limit runs on while its job is suspended"),
    ("model_forgets_array_limits", "more tasks of an array run at once than its % allows"),
    ("model_forgets_licenses", "a start is applied without a look at the licences that are free"),
    ("model_forgets_reservations", "jobs start on nodes that are reserved for others"),
    ("model_forgets_request_keys", "a repeated submission becomes a second job"),
    ("model_grants_more_than_a_node_has", "a start is applied without a look at what is free"),
    ("model_ignores_constraints", "a job starts on nodes without the features it asks for"),
    (
        "model_keeps_bad_nodes",
        "a node that cannot start jobs is not drained and gets the next ones",
    ),
    ("model_leaks_failed_launches", "a node is not told to clean up after a launch that failed"),
    (
        "model_recovery_needs_every_partition",
        "a job of a partition that was deleted stops recovery",
    ),
    ("model_requeues_before_confirmation", "a job runs again while its lost node may still run it"),
    ("model_requeues_on_suspicion", "the jobs of a node that does not answer start elsewhere"),
    (
        "model_reuses_job_numbers",
        "after a restart numbers go on behind the newest job that is left",
    ),
    ("model_snapshot_forgets_holds", "a held job is not held any more after a restart"),
    ("model_starts_array_tasks_twice", "an array task that starts still waits to start"),
    (
        "model_snapshot_forgets_request_keys",
        "a submission repeated after a restart is a second job",
    ),
    (
        "model_starts_beside_orphans",
        "a node gets new work while what nobody wants is being ended there",
    ),
    ("model_starts_on_drained_nodes", "a node that an operator drained gets new jobs"),
    ("model_takes_any_epilog", "the end of an earlier attempt counts for the present one"),
    ("model_takes_any_end_for_success", "a job that waits for another's success starts anyway"),
    ("model_takes_stale_reports", "a report about an earlier attempt ends the present one"),
    ("node_forgets_its_ledger", "a restarted node daemon does not know what it runs"),
    (
        "node_obeys_a_deposed_leader",
        "a launch of an older term, or of an attempt that ended, is obeyed",
    ),
    ("node_truncates_output", "a requeued job empties its output file"),
    ("raft_acknowledges_before_sync", "entries count as stored before they are on the disk"),
    ("raft_believes_rotten_snapshots", "a snapshot is read without a look at its checksum"),
    ("raft_forgets_its_vote", "a member that restarts may vote twice in one term"),
    ("raft_ignores_failed_syncs", "a sync that failed counts as one that succeeded"),
    ("raft_never_syncs", "entries are never synced"),
    ("raft_reads_without_a_majority", "a leader that was deposed answers reads"),
    ("raft_takes_torn_groups", "what a power loss left of a write counts as written"),
    ("sched_serves_the_newest_first", "who comes last is served first"),
];

/// Guards that can be taken away: what the simulator meets too rarely, and the walk of the code
/// beside the specifications (`tla/`) must see.
pub const GUARDS: &[(&str, &str)] = &[
    ("ctld_counts_the_time_of_others", "a new leader counts silence from before it led"),
    (
        "model_believes_early_registrations",
        "a registration written before a launch was confirmed ends the attempt",
    ),
    (
        "model_confirms_what_is_not_launched",
        "a late confirmation counts for an attempt that has ended",
    ),
    ("model_does_not_see_reboots", "a machine that restarted is taken for one that did not"),
    ("model_frees_before_confirmation", "a share is free as soon as its attempt is to end"),
    (
        "model_frees_on_nodes_that_answer",
        "an operator's word stands for a node that can answer itself",
    ),
    ("model_keeps_an_operators_word", "the word for a node that was DOWN stands for it in service"),
    ("model_launches_what_has_ended", "the launch of an attempt that is to end is repeated"),
    ("model_leaves_jobs_on_lost_nodes", "jobs of a node that went DOWN stay RUNNING"),
    ("model_leaves_orphans_alone", "an attempt that nobody wants is not ended"),
    ("model_needs_no_operators_word", "a silent node's shares are free without anybody's word"),
    ("model_shares_whole_nodes", "a job starts beside one that has its node to itself"),
    ("model_starts_before_clean_up", "a requeued job starts while its nodes clean up"),
    ("model_starts_held_jobs", "a start is applied without a look at the hold"),
    (
        "model_starts_on_nodes_out_of_service",
        "a start is applied without a look at the node's state",
    ),
    ("model_starts_on_silent_nodes", "a node that does not answer gets new work"),
    ("model_starts_part_of_a_gang", "a start is applied with fewer nodes than the job needs"),
    (
        "model_trusts_daemons_that_restarted",
        "what a later run of a daemon does not list is believed to run",
    ),
    (
        "model_takes_a_word_for_nodes_that_answer",
        "an operator who sets a node DOWN that answers answers for it once it falls silent",
    ),
    ("node_forgets_what_never_came", "an order to end an attempt that never came leaves no trace"),
    (
        "node_obeys_orders_for_an_earlier_run",
        "a launch that was on its way when a machine was lost starts once it is back",
    ),
    ("node_starts_older_attempts", "a launch of an attempt before the newest one is obeyed"),
];

/// Whether the bug `name` is active. Always `false` in a product build.
#[cfg(not(flurm_planted))]
#[inline(always)]
pub const fn is(_name: &'static str) -> bool {
    false
}

/// Whether the bug `name` is active on this thread.
#[cfg(flurm_planted)]
pub fn is(name: &'static str) -> bool {
    assert!(known(name), "a planted bug is missing in flurm_base::planted::KNOWN");
    active::is(name)
}

/// Whether `name` is a bug that can be planted.
pub fn known(name: &str) -> bool {
    all().any(|(known, _)| *known == name)
}

/// Every bug and every guard.
fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    KNOWN.iter().chain(GUARDS)
}

/// Whether this build can plant bugs at all.
pub const fn possible() -> bool {
    cfg!(flurm_planted)
}

#[cfg(flurm_planted)]
pub use active::{clear, plant};

#[cfg(flurm_planted)]
mod active {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static ACTIVE: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn is(name: &str) -> bool {
        ACTIVE.with_borrow(|active| active.contains(name))
    }

    /// Activates a bug on this thread; `false` when no such bug is known.
    pub fn plant(name: &str) -> bool {
        let found = super::all().find(|(known, _)| *known == name);
        if let Some((known, _)) = found {
            ACTIVE.with_borrow_mut(|active| active.insert(known));
        }
        found.is_some()
    }

    /// Removes every planted bug from this thread.
    pub fn clear() {
        ACTIVE.with_borrow_mut(BTreeSet::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The names that one source text asks for.
    fn names_asked_for(text: &str) -> Vec<String> {
        let calls = text.split(concat!("planted::", "is(")).skip(1);
        let quoted = calls.filter_map(|rest| rest.trim_start().strip_prefix('"'));
        quoted.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "this test reads the sources themselves")]
    fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let names = names_asked_for(&text).into_iter();
                found.extend(names.map(|name| (path.display().to_string(), name)));
            }
        }
    }

    #[test]
    fn every_bug_that_a_source_asks_for_is_known() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found = Vec::new();
        for folder in ["src", "sim"] {
            collect(&root.join(folder), &mut found);
        }
        found.retain(|(_, name)| !known(name));
        assert_eq!(found, []);
    }

    #[test]
    fn the_search_finds_a_call() {
        let text = format!("if flurm_base::planted::{}(\"some_bug\") {{", "is");
        assert_eq!(names_asked_for(&text), ["some_bug"]);
    }

    #[test]
    fn names_are_unique_and_explained() {
        let names: BTreeSet<_> = all().map(|(name, _)| name).collect();
        assert_eq!(names.len(), all().count());
        for (name, text) in all() {
            assert!(!text.is_empty(), "{name} says nothing about what it breaks");
        }
    }

    #[cfg(not(flurm_planted))]
    #[test]
    fn a_product_build_has_no_bug() {
        const { assert!(!is("anything")) };
        assert!(!possible());
    }
}
