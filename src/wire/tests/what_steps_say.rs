//! What captured traffic of steps says in the three releases that were recorded, field by field: a
//! layout can reproduce bytes and still call them by the wrong names.
//!
//! The cluster: nodes n1 (2 sockets of 2 cores, two GPUs of type fast, eight shards) and n2 (4
//! sockets of one core), partition debug; d1 and d2 are dynamic nodes.

mod captured;

use std::ops::Deref;

use captured::read;
use flurm_wire::records::{Credential, CredentialBody, LaunchTasks, SbcastCredential, StepCreated};
use flurm_wire::token;
use flurm_wire::{Message, NO_VAL, Release, WireAddr};

const RECORDED: [Release; 3] = [Release::V22_05, Release::V24_11, Release::V26_05];

fn created(release: Release, name: &str) -> StepCreated {
    let (_, Message::ResponseJobStepCreate(created)) = read(release, name) else {
        panic!("{release}: {name} makes no step");
    };
    *created
}

fn launch(release: Release, name: &str) -> LaunchTasks {
    let (_, Message::RequestLaunchTasks(launch)) = read(release, name) else {
        panic!("{release}: {name} launches nothing");
    };
    *launch
}

fn body_of(release: Release, credential: &Credential) -> CredentialBody {
    credential.body(release).unwrap_or_else(|| panic!("{release}: no credential")).into_owned()
}

fn text(value: &Option<impl Deref<Target = str>>) -> &str {
    value.as_deref().unwrap_or("(null)")
}

/// `srun -n3 -N2 --mem=20 hostname`
#[test]
fn a_step_is_asked_for_in_the_words_of_the_command_line() {
    for release in RECORDED {
        let (_, Message::RequestJobStepCreate(asked)) = read(release, "5001_srun.hex") else {
            panic!("{release}: asks for no step");
        };
        assert_eq!([asked.num_tasks, asked.min_nodes, asked.max_nodes], [3, 2, 2], "{release}");
        assert_eq!((asked.cpu_count, asked.pn_min_memory), (3, 20), "{release}");
        let strings = [&asked.host, &asked.name, &asked.submit_line, &asked.tres_per_step];
        let expected = ["vm", "hostname", "srun -n3 -N2 --mem=20 hostname", "cpu:3"];
        assert_eq!(strings.map(text), expected, "{release}");
        assert_eq!((asked.step_id.job_id, asked.step_id.step_id), (1, NO_VAL), "{release}");
        assert!(asked.port > 1024, "{release}");
    }
}

#[test]
fn a_step_is_laid_out_over_its_nodes() {
    for release in RECORDED {
        let created = created(release, "5002_srun.hex");
        assert_eq!(created.step_id.step_id, 0, "{release}");
        let layout = created.step_layout.expect("a layout");
        assert_eq!((text(&layout.node_list), layout.node_cnt), ("n[1-2]", 2), "{release}");
        assert_eq!(layout.tids, [vec![0, 1], vec![2]], "{release}");
        assert_eq!((layout.task_cnt, layout.start_protocol_ver), (3, release.version()));
        let body = body_of(release, &created.cred.expect("a credential"));
        assert_eq!((body.job_nhosts, body.job_ntasks, body.tot_core_cnt), (2, 3, 8), "{release}");
        assert_eq!(body.step_mem_alloc.at(1), Some(20), "{release}");
        assert_eq!([0, 1].map(|node| body.cpu_array.at(node)), [Some(2), Some(1)], "{release}");
        assert_eq!(body.cores.sockets_per_node, [2, 4], "{release}");
        let strings = [&body.step_hostlist, &body.job_partition.name, &body.id.pw_name];
        assert_eq!(strings.map(text), ["n[1-2]", "debug", "root"], "{release}");
    }
}

#[test]
fn a_launch_carries_the_program_and_its_tasks() {
    for release in RECORDED {
        let launch = launch(release, "6001_srun.hex");
        assert_eq!(launch.argv, ["hostname"], "{release}");
        assert!(launch.env.iter().any(|entry| entry == "SLURM_NTASKS=3"), "{release}");
        assert_eq!((launch.ntasks, launch.nnodes), (3, 2), "{release}");
        let tasks: Vec<_> = launch.tasks.iter().map(|node| &node.global_task_ids[..]).collect();
        assert_eq!(tasks, [&[0, 1][..], &[2][..]], "{release}");
        assert_eq!(launch.tasks[0].tasks_to_launch, 2, "{release}");
        assert_eq!(text(&launch.complete_nodelist), "n[1-2]", "{release}");
        assert_eq!((launch.resp_port.len(), launch.io_port.len()), (1, 1), "{release}");
        assert_eq!([launch.het_job_nnodes, launch.het_job_ntasks], [NO_VAL; 2], "{release}");
        assert_eq!(text(&launch.options.tag), "job_options", "{release}");
        let (_, Message::ResponseLaunchTasks(answer)) = read(release, "6002_srun.hex") else {
            panic!("{release}: no answer to a launch");
        };
        assert_eq!(answer.count_of_pids as usize, answer.local_pids.len(), "{release}");
        assert_eq!((answer.return_code, answer.step_id.job_id), (0, 1), "{release}");
        let (_, Message::MessageTaskExit(exit)) = read(release, "6003_srun.hex") else {
            panic!("{release}: no end of tasks");
        };
        assert_eq!((exit.return_code, exit.num_tasks as usize), (0, exit.task_ids.len()));
    }
}

