//! The table of options: one row each, in the order in which they are refused.

use flurm_wire::{Errno, NO_VAL16};

use crate::options::{Ask, Effect, Row, counts, says, switches, tasks_per_gpu};

/// `--spread-job` among a job's flags (slurm.h).
const SPREAD_JOB: u64 = 1 << 8;
/// `--external`.
const EXTERNAL_JOB: u64 = 1 << 24;
/// `--stepmgr`.
const STEPMGR_ENABLED: u64 = 1 << 41;
/// `--spread-segments` and `--consolidate-segments`.
const SEGMENTS: u64 = 1 << 43 | 1 << 44;

/// Refused with "Requested operation not supported on this system".
macro_rules! unsupported {
    ($desc:ident: $asked:expr, $example:literal) => {
        Effect::Refused(Ask {
            errno: Errno::ESLURM_NOT_SUPPORTED,
            asked: |$desc| $asked,
            example: $example,
        })
    };
}

/// Refused with "Invalid generic resource (gres) specification".
macro_rules! no_gres {
    ($desc:ident: $asked:expr, $example:literal) => {
        Effect::Refused(Ask {
            errno: Errno::ESLURM_INVALID_GRES,
            asked: |$desc| $asked,
            example: $example,
        })
    };
}

macro_rules! rows {
    ($($($name:literal)+ [$($field:literal)*] $effect:expr, $note:literal $(, $test:literal)*;)*) => {
        &[$(Row {
            names: &[$($name),+],
            fields: &[$($field),*],
            effect: $effect,
            note: $note,
            tests: &[$($test),*],
        }),*]
    };
}

use Effect::{Client, Honoured, Recorded, Step};

#[cfg(test)]
/// Fields of a submission that no option of these commands fills, and why they may be passed over.
pub(crate) const OTHER_FIELDS: &[(&str, &str)] = &[
    ("step_id", "who the job is, in changes of it"),
    ("job_id", "who the job is, in changes of it"),
    ("job_id_str", "who the job is, in changes of it"),
    ("site_factor", "an operator's word in changes of a job"),
    ("admin_comment", "an operator's word; dropped from others, as in Slurm"),
    ("fed_siblings_active", "between the clusters of a federation"),
    ("fed_siblings_viable", "between the clusters of a federation"),
    ("origin_cluster", "between the clusters of a federation"),
    ("restart_cnt", "between the clusters of a federation"),
    ("alloc_node", "where the client runs"),
    ("alloc_sid", "where the client runs"),
    ("alloc_resp_port", "where the client listens"),
    ("alloc_tls_cert", "where the client listens; there is no TLS"),
    ("resp_host", "where the client listens"),
    ("other_port", "where the client listens"),
    ("spank_job_env", "what SPANK plugins of the client add"),
    ("script", "the batch script"),
    ("argv", "the batch script's arguments"),
    ("submit_line", "the command line, to be shown"),
    ("job_size_str", "the text of --nodes, which comes as numbers too"),
    ("ntasks_per_board", "no client has an option for it"),
    ("boards_per_node", "no client has an option for it"),
    ("sockets_per_board", "no client has an option for it"),
    ("end_time", "of changes of a job"),
    ("select_jobinfo", "of machines that are not built any more"),
    ("crontab_entry", "of scrontab; refused, as is written there"),
];

