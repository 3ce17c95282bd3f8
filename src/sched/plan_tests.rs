//! What the planner decides, in sentences.

use flurm_base::Span;
use flurm_model::{
    Errno, Hold, JobSpec, Limit, Memory, NodeName, OverSubscribe, PartitionName, PartitionState,
    Reason, SelectUnit, Sharing, Size,
};

use crate::kit::{NOW, add_job, add_partition, cluster, line};
use crate::{feasible, plan};

#[test]
fn jobs_start_in_order_while_there_is_room() {
    let mut s = cluster(&[4]);
    for tasks in [2, 1, 1, 1] {
        add_job(&mut s, tasks, |_, _| {});
    }
    assert_eq!(line(&s), "1=n1:2, 2=n1:1, 3=n1:1, 4=Resources");
}

#[test]
fn a_job_that_names_no_memory_takes_all_of_it() {
    let mut s = cluster(&[4]);
    for _ in 0..2 {
        add_job(&mut s, 1, |_, spec| spec.size.memory = None);
    }
    assert_eq!(line(&s), "1=n1:1, 2=Resources");
    s.select.memory = false;
    assert_eq!(line(&s), "1=n1:1, 2=n1:1");
}

#[test]
fn nothing_overtakes_a_blocked_job_of_the_same_partition() {
    let mut s = cluster(&[4]);
    s.nodes[0].cpus_used = 2;
    s.nodes[0].jobs = 1;
    add_job(&mut s, 4, |_, _| {});
    add_job(&mut s, 1, |_, _| {});
    assert_eq!(line(&s), "1=Resources, 2=Priority");
}

#[test]
fn a_blocked_job_keeps_its_nodes_from_other_partitions_too() {
    let mut s = cluster(&[4, 4, 4]);
    add_partition(&mut s, "side", [1, 2], |_| {});
    for node in &mut s.nodes[..2] {
        (node.cpus_used, node.jobs) = (2, 1);
    }
    let here = |name: &str| vec![PartitionName::from(name)];
    add_job(&mut s, 8, |_, spec| spec.nodes_excluded = vec![NodeName::from("n3")]);
    add_job(&mut s, 1, |job, spec| {
        job.partitions = here("side");
        spec.nodes_required = vec![NodeName::from("n2")];
    });
    assert_eq!(line(&s), "1=Resources, 2=Priority");
    s.pending[1].spec = std::sync::Arc::new(JobSpec::default());
    assert_eq!(line(&s), "1=Resources, 2=n3:1");
}

#[test]
fn a_job_that_waits_for_something_else_blocks_nobody() {
    let mut s = cluster(&[4]);
    s.partitions.clear();
    add_partition(&mut s, "main", [0], |conf| {
        conf.time_max = Limit::Max(60);
        conf.nodes_max = Limit::Max(1);
    });
    add_partition(&mut s, "down", [0], |conf| conf.state = PartitionState::Down);
    add_partition(&mut s, "idle", [0], |conf| conf.state = PartitionState::Inactive);
    add_job(&mut s, 1, |job, _| (job.hold, job.reason) = (Hold::User, Reason::HeldUser));
    add_job(&mut s, 1, |_, spec| spec.begin = Some(NOW + Span::secs(1)));
    add_job(&mut s, 1, |job, _| job.time_limit = Limit::Max(61));
    add_job(&mut s, 1, |_, spec| spec.size.nodes_min = 2);
    add_job(&mut s, 1, |job, _| job.partitions = vec![PartitionName::from("down")]);
    add_job(&mut s, 1, |job, _| job.partitions = vec![PartitionName::from("idle")]);
    add_job(&mut s, 1, |_, spec| spec.features = Some(String::from("gpu")));
    add_job(&mut s, 9, |_, _| {});
    add_job(&mut s, 1, |_, _| {});
    assert_eq!(
        line(&s),
        "1=JobHeldUser, 2=BeginTime, 3=PartitionTimeLimit, 4=PartitionNodeLimit, \
         5=PartitionDown, 6=PartitionInactive, 7=BadConstraints, 8=BadConstraints, 9=n1:1"
    );
}