#[test]
fn generic_resources_are_granted_device_by_device() {
    for release in RECORDED {
        let body = body_of(release, &launch(release, "6001_gres.hex").cred.credential);
        let [job] = &body.job_gres_list[..] else { panic!("{release}: one generic resource") };
        let [step] = &body.step_gres_list[..] else { panic!("{release}: one generic resource") };
        assert_eq!((job.total_gres, text(&job.type_name)), (1, "fast"), "{release}: a GPU");
        assert_eq!((step.plugin_id, step.total_gres), (job.plugin_id, 1), "{release}");
        assert_eq!(step.nodes.gres_cnt_node_alloc, Some(vec![1]), "{release}");
        let bits = step.nodes.gres_bit_alloc.as_ref().and_then(|nodes| nodes[0].clone());
        assert_eq!(bits.expect("a device").iter().collect::<Vec<_>>(), [0], "{release}");
        let shared = body_of(release, &launch(release, "6001_gres_2.hex").cred.credential);
        let [shard] = &shared.step_gres_list[..] else { panic!("{release}: shards") };
        assert_eq!(shard.total_gres, 2, "{release}");
        if release >= Release::V23_11 {
            assert_eq!(shard.nodes.gres_per_bit_alloc, [Some(vec![2, 0])], "{release}");
        }
    }
}

#[test]
fn usage_is_counted_per_resource() {
    for release in RECORDED {
        let (_, Message::ResponseJobStepStat(stat)) = read(release, "5020_sstat.hex") else {
            panic!("{release}: no usage");
        };
        let used = stat.jobacct.as_ref().expect("usage is gathered");
        assert_eq!(used.tres_ids[..2], [1, 2], "{release}");
        assert_eq!(used.tres_usage_in_max.len(), used.tres_ids.len(), "{release}");
        assert!(used.tres_usage_in_tot[1] > 100_000, "{release}: bytes of memory");
        assert!(!stat.step_pids.pids.is_empty(), "{release}");
        let (header, Message::ResponseJobStepStat(stat)) = read(release, "5020_sstat_ret.hex")
        else {
            panic!("{release}: no usage");
        };
        let [other] = &header.returned[..] else { panic!("{release}: one more node answers") };
        let Message::ResponseJobStepStat(theirs) = &other.message else {
            panic!("{release}: {}", other.message.name());
        };
        assert_eq!(other.node_name, theirs.step_pids.node_name, "{release}");
        assert_ne!(theirs.step_pids.node_name, stat.step_pids.node_name, "{release}");
    }
}

#[test]
fn requests_are_passed_on_to_the_rest_of_the_tree() {
    for release in RECORDED {
        let (header, _) = read(release, "6001_srun_fwd.hex");
        let forward = header.forward.expect("another node follows");
        assert_eq!((forward.count, text(&forward.nodelist)), (1, "n2"), "{release}");
        assert_eq!(forward.tree_width, 1, "{release}");
    }
}

#[test]
fn messages_to_srun_say_what_happened() {
    for release in RECORDED {
        let (_, Message::SrunNodeFail(failed)) = read(release, "7003_nodefail.hex") else {
            panic!("{release}: no failure");
        };
        assert_eq!(text(&failed.nodelist), "n2", "{release}");
        let (_, Message::SrunUserMsg(said)) = read(release, "7005_notify.hex") else {
            panic!("{release}: no text");
        };
        assert_eq!((text(&said.msg), said.job.0.job_id), ("hello there", 7), "{release}");
        let (_, Message::RequestUpdateJobStep(update)) = read(release, "5007_update.hex") else {
            panic!("{release}: no change");
        };
        assert_eq!((update.step_id.step_id, update.time_limit), (0, 10), "{release}");
        let (_, Message::ResponseSlurmdStatus(status)) = read(release, "5025_update.hex") else {
            panic!("{release}: no status");
        };
        assert_eq!((text(&status.hostname), text(&status.step_list)), ("n1", "7.0"), "{release}");
        let (_, Message::ResponseReattachTasks(found)) = read(release, "6008_sattach.hex") else {
            panic!("{release}: nothing to attach to");
        };
        assert_eq!(found.executable_names, [Some("sh".to_owned())], "{release}");
    }
}

