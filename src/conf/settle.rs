//! From what the files say to a [`Conf`]: defaults, rules between keys, types.

use std::collections::BTreeMap;

use flurm_base::Span;

use crate::conf::{
    Conf, ControllerHost, EnforcePartLimits, JobRules, Paths, PortRange, PropagateLimits,
    ReturnToService, Setting, Times,
};
use crate::diagnostic::{Diagnostic, Place, Report};
use crate::fields;
use crate::key::{Key, Kind};
use crate::source::{self, Loader, Source};
use crate::{Limit, Memory, Parameters, node_lines, partition_lines, table, value};

/// Reads slurm.conf at `root` and what it includes. An error leaves no configuration; warnings come
/// with it.
pub fn parse(load: Loader<'_>, root: &str) -> Result<Conf, Vec<Diagnostic>> {
    let mut report = Report::default();
    let source = source::read(table::GLOBAL, load, root, &mut report);
    let mut settler = Settler { settings: settings(&source), source: &source, root, report };
    settler.rename();
    settler.derive();
    settler.check();
    let conf = settler.conf();
    let warnings = settler.report.verdict()?;
    Ok(Conf { warnings, ..conf })
}

/// Every key that stands alone with its value or default.
fn settings(source: &Source) -> BTreeMap<String, Setting> {
    let alone = table::GLOBAL.iter().filter(|key| !matches!(key.kind, Kind::Line(_)));
    alone.map(|key| (key.name.to_owned(), setting(source, key))).collect()
}

fn setting(source: &Source, key: &Key) -> Setting {
    let Some(written) = source.settings.get(key.name) else {
        let default = value::read(key.kind, key.default).ok();
        let number = default.as_ref().and_then(|value| value.number);
        let text = default.map(|value| value.text).unwrap_or_default();
        return Setting { text, number, set: false };
    };
    let texts: Vec<&str> = written.iter().map(|written| written.value.text.as_str()).collect();
    let number = written.last().and_then(|written| written.value.number);
    Setting { text: texts.join(","), number, set: true }
}

struct Settler<'a> {
    settings: BTreeMap<String, Setting>,
    source: &'a Source,
    root: &'a str,
    report: Report,
}

