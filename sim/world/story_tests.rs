//! Stories that hold the world's models to their promises, told on the own engine.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use flurm_rt::{
    Addr, AsyncRuntime, Child, Clock, Container, Env, ExitStatus, File, Fs, Listener, Net,
    OpenMode, Output, Proc, Spawn,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::env::{Engine, Place, SimEnv};
use super::history::Effect;
use super::net::{Link, set_link};
use super::process::{self, ProcKey};
use super::script::Plan;
use super::{MILLI, MachineId, SECOND, TaskFuture, World, wait, with};
use crate::engine::own::Own;

type TestEnv = SimEnv<Own>;

/// What simulated components tell the test.
type Told = Arc<Mutex<Vec<String>>>;

fn world(seed: u64, machines: u8) -> World {
    let mut world = World::new(seed, true);
    for index in 1..=machines {
        world.add_machine(&format!("m{index}"), IpAddr::from([10, 0, 0, index]), 4, 1000);
    }
    world
}

/// Runs a story; what was told, in order, and the trace's digest.
fn tell<F>(seed: u64, story: impl FnOnce(Told) -> F + 'static) -> (Vec<String>, String)
where
    F: Future<Output = ()> + 'static,
{
    let told = Told::default();
    let ours = Arc::clone(&told);
    let (world, result) = Own::run(world(seed, 3), move || Box::pin(story(ours)));
    result.unwrap();
    let told = told.lock().unwrap().clone();
    (told, world.trace.digest())
}

fn start<F>(machine: u32, name: &str, body: impl FnOnce(TestEnv) -> F) -> ProcKey
where
    F: Future<Output = ()> + Send + 'static,
{
    let machine = MachineId(machine);
    process::start_component(machine, name, (1001, 1001), |process| -> TaskFuture {
        Box::pin(body(TestEnv::new(Place { machine, process })))
    })
}

fn say(told: &Told, text: impl Into<String>) {
    told.lock().unwrap().push(text.into());
}

fn addr(machine: u8) -> Addr {
    Addr::Ip(SocketAddr::new(IpAddr::from([10, 0, 0, machine]), 7000))
}

/// Accepts and sends back whatever comes, in capitals.
async fn echo(env: TestEnv) {
    let mut listener = env.net().listen(&Addr::Ip(([0, 0, 0, 0], 7000).into())).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(<Own as Engine>::Rt::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok(count) = stream.read(&mut buffer).await {
                if count == 0
                    || stream.write_all(&buffer[..count].to_ascii_uppercase()).await.is_err()
                {
                    break;
                }
            }
        }));
    }
}

