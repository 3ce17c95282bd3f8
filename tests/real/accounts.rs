//! Accounts, shares and qualities of service, as associations.conf names them. Slurm keeps them in its
//! database, which no test cluster has, so these stories are FLURM's only.

use flurm_tests::conf::against_slurm;
use flurm_tests::{Client, Cluster, Release, Shape, eventually};

use crate::{ALICE, BOB, ended, reaches};

/// Alice in physics, Bob in both; physics has three times the shares of biology.
const ASSOCIATIONS: &str = "\
# As `sacctmgr dump` writes it, and two kinds of service.
QOS - normal
QOS - urgent:Priority=10:UsageFactor=2.0
Cluster - 'try':Fairshare=1:QOS='normal'
Parent - 'root'
User - 'root':DefaultAccount='root':AdminLevel='Administrator':Fairshare=1
Account - 'physics':Description='Physics':Organization='uni':Fairshare=30:QOS='normal,urgent'
Account - 'biology':Fairshare=9
Parent - 'physics'
User - 'nobody':DefaultAccount='physics':Fairshare=2
User - 'daemon':DefaultAccount='physics':Fairshare=1
Parent - 'biology'
User - 'daemon':Fairshare=parent
";

fn accounted() -> Shape {
    Shape::small()
        .line("PriorityType=priority/multifactor")
        .line("PriorityWeightFairshare=1000")
        .line("PriorityWeightQOS=500")
        .line("AccountingStorageEnforce=associations,qos")
}

/// Runs a story with the clients of each release.
fn each_release(shape: &Shape, associations: &str, story: impl Fn(&Cluster, Release)) {
    if against_slurm() {
        return;
    }
    let write = |folder: &std::path::Path| {
        std::fs::write(folder.join("associations.conf"), associations).expect("write it");
    };
    let cluster = Cluster::prepared(shape, write);
    for release in Release::ALL {
        println!("clients of {}", release.number());
        story(&cluster, release);
    }
    cluster.assert_healthy();
}

fn of(cluster: &Cluster, user: &str, release: Release) -> Client {
    cluster.client().user(user).release(release)
}