#[test]
fn an_operators_time_limit_outranks_the_partition() {
    let mut s = cluster(&[4]);
    s.partitions.clear();
    add_partition(&mut s, "main", [0], |conf| conf.time_max = Limit::Max(60));
    add_job(&mut s, 1, |job, _| {
        (job.time_limit, job.time_limit_fixed) = (Limit::Unlimited, true);
    });
    add_job(&mut s, 1, |job, spec| {
        (job.time_limit, spec.time_min) = (Limit::Max(90), Some(30));
    });
    assert_eq!(line(&s), "1=n1:1, 2=n1:1");
}

#[test]
fn a_job_that_only_lacks_nodes_in_service_blocks_nobody() {
    let mut s = cluster(&[4, 8]);
    s.nodes[1].usable = false;
    add_job(&mut s, 6, |_, _| {});
    add_job(&mut s, 1, |_, spec| spec.nodes_required = vec![NodeName::from("n2")]);
    add_job(&mut s, 1, |_, _| {});
    assert_eq!(line(&s), "1=Resources, 2=ReqNodeNotAvail, 3=n1:1");
    let waiting = plan(&s).waiting;
    assert_eq!(waiting[0].text, "nodes it needs are DOWN, drained or not responding");
}

#[test]
fn higher_tiers_and_priorities_come_first() {
    let mut s = cluster(&[1]);
    add_partition(&mut s, "top", [0], |conf| conf.priority_tier = 2);
    add_job(&mut s, 1, |_, _| {});
    add_job(&mut s, 1, |job, _| job.priority = 2_000_000);
    add_job(&mut s, 1, |job, _| job.partitions = vec![PartitionName::from("top")]);
    assert_eq!(line(&s), "1=Priority, 2=Resources, 3=n1:1");
}

#[test]
fn a_job_of_several_partitions_takes_the_first_with_room() {
    let mut s = cluster(&[1, 4]);
    add_partition(&mut s, "side", [1], |_| {});
    (s.partitions[0].nodes, s.nodes[0].cpus_used, s.nodes[0].jobs) = (vec![0], 1, 1);
    let both = ["main", "side"].map(PartitionName::from).to_vec();
    add_job(&mut s, 1, |job, _| job.partitions = both);
    assert_eq!(line(&s), "1=n2:1");
    let start = &plan(&s).starts[0];
    assert_eq!(start.partition.as_str(), "side");
}

#[test]
fn a_node_count_range_takes_as_many_nodes_as_it_may_unless_few_are_preferred() {
    let few = crate::demand::USE_MIN_NODES;
    for (flags, wanted) in [(0, "1=n1:2 n2:2, 2=Resources"), (few, "1=n3:4, 2=n1:1 n2:1")] {
        let mut s = cluster(&[2, 2, 4]);
        add_job(&mut s, 4, |_, spec| {
            (spec.size.nodes_max, spec.requests.bitflags) = (Some(2), flags);
        });
        add_job(&mut s, 2, |_, spec| (spec.size.nodes_min, spec.size.nodes_max) = (2, Some(2)));
        assert_eq!(line(&s), wanted);
    }
}

#[test]
fn a_node_count_range_takes_what_there_is() {
    let mut s = cluster(&[2, 2, 4]);
    (s.nodes[1].cpus_used, s.nodes[1].jobs) = (2, 1);
    add_job(&mut s, 4, |_, spec| (spec.size.nodes_min, spec.size.nodes_max) = (1, Some(3)));
    assert_eq!(line(&s), "1=n1:2 n3:2");
}

#[test]
fn tasks_spread_when_no_node_has_room_for_all() {
    let mut s = cluster(&[2, 4, 2]);
    add_job(&mut s, 7, |_, _| {});
    assert_eq!(line(&s), "1=n1:2 n2:4 n3:1");
}

#[test]
fn tasks_per_node_and_cpus_per_task_shape_the_placement() {
    let mut s = cluster(&[8, 8, 8]);
    add_job(&mut s, 4, |_, spec| {
        spec.size = Size { tasks_per_node: Some(2), cpus_per_task: Some(3), ..spec.size.clone() };
        spec.size.cpus_min = 12;
    });
    assert_eq!(line(&s), "1=n1:6 n2:6");
    let tasks: Vec<u32> = plan(&s).starts[0].placements.iter().map(|part| part.tasks).collect();
    assert_eq!(tasks, [2, 2]);
}