async fn ask(env: &TestEnv, to: u8, text: &str) -> io::Result<String> {
    let mut stream = env.net().connect(&addr(to)).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

fn outcome(result: io::Result<String>) -> String {
    result.unwrap_or_else(|error| format!("{:?}", error.kind()))
}

#[test]
fn bytes_come_back_and_nobody_listening_is_refused() {
    let (told, _) = tell(1, |told| async move {
        start(0, "echo", echo);
        let theirs = Arc::clone(&told);
        start(1, "client", |env| async move {
            wait(MILLI).await;
            say(&theirs, outcome(ask(&env, 1, "hello").await));
            say(&theirs, outcome(ask(&env, 2, "hello").await));
        });
        wait(10 * SECOND).await;
    });
    assert_eq!(told, ["HELLO", "ConnectionRefused"]);
}

#[test]
fn a_cut_link_holds_bytes_back_until_it_heals() {
    let (told, _) = tell(2, |told| async move {
        start(0, "echo", echo);
        let theirs = Arc::clone(&told);
        start(1, "client", |env| async move {
            wait(MILLI).await;
            let mut stream = env.net().connect(&addr(1)).await.unwrap();
            let cut = Link { cut: true, ..Link::default() };
            with(|w| set_link(w, MachineId(0), MachineId(1), cut));
            stream.write_all(b"abc").await.unwrap();
            let mut answer = [0; 3];
            let waited = <Own as Engine>::Rt::timeout(
                std::time::Duration::from_secs(60),
                stream.read_exact(&mut answer),
            );
            say(&theirs, format!("in the cut: {}", waited.await.is_err()));
            with(|w| set_link(w, MachineId(0), MachineId(1), Link::default()));
            stream.read_exact(&mut answer).await.unwrap();
            say(&theirs, String::from_utf8_lossy(&answer));
        });
        wait(100 * SECOND).await;
    });
    assert_eq!(told, ["in the cut: true", "ABC"]);
}

#[test]
fn a_killed_process_closes_its_sockets_and_keeps_what_it_wrote() {
    let (told, _) = tell(3, |told| async move {
        let writer = start(0, "writer", |env| async move {
            env.fs().create_folder(Path::new("/var"), 0o755).await.unwrap();
            let file = env.fs().open(Path::new("/var/f"), OpenMode::Create).await.unwrap();
            file.write_at(0, b"kept".to_vec()).await.unwrap();
            echo(env).await;
        });
        let theirs = Arc::clone(&told);
        start(1, "client", |env| async move {
            wait(MILLI).await;
            let mut stream = env.net().connect(&addr(1)).await.unwrap();
            let mut buffer = [0; 1];
            let end = stream.read(&mut buffer).await;
            say(&theirs, format!("{end:?} {}", TestEnvNet::hung_up(&stream)));
        });
        wait(SECOND).await;
        process::kill(writer);
        wait(SECOND).await;
        let bytes = with(|w| w.machine_mut(MachineId(0)).disk.peek(Path::new("/var/f")));
        say(&told, String::from_utf8(bytes.unwrap()).unwrap());
        start(0, "writer", echo);
        wait(SECOND).await;
    });
    assert_eq!(told, ["Ok(0) true", "kept"]);
}

type TestEnvNet = <Own as Engine>::Net;

#[test]
fn a_machine_without_power_is_silent_and_resets_old_connections_later() {
    let (told, _) = tell(4, |told| async move {
        start(0, "echo", echo);
        let theirs = Arc::clone(&told);
        start(1, "client", |env| async move {
            wait(MILLI).await;
            let mut stream = env.net().connect(&addr(1)).await.unwrap();
            process::power_off(MachineId(0));
            stream.write_all(b"x").await.unwrap();
            let mut buffer = [0; 1];
            let silence = <Own as Engine>::Rt::timeout(
                std::time::Duration::from_secs(30),
                stream.read(&mut buffer),
            );
            say(&theirs, format!("silence: {}", silence.await.is_err()));
            process::power_on(MachineId(0));
            stream.write_all(b"y").await.unwrap();
            let end = stream.read(&mut buffer).await;
            say(&theirs, format!("{:?}", end.map_err(|error| error.kind())));
        });
        wait(100 * SECOND).await;
    });
    assert_eq!(told, ["silence: true", "Err(ConnectionReset)"]);
}

fn job(plan: &Plan, container: &str) -> Spawn {
    let path = PathBuf::from("/spool/script");
    with(|w| w.machine_mut(MachineId(0)).disk.install(&path, plan.script().as_bytes()).unwrap());
    Spawn {
        program: path,
        argv: vec!["script".into()],
        environment: vec!["SLURM_JOB_ID=7".into(), "SLURM_JOB_SLUID=s1".into()],
        own_pid_variable: None,
        work_dir: "/home/ada".into(),
        user: with(|w| w.users.get(1001).cloned()),
        umask: None,
        limits: Vec::new(),
        stdin: Output::Null,
        stdout: Output::File { path: "slurm-7.out".into(), append: false },
        stderr: Output::SameAsStdout,
        container: Some(container.to_owned()),
        terminal: None,
        detached: false,
    }
}

#[test]
fn a_job_runs_its_script_and_outlives_its_parent_but_not_the_power() {
    let (told, _) = tell(5, |told| async move {
        let theirs = Arc::clone(&told);
        start(0, "parent", |env| async move {
            let container = env.proc().container("job7").await.unwrap();
            let plan = Plan { run: 2 * SECOND, exit: 3, output: 5, ..Plan::default() };
            let mut child = env.proc().spawn(job(&plan, "job7")).await.unwrap();
            let status = child.wait().await.unwrap();
            say(&theirs, format!("{status:?}"));
            let stubborn = Plan { run: 900 * SECOND, ignore_term: true, ..Plan::default() };
            let mut child = env.proc().spawn(job(&stubborn, "job7")).await.unwrap();
            say(&theirs, format!("term: {}", container.signal(15).await.unwrap()));
            wait(SECOND).await;
            say(&theirs, format!("left: {}", container.pids().await.unwrap().len()));
            container.kill().await.unwrap();
            say(&theirs, format!("{:?}", child.wait().await.unwrap()));
            env.proc().spawn(job(&stubborn, "job7")).await.unwrap();
        });
        wait(10 * SECOND).await;
        let alive = || with(|w| w.processes.alive().count());
        say(&told, format!("alive: {}", alive()));
        process::power_off(MachineId(0));
        say(&told, format!("alive: {}", alive()));
    });
    let [exited, killed] = [ExitStatus::exited(3), ExitStatus::signaled(9)];
    let expected = [
        format!("{exited:?}"),
        "term: true".into(),
        "left: 1".into(),
        format!("{killed:?}"),
        "alive: 1".into(),
        "alive: 0".into(),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_history_tells_which_job_ran_where() {
    let effects = Rc::new(RefCell::new(Vec::new()));
    let (world, result) = Own::run(world(6, 1), || {
        Box::pin(async {
            start(0, "parent", |env| async move {
                env.proc().container("c").await.unwrap();
                let plan = Plan { key: Some("k1".into()), cpus: 2, ..Plan::default() };
                env.proc().spawn(job(&plan, "c")).await.unwrap().wait().await.unwrap();
            });
            wait(5 * SECOND).await;
        })
    });
    result.unwrap();
    effects.borrow_mut().extend(world.history.effects().iter().map(|(_, e)| e.clone()));
    let effects = effects.take();
    let [Effect::Started(started), Effect::Gone(gone, _)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(started, gone);
    assert_eq!((started.job, started.attempt.as_deref()), (Some(7), Some("s1")));
    assert_eq!((started.key.as_deref(), started.cpus), (Some("k1"), 2));
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_one_differs() {
    let busy = |seed| {
        tell(seed, |told| async move {
            start(0, "echo", echo);
            for name in ["a", "b", "c"] {
                let theirs = Arc::clone(&told);
                start(1, name, move |env| async move {
                    wait(MILLI).await;
                    for _ in 0..5 {
                        say(&theirs, outcome(ask(&env, 1, name).await));
                    }
                });
            }
            wait(10 * SECOND).await;
        })
    };
    assert_eq!(busy(9), busy(9));
    assert_ne!(busy(9).1, busy(10).1);
}

#[test]
fn a_fast_machine_wakes_early_and_its_wall_clock_is_wrong() {
    let (told, _) = tell(11, |told| async move {
        with(|w| {
            let now = w.now();
            let clock = &mut w.machine_mut(MachineId(0)).clock;
            clock.set_drift(now, 50_000);
            assert_eq!(clock.jump(now, -5_000_000), -5_000_000);
        });
        start(0, "sleeper", |env| async move {
            let before = with(|w| w.now());
            <Own as Engine>::Rt::sleep(std::time::Duration::from_secs(105)).await;
            let passed = with(|w| w.now()) - before;
            let wrong = env.clock().wall().0 - with(|w| w.true_wall()).0;
            say(&told, format!("{} s, {} s", passed / SECOND, wrong / 1_000_000));
        });
        wait(200 * SECOND).await;
    });
    assert_eq!(told, ["100 s, 0 s"]);
}