#[test]
fn a_file_travels_with_a_credential_of_its_own() {
    for release in RECORDED {
        let (_, Message::RequestFileBcast(block)) = read(release, "6014_salloc.hex") else {
            panic!("{release}: no block");
        };
        assert_eq!(block.block.0.len(), block.block_len as usize, "{release}");
        assert_eq!((block.block_no, text(&block.user_name)), (1, "root"), "{release}");
        let SbcastCredential::Signed(body, _) = &block.cred else {
            panic!("{release}: a token without auth/slurm");
        };
        assert_eq!((body.step().job_id, text(&body.nodes)), (5, "n[1-2]"), "{release}");
        assert!(body.ctime.0 < body.expiration.0, "{release}");
    }
}

#[test]
fn a_munge_signature_is_text_after_the_credential() {
    for release in [Release::V22_05, Release::V26_05] {
        let Credential::Signed(signed) = launch(release, "6001_srun_munge.hex").cred.credential
        else {
            panic!("{release}: a token without auth/slurm");
        };
        let signature = signed.signature.0.expect("signed");
        assert!(signature.starts_with("MUNGE:"), "{release}");
        assert_eq!(text(&signed.body.step_hostlist), "n[1-2]", "{release}");
    }
}

#[test]
fn a_token_holds_the_whole_credential() {
    let release = Release::V24_11;
    let credential = launch(release, "6001_srun_slurmauth.hex").cred.credential;
    let body = body_of(release, &credential);
    assert_eq!(text(&body.step_hostlist), "n[1-2]");
    let Credential::Token(token_text) = credential else { panic!("no token") };
    assert_eq!(token::payload(&token_text), Some(body.signed_bytes(release)));
    let claims = token::claims(&token_text).expect("claims");
    assert_eq!(claims["context"], "launch");
    let user = token::identity(&claims).expect("a user");
    assert_eq!((user.uid, text(&user.pw_name)), (0, "root"));
    let (_, Message::RequestFileBcast(block)) = read(release, "6014_salloc_slurmauth.hex") else {
        panic!("no block");
    };
    let SbcastCredential::Token(bcast) = &block.cred else { panic!("no token") };
    let body = token::sbcast_body(bcast).expect("claims of a broadcast");
    assert_eq!((body.step().job_id, text(&body.nodes)), (5, "n[1-2]"));
    let claims = token::claims(bcast).expect("claims");
    for (name, value) in &token::sbcast_claims(&body) {
        assert_eq!(claims.get(name), Some(value), "{name}");
    }
}

#[test]
fn addresses_of_dynamic_nodes_travel_as_a_credential() {
    for release in [Release::V24_11, Release::V26_05] {
        let name = "3017_dynsstat_dynslurm.hex";
        let (_, Message::ResponseNodeAliasAddrs(answer)) = read(release, name) else {
            panic!("{release}: no addresses");
        };
        let addrs = token::net_addrs(text(&answer.net_cred)).expect("addresses");
        let at = |port| WireAddr::V4([127, 0, 0, 1].into(), port);
        let expected = [("d1".to_owned(), at(17003)), ("d2".to_owned(), at(17004))];
        assert_eq!(addrs, expected, "{release}");
        let (header, _) = read(release, "6001_dynsrun_dynslurmfwd.hex");
        let forward = header.forward.expect("another node follows");
        assert!(token::net_addrs(text(&forward.net_cred)).is_some(), "{release}");
    }
}

#[test]
fn a_step_manager_is_told_of_the_job_its_nodes_and_its_partition() {
    for release in [Release::V24_11, Release::V26_05] {
        let (_, Message::RequestLaunchProlog(prolog)) = read(release, "6017_smgr_stepmgr.hex")
        else {
            panic!("{release}: no prolog");
        };
        let state = prolog.step_manager.expect("told everything");
        let strings = [&state.job.name, &state.job.nodes, &state.job.partition];
        assert_eq!(strings.map(text), ["sm.sh", "n[1-2]", "debug"], "{release}");
        let held = state.job.job_resrcs.as_ref().expect("it holds resources");
        assert_eq!(text(&held.nodes), "n[1-2]", "{release}");
        let details = state.job.details.as_ref().expect("details");
        assert_eq!((details.min_nodes, details.argv.len()), (2, 1), "{release}");
        assert_eq!(text(&state.partition.name), "debug", "{release}");
        let nodes = state.nodes.expect("its nodes");
        let names: Vec<_> = nodes.iter().map(|node| text(&node.name)).collect();
        assert_eq!(names, ["n1", "n2"], "{release}");
        assert_eq!((nodes[0].port, nodes[0].real_memory), (17001, 1000), "{release}");
        let gpu = &nodes[0].gres_list[0];
        assert_eq!((gpu.gres_cnt_avail, gpu.gres_bitmap_size), (2, 2), "{release}");
        assert_eq!(gpu.topo_type_name, vec![Some("fast".to_owned()); gpu.topo.len()], "{release}");
    }
}