#[test]
fn whole_cores_are_handed_out() {
    let mut s = cluster(&[8]);
    (s.nodes[0].threads_per_core, s.nodes[0].cores_per_socket) = (2, 4);
    add_job(&mut s, 3, |_, spec| spec.size.memory = Some(Memory::PerCpu(100)));
    assert_eq!(line(&s), "1=n1:4");
    assert_eq!(plan(&s).starts[0].placements[0].memory_mb, 400);
    s.select.unit = SelectUnit::Cpu;
    assert_eq!(line(&s), "1=n1:3");
    s.select.unit = SelectUnit::Socket;
    assert_eq!(line(&s), "1=n1:8");
    s.select.unit = SelectUnit::Node;
    assert_eq!(line(&s), "1=n1:8");
    assert!(plan(&s).starts[0].placements[0].whole_node);
}

#[test]
fn one_task_per_core_takes_whole_cores() {
    let mut s = cluster(&[8]);
    (s.nodes[0].threads_per_core, s.nodes[0].cores_per_socket) = (2, 4);
    s.select.unit = SelectUnit::Cpu;
    add_job(&mut s, 3, |_, spec| spec.size.tasks_per_core = Some(1));
    assert_eq!(line(&s), "1=n1:6");
}

#[test]
fn memory_is_consumed_and_limits_how_many_fit() {
    let mut s = cluster(&[4]);
    let with = |memory| {
        move |_: &mut crate::JobView, spec: &mut JobSpec| {
            spec.size.memory = Some(memory);
        }
    };
    add_job(&mut s, 1, with(Memory::PerNode(3_000)));
    add_job(&mut s, 1, with(Memory::PerCpu(1_000)));
    add_job(&mut s, 1, with(Memory::PerNode(1)));
    assert_eq!(line(&s), "1=n1:1, 2=n1:1, 3=Resources");
    s.select.memory = false;
    assert_eq!(line(&s), "1=n1:1, 2=n1:1, 3=n1:1");
}

#[test]
fn all_memory_of_a_node_needs_all_of_it_free() {
    let mut s = cluster(&[4, 4]);
    (s.nodes[0].memory_used_mb, s.nodes[0].cpus_used, s.nodes[0].jobs) = (1, 1, 1);
    add_job(&mut s, 1, |_, spec| spec.size.memory = Some(Memory::PerNode(0)));
    assert_eq!(line(&s), "1=n2:1");
    assert_eq!(plan(&s).starts[0].placements[0].memory_mb, 4_000);
}

#[test]
fn an_exclusive_job_is_alone_and_has_all_cpus() {
    let mut s = cluster(&[4, 4]);
    (s.nodes[0].cpus_used, s.nodes[0].jobs) = (1, 1);
    add_job(&mut s, 1, |_, spec| spec.sharing = Some(Sharing::Exclusive));
    add_job(&mut s, 1, |_, _| {});
    assert_eq!(line(&s), "1=n2:4, 2=n1:1");
    s.partitions.clear();
    let exclusive = |conf: &mut flurm_model::PartitionConf| {
        conf.over_subscribe = OverSubscribe::Exclusive;
    };
    add_partition(&mut s, "main", [0, 1], exclusive);
    assert_eq!(line(&s), "1=n2:4, 2=Resources");
}

#[test]
fn required_and_excluded_nodes_are_obeyed() {
    let mut s = cluster(&[4, 4, 4]);
    let n = |number: u32| NodeName::from(format!("n{number}"));
    add_job(&mut s, 2, |_, spec| {
        spec.nodes_required = vec![n(3)];
        (spec.size.nodes_min, spec.size.nodes_max) = (2, Some(2));
        spec.nodes_excluded = vec![n(1)];
    });
    assert_eq!(line(&s), "1=n2:1 n3:1");
}

#[test]
fn light_nodes_are_taken_first() {
    let mut s = cluster(&[4, 4, 4]);
    (s.nodes[0].weight, s.nodes[1].weight) = (10, 5);
    s.partitions[0].nodes = vec![2, 1, 0];
    add_job(&mut s, 4, |_, _| {});
    add_job(&mut s, 4, |_, _| {});
    add_job(&mut s, 4, |_, _| {});
    assert_eq!(line(&s), "1=n3:4, 2=n2:4, 3=n1:4");
}