impl Settler<'_> {
    /// Gives the value of an old name to the new one, unless that is set itself.
    fn rename(&mut self) {
        for key in table::GLOBAL {
            let Some(new) = key.renamed.filter(|_| self.is_set(key.name)) else { continue };
            if !self.is_set(new) {
                let mut setting = self.settings[key.name].clone();
                if key.name == "CryptoType" {
                    setting.text = setting.text.replacen("crypto", "cred", 1);
                }
                self.settings.insert(new.to_owned(), setting);
            }
        }
    }

    /// Defaults that depend on other keys, and values that Slurm rewrites.
    fn derive(&mut self) {
        /// Plugins of which `none` means that there is no plugin.
        const PLUGINS: &[&str] = &[
            "AccountingStorageType",
            "AcctGatherEnergyType",
            "AcctGatherFilesystemType",
            "AcctGatherInterconnectType",
            "AcctGatherProfileType",
            "CliFilterPlugins",
            "JobAcctGatherType",
            "JobCompType",
            "MCSPlugin",
            "MpiDefault",
            "NamespaceType",
            "PreemptType",
            "PrioritySiteFactorPlugin",
            "SwitchType",
            "TaskPlugin",
        ];
        for key in PLUGINS {
            if self.text(key).to_ascii_lowercase().contains("none") {
                self.put(key, "", None);
            }
        }
        let cluster = self.text("ClusterName").to_lowercase();
        self.put("ClusterName", &cluster, None);
        if !self.is_set("AccountingStoragePort")
            && self.text("AccountingStorageType").ends_with("slurmdbd")
        {
            self.put("AccountingStoragePort", "6819", Some(6819));
        }
        if !self.is_set("JobCompPort") && self.text("JobCompType").ends_with("mysql") {
            self.put("JobCompPort", "3306", Some(3306));
        }
        if !self.is_set("UnkillableStepTimeout") {
            let seconds = (self.number("MessageTimeout") * 5).clamp(60, u64::from(u16::MAX));
            self.put("UnkillableStepTimeout", &seconds.to_string(), Some(seconds));
        }
        for key in ["PrologTimeout", "EpilogTimeout"] {
            if !self.is_set(key) && self.is_set("PrologEpilogTimeout") {
                let setting = self.settings["PrologEpilogTimeout"].clone();
                self.settings.insert(key.to_owned(), Setting { set: false, ..setting });
            }
        }
        if !self.is_set("SelectTypeParameters") && self.text("SelectType") != "select/cons_tres" {
            self.put("SelectTypeParameters", "", Some(0));
        }
        if self.is_set("PropagateResourceLimitsExcept") {
            self.put("PropagateResourceLimits", "", None);
        }
        let task_plugins = fields::list(self.text("TaskPlugin")).join(",");
        self.put("TaskPlugin", &task_plugins, None);
    }

    /// Rules that Slurm refuses to start without, and those it corrects.
    fn check(&mut self) {
        if self.text("ClusterName").is_empty() {
            self.error("ClusterName", "must be set");
        }
        if self.licenses().is_none() {
            self.error("Licenses", "is not a list of names and counts");
        }
        self.at_least("MaxJobCount", 1);
        self.at_least("MaxStepCount", 1);
        self.at_least("FirstJobId", 1);
        self.correct("TreeWidth", 1, u64::MAX, 16);
        self.correct("MinJobAge", 2, u64::MAX, 2);
        self.correct("SchedulerTimeSlice", 5, u64::MAX, 30);
        self.correct("MaxJobId", 0, 0x3ff_ffff, 0x3ff_ffff);
        self.correct("EpilogMsgTime", 0, 1_000_000, 2_000);
        self.correct("HealthCheckTimeout", 1, u64::MAX, 60);
        if self.number("ReturnToService") > 2 {
            self.error("ReturnToService", "expected 0, 1 or 2");
        }
        if self.number("PropagatePrioProcess") > 2 {
            self.error("PropagatePrioProcess", "expected 0, 1 or 2");
        }
        let (first, last) = (self.number("FirstJobId"), self.number("MaxJobId"));
        if first > last {
            self.error("FirstJobId", &format!("is above MaxJobId {last}"));
        } else if self.number("MaxJobCount") > last - first + 1 {
            let count = last - first + 1;
            self.put("MaxJobCount", &count.to_string(), Some(count));
        }
        if self.number("MaxArraySize") > 4_000_001 {
            self.error("MaxArraySize", "must not be above 4000001");
        }
        if self.is_set("MaxDBDMsgs") && self.number("MaxDBDMsgs") < 10_000 {
            self.error("MaxDBDMsgs", "must be at least 10000");
        }
        if self.number("SlurmSchedLogLevel") > 0 && self.text("SlurmSchedLogFile").is_empty() {
            self.error("SlurmSchedLogLevel", "needs SlurmSchedLogFile");
        }
        if self.number("MessageTimeout") > 100 {
            self.warning("MessageTimeout", "above 100 delays the reaction to faults");
        }
        let port = self.number("SlurmdPort");
        if port == 0 || port > u64::from(u16::MAX) {
            self.error("SlurmdPort", "expected a port from 1 to 65535");
        }
        self.check_plugins();
        self.exclusive("DefMemPerNode", "DefMemPerCPU");
        self.exclusive("MaxMemPerNode", "MaxMemPerCPU");
    }

    fn check_plugins(&mut self) {
        /// The choice of one of these is made by several words at once.
        const CONSUMABLES: [&str; 7] = [
            "CR_CPU",
            "CR_CPU_Memory",
            "CR_Socket",
            "CR_Socket_Memory",
            "CR_Core",
            "CR_Core_Memory",
            "CR_Memory",
        ];
        let chosen = fields::list(self.text("SelectTypeParameters"));
        let count = chosen.iter().filter(|word| CONSUMABLES.contains(&word.as_str())).count();
        if count > 1 {
            self.error("SelectTypeParameters", "names more than one consumable resource");
        }
        if chosen.iter().any(|w| w.starts_with("CR_CPU"))
            && chosen.iter().any(|w| w == "CR_ONE_TASK_PER_CORE")
        {
            self.error("SelectTypeParameters", "CR_ONE_TASK_PER_CORE needs CR_Core");
        }
        const GANG: u64 = 0x8000;
        let mode = self.number("PreemptMode");
        if mode == 1 {
            self.error("PreemptMode", "SUSPEND needs GANG too");
        }
        let preempts = mode & !GANG & !0x6000 != 0;
        match (preempts, self.text("PreemptType").is_empty()) {
            (true, true) => self.error("PreemptMode", "needs a PreemptType"),
            (false, false) => self.error("PreemptType", "needs a PreemptMode other than OFF"),
            _ => {}
        }
        self.check_authentication();
    }

    /// Kinds of proof. Slurm takes their names with and without what stands before the slash.
    fn check_authentication(&mut self) {
        let kinds: [(&str, &[&str]); 4] = [
            ("AuthType", &["auth/munge", "auth/slurm", "auth/none"]),
            ("AuthAltTypes", &["auth/jwt", "auth/munge", "auth/slurm"]),
            ("CredType", &["cred/munge", "auth/slurm", "cred/none"]),
            ("HashPlugin", &["hash/k12", "hash/sha3"]),
        ];
        for (key, known) in kinds {
            for name in fields::list(self.text(key)) {
                let short = |name: &str| name.rsplit('/').next().map(str::to_owned);
                if !known.iter().any(|kind| short(kind) == short(&name)) {
                    self.error(key, &format!("`{name}` is not one of {}", known.join(", ")));
                }
            }
        }
    }

    fn conf(&mut self) -> Conf {
        let root_disabled = self.number("DisableRootJobs") == 1;
        let slurmd_port = u16::try_from(self.number("SlurmdPort")).unwrap_or(0);
        let records = &self.source.records;
        let nodes = node_lines::nodes(records, slurmd_port, &mut self.report);
        let partitions =
            partition_lines::partitions(records, &nodes, root_disabled, &mut self.report);
        let controllers = self.controllers();
        let times = self.times();
        let parameters = |key: &str| Parameters(self.text(key).to_owned());
        let text = |key: &str| self.text(key).to_owned();
        Conf {
            cluster_name: text("ClusterName"),
            controllers,
            slurmctld_ports: self.ports("SlurmctldPort"),
            slurmd_port,
            slurm_user: text("SlurmUser"),
            slurmd_user: text("SlurmdUser"),
            auth_type: text("AuthType"),
            auth_alt_types: fields::list(self.text("AuthAltTypes")),
            auth_alt_parameters: parameters("AuthAltParameters"),
            auth_info: parameters("AuthInfo"),
            cred_type: text("CredType"),
            paths: self.paths(),
            times,
            jobs: self.jobs(),
            return_to_service: match self.number("ReturnToService") {
                0 => ReturnToService::Never,
                1 => ReturnToService::AfterSilence,
                _ => ReturnToService::Always,
            },
            scheduler_type: text("SchedulerType"),
            scheduler_parameters: parameters("SchedulerParameters"),
            dependency_parameters: parameters("DependencyParameters"),
            licenses: self.licenses().unwrap_or_default(),
            gres_types: crate::fields::list(self.text("GresTypes")),
            select_type: text("SelectType"),
            select_type_parameters: self.small("SelectTypeParameters"),
            priority_type: text("PriorityType"),
            preempt_type: text("PreemptType"),
            preempt_mode: self.small("PreemptMode"),
            proctrack_type: text("ProctrackType"),
            task_plugins: fields::list(self.text("TaskPlugin")),
            prolog_flags: self.small("PrologFlags"),
            private_data: self.small("PrivateData"),
            propagate_limits: self.propagate_limits(),
            launch_parameters: parameters("LaunchParameters"),
            slurmctld_parameters: parameters("SlurmctldParameters"),
            slurmd_parameters: parameters("SlurmdParameters"),
            communication_parameters: parameters("CommunicationParameters"),
            tree_width: self.small("TreeWidth"),
            accounting_storage_type: text("AccountingStorageType"),
            job_comp_type: text("JobCompType"),
            nodes,
            partitions,
            settings: std::mem::take(&mut self.settings),
            files: self.source.files.clone(),
            hash: self.source.hash,
            warnings: Vec::new(),
        }
    }

    fn paths(&self) -> Paths {
        let text = |key: &str| self.text(key).to_owned();
        let each = |key: &str| {
            let values = self.source.settings.get(key).map(Vec::as_slice).unwrap_or_default();
            values.iter().map(|written| written.value.text.clone()).collect::<Vec<String>>()
        };
        Paths {
            state_save_location: text("StateSaveLocation"),
            slurmd_spool_pattern: text("SlurmdSpoolDir"),
            slurmctld_pid_file: text("SlurmctldPidFile"),
            slurmd_pid_file: text("SlurmdPidFile"),
            slurmctld_log_file: text("SlurmctldLogFile"),
            slurmd_log_file: text("SlurmdLogFile"),
            tmp_fs: text("TmpFS"),
            prolog: each("Prolog"),
            epilog: each("Epilog"),
            prolog_slurmctld: each("PrologSlurmctld"),
            epilog_slurmctld: each("EpilogSlurmctld"),
            task_prolog: text("TaskProlog"),
            task_epilog: text("TaskEpilog"),
            unkillable_step_program: text("UnkillableStepProgram"),
            health_check_program: text("HealthCheckProgram"),
            mail_prog: text("MailProg"),
        }
    }

    fn times(&mut self) -> Times {
        let suspend = partition_lines::suspend_time(self.text("SuspendTime"));
        if suspend.is_none() {
            self.error("SuspendTime", "expected a number of seconds, INFINITE or NONE");
        }
        let span = |key: &str| Span::secs(self.number(key));
        let some_span = |key: &str| Some(span(key)).filter(|span| span.0 > 0);
        let limited = |key: &str| {
            let seconds = self.settings[key].number;
            seconds.filter(|seconds| *seconds < u64::from(u16::MAX) - 1).map(Span::secs)
        };
        Times {
            kill_wait: span("KillWait"),
            min_job_age: span("MinJobAge"),
            slurmd_timeout: some_span("SlurmdTimeout"),
            slurmctld_timeout: span("SlurmctldTimeout"),
            message_timeout: span("MessageTimeout"),
            tcp_timeout: span("TCPTimeout"),
            inactive_limit: some_span("InactiveLimit"),
            batch_start_timeout: span("BatchStartTimeout"),
            unkillable_step_timeout: span("UnkillableStepTimeout"),
            complete_wait: span("CompleteWait"),
            prolog_timeout: limited("PrologTimeout"),
            epilog_timeout: limited("EpilogTimeout"),
            health_check_interval: some_span("HealthCheckInterval"),
            resume_timeout: span("ResumeTimeout"),
            suspend_timeout: span("SuspendTimeout"),
            suspend_time_s: suspend.unwrap_or(Limit::Unlimited),
        }
    }

    fn jobs(&self) -> JobRules {
        JobRules {
            count_max: self.small("MaxJobCount"),
            first_id: self.small("FirstJobId"),
            last_id: self.small("MaxJobId"),
            array_size_max: self.small("MaxArraySize"),
            steps_max: self.small("MaxStepCount"),
            tasks_per_node_max: self.small("MaxTasksPerNode"),
            requeues_max: self.small("MaxBatchRequeue"),
            default_memory: self.memory("DefMemPerNode", "DefMemPerCPU"),
            max_memory: self.memory("MaxMemPerNode", "MaxMemPerCPU"),
            enforce_part_limits: match self.number("EnforcePartLimits") {
                0 => EnforcePartLimits::No,
                1 => EnforcePartLimits::All,
                _ => EnforcePartLimits::Any,
            },
            requeue: self.number("JobRequeue") > 0,
            file_append: self.number("JobFileAppend") > 0,
            root_disabled: self.number("DisableRootJobs") == 1,
            kill_on_bad_exit: self.number("KillOnBadExit") > 0,
            over_time_limit_min: match self.number("OverTimeLimit") {
                65_535 => Limit::Unlimited,
                minutes => Limit::At(u32::try_from(minutes).unwrap_or(u32::from(u16::MAX))),
            },
            requeue_exit: self.text("RequeueExit").to_owned(),
            requeue_exit_hold: self.text("RequeueExitHold").to_owned(),
            track_wckey: self.number("TrackWCKey") == 1,
        }
    }

    fn memory(&self, node: &str, cpu: &str) -> Option<Memory> {
        let some = |key: &str| self.settings[key].number.filter(|mib| *mib > 0);
        if self.is_set(node) {
            some(node).map(Memory::PerNode)
        } else {
            some(cpu).map(Memory::PerCpu)
        }
    }

    fn propagate_limits(&self) -> PropagateLimits {
        const ALL: u64 = 0x7ff;
        let bits = if self.is_set("PropagateResourceLimitsExcept") {
            ALL & !self.number("PropagateResourceLimitsExcept")
        } else {
            self.number("PropagateResourceLimits")
        };
        PropagateLimits { bits: u32::try_from(bits).unwrap_or(0) }
    }

    fn ports(&self, key: &str) -> PortRange {
        let (first, last) = value::ports(self.text(key)).unwrap_or_default();
        PortRange { first, last }
    }

    /// The `SlurmctldHost` lines, or the keys that came before them.
    fn controllers(&mut self) -> Vec<ControllerHost> {
        let source = self.source;
        let lines: Vec<_> = source.records.iter().filter(|r| r.key == "SlurmctldHost").collect();
        let mut hosts: Vec<(ControllerHost, Place)> = Vec::new();
        for line in &lines {
            match controller(&line.name) {
                Some(host) => hosts.push((host, line.place.clone())),
                None => {
                    let text = format!("`{}` is not `name` or `name(address)`", line.name);
                    self.report.error(&line.place, Some("SlurmctldHost"), text);
                }
            }
        }
        for (name_key, addr_key) in
            [("ControlMachine", "ControlAddr"), ("BackupController", "BackupAddr")]
        {
            let name = self.text(name_key).to_owned();
            if !name.is_empty() && !lines.is_empty() {
                self.warning(name_key, "is ignored because SlurmctldHost is set too");
            } else if !name.is_empty() {
                let addr = Some(self.text(addr_key)).filter(|addr| !addr.is_empty());
                let addr = addr.unwrap_or(&name).to_owned();
                hosts.push((ControllerHost { name, addr }, self.place(name_key)));
            } else if lines.is_empty() && self.is_set(addr_key) {
                self.error(addr_key, &format!("needs {name_key}"));
            }
        }
        if hosts.is_empty() {
            let text = "must be set, once for each controller";
            self.report.error(&self.whole_file(), Some("SlurmctldHost"), text);
        }
        for (index, (host, place)) in hosts.iter().enumerate() {
            if hosts[..index].iter().any(|(earlier, _)| earlier.name == host.name) {
                let text = format!("{} is listed twice", host.name);
                self.report.error(place, Some("SlurmctldHost"), text);
            }
        }
        hosts.into_iter().map(|(host, _)| host).collect()
    }

    fn at_least(&mut self, key: &str, low: u64) {
        if self.number(key) < low {
            self.error(key, &format!("must be at least {low}"));
        }
    }

    /// Puts `instead` where the value is out of a range, with a warning, as Slurm does.
    fn correct(&mut self, key: &str, low: u64, high: u64, instead: u64) {
        if !(low..=high).contains(&self.number(key)) {
            self.warning(key, &format!("is out of range; {instead} is used"));
            self.put(key, &instead.to_string(), Some(instead));
        }
    }

    fn exclusive(&mut self, kept: &str, ignored: &str) {
        if self.is_set(kept) && self.is_set(ignored) {
            self.warning(ignored, &format!("is ignored because {kept} is set too"));
        }
    }

    fn text(&self, key: &str) -> &str {
        &self.settings[key].text
    }

    fn number(&self, key: &str) -> u64 {
        self.settings[key].number.unwrap_or(0)
    }

    /// The number of a key whose kind or rule keeps it small.
    fn small<T: TryFrom<u64> + Default>(&self, key: &str) -> T {
        T::try_from(self.number(key)).unwrap_or_default()
    }

    fn is_set(&self, key: &str) -> bool {
        self.settings[key].set
    }

    fn put(&mut self, key: &str, text: &str, number: Option<u64>) {
        let setting = self.settings.get_mut(key).expect("every key of the table has a setting");
        *setting = Setting { text: text.to_owned(), number, set: setting.set };
    }

    fn licenses(&self) -> Option<Vec<(String, u32)>> {
        let list = flurm_base::license::LicenseList::parse(self.text("Licenses"))?;
        (!list.any).then_some(list.items)
    }

    fn error(&mut self, key: &str, text: &str) {
        let place = self.place(key);
        self.report.error(&place, Some(key), text);
    }

    fn warning(&mut self, key: &str, text: &str) {
        let place = self.place(key);
        self.report.warning(&place, key, text);
    }

    /// Where a key is set, or the file when it is not.
    fn place(&self, key: &str) -> Place {
        let written = self.source.settings.get(key).and_then(|values| values.last());
        written.map_or_else(|| self.whole_file(), |written| written.place.clone())
    }

    fn whole_file(&self) -> Place {
        Place { file: self.root.to_owned(), ..Place::default() }
    }
}

/// Reads `name` or `name(address)`.
fn controller(text: &str) -> Option<ControllerHost> {
    let (name, addr) = match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
        None => (text, text),
    };
    let plain = |part: &str| !part.is_empty() && !part.contains(['(', ')']);
    let good = plain(name) && plain(addr);
    good.then(|| ControllerHost { name: name.to_owned(), addr: addr.to_owned() })
}