/// Between the recorded releases, the daemons of the next newer one spoke to peers of the older.
const BETWEEN: [Release; 5] =
    [Release::V23_02, Release::V23_11, Release::V24_05, Release::V25_05, Release::V25_11];

/// `srun -n1 -w n2 hostname`, with n2 registered as of the older release.
#[test]
fn a_launch_looks_the_same_in_the_releases_between() {
    for release in BETWEEN {
        let launch = launch(release, "6001_to_node.hex");
        assert_eq!((&launch.argv[..], launch.ntasks), (&["hostname".to_owned()][..], 1));
        assert_eq!(text(&launch.complete_nodelist), "n2", "{release}");
        assert_eq!(launch.tasks[0].global_task_ids, [0], "{release}");
        assert_eq!(text(&launch.options.tag), "job_options", "{release}");
        assert_eq!((launch.resp_port.len(), launch.io_port.len()), (1, 1), "{release}");
        let body = body_of(launch.cred.release.unwrap_or(release), &launch.cred.credential);
        assert_eq!((text(&body.step_hostlist), body.job_ntasks), ("n2", 1), "{release}");
    }
}

#[test]
fn answers_about_steps_look_the_same_in_the_releases_between() {
    for release in BETWEEN {
        let created = created(release, "5002_answer.hex");
        assert_eq!(created.step_id.step_id, 1, "{release}");
        let layout = created.step_layout.expect("a layout");
        assert_eq!((text(&layout.node_list), &layout.tids[..]), ("n2", &[vec![0]][..]));
        let body = body_of(release, &created.cred.expect("a credential"));
        assert_eq!((text(&body.job_hostlist), body.job_nhosts), ("n[1-2]", 2), "{release}");
        let (_, Message::ResponseStepLayout(answer)) = read(release, "5022_answer.hex") else {
            panic!("{release}: no layout");
        };
        let layout = answer.layout.expect("a layout");
        assert_eq!((layout.start_protocol_ver, layout.task_cnt), (release.version(), 2));
        assert_eq!(layout.tids, [[0], [1]], "{release}");
        let (_, Message::ResponseJobStepPids(pids)) = read(release, "5028_answer.hex") else {
            panic!("{release}: no processes");
        };
        assert_eq!((text(&pids.node_name), pids.pids.len()), ("n2", 1), "{release}");
        let (_, Message::ResponseJobSbcastCred(answer)) = read(release, "4024_answer.hex") else {
            panic!("{release}: no credential");
        };
        let SbcastCredential::Signed(body, _) = &answer.sbcast_cred else {
            panic!("{release}: a token without auth/slurm");
        };
        assert_eq!([&answer.node_list, &body.nodes].map(text), ["n[1-2]"; 2], "{release}");
    }
}

#[test]
fn a_step_manager_is_told_the_same_in_the_releases_between() {
    for release in [Release::V24_05, Release::V25_05, Release::V25_11] {
        let name = "6017_to_node_step_manager.hex";
        let (_, Message::RequestLaunchProlog(prolog)) = read(release, name) else {
            panic!("{release}: no prolog");
        };
        let state = prolog.step_manager.expect("told everything");
        let strings = [&state.job.name, &state.job.nodes, &state.job.partition];
        assert_eq!(strings.map(text), ["sm.sh", "n[1-2]", "debug"], "{release}");
        let details = state.job.details.as_ref().expect("details");
        assert_eq!((details.min_nodes, details.argv.len()), (2, 1), "{release}");
        let names: Vec<_> =
            state.nodes.iter().flatten().map(|node| (text(&node.name), node.port)).collect();
        assert_eq!(names, [("n1", 17001), ("n2", 17002)], "{release}");
        assert_eq!(text(&state.partition.nodes), "n1,n2", "{release}");
    }
}

#[test]
fn a_jobs_resources_are_told_node_by_node() {
    for release in [Release::V25_11, Release::V26_05] {
        let (_, Message::ResponseResourceLayout(layout)) = read(release, "4008_answer.hex") else {
            panic!("{release}: no resources");
        };
        let nodes = layout.nodes.expect("its nodes");
        let shapes: Vec<_> = nodes
            .iter()
            .map(|node| (text(&node.node), node.sockets_per_node, node.cores_per_socket))
            .collect();
        assert_eq!(shapes, [("n1", 2, 2), ("n2", 4, 1)], "{release}");
        assert_eq!((nodes[0].mem_alloc, text(&nodes[0].core_bitmap)), (20, "0x1"), "{release}");
    }
}
