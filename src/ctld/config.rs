//! The configuration files' view of a cluster becomes the replicated state's.

use flurm_base::Span;
use flurm_conf::{Conf, Limit as ConfLimit, Memory as ConfMemory, NodeState, Sharing};
use flurm_model::{
    Config, EnforcePartLimits, InitialState, Limit, Memory, Multifactor, NodeConf, NodeName,
    OverSubscribe, PartitionConf, PartitionName, PartitionState, ReturnToService, Select,
    SelectUnit, Settings, priority_flags,
};

// `SelectTypeParameters` as bits (slurm.h, `select_type_plugin_info` and `CR_*`).
const CR_CPU: u16 = 0x0001;
const CR_SOCKET: u16 = 0x0002;
const CR_CORE: u16 = 0x0004;
const CR_MEMORY: u16 = 0x0010;

/// What the leader puts into the log when it has read the files. `slurm_uid` is SlurmUser's.
pub fn cluster_config(conf: &Conf, slurm_uid: u32) -> Config {
    Config {
        settings: settings(conf, slurm_uid),
        nodes: conf.nodes.iter().map(node).collect(),
        partitions: conf.partitions.iter().map(partition).collect(),
    }
}

fn settings(conf: &Conf, slurm_uid: u32) -> Settings {
    let jobs = &conf.jobs;
    Settings {
        cluster_name: conf.cluster_name.clone(),
        slurm_uid,
        job_id_first: jobs.first_id,
        job_id_max: jobs.last_id,
        job_count_max: jobs.count_max,
        job_age_min: conf.times.min_job_age,
        array_size_max: Some(jobs.array_size_max),
        kill_invalid_dependency: conf.dependency_parameters.has("kill_invalid_depend")
            || conf.scheduler_parameters.has("kill_invalid_depend"),
        licenses: conf.licenses.clone(),
        gres_types: conf.gres_types.clone(),
        user_top: conf.scheduler_parameters.has("enable_user_top"),
        jobs_planned_max: jobs_planned_max(conf),
        priority: multifactor(conf),
        accounting: flurm_model::Accounting {
            enforce: u16::try_from(conf.number("AccountingStorageEnforce").unwrap_or(0))
                .unwrap_or(0),
            ..flurm_model::Accounting::default()
        },
        array_tasks_max: conf
            .scheduler_parameters
            .number("max_array_tasks")
            .map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
        enforce_part_limits: match jobs.enforce_part_limits {
            flurm_conf::EnforcePartLimits::No => EnforcePartLimits::No,
            flurm_conf::EnforcePartLimits::All => EnforcePartLimits::All,
            flurm_conf::EnforcePartLimits::Any => EnforcePartLimits::Any,
        },
        memory_default: jobs.default_memory.map(memory),
        memory_max: jobs.max_memory.map(memory),
        requeue_default: jobs.requeue,
        over_time_limit: limit(jobs.over_time_limit_min),
        return_to_service: match conf.return_to_service {
            flurm_conf::ReturnToService::Never => ReturnToService::ByHand,
            flurm_conf::ReturnToService::AfterSilence => ReturnToService::AfterSilence,
            flurm_conf::ReturnToService::Always => ReturnToService::Always,
        },
        select: select(conf),
        config_overrides: conf.slurmd_parameters.has("config_overrides"),
        batch_requeue_max: u16::try_from(jobs.requeues_max).unwrap_or(u16::MAX),
    }
}

/// For how many waiting jobs `sched/backfill` plans a start ahead: `bf_max_job_test`, which is 500
/// unless told (slurm.conf(5)). `sched/builtin` plans none.
fn jobs_planned_max(conf: &Conf) -> u32 {
    const TESTED: u32 = 500;
    if conf.scheduler_type.ends_with("builtin") {
        return 0;
    }
    let told = conf.scheduler_parameters.number("bf_max_job_test");
    told.map_or(TESTED, |most| u32::try_from(most).unwrap_or(u32::MAX)).max(1)
}

/// How jobs are weighed. Without `PriorityType` they are as soon as something has a weight: the default
/// is `priority/multifactor` since 23.11 and `priority/basic` before, and without weights both serve
/// jobs in their order.
fn multifactor(conf: &Conf) -> Option<Multifactor> {
    let number = |key: &str| conf.number(key).unwrap_or(0);
    let small = |key: &str| u32::try_from(number(key)).unwrap_or(u32::MAX);
    let seconds = |key: &str| Span::secs(number(key));
    // PRIORITY_FLAGS_FAIR_TREE is a default that NO_FAIR_TREE takes away (slurm.conf(5)).
    let words = conf.text("PriorityFlags").to_ascii_uppercase();
    let levels = words.split(',').any(|word| word == "NO_FAIR_TREE" || word == "DEPTH_OBLIVIOUS");
    let tree = if levels { 0 } else { priority_flags::FAIR_TREE };
    let rules = Multifactor {
        age: small("PriorityWeightAge"),
        assoc: small("PriorityWeightAssoc"),
        fairshare: small("PriorityWeightFairshare"),
        size: small("PriorityWeightJobSize"),
        partition: small("PriorityWeightPartition"),
        qos: small("PriorityWeightQOS"),
        tres: weights(conf.text("PriorityWeightTRES")),
        age_max: seconds("PriorityMaxAge"),
        half_life: seconds("PriorityDecayHalfLife"),
        period: seconds("PriorityCalcPeriod").max(Span::secs(1)),
        favors_small: number("PriorityFavorSmall") == 1,
        dampening: u16::try_from(number("FairShareDampeningFactor")).unwrap_or(u16::MAX).max(1),
        flags: u16::try_from(number("PriorityFlags")).unwrap_or(0) | tree,
    };
    let parts = [rules.age, rules.assoc, rules.fairshare, rules.size, rules.partition, rules.qos];
    let has_weight = parts.iter().any(|weight| *weight > 0) || !rules.tres.is_empty();
    let wanted = match conf.is_set("PriorityType") {
        true => conf.priority_type.ends_with("multifactor"),
        false => has_weight,
    };
    wanted.then_some(rules)
}