#[test]
fn nodes_have_the_features_that_are_asked_for() {
    let mut s = cluster(&[4, 4]);
    s.nodes[1].features = vec![String::from("ib"), String::from("gpu")];
    add_job(&mut s, 1, |_, spec| spec.features = Some(String::from("gpu&ib")));
    add_job(&mut s, 1, |_, spec| spec.features = Some(String::from("gpu|none")));
    add_job(&mut s, 1, |_, spec| spec.features = Some(String::from("none")));
    assert_eq!(line(&s), "1=n2:1, 2=n2:1, 3=BadConstraints");
}

#[test]
fn nodes_are_alike_or_counted_where_that_is_asked_for() {
    let names = |features: &str| features.split(' ').map(String::from).collect::<Vec<_>>();
    let mut s = cluster(&[1, 1, 1, 1]);
    for (node, features) in s.nodes.iter_mut().zip(["a", "b x", "b", "a x"]) {
        node.features = names(features);
    }
    let asks = |constraint: &str, nodes: u32| {
        let mut s = s.clone();
        add_job(&mut s, nodes, |_, spec| {
            (spec.size.nodes_min, spec.size.nodes_max) = (nodes, Some(nodes));
            spec.features = Some(String::from(constraint));
        });
        line(&s)
    };
    assert_eq!(asks("[b|a]", 2), "1=n2:1 n3:1");
    assert_eq!(asks("[b|a]", 3), "1=BadConstraints");
    assert_eq!(asks("[x*1&b*1]", 2), "1=n2:1 n3:1");
    assert_eq!(asks("[b*1&x*2]", 3), "1=n2:1 n3:1 n4:1");
    assert_eq!(asks("x*1", 2), "1=n1:1 n2:1");
    assert_eq!(asks("x*3", 3), "1=BadConstraints");
}

#[test]
fn preferred_features_are_tried_first_and_may_be_missed() {
    let mut s = cluster(&[1, 1]);
    s.nodes[1].features = vec![String::from("fast")];
    for _ in 0..2 {
        add_job(&mut s, 1, |_, spec| spec.requests.prefer = Some(String::from("fast")));
    }
    assert_eq!(line(&s), "1=n2:1, 2=n1:1");
}

#[test]
fn contiguous_nodes_are_neighbours() {
    let mut s = cluster(&[2, 2, 2, 2]);
    (s.nodes[1].cpus_used, s.nodes[1].jobs) = (2, 1);
    add_job(&mut s, 2, |_, spec| {
        (spec.size.nodes_min, spec.size.nodes_max, spec.contiguous) = (2, Some(2), true);
    });
    assert_eq!(line(&s), "1=n3:1 n4:1");
}

#[test]
fn a_reason_is_sent_only_when_it_is_news() {
    let mut s = cluster(&[1]);
    add_job(&mut s, 1, |_, _| {});
    add_job(&mut s, 1, |job, _| job.reason = Reason::Resources);
    let starts = plan(&s);
    let command = starts.command(NOW).expect("there is a start");
    let flurm_model::Command::Schedule { starts, reasons, .. } = command else {
        panic!("a plan is a schedule")
    };
    assert_eq!((starts.len(), reasons.len()), (1, 0));
    s.pending.remove(0);
    (s.nodes[0].cpus_used, s.nodes[0].jobs) = (1, 1);
    assert_eq!(plan(&s).command(NOW), None);
}

#[test]
fn what_can_never_be_is_refused_with_the_closest_fit() {
    let s = cluster(&[2, 4]);
    let main = [PartitionName::from("main")];
    let wants = |tasks, nodes| {
        let size =
            Size { tasks: Some(tasks), cpus_min: tasks, nodes_max: nodes, ..Size::default() };
        JobSpec { size, ..JobSpec::default() }
    };
    assert_eq!(feasible(&s, &wants(6, None), &main), Ok(()));
    let refusal = feasible(&s, &wants(7, None), &main).expect_err("7 CPUs of 6");
    assert_eq!(refusal.errno, Errno::RequestedNodeConfigUnavailable);
    let text =
        "it needs 7 tasks on 1 or more nodes; in partition main 2 nodes fit, with room for 6";
    assert_eq!(refusal.text, text);
    assert!(feasible(&s, &wants(5, Some(1)), &main).is_err());
    let odd = JobSpec { features: Some(String::from("a|")), ..wants(1, None) };
    assert_eq!(feasible(&s, &odd, &main).map_err(|no| no.errno), Err(Errno::InvalidFeature));
}

