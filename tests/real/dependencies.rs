//! Dependencies as users see them: what waits, why, and what becomes of it.

use std::fs;

use flurm_tests::{Client, Shape, eventually};

use crate::{each_release, ended, reaches};

/// The state, the reason and the dependency of a job.
fn said(client: &Client, id: u32) -> String {
    let text = client.run("squeue", &["-h", "-o", "%T %r %E", "-j", &id.to_string()]).ok();
    text.trim().to_owned()
}

#[track_caller]
fn says(client: &Client, id: u32, wanted: &str) {
    eventually(&format!("job {id} is {wanted}"), || {
        let now = said(client, id);
        if now == wanted { Ok(()) } else { Err(now) }
    });
}

fn after(client: &Client, text: &str, more: &[&str]) -> u32 {
    let dependency = format!("--dependency={text}");
    client.sbatch(&[&[&*dependency][..], more].concat(), "exit 0")
}

#[test]
fn a_chain_runs_in_order_and_breaks_where_a_link_fails() {
    each_release(&Shape::small(), |cluster, client| {
        let body = "while [ ! -e go ]; do sleep 0.1; done; exit 3";
        let first = client.sbatch(&[], body);
        let ok = after(client, &format!("afterok:{first}"), &[]);
        let bad = after(client, &format!("afternotok:{first}"), &[]);
        let any = after(client, &format!("afterany:{first}:{bad}"), &[]);
        let begun = after(client, &format!("after:{first}"), &[]);
        let either = after(client, &format!("afterok:{first}?afterany:{bad}"), &[]);
        says(client, ok, &format!("PENDING Dependency afterok:{first}(unfulfilled)"));
        let both = format!("afterany:{first}(unfulfilled),afterany:{bad}(unfulfilled)");
        says(client, any, &format!("PENDING Dependency {both}"));
        let shown = client.job(either);
        let text = format!("afterok:{first}(unfulfilled)?afterany:{bad}(unfulfilled)");
        assert_eq!(shown.get("Dependency"), text);
        assert_eq!(ended(client, begun).get("JobState"), "COMPLETED");
        fs::write(cluster.work().join("go"), "").unwrap();
        for job in [bad, any, either] {
            assert_eq!(ended(client, job).get("JobState"), "COMPLETED");
        }
        let never = format!("PENDING DependencyNeverSatisfied afterok:{first}(failed)");
        says(client, ok, &never);
        client.run("scontrol", &["update", &format!("JobId={ok}"), "Dependency="]).ok();
        assert_eq!(ended(client, ok).get("JobState"), "COMPLETED");
        fs::remove_file(cluster.work().join("go")).unwrap();
        cluster.wait_idle();
    });
}

#[test]
fn singletons_run_one_after_the_other() {
    each_release(&Shape::small(), |_, client| {
        let first = client.sbatch(&["-J", "alone"], "sleep 300");
        reaches(client, first, "RUNNING");
        let second = after(client, "singleton", &["-J", "alone"]);
        says(client, second, "PENDING Dependency singleton(unfulfilled)");
        client.run("scancel", &[&first.to_string()]).ok();
        assert_eq!(ended(client, second).get("JobState"), "COMPLETED");
    });
}

#[test]
fn arrays_depend_as_a_whole_and_task_by_task() {
    each_release(&Shape::small(), |cluster, client| {
        let body = "while [ ! -e go-$SLURM_ARRAY_TASK_ID ]; do sleep 0.1; done";
        let go = |task: u32| cluster.work().join(format!("go-{task}"));
        let id = client.sbatch(&["--array=1-2"], body);
        let all = after(client, &format!("afterok:{id}"), &[]);
        let one = after(client, &format!("afterok:{id}_2"), &[]);
        let each = after(client, &format!("aftercorr:{id}"), &["--array=1-2"]);
        says(client, all, &format!("PENDING Dependency afterok:{id}_*(unfulfilled)"));
        says(client, one, &format!("PENDING Dependency afterok:{id}_2(unfulfilled)"));
        fs::write(go(2), "").unwrap();
        assert_eq!(ended(client, one).get("JobState"), "COMPLETED");
        eventually("the corresponding task runs", || {
            let text = client.run("squeue", &["-h", "-r", "-t", "all", "-o", "%i %T"]).ok();
            let followed = text.contains(&format!("{each}_2 COMPLETED"));
            let waits = text.contains(&format!("{each}_1 PENDING"));
            if followed && waits { Ok(()) } else { Err(text) }
        });
        says(client, all, &format!("PENDING Dependency afterok:{id}_*(unfulfilled)"));
        fs::write(go(1), "").unwrap();
        assert_eq!(ended(client, all).get("JobState"), "COMPLETED");
        [1, 2].iter().for_each(|task| fs::remove_file(go(*task)).unwrap());
        cluster.wait_idle();
    });
}

#[test]
fn a_job_whose_dependency_cannot_be_met_is_cancelled_on_demand() {
    each_release(&Shape::small(), |_, client| {
        let first = client.sbatch(&["-H"], "exit 0");
        let second = after(client, &format!("afterok:{first}"), &["--kill-on-invalid-dep=yes"]);
        client.run("scancel", &[&first.to_string()]).ok();
        assert_eq!(ended(client, second).get("JobState"), "CANCELLED");
    });
}

#[test]
fn circles_and_nonsense_are_refused_in_slurms_words() {
    each_release(&Shape::small(), |_, client| {
        let first = client.sbatch(&["-H"], "exit 0");
        let second = after(client, &format!("afterany:{first}"), &[]);
        let circle = format!("Dependency=afterany:{second}");
        let ran = client.run("scontrol", &["update", &format!("JobId={first}"), &circle]);
        assert!(ran.refused().contains("Circular job dependency"));
        let itself = format!("Dependency=afterany:{first}");
        let ran = client.run("scontrol", &["update", &format!("JobId={first}"), &itself]);
        assert!(ran.refused().contains("Job dependency problem"));
        let complaint = client.try_sbatch(&["--dependency=afterwards:1"], "exit 0").refused();
        assert!(complaint.contains("Job dependency problem"), "{complaint}");
        client.run("scancel", &[&first.to_string(), &second.to_string()]).ok();
    });
}
