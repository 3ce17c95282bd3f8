//! `PartitionName=` and `NodeSet=` lines to partitions.

use std::collections::{BTreeMap, BTreeSet};

use flurm_base::Hostlist;

use crate::diagnostic::{Place, Report};
use crate::fields::Fields;
use crate::source::{Record, Written};
use crate::{Limit, Memory, NodeConf, PartitionConf, PartitionState, Sharing, value};

/// The partitions of all lines, in order.
pub(crate) fn partitions(
    records: &[Record],
    nodes: &[NodeConf],
    root_jobs_disabled: bool,
    report: &mut Report,
) -> Vec<PartitionConf> {
    let names: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let mut builder = Builder {
        nodes,
        names,
        sets: BTreeMap::new(),
        expanded: BTreeMap::new(),
        root_jobs_disabled,
        report,
    };
    for record in records.iter().filter(|record| record.key == "NodeSet") {
        builder.node_set(record);
    }
    let mut defaults: BTreeMap<&'static str, Written> = BTreeMap::new();
    let mut partitions: Vec<PartitionConf> = Vec::new();
    for record in records.iter().filter(|record| record.key == "PartitionName") {
        if record.name.eq_ignore_ascii_case("DEFAULT") {
            defaults.extend(record.fields.clone());
            continue;
        }
        if partitions.iter().any(|partition| partition.name == record.name) {
            let text = format!("partition {} is described twice", record.name);
            builder.report.error(&record.place, Some("PartitionName"), text);
            continue;
        }
        let partition = builder.partition(record, &Fields::new(record, &defaults));
        let earlier = partitions.iter_mut().find(|earlier| partition.default && earlier.default);
        if let Some(earlier) = earlier {
            let text = format!("takes the place of partition {}", earlier.name);
            builder.report.warning(&record.place, "Default", text);
            earlier.default = false;
        }
        partitions.push(partition);
    }
    partitions
}

struct Builder<'a> {
    nodes: &'a [NodeConf],
    names: BTreeSet<&'a str>,
    sets: BTreeMap<String, Hostlist>,
    /// Expressions that were expanded without an error: many partitions share theirs.
    expanded: BTreeMap<String, Hostlist>,
    root_jobs_disabled: bool,
    report: &'a mut Report,
}

