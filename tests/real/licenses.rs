//! Licences: who gets them, who waits, and what is shown of them.

use std::fs;

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Shape, eventually};

use crate::{alice, each_release, ended, reaches};

fn licensed() -> Shape {
    Shape::small().line("Licenses=sim:3,cad")
}

/// `sim 1/3` for each licence.
fn shown(client: &Client) -> Vec<String> {
    let text = client.run("scontrol", &["-o", "show", "licenses"]).ok();
    let field = |line: &str, name: &str| {
        let words = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        words.unwrap_or_default().to_owned()
    };
    let line = |line: &str| {
        let name = field(line, "LicenseName=");
        format!("{name} {}/{}", field(line, "Used="), field(line, "Total="))
    };
    text.lines().filter(|line| line.contains("LicenseName")).map(line).collect()
}

#[track_caller]
fn become_shown(client: &Client, wanted: &[&str]) {
    eventually("the licenses", || {
        let now = shown(client);
        if now == wanted { Ok(()) } else { Err(now) }
    });
}

#[test]
fn jobs_wait_for_their_licenses_and_give_them_back() {
    each_release(&licensed(), |cluster, client| {
        assert_eq!(shown(client), ["cad 0/1", "sim 0/3"]);
        let first = client.sbatch(&["-L", "sim:2"], "sleep 300");
        reaches(client, first, "RUNNING");
        assert_eq!(client.job(first).get("Licenses"), "sim:2");
        assert_eq!(shown(client), ["cad 0/1", "sim 2/3"]);
        let second = client.sbatch(&["-L", "sim:2"], "exit 0");
        let third = client.sbatch(&["-L", "sim,cad:1"], "sleep 300");
        reaches(client, third, "RUNNING");
        assert_eq!(shown(client), ["cad 1/1", "sim 3/3"]);
        eventually("the second waits for licenses", || {
            let record = client.job(second);
            if record.get("Reason") == "Licenses" { Ok(()) } else { Err(record) }
        });
        assert_eq!(ended(client, client.sbatch(&[], "exit 0")).get("JobState"), "COMPLETED");
        client.run("scancel", &[&first.to_string(), &third.to_string()]).ok();
        assert_eq!(ended(client, second).get("JobState"), "COMPLETED");
        become_shown(client, &["cad 0/1", "sim 0/3"]);
        cluster.wait_idle();
    });
}

#[test]
fn licenses_that_cannot_be_had_are_refused() {
    each_release(&licensed(), |cluster, client| {
        for bad in ["sim:4", "none", "sim:x", "cad:2,sim"] {
            let said = client.try_sbatch(&["-L", bad], "exit 0").refused();
            assert!(said.contains("Invalid license specification"), "{bad}: {said}");
        }
        let id = client.sbatch(&["-H", "-L", "sim:3"], "exit 0").to_string();
        let update = |text: &str| {
            let job = format!("JobId={id}");
            client.run("scontrol", &["update", &job, &format!("Licenses={text}")])
        };
        let said = update("none:1").refused();
        assert!(said.contains("Invalid license specification"), "{said}");
        update("cad").ok();
        assert_eq!(client.job(id.parse().unwrap()).get("Licenses"), "cad");
        client.run("scancel", &[&id]).ok();
        let config = client.run("scontrol", &["show", "config"]).ok();
        let line = config.lines().find(|line| line.starts_with("Licenses "));
        assert!(line.is_some_and(|line| line.ends_with("= sim:3,cad")), "{line:?}");
        cluster.wait_idle();
    });
}

#[test]
fn one_of_several_licenses_is_enough() {
    if against_slurm() {
        // Slurm has this since 25.05.
        return;
    }
    each_release(&licensed(), |cluster, client| {
        let ids = [(); 3].map(|()| client.sbatch(&["-L", "cad|sim:2"], "sleep 300"));
        reaches(client, ids[0], "RUNNING");
        reaches(client, ids[1], "RUNNING");
        assert_eq!(shown(client), ["cad 1/1", "sim 2/3"]);
        assert_eq!(client.job(ids[2]).get("JobState"), "PENDING");
        let texts = ids.map(|id| id.to_string());
        client.run("scancel", &texts.each_ref().map(String::as_str)).ok();
        cluster.wait_idle();
    });
}

#[test]
fn licenses_are_kept_through_failover_and_a_smaller_configuration() {
    if against_slurm() {
        return;
    }
    let cluster = flurm_tests::Cluster::start(&licensed().controllers(3));
    let client = alice(&cluster);
    let first = client.sbatch(&["-L", "sim:3"], "while [ ! -e go ]; do sleep 0.1; done");
    reaches(&client, first, "RUNNING");
    let leader = cluster.wait_leader();
    cluster.kill(&leader);
    cluster.start_daemon(&leader);
    cluster.wait_leader();
    become_shown(&client, &["cad 0/1", "sim 3/3"]);
    let conf = fs::read_to_string(cluster.slurm_conf()).unwrap();
    fs::write(cluster.slurm_conf(), conf.replace("sim:3,cad", "sim:1")).unwrap();
    cluster.client().run("scontrol", &["reconfigure"]).ok();
    become_shown(&client, &["sim 3/1"]);
    let second = client.sbatch(&["-L", "sim"], "exit 0");
    eventually("the second waits for a license", || {
        let record = client.job(second);
        if record.get("Reason") == "Licenses" { Ok(()) } else { Err(record) }
    });
    fs::write(cluster.work().join("go"), "").unwrap();
    assert_eq!(ended(&client, second).get("JobState"), "COMPLETED");
    cluster.assert_healthy();
}