#[test]
fn several_light_nodes_go_before_one_heavy_node() {
    let mut s = cluster(&[2, 2, 2, 4]);
    s.nodes[3].weight = 5;
    (s.nodes[2].cpus_used, s.nodes[2].jobs) = (2, 1);
    add_job(&mut s, 4, |_, _| {});
    add_job(&mut s, 4, |_, _| {});
    assert_eq!(line(&s), "1=n1:2 n2:2, 2=n4:4");
}

#[test]
fn a_pass_starts_a_bounded_number_of_jobs_and_the_next_goes_on() {
    let mut s = cluster(&[u32::try_from(crate::STARTS_MAX).expect("small") + 7]);
    for _ in 0..crate::STARTS_MAX + 8 {
        add_job(&mut s, 1, |_, _| {});
    }
    let first = plan(&s);
    assert_eq!((first.starts.len(), first.waiting.len()), (crate::STARTS_MAX, 0));
    s.pending.drain(..crate::STARTS_MAX);
    let used = u32::try_from(crate::STARTS_MAX).expect("small");
    (s.nodes[0].cpus_used, s.nodes[0].jobs) = (used, used);
    let second = plan(&s);
    assert_eq!((second.starts.len(), second.waiting.len()), (7, 1));
    assert_eq!(second.waiting[0].reason, Reason::Resources);
}

#[test]
fn the_tasks_of_an_array_start_as_far_as_there_is_room() {
    let mut s = cluster(&[4]);
    add_job(&mut s, 1, |job, _| (job.tasks, job.tasks_startable) = (6, 6));
    add_job(&mut s, 1, |_, _| {});
    let starts = plan(&s).starts;
    assert_eq!(starts.iter().map(|start| start.job.0).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert_eq!(line(&s), "1=Resources, 2=Priority");
}

#[test]
fn an_array_at_its_own_limit_blocks_nobody() {
    let mut s = cluster(&[4]);
    add_job(&mut s, 1, |job, _| (job.tasks, job.tasks_startable) = (6, 2));
    add_job(&mut s, 1, |job, _| (job.tasks, job.tasks_startable) = (6, 0));
    add_job(&mut s, 1, |_, _| {});
    assert_eq!(plan(&s).starts.len(), 3);
    assert_eq!(line(&s), "1=JobArrayTaskLimit, 2=JobArrayTaskLimit, 3=n1:1");
}

#[test]
fn a_job_without_its_licenses_waits_and_keeps_nobody_back() {
    let mut s = cluster(&[4]);
    s.licenses.put("a", 3);
    for licenses in ["a:2", "a:2", "a", "a"] {
        add_job(&mut s, 1, |_, spec| spec.requests.licenses = Some(licenses.into()));
    }
    add_job(&mut s, 1, |_, _| {});
    assert_eq!(line(&s), "1=n1:1, 2=Licenses, 3=n1:1, 4=Licenses, 5=n1:1");
}

#[test]
fn a_job_that_shares_with_its_user_only_keeps_others_off_and_is_kept_off() {
    let mut s = cluster(&[4, 4]);
    for (uid, sharing) in [(1, None), (1, Some(Sharing::User)), (2, None), (1, None)] {
        add_job(&mut s, 1, |_, spec| (spec.uid, spec.sharing) = (uid, sharing));
    }
    add_job(&mut s, 1, |_, spec| (spec.uid, spec.sharing) = (2, Some(Sharing::User)));
    add_job(&mut s, 3, |_, spec| spec.uid = 3);
    assert_eq!(line(&s), "1=n1:1, 2=n1:1, 3=n2:1, 4=n1:1, 5=n2:1, 6=Resources");
}

#[test]
fn a_partition_may_keep_users_apart() {
    let mut s = cluster(&[4, 4]);
    add_partition(&mut s, "apart", 0..2, |conf| conf.exclusive_user = true);
    for uid in [1, 2, 1, 3] {
        add_job(&mut s, 1, |job, spec| {
            (spec.uid, job.partitions) = (uid, vec![PartitionName::from("apart")]);
        });
    }
    assert_eq!(line(&s), "1=n1:1, 2=n2:1, 3=n1:1, 4=Resources");
}
