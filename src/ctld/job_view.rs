//! Jobs as squeue and `scontrol show job` show them.

use flurm_base::Span;
use flurm_model::{Hold, Job, JobBase, Limit, NodeName, Sharing};
use flurm_wire::records::{JobInfo, MultiCore};
use flurm_wire::{NO_VAL, NO_VAL16, Release, StepId, Text, UnixTime};

use crate::Expected;
use crate::submit::NICE_OFFSET;
use crate::tables::{Tables, given, limit, memory, seconds, tres, unix};

/// Slurm shows an unlimited job's end one year after its start.
const UNLIMITED_RUN: Span = Span::secs(365 * 24 * 3600);
/// "Any" on the wire where Slurm prints `*`.
const ANY: u16 = u16::MAX;

impl Tables<'_> {
    /// One job.
    pub fn job(&self, job: &Job) -> JobInfo {
        let mut info = self.identity(job);
        self.put_times(job, &mut info);
        self.put_places(job, &mut info);
        self.put_size(job, &mut info);
        put_files(job, &mut info);
        crate::array_view::put_array(job, &mut info);
        crate::gres::put_held(self.cluster, job, &mut info);
        info
    }

    fn identity(&self, job: &Job) -> JobInfo {
        let spec = &job.spec;
        let requests = &spec.requests;
        let desc = (!job.reason_text.is_empty()).then(|| job.reason_text.clone());
        JobInfo {
            step_id: StepId::job(job.id.0).with_sluid(job.attempt.0),
            job_id: job.id.0,
            account: spec.account.as_deref().map(Text::from),
            admin_comment: spec.admin_comment.as_deref().map(Text::from),
            alloc_node: spec.submit_host.as_deref().map(Text::from),
            alloc_sid: spec.alloc_sid,
            batch_flag: u16::from(job.is_batch()),
            bitflags: requests.bitflags,
            comment: spec.comment.as_deref().map(Text::from),
            cluster: Some(self.cluster.settings().cluster_name.clone().into()),
            derived_ec: job.derived_exit_status,
            exit_code: job.exit_status,
            cpus_per_tres: requests.cpus_per_tres.as_deref().map(Text::from),
            mem_per_tres: requests.mem_per_tres.as_deref().map(Text::from),
            tres_per_job: requests.tres_per_job.as_deref().map(Text::from),
            tres_per_node: requests.tres_per_node.as_deref().map(Text::from),
            tres_per_task: requests.tres_per_task.as_deref().map(Text::from),
            extra: requests.extra.as_deref().map(Text::from),
            failed_node: job.failed_node.as_ref().map(|node| node.to_string()).map(Text::from),
            features: spec.features.as_deref().map(Text::from),
            group_id: spec.gid,
            job_state: job.state_number(),
            mail_type: spec.mail.types,
            resv_name: requests.reservation.as_deref().map(Text::from),
            licenses: requests.licenses.as_deref().map(Text::from),
            licenses_allocated: licenses_of(job).as_deref().map(Text::from),
            mail_user: spec.mail.user.as_deref().map(Text::from),
            name: Some(spec.name.clone().into()),
            priority: self.priority(job),
            profile: requests.profile.unwrap_or(0),
            qos: spec.qos.as_deref().map(Text::from),
            req_switch: 0,
            restart_cnt: job.restarts,
            site_factor: NICE_OFFSET,
            start_protocol_ver: spec.client_release,
            state_desc: desc.map(Text::from),
            state_reason: job.reason.number(),
            tres_bind: requests.tres_bind.as_deref().map(Text::from),
            tres_freq: requests.tres_freq.as_deref().map(Text::from),
            user_id: spec.uid,
            user_name: spec.user_name.as_deref().map(Text::from),
            wckey: requests.wckey.as_deref().map(Text::from),
            nice: NICE_OFFSET.wrapping_add_signed(spec.nice),
            command: spec
                .batch
                .as_ref()
                .and_then(|batch| command(&batch.argv, self.release))
                .map(Text::from),
            submit_line: spec.submit_line.as_deref().map(Text::from),
            work_dir: Some(spec.work_dir.clone().into()),
            requeue: u16::from(spec.requeue.unwrap_or(self.cluster.settings().requeue_default)),
            cpu_freq_min: given(requests.cpu_freq[0]),
            cpu_freq_max: given(requests.cpu_freq[1]),
            cpu_freq_gov: given(requests.cpu_freq[2]),
            dependency: job.depends.as_ref().map(|depends| depends.to_string()).map(Text::from),
            delay_boot: requests.delay_boot_s.unwrap_or(0),
            ..JobInfo::default()
        }
    }

    fn priority(&self, job: &Job) -> u32 {
        match (job.hold, job.base) {
            // Slurm keeps the one that was suspended by hand from going on by itself.
            (Hold::None, JobBase::Suspended) => 0,
            (Hold::None, _) => self.weigher().priority(job),
            (Hold::User | Hold::Admin, _) => 0,
        }
    }

    fn put_times(&self, job: &Job, info: &mut JobInfo) {
        let spec = &job.spec;
        info.submit_time = unix(Some(job.submit));
        info.eligible_time = unix(job.eligible);
        info.accrue_time = unix(job.accrue);
        info.start_time = unix(job.start.or_else(|| self.expected_start(job)));
        info.suspend_time = unix(job.suspend);
        info.pre_sus_time = UnixTime(seconds(job.ran_before()));
        info.preempt_time = unix(job.preempt);
        info.last_sched_eval = unix(job.last_sched);
        info.deadline = unix(spec.deadline);
        info.time_limit = limit(job.time_limit);
        info.time_min = spec.time_min.unwrap_or(0);
        let end = match (job.end, job.start, job.time_limit) {
            (Some(end), _, _) => Some(end),
            (None, Some(start), Limit::Unlimited) => Some(start + UNLIMITED_RUN),
            (None, Some(start), Limit::Max(minutes)) => {
                let counted = job.suspend.map_or(start, |last| last - job.ran_before());
                Some(counted + Span::secs(u64::from(minutes) * 60))
            }
            (None, None, _) => None,
        };
        info.end_time = unix(end);
        info.preemptable_time = UnixTime(0);
    }

    /// A waiting job's start as far as it is planned, or else the begin time that it waits for: both
    /// as Slurm shows them.
    fn expected_start(&self, job: &Job) -> Option<flurm_base::Time> {
        let begin = job.spec.begin.filter(|begin| *begin > self.now);
        let expected = self.expected(job).map(|expected| expected.start);
        (job.base == JobBase::Pending).then_some(expected.or(begin)).flatten()
    }

    /// What the planner expects of a job that waits.
    fn expected(&self, job: &Job) -> Option<&Expected> {
        let waits = job.base == JobBase::Pending && job.hold == Hold::None;
        self.outlook.filter(|_| waits)?.jobs.get(&job.id)
    }

    /// When the planner last planned ahead.
    pub(crate) fn last_backfill(&self) -> UnixTime {
        unix(self.outlook.and_then(|outlook| outlook.made))
    }

    fn put_places(&self, job: &Job, info: &mut JobInfo) {
        let spec = &job.spec;
        info.partition = Some(match job.base {
            JobBase::Pending => {
                let names: Vec<&str> = job.partitions.iter().map(|name| name.as_str()).collect();
                names.join(",").into()
            }
            _ => job.partition.to_string().into(),
        });
        if let Some(allocation) = &job.allocation {
            info.batch_host = Some(allocation.batch_host().to_string().into());
            let nodes: Vec<&NodeName> = allocation
                .shares
                .iter()
                .filter(|share| !info_is_completing(job) || share.is_open())
                .map(|share| &share.node)
                .collect();
            info.nodes = Some(self.host_list(nodes.iter().copied()).into());
            info.node_inx = self.bits(nodes.iter().map(|name| name.as_str()));
        }
        if let Some(expected) = self.expected(job) {
            info.sched_nodes = Some(self.host_list(&expected.nodes).into());
        }
        if !spec.nodes_required.is_empty() {
            info.req_nodes = Some(self.host_list(&spec.nodes_required).into());
            info.req_node_inx = self.bits(spec.nodes_required.iter().map(|name| name.as_str()));
        }
        if !spec.nodes_excluded.is_empty() {
            info.exc_nodes = Some(self.host_list(&spec.nodes_excluded).into());
            info.exc_node_inx = self.bits(spec.nodes_excluded.iter().map(|name| name.as_str()));
        }
    }

    /// How many nodes a job without any is going to take: those planned for it, or else as many of the
    /// partition's largest as its tasks fill (source: `_pack_default_job_details`).
    fn nodes_needed(&self, job: &Job) -> u32 {
        let size = &job.spec.size;
        if let Some(expected) = self.expected(job) {
            return u32::try_from(expected.nodes.len()).unwrap_or(u32::MAX);
        }
        let Some(partition) = job.partitions.first() else { return size.nodes_min };
        if job.base != JobBase::Pending {
            return size.nodes_min;
        }
        let cpus = self.largest_node(partition);
        let fit = (cpus / size.cpus_per_task_or_default()).max(1);
        let per_node = size.tasks_per_node.map_or(fit, |given| fit.min(u32::from(given).max(1)));
        let by_tasks = size.tasks_or_default().div_ceil(per_node);
        size.nodes_min.max(by_tasks).max(size.cpus_min.div_ceil(cpus))
    }

    fn put_size(&self, job: &Job, info: &mut JobInfo) {
        let size = &job.spec.size;
        let allocation = job.allocation.as_ref();
        info.num_cpus = allocation.map_or(size.cpus_min, |held| held.cpus());
        info.max_cpus = size.cpus_max.unwrap_or(0);
        let held = allocation.map(|held| u32::try_from(held.shares.len()).unwrap_or(u32::MAX));
        info.num_nodes = held.unwrap_or_else(|| self.nodes_needed(job));
        info.max_nodes = if held.is_some() { 0 } else { size.nodes_max.unwrap_or(0) };
        info.num_tasks = size.tasks_or_default();
        info.cpus_per_task = size.cpus_per_task.unwrap_or(1);
        info.ntasks_per_node = size.tasks_per_node.unwrap_or(0);
        info.ntasks_per_tres = size.tasks_per_tres.unwrap_or(NO_VAL16);
        let per_task = size.cpus_per_task.unwrap_or(1);
        let floor = size.tasks_per_node.unwrap_or(1).saturating_mul(per_task);
        info.pn_min_cpus = size.cpus_per_node_min.unwrap_or(0).max(floor);
        info.pn_min_memory = memory(size.memory);
        info.pn_min_tmp_disk = size.tmp_disk_mb;
        info.core_spec = size.core_spec.unwrap_or(NO_VAL16);
        info.contiguous = u16::from(job.spec.contiguous);
        info.shared = match job.spec.sharing {
            None => NO_VAL16,
            Some(Sharing::Exclusive) => 0,
            Some(Sharing::Oversubscribe) => 1,
            Some(Sharing::User) => 2,
            Some(Sharing::Mcs) => 3,
            Some(Sharing::Topology) => 4,
        };
        (info.exclusive, info.oversubscribe) = split_sharing(job.spec.sharing);
        info.mc = Some(MultiCore {
            boards_per_node: size.boards_per_node.unwrap_or(0),
            sockets_per_board: size.sockets_per_board.unwrap_or(0),
            sockets_per_node: size.sockets_per_node.unwrap_or(NO_VAL16),
            cores_per_socket: size.cores_per_socket.unwrap_or(NO_VAL16),
            threads_per_core: size.threads_per_core.unwrap_or(NO_VAL16),
            ntasks_per_board: size.tasks_per_board.unwrap_or(0),
            ntasks_per_socket: size.tasks_per_socket.unwrap_or(ANY),
            ntasks_per_core: size.tasks_per_core.unwrap_or(ANY),
            plane_size: job.spec.requests.plane_size.unwrap_or(0),
        });
        self.put_tres(job, info);
    }

    fn put_tres(&self, job: &Job, info: &mut JobInfo) {
        let size = &job.spec.size;
        let asked = size.memory.map_or(0, |memory| memory.on_node(size.cpus_min, 0));
        let per_node = matches!(size.memory, Some(flurm_model::Memory::PerNode(_)));
        let asked = if per_node { asked * u64::from(size.nodes_min) } else { asked };
        info.tres_req_str = Some(tres(size.cpus_min, asked, Some(size.nodes_min)).into());
        if let Some(allocation) = &job.allocation {
            let mb = allocation.shares.iter().map(|share| share.memory_mb).sum();
            let nodes = u32::try_from(allocation.shares.len()).unwrap_or(u32::MAX);
            info.tres_alloc_str = Some(tres(allocation.cpus(), mb, Some(nodes)).into());
            info.billable_tres = f64::from(allocation.cpus());
        } else {
            info.billable_tres = f64::from(NO_VAL);
        }
    }
}