/// `CPU=1000,Mem=0.25,GRES/gpu=3000`: names in lower case and weights in thousandths. What is not
/// such a pair has no weight.
fn weights(text: &str) -> Vec<(String, u64)> {
    let pair = |part: &str| {
        let (name, weight) = part.split_once('=')?;
        let weight: f64 = weight.trim().parse().ok()?;
        Some((name.trim().to_ascii_lowercase(), (weight * 1_000.0).round() as u64))
    };
    text.split(',').filter_map(pair).collect()
}

fn select(conf: &Conf) -> Select {
    let bits = conf.select_type_parameters;
    let unit = if conf.select_type.ends_with("linear") {
        SelectUnit::Node
    } else if bits & CR_SOCKET != 0 {
        SelectUnit::Socket
    } else if bits & CR_CORE != 0 {
        SelectUnit::Core
    } else if bits & CR_CPU != 0 {
        SelectUnit::Cpu
    } else {
        SelectUnit::Core
    };
    Select { unit, memory: bits & CR_MEMORY != 0 || bits == 0 }
}

fn node(conf: &flurm_conf::NodeConf) -> NodeConf {
    NodeConf {
        name: NodeName::from(conf.name.as_str()),
        hostname: conf.hostname.clone(),
        address: conf.addr.clone(),
        port: conf.port,
        cpus: u32::from(conf.cpus),
        boards: conf.boards,
        sockets: conf.sockets,
        cores_per_socket: conf.cores_per_socket,
        threads_per_core: conf.threads_per_core,
        real_memory_mb: conf.real_memory_mib,
        spec_memory_mb: conf.mem_spec_limit_mib,
        spec_cores: conf.core_spec_count,
        tmp_disk_mb: conf.tmp_disk_mib,
        weight: conf.weight,
        features: conf.features.clone(),
        gres: conf.gres.clone(),
        initial: match conf.state {
            NodeState::Unknown | NodeState::Idle | NodeState::External => InitialState::Unknown,
            NodeState::Down => InitialState::Down,
            NodeState::Drain => InitialState::Drain,
            NodeState::Fail => InitialState::Fail,
            NodeState::Future => InitialState::Future,
            NodeState::Cloud => InitialState::Cloud,
        },
        reason: conf.reason.clone(),
    }
}

fn partition(conf: &flurm_conf::PartitionConf) -> PartitionConf {
    let alloc_nodes = conf.alloc_nodes.as_deref().map(flurm_base::Hostlist::parse);
    let alloc_nodes = alloc_nodes.and_then(Result::ok);
    PartitionConf {
        name: PartitionName::from(conf.name.as_str()),
        nodes: conf.nodes.iter().map(NodeName::from).collect(),
        nodes_text: conf.nodes_spec.clone(),
        state: match conf.state {
            flurm_conf::PartitionState::Up => PartitionState::Up,
            flurm_conf::PartitionState::Down => PartitionState::Down,
            flurm_conf::PartitionState::Drain => PartitionState::Drain,
            flurm_conf::PartitionState::Inactive => PartitionState::Inactive,
        },
        is_default: conf.default,
        hidden: conf.hidden,
        root_only: conf.root_only,
        no_root: conf.disable_root_jobs,
        least_loaded: conf.least_loaded_nodes,
        exclusive_user: conf.exclusive_user,
        reservation_required: conf.req_resv,
        time_max: limit(conf.max_time_min),
        time_default: conf.default_time_min.map(limit),
        over_time_limit: conf.over_time_limit_min.map(limit),
        nodes_min: conf.min_nodes,
        nodes_max: limit(conf.max_nodes),
        cpus_per_node_max: limit(conf.max_cpus_per_node),
        memory_default: conf.default_memory.map(memory),
        memory_max: conf.max_memory.map(memory),
        priority_tier: conf.priority_tier,
        priority_job_factor: conf.priority_job_factor,
        over_subscribe: match conf.sharing {
            Sharing::Exclusive => OverSubscribe::Exclusive,
            Sharing::No => OverSubscribe::No,
            Sharing::Yes(count) => OverSubscribe::Yes(count),
            Sharing::Force(count) => OverSubscribe::Force(count),
        },
        grace_time_s: conf.grace_time_s,
        preempt_mode: conf.preempt_mode,
        allow_accounts: conf.allow_accounts.clone(),
        deny_accounts: conf.deny_accounts.clone(),
        allow_groups: conf.allow_groups.clone(),
        allow_qos: conf.allow_qos.clone(),
        deny_qos: conf.deny_qos.clone(),
        alloc_nodes: alloc_nodes
            .map(|hosts| hosts.iter().map(NodeName::from).collect())
            .unwrap_or_default(),
        alternate: conf.alternate.as_deref().map(PartitionName::from),
        qos: conf.qos.clone(),
        billing_weights: conf.tres_billing_weights.clone(),
        job_defaults: None,
    }
}

fn limit(limit: ConfLimit) -> Limit {
    limit.at().map_or(Limit::Unlimited, Limit::Max)
}

fn memory(memory: ConfMemory) -> Memory {
    match memory {
        ConfMemory::PerNode(mb) => Memory::PerNode(mb),
        ConfMemory::PerCpu(mb) => Memory::PerCpu(mb),
    }
}