/// `root||0.000000` and so on: sshare's lines with these fields.
fn shares(client: &Client, fields: &str) -> Vec<String> {
    let text = client.run("sshare", &["-a", "-P", "-n", "-o", fields]).ok();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn sshare_shows_the_tree_and_its_shares() {
    each_release(&accounted(), ASSOCIATIONS, |cluster, release| {
        let alice = of(cluster, ALICE, release);
        let lines = shares(&alice, "Account,User,RawShares,NormShares");
        let expected = [
            "root|||0.000000",
            "root|root|1|0.025000",
            "biology||9|0.225000",
            "biology|daemon|parent|0.225000",
            "physics||30|0.750000",
            "physics|daemon|1|0.333333",
            "physics|nobody|2|0.666667",
        ];
        assert_eq!(lines, expected);
        let mine = alice.run("sshare", &["-P", "-n", "-U", "-o", "Account,User"]).ok();
        assert_eq!(mine.trim(), "physics|nobody");
    });
}

#[test]
fn who_has_used_more_comes_later() {
    each_release(&accounted(), ASSOCIATIONS, |cluster, release| {
        let (alice, bob) = (of(cluster, ALICE, release), of(cluster, BOB, release));
        let used = alice.sbatch(&["-N2", "--exclusive"], "sleep 3");
        ended(&alice, used);
        let all = alice.sbatch(&["-N2", "--exclusive", "-t", "60"], "sleep 300");
        reaches(&alice, all, "RUNNING");
        let first = alice.sbatch(&[], "exit 0");
        let second = bob.sbatch(&[], "exit 0");
        let third = bob.sbatch(&["-A", "biology"], "exit 0");
        let urgent = alice.sbatch(&["--qos=urgent"], "exit 0");
        let shown = |id: u32| {
            let text = alice.run("sprio", &["-h", "-o", "%F %Q", "-j", &id.to_string()]).ok();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        // Four users: Alice has used all, Bob in the same account comes before her.
        let expected = ["250 0", "500 0", "1000 0", "250 500"];
        eventually("the factors", || {
            let now = [first, second, third, urgent].map(shown);
            if now == expected { Ok(()) } else { Err(now) }
        });
        let usage = shares(&alice, "Account,User,RawUsage");
        let raw = |key: &str| {
            let line = usage.iter().find_map(|line| line.strip_prefix(key));
            line.and_then(|usage| usage.parse::<u64>().ok()).unwrap_or_default()
        };
        let mine = raw("physics|nobody|");
        assert!((24..2_000).contains(&mine), "8 CPUs for some seconds: {usage:?}");
        assert_eq!([raw("root||"), raw("physics||")], [mine, mine], "{usage:?}");
        assert_eq!(raw("physics|daemon|"), 0);
        assert_eq!(alice.job(first).get("Account"), "physics");
        assert_eq!(alice.job(first).get("QOS"), "normal");
        let root = cluster.client().release(release);
        for id in [first, second, third, urgent, all] {
            root.run("scancel", &[&id.to_string()]).ok();
        }
        cluster.wait_idle();
    });
}

#[test]
fn a_job_needs_an_account_and_a_service_that_are_its_users() {
    each_release(&accounted(), ASSOCIATIONS, |cluster, release| {
        let (alice, bob) = (of(cluster, ALICE, release), of(cluster, BOB, release));
        let refused = |client: &Client, options: &[&str]| {
            client.try_sbatch(&[&["-H"], options].concat(), "exit 0").refused()
        };
        let text = refused(&alice, &["-A", "biology"]);
        assert!(text.contains("Invalid account or account/partition combination"), "{text}");
        let text = refused(&of(cluster, "bin", release), &[]);
        assert!(text.contains("Invalid account or account/partition combination"), "{text}");
        for (client, options) in
            [(&alice, &["--qos=nosuch"][..]), (&bob, &["--qos=urgent", "-A", "biology"][..])]
        {
            let text = refused(client, options);
            assert!(text.contains("Invalid qos specification"), "{text}");
        }
        let good = bob.sbatch(&["-H", "--qos=urgent", "-A", "Physics"], "exit 0");
        assert_eq!(bob.job(good).get("QOS"), "urgent");
        bob.run("scancel", &[&good.to_string()]).ok();
        cluster.wait_idle();
    });
}

/// Limits of each kind, one account for each.
const LIMITED: &str = "\
QOS - normal
QOS - two:MaxTRESPerUser=cpu=2:MaxSubmitJobsPerUser=2
Cluster - 'try':Fairshare=1
Parent - 'root'
Account - 'jobs':MaxJobs=1
Account - 'cpus':GrpTRES=cpu=3
Account - 'wide':MaxTRESPerJob=node=1
Account - 'short':MaxWallDurationPerJob=10
Account - 'group':GrpJobs=1
Account - 'gate':GrpSubmitJobs=1
Parent - 'jobs'
User - 'nobody':DefaultAccount='jobs'
Parent - 'cpus'
User - 'nobody'
Parent - 'wide'
User - 'nobody'
Parent - 'short'
User - 'nobody'
Parent - 'group'
User - 'nobody'
User - 'daemon'
Parent - 'gate'
User - 'nobody'
";

#[test]
fn limits_keep_jobs_back_and_say_which() {
    let shape = Shape::small().cpus(8).line("AccountingStorageEnforce=limits,qos");
    each_release(&shape, LIMITED, |cluster, release| {
        let (alice, bob) = (of(cluster, ALICE, release), of(cluster, BOB, release));
        let minutes = ["-t", "5"];
        let submit = |client: &Client, options: &[&str]| {
            client.sbatch(&[&minutes[..], options].concat(), "sleep 300")
        };
        let waits = |client: &Client, id: u32, reason: &str| {
            eventually(&format!("job {id} waits for {reason}"), || {
                let record = client.job(id);
                let state = (record.get("JobState"), record.get("Reason"));
                if state == ("PENDING", reason) { Ok(()) } else { Err(record) }
            });
        };
        let runs = |id: u32| reaches(&alice, id, "RUNNING");
        let jobs = ["jobs", "jobs"].map(|account| submit(&alice, &["-A", account]));
        let cpus = ["-n2", "-n2"].map(|tasks| submit(&alice, &["-A", "cpus", tasks]));
        let wide = submit(&alice, &["-A", "wide", "-N2"]);
        let long = submit(&alice, &["-A", "short", "-t", "11"]);
        let group = [submit(&alice, &["-A", "group"]), submit(&bob, &["-A", "group"])];
        let two = ["-n2", "-n1"].map(|tasks| submit(&alice, &["-A", "short", "--qos=two", tasks]));
        for id in [jobs[0], cpus[0], group[0], two[0]] {
            runs(id);
        }
        waits(&alice, jobs[1], "AssocMaxJobsLimit");
        waits(&alice, cpus[1], "AssocGrpCpuLimit");
        waits(&alice, wide, "AssocMaxNodePerJobLimit");
        waits(&alice, long, "AssocMaxWallDurationPerJobLimit");
        waits(&bob, group[1], "AssocGrpJobsLimit");
        waits(&alice, two[1], "QOSMaxCpuPerUserLimit");
        let gate = submit(&alice, &["-A", "gate", "-H"]);
        for options in [&["-A", "gate"][..], &["-A", "short", "--qos=two"][..]] {
            let text = alice.try_sbatch(&[&minutes[..], options].concat(), "exit 0").refused();
            assert!(text.contains("Job violates accounting/QOS policy"), "{text}");
        }
        let root = cluster.client().release(release);
        root.run("scancel", &[&jobs[0].to_string(), &two[0].to_string()]).ok();
        runs(jobs[1]);
        runs(two[1]);
        let rest = [wide, long, gate, cpus[1], group[1], cpus[0], group[0], jobs[1], two[1]];
        for id in rest {
            root.run("scancel", &[&id.to_string()]).ok();
        }
        cluster.wait_idle();
    });
}