impl Builder<'_> {
    fn node_set(&mut self, record: &Record) {
        let none = BTreeMap::new();
        let fields = Fields::new(record, &none);
        if self.names.contains(record.name.as_str()) {
            let text = format!("a node is named {} too", record.name);
            return self.report.error(&record.place, Some("NodeSet"), text);
        }
        let written = fields.text("Nodes").unwrap_or_default();
        let mut list = self.expand("Nodes", written, fields.place("Nodes"));
        if let Some(wanted) = fields.text("Feature") {
            let having = self.nodes.iter().filter(|n| n.features.iter().any(|f| f == wanted));
            let mut names: BTreeSet<String> = list.iter().collect();
            names.extend(having.map(|node| node.name.clone()));
            list = host_list(&names);
        }
        self.expanded.clear();
        if self.sets.insert(record.name.clone(), list).is_some() {
            let text = format!("node set {} is described twice", record.name);
            self.report.error(&record.place, Some("NodeSet"), text);
        }
    }

    /// The nodes of an expression with `ALL` and names of node sets, each once.
    fn expand(&mut self, key: &str, text: &str, place: &Place) -> Hostlist {
        if let Some(list) = self.expanded.get(text) {
            return list.clone();
        }
        let written = match Hostlist::parse(text) {
            Ok(written) => written,
            Err(error) => {
                self.report.error(place, Some(key), error.to_string());
                return Hostlist::new();
            }
        };
        let mut chosen: BTreeSet<String> = BTreeSet::new();
        let mut complete = true;
        for name in written.iter() {
            if name.eq_ignore_ascii_case("ALL") {
                chosen.extend(self.names.iter().map(|name| (*name).to_owned()));
            } else if let Some(set) = self.sets.get(&name) {
                chosen.extend(set.iter());
            } else if self.names.contains(name.as_str()) {
                chosen.insert(name);
            } else {
                self.report.error(place, Some(key), format!("there is no node {name}"));
                complete = false;
            }
        }
        let list = host_list(&chosen);
        if complete {
            self.expanded.insert(text.to_owned(), list.clone());
        }
        list
    }

    fn partition(&mut self, record: &Record, fields: &Fields<'_>) -> PartitionConf {
        let flag = |key: &str| fields.number(key) == Some(1);
        let own_flag = |key: &str| fields.own(key).and_then(|w| w.value.number) == Some(1);
        let nodes_spec = fields.text("Nodes").unwrap_or_default().replace(char::is_whitespace, ",");
        let root_jobs = fields.own("DisableRootJobs").and_then(|written| written.value.number);
        let priority = fields.number("Priority").and_then(|number| u16::try_from(number).ok());
        let limit = |key: &str| Limit::from_wire(fields.small(key, u32::MAX));
        let mut partition = PartitionConf {
            name: record.name.clone(),
            nodes: self.expand("Nodes", &nodes_spec, fields.place("Nodes")),
            nodes_spec,
            state: self.state(fields),
            default: flag("Default"),
            hidden: flag("Hidden"),
            root_only: flag("RootOnly"),
            req_resv: flag("ReqResv"),
            least_loaded_nodes: flag("LLN"),
            disable_root_jobs: root_jobs.map_or(self.root_jobs_disabled, |number| number == 1),
            exclusive_user: own_flag("ExclusiveUser"),
            exclusive_topo: own_flag("ExclusiveTopo"),
            power_down_on_idle: own_flag("PowerDownOnIdle"),
            sharing: Sharing::No,
            max_time_min: fields.number("MaxTime").map_or(Limit::Unlimited, value::minutes),
            default_time_min: fields.number("DefaultTime").map(value::minutes),
            over_time_limit_min: fields.number("OverTimeLimit").map(limit16),
            min_nodes: fields.small("MinNodes", 0),
            max_nodes: limit("MaxNodes"),
            max_cpus_per_node: limit("MaxCPUsPerNode"),
            max_cpus_per_socket: limit("MaxCPUsPerSocket"),
            default_memory: self.memory(fields, "DefMemPerNode", "DefMemPerCPU"),
            max_memory: self.memory(fields, "MaxMemPerNode", "MaxMemPerCPU"),
            default_cpus_per_gpu: fields.number("DefCPUPerGPU"),
            default_memory_per_gpu_mib: fields.number("DefMemPerGPU"),
            priority_tier: priority.unwrap_or_else(|| fields.small("PriorityTier", 1)),
            priority_job_factor: priority.unwrap_or_else(|| fields.small("PriorityJobFactor", 1)),
            preempt_mode: self.preempt_mode(fields),
            grace_time_s: fields.small("GraceTime", 0),
            allow_groups: all_is_empty(fields.list("AllowGroups")),
            allow_accounts: all_is_empty(lower(fields.list("AllowAccounts"))),
            allow_qos: all_is_empty(lower(fields.list("AllowQos"))),
            deny_accounts: lower(fields.list("DenyAccounts")),
            deny_qos: lower(fields.list("DenyQos")),
            alloc_nodes: fields.some_text("AllocNodes").filter(|t| !t.eq_ignore_ascii_case("ALL")),
            alternate: fields.some_text("Alternate"),
            qos: fields.some_text("QOS"),
            tres_billing_weights: fields.some_text("TRESBillingWeights"),
            cpu_bind: fields.some_text("CpuBind"),
            select_type_parameters: fields
                .own("SelectTypeParameters")
                .and_then(|written| u16::try_from(written.value.number?).ok())
                .unwrap_or(0),
            suspend_time_s: self.suspend_time(fields),
            suspend_timeout_s: fields.number("SuspendTimeout").and_then(|n| u16::try_from(n).ok()),
            resume_timeout_s: fields.number("ResumeTimeout").and_then(|n| u16::try_from(n).ok()),
            topology: fields.some_text("Topology"),
        };
        self.settle_sharing(fields, &mut partition);
        self.settle_rest(fields, &mut partition);
        partition
    }

    fn state(&mut self, fields: &Fields<'_>) -> PartitionState {
        let text = fields.text("State").unwrap_or("UP");
        PartitionState::parse(text).unwrap_or_else(|| {
            let wrong = format!("`{text}` is not one of UP, DOWN, DRAIN, INACTIVE");
            self.report.error(fields.place("State"), Some("State"), wrong);
            PartitionState::Up
        })
    }

    fn memory(&mut self, fields: &Fields<'_>, node: &str, cpu: &str) -> Option<Memory> {
        match (fields.number(node), fields.number(cpu)) {
            (Some(mib), per_cpu) => {
                if per_cpu.is_some() {
                    let text = format!("is ignored because {node} is set too");
                    self.report.warning(fields.place(cpu), cpu, text);
                }
                Some(Memory::PerNode(mib)).filter(|_| mib > 0)
            }
            (None, Some(mib)) => Some(Memory::PerCpu(mib)).filter(|_| mib > 0),
            (None, None) => None,
        }
    }

    fn preempt_mode(&mut self, fields: &Fields<'_>) -> Option<u16> {
        const GANG: u16 = 0x8000;
        let mode = fields.number("PreemptMode").and_then(|bits| u16::try_from(bits).ok())?;
        if mode & GANG != 0 {
            let text = "GANG is a matter of the whole cluster and ignored here";
            self.report.warning(fields.place("PreemptMode"), "PreemptMode", text);
        }
        Some(mode & !GANG)
    }

    fn suspend_time(&mut self, fields: &Fields<'_>) -> Option<Limit> {
        let text = fields.own("SuspendTime")?.value.text.clone();
        let time = suspend_time(&text);
        if time.is_none() {
            let wrong = format!("`{text}` is not a number of seconds, INFINITE or NONE");
            self.report.error(fields.place("SuspendTime"), Some("SuspendTime"), wrong);
        }
        time
    }

    /// `OverSubscribe` and the kinds of exclusive use, which touch each other.
    fn settle_sharing(&mut self, fields: &Fields<'_>, partition: &mut PartitionConf) {
        if partition.exclusive_user && partition.exclusive_topo {
            let text = "is ignored because ExclusiveTopo is set too";
            self.report.warning(fields.place("ExclusiveUser"), "ExclusiveUser", text);
            partition.exclusive_user = false;
        }
        if partition.exclusive_topo {
            partition.sharing = Sharing::Exclusive;
        }
        let key = if fields.get("OverSubscribe").is_some() { "OverSubscribe" } else { "Shared" };
        if let Some(text) = fields.text(key) {
            match Sharing::parse(text) {
                Some(sharing) => partition.sharing = sharing,
                None => {
                    let wrong = format!("`{text}` is not NO, EXCLUSIVE, YES[:n] or FORCE[:n]");
                    self.report.error(fields.place(key), Some(key), wrong);
                }
            }
        }
        let Some(text) = fields.text("Exclusive") else { return };
        partition.exclusive_user = text.eq_ignore_ascii_case("USER");
        partition.exclusive_topo = text.eq_ignore_ascii_case("TOPO");
        match text.to_ascii_uppercase().as_str() {
            "NO" | "NONE" if partition.sharing == Sharing::Exclusive => {
                partition.sharing = Sharing::No;
            }
            "NODE" | "TOPO" => partition.sharing = Sharing::Exclusive,
            "NO" | "NONE" | "USER" => {}
            _ => {
                let wrong = format!("`{text}` is not one of NO, NODE, USER, TOPO");
                self.report.error(fields.place("Exclusive"), Some("Exclusive"), wrong);
            }
        }
    }

    fn settle_rest(&mut self, fields: &Fields<'_>, partition: &mut PartitionConf) {
        if partition.default_time_min.is_some_and(|time| time > partition.max_time_min) {
            let text = format!("is above MaxTime {} and ignored", partition.max_time_min);
            self.report.warning(fields.place("DefaultTime"), "DefaultTime", text);
            partition.default_time_min = None;
        }
        let pairs = [
            (&partition.allow_accounts, &mut partition.deny_accounts, "DenyAccounts"),
            (&partition.allow_qos, &mut partition.deny_qos, "DenyQos"),
        ];
        for (allowed, denied, key) in pairs {
            if !allowed.is_empty() && !denied.is_empty() {
                let text = "is ignored because the allowed ones are listed";
                self.report.warning(fields.place(key), key, text);
                denied.clear();
            }
        }
    }
}

/// Names of nodes as a sorted list.
fn host_list(names: &BTreeSet<String>) -> Hostlist {
    let mut list = Hostlist::new();
    for name in names {
        list.push_host(name).expect("there are no more nodes than a host list holds");
    }
    list.uniq();
    list
}

/// `SuspendTime`: seconds, or never.
pub(crate) fn suspend_time(text: &str) -> Option<Limit> {
    let never = ["NONE", "INFINITE", "UNLIMITED", "-1"];
    if never.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Some(Limit::Unlimited);
    }
    text.parse().ok().map(Limit::from_wire)
}

fn limit16(number: u64) -> Limit {
    let below = |number: &u32| *number < u32::from(u16::MAX);
    u32::try_from(number).ok().filter(below).map_or(Limit::Unlimited, Limit::At)
}

fn lower(names: Vec<String>) -> Vec<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

/// Nothing where the one name is `ALL`.
fn all_is_empty(names: Vec<String>) -> Vec<String> {
    let all = names.len() == 1 && names[0].eq_ignore_ascii_case("ALL");
    if all { Vec::new() } else { names }
}