/// Every option.
pub(crate) const ROWS: &[Row] = rows! {
    "gpus-per-socket" ["tres_per_socket"] no_gres!(desc: says(&desc.tres_per_socket),
        "--gpus-per-socket=1 --sockets-per-node=1"), "";
    "ntasks-per-gpu" "ntasks-per-tres" ["ntasks_per_tres"]
        no_gres!(desc: tasks_per_gpu(desc), "--ntasks-per-gpu=1 -n1"), "";
    "bb" "bbf" ["burst_buffer"] unsupported!(desc: says(&desc.burst_buffer), "--bb=capacity=1"), "";
    "container" ["container"] unsupported!(desc: says(&desc.container), "--container=/x"), "";
    "container-id" ["container_id"] unsupported!(desc: says(&desc.container_id), ""), "";
    "container-type" ["container_type"] unsupported!(desc: says(&desc.container_type), ""), "";
    "clusters" "cluster" ["clusters"] unsupported!(desc: says(&desc.clusters), ""),
        "clients ask slurmdbd for other clusters";
    "batch" ["batch_features"] unsupported!(desc: says(&desc.batch_features),
        "--batch=big --constraint=big"), "";
    "mcs-label" ["mcs_label"] unsupported!(desc: says(&desc.mcs_label), "--mcs-label=x"), "";
    "reboot" ["reboot"] unsupported!(desc: desc.reboot == 1, "--reboot"), "";
    "network" ["network"] unsupported!(desc: says(&desc.network), "--network=x"), "";
    "mail-type" ["mail_type"]
        unsupported!(desc: counts(desc.mail_type), "--mail-type=END"), "";
    "core-spec" "thread-spec" ["core_spec"]
        unsupported!(desc: counts(desc.core_spec), "--core-spec=1"), "";
    "switches" ["req_switch" "wait4switch"] unsupported!(desc: switches(desc), "--switches=1"), "";
    "context" ["req_context"] unsupported!(desc: says(&desc.req_context), ""),
        "clients without SELinux refuse it themselves";
    "segment" ["segment_size"] unsupported!(desc: counts(desc.segment_size), ""), "";
    "spread-segments" "consolidate-segments" ["bitflags"]
        unsupported!(desc: desc.bitflags & SEGMENTS != 0, ""), "";
    "resv-ports" ["resv_port_cnt"] unsupported!(desc: counts(desc.resv_port_cnt), ""), "";
    "spread-job" ["bitflags"]
        unsupported!(desc: desc.bitflags & SPREAD_JOB != 0, "--spread-job"), "";
    "external" ["bitflags"] unsupported!(desc: desc.bitflags & EXTERNAL_JOB != 0, ""), "";
    "stepmgr" ["bitflags"] unsupported!(desc: desc.bitflags & STEPMGR_ENABLED != 0, ""),
        "the controllers manage all steps";
    "power" ["power_flags"] unsupported!(desc: desc.power_flags != 0, ""), "";
    "oom-kill-step" ["oom_kill_step"]
        unsupported!(desc: desc.oom_kill_step != 0 && desc.oom_kill_step != NO_VAL16, ""), "";
    "mem-update" ["mem_update_delay" "mem_update_margin"]
        unsupported!(desc: desc.mem_update_delay != 0 || desc.mem_update_margin != 0, ""), "";
    "x11" ["x11" "x11_magic_cookie" "x11_target" "x11_target_port"]
        unsupported!(desc: desc.x11 != 0, ""), "";
    "exclusive" ["shared"] Honoured,
        "whole nodes; `=user`; `=mcs` and `=topo` are refused: Requested operation not supported on \
         this system",
        "constraints::an_exclusive_job_has_its_node_to_itself",
        "constraints::jobs_of_one_user_may_keep_the_others_off";
    "oversubscribe" ["shared"] Honoured, "asks for nothing: CPUs are not shared between jobs",
        "constraints::an_exclusive_job_has_its_node_to_itself";
    "account" ["account"] Recorded, "partitions go by it (`AllowAccounts`, `DenyAccounts`)",
        "administration::a_partition_is_opened_to_some_and_closed_to_others", "shapes::remarks_are_shown";
    "acctg-freq" ["acctg_freq"] Recorded, "as with `JobAcctGatherType=none`";
    "array" ["array_inx"] Honoured, "with `1-7:2,20` and `%N`",
        "arrays::each_task_runs_with_its_own_number_environment_and_output",
        "arrays::no_more_tasks_run_at_once_than_the_percent_sign_allows",
        "arrays::arrays_that_the_site_does_not_take_are_refused_in_slurms_words";
    "begin" ["begin_time"] Honoured, "", "control::a_job_waits_for_its_begin_time",
        "times::a_begin_time_can_be_changed_while_a_job_waits";
    "chdir" ["work_dir"] Honoured, "",
        "submission::script_arguments_folder_and_stdin_reach_the_job";
    "cluster-constraint" ["cluster_features"] Recorded, "there is no federation";
    "comment" ["comment"] Recorded, "", "shapes::remarks_are_shown";
    "constraint" ["features"] Honoured,
        "with `&`, `,`, `\\|`, `( )`, `*N`, `[a*1&b*2]`, `[a\\|b]`; refused: Invalid feature \
         specification, Requested node configuration is not available",
        "constraints::a_constraint_chooses_the_nodes",
        "constraints::a_constraint_that_means_nothing_is_refused";
    "contiguous" ["contiguous"] Honoured, "neighbours in the order of the configuration",
        "shapes::sizes_choose_the_nodes_that_can_give_them";
    "cores-per-socket" "sockets-per-node" "threads-per-core" "extra-node-info"
        ["cores_per_socket" "sockets_per_node" "threads_per_core"] Honoured,
        "the nodes have at least so many", "shapes::sizes_choose_the_nodes_that_can_give_them";
    "cpu-freq" ["cpu_freq_min" "cpu_freq_max" "cpu_freq_gov"] Recorded,
        "as on nodes whose frequency cannot be set";
    "cpus-per-task" ["cpus_per_task" "min_cpus" "max_cpus"] Honoured, "",
        "shapes::a_job_gets_the_cpus_and_tasks_it_asks_for";
    "deadline" ["deadline"] Honoured,
        "refused: Requested time limit is invalid (missing or exceeds some limit)",
        "times::a_job_that_cannot_end_before_its_deadline_is_refused_or_given_up";
    "delay-boot" ["delay_boot"] Recorded, "nodes are not booted for a job";
    "dependency" ["dependency"] Honoured,
        "`after:ID[+MIN]`, `afterany`, `afterok`, `afternotok`, `aftercorr`, `singleton`, `,` and \
         `?`; `afterburstbuffer` as `afterany`; `expand` is refused: Requested operation not \
         supported on this system",
        "dependencies::a_chain_runs_in_order_and_breaks_where_a_link_fails",
        "dependencies::arrays_depend_as_a_whole_and_task_by_task",
        "dependencies::singletons_run_one_after_the_other",
        "model: after_waits_for_the_start_and_so_many_minutes",
        "model: every_form_is_read_and_shown_as_slurm_shows_it",
        "model: nonsense_is_refused";
    "distribution" ["task_dist" "plane_size"] Recorded,
        "steps are laid out by their own";
    "error" "input" "output" "open-mode" ["std_err" "std_in" "std_out" "open_mode"] Honoured,
        "with `%A`, `%a`, `%j`, `%J`, `%N`, `%u`, `%x`, `%%` and widths",
        "submission::output_patterns_name_the_files",
        "submission::open_mode_decides_whether_output_is_kept";
    "exclude" "nodelist" "nodefile" ["exc_nodes" "req_nodes"] Honoured,
        "refused: Invalid node name specified",
        "constraints::named_nodes_are_taken_and_excluded_ones_are_not";
    "export" "export-file" "propagate" "get-user-env" ["environment"] Honoured, "",
        "environment::the_environment_of_a_batch_job_is_that_of_slurm",
        "submission::the_submitters_limits_and_umask_reach_the_job";
    "extra" ["extra"] Recorded, "", "shapes::remarks_are_shown";
    "gid" "uid" ["group_id" "user_id"] Honoured,
        "for root and SlurmUser; refused by clients or with Invalid user id",
        "shapes::root_submits_for_others",
        "ownership::an_ordinary_user_cannot_submit_for_another_or_raise_a_priority";
    "gpu-bind" "tres-bind" "gpu-freq" "gres-flags" ["tres_bind" "tres_freq" "bitflags"] Recorded,
        "all tasks of a step on a node see all its devices there";
    "gpus" ["tres_per_job"] Honoured,
        "of as few nodes as have them; refused: Requested node configuration is not available",
        "gres::totals_and_counts_for_tasks_choose_nodes";
    "gres" "gpus-per-node" ["tres_per_node"] Honoured,
        "refused: Invalid generic resource (gres) specification, Requested node configuration is \
         not available",
        "gres::jobs_have_devices_of_their_own", "gres::what_cannot_be_had_is_refused",
        "gres::devices_stay_with_their_job_through_failover";
    "gpus-per-task" "tres-per-task" ["tres_per_task"] Honoured,
        "`--tres-per-task=cpu:N` is `--cpus-per-task`",
        "gres::totals_and_counts_for_tasks_choose_nodes";
    "cpus-per-gpu" "mem-per-gpu" ["cpus_per_tres" "mem_per_tres"] Honoured, "",
        "gres::totals_and_counts_for_tasks_choose_nodes";
    "hold" ["priority"] Honoured, "", "control::a_pending_job_is_cancelled_and_never_runs";
    "immediate" ["immediate"] Honoured, "refused: Unable to allocate resources",
        "times::an_immediate_allocation_is_given_at_once_or_never";
    "job-name" ["name"] Honoured, "",
        "releases::clients_of_every_release_submit_and_see_a_job_through";
    "kill-on-invalid-dep" ["bitflags"] Honoured, "",
        "dependencies::a_job_whose_dependency_cannot_be_met_is_cancelled_on_demand";
    "licenses" "resources" ["licenses"] Honoured,
        "with `,`, `;`, `:N`, and `\\|` from clients of all releases; refused: Invalid license \
         specification",
        "licenses::jobs_wait_for_their_licenses_and_give_them_back",
        "licenses::licenses_that_cannot_be_had_are_refused",
        "licenses::one_of_several_licenses_is_enough",
        "licenses::licenses_are_kept_through_failover_and_a_smaller_configuration";
    "mail-user" ["mail_user"] Recorded, "no mail is sent without `--mail-type`";
    "mem" "mem-per-cpu" ["pn_min_memory"] Honoured, "", "shapes::sizes_that_no_node_has_are_refused",
        "releases::clients_of_every_release_submit_and_see_a_job_through";
    "mem-bind" "cpu-bind" ["mem_bind" "mem_bind_type" "cpu_bind" "cpu_bind_type"] Recorded,
        "as with `TaskPlugin=task/none`";
    "mincpus" ["pn_min_cpus"] Honoured, "", "shapes::a_job_gets_the_cpus_and_tasks_it_asks_for";
    "nice" ["nice"] Honoured, "below zero for operators; refused: Invalid --nice value", "shapes::users_may_only_be_nice";
    "no-kill" ["kill_on_node_fail"] Honoured, "", "model: a_job_may_go_on_without_a_failed_node";
    "nodes" "use-min-nodes" ["min_nodes" "max_nodes" "bitflags"] Honoured,
        "of a range as many as can be had at once", "control::a_held_job_waits_until_it_is_released",
        "shapes::a_job_gets_the_cpus_and_tasks_it_asks_for";
    "ntasks" "ntasks-per-node" "tasks-per-node" "ntasks-per-core" "ntasks-per-socket"
        ["num_tasks" "ntasks_per_node" "ntasks_per_core" "ntasks_per_socket" "bitflags"] Honoured,
        "", "shapes::a_job_gets_the_cpus_and_tasks_it_asks_for";
    "overcommit" ["overcommit"] Honoured, "", "shapes::a_job_gets_the_cpus_and_tasks_it_asks_for";
    "partition" ["partition"] Honoured, "one or several",
        "constraints::the_first_partition_with_room_takes_the_job",
        "releases::clients_of_every_release_are_refused_with_the_same_words";
    "prefer" ["prefer"] Honoured, "",
        "constraints::preferred_features_are_taken_where_there_is_room";
    "priority" ["priority"] Honoured,
        "for operators; others are refused: Access/permission denied",
        "ownership::an_ordinary_user_cannot_submit_for_another_or_raise_a_priority";
    "profile" ["profile"] Recorded, "as with `AcctGatherProfileType=none`";
    "qos" ["qos"] Recorded, "";
    "requeue" "no-requeue" ["requeue"] Honoured, "",
        "nodes::a_job_of_a_node_set_down_is_requeued_and_runs_elsewhere",
        "administration::a_job_that_may_not_be_requeued_ends_with_its_node";
    "reservation" ["reservation"] Honoured,
        "one name; refused: Requested reservation is invalid, Access denied to requested reservation",
        "reservations::reserved_nodes_are_for_those_whom_they_are_reserved_for",
        "model: its_own_jobs_run_within_it";
    "signal" ["warn_flags" "warn_signal" "warn_time"] Honoured, "",
        "shapes::a_signal_announces_the_end";
    "time" ["time_limit"] Honoured, "", "control::a_job_over_its_time_limit_is_ended";
    "time-min" ["time_min"] Honoured, "the most time that delays nobody",
        "backfill::a_job_that_needs_less_time_takes_what_the_gap_has";
    "tmp" ["pn_min_tmp_disk"] Honoured, "", "shapes::sizes_that_no_node_has_are_refused";
    "wait-all-nodes" ["wait_all_nodes"] Recorded, "nodes that are not ready get no job";
    "wckey" ["wckey"] Recorded, "", "shapes::remarks_are_shown";
    "test-only" [] Honoured,
        "the time when those that run or wait before it are over, each at its time limit; refused \
         as the submission would be",
        "times::test_only_says_when_and_where_a_job_would_start";
    "wait" [] Client, "sbatch ends with the job's exit code; srun: of steps",
        "shapes::sbatch_waits_for_the_end";
    "autocomplete" "bell" "no-bell" "help" "hint" "ignore-pbs" "kill-command" "no-shell" "parsable"
        "quiet" "usage" "verbose" "version" "wrap" [] Client, "";
    "accel-bind" "async" "bcast" "bcast-exclude" "compress" "cpu_bind" "debugger-test"
        "disable-status" "epilog" "exact" "external-launcher" "het-group" "ignore-signals"
        "interactive" "jobid" "kill-on-bad-exit" "label" "mpi" "msg-timeout" "multi-prog"
        "no-allocate" "overlap" "pack-group" "preserve-env" "prolog" "pty" "quit-on-interrupt"
        "relative" "send-libs" "slurmd-debug" "task-epilog" "task-prolog" "threads" "treewidth"
        "unbuffered" "wait-for-children" "whole" [] Step, "";
};