/// The licences that a job has, while it has them.
fn licenses_of(job: &Job) -> Option<String> {
    let open = job.allocation.as_ref().is_some_and(flurm_model::Allocation::is_open);
    let held = job.licenses.iter().filter(|_| open);
    let texts: Vec<String> = held.map(|(name, count)| format!("{name}:{count}")).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

fn info_is_completing(job: &Job) -> bool {
    job.flags.has(flurm_model::JobFlags::COMPLETING)
}

/// 26.05 tells exclusive use and oversubscription apart (slurm.h, `JOB_EXCLUSIVE_*`,
/// `JOB_OVERSUBSCRIBE_*`).
fn split_sharing(sharing: Option<Sharing>) -> (u16, u16) {
    match sharing {
        None => (0, 2),
        Some(Sharing::Exclusive) => (1, 0),
        Some(Sharing::Oversubscribe) => (0, 1),
        Some(Sharing::User) => (2, 2),
        Some(Sharing::Mcs) => (3, 2),
        Some(Sharing::Topology) => (4, 2),
    }
}

/// The output files, as Slurm shows them: absolute, with the patterns that the controller can
/// expand, and `slurm-<id>.out` where none was named.
fn put_files(job: &Job, info: &mut JobInfo) {
    let spec = &job.spec;
    if !job.is_batch() {
        return;
    }
    let streams = &spec.streams;
    let absolute = |path: &str| {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", spec.work_dir) }
    };
    let numbers = crate::array_view::numbers(job);
    let default = if numbers.is_some() { "slurm-%A_%a.out" } else { "slurm-%j.out" };
    let out = streams.std_out.as_deref().unwrap_or(default);
    let input = streams.std_in.as_deref().unwrap_or("/dev/null");
    // From 24.11 on clients expand the patterns themselves; what is shown is the same.
    let expand = |path: &str| {
        if !path.contains('%') {
            return absolute(path);
        }
        let id = job.id.0.to_string();
        let user = spec.user_name.clone().unwrap_or_else(|| spec.uid.to_string());
        let (array, task) = numbers.unwrap_or((job.id.0, NO_VAL));
        let (array, task) = (array.to_string(), task.to_string());
        let named = [("%j", &id), ("%A", &array), ("%a", &task)];
        let short = named.into_iter().chain([("%x", &spec.name), ("%u", &user)]);
        short.fold(absolute(path), |path, (pattern, text)| path.replace(pattern, text))
    };
    let shown = expand(out);
    info.std_err = Some(streams.std_err.as_deref().map_or_else(|| shown.clone(), expand).into());
    info.std_out = Some(shown.into());
    info.std_in = Some(expand(input).into());
}

/// What a job runs: clients of 22.05 are told all arguments, later ones the script's name.
fn command(argv: &[String], reader: Release) -> Option<String> {
    if argv.is_empty() || Release::V23_02 <= reader {
        return argv.first().cloned();
    }
    Some(argv.join(" "))
}
