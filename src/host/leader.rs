//! The leader's duties: plan, enforce limits, forget the old, and see that nodes do what the
//! replicated state says.
//!
//! Everything here follows from the state, so a new leader begins with what it finds and nothing is
//! handed over. What a deposed leader still has on its way is stopped by its term.

use std::time::Duration;

use flurm_base::knob::Knob;
use flurm_base::{JobId, Span, Time};
use flurm_ctld::{Expected, Outlook};
use flurm_model::{Command, Ledger};
use flurm_rt::{AsyncRuntime, Clock, Env, Select2};
use flurm_sched::Snapshot;

use crate::controller::{Controller, NotTaken};
use crate::{health, launcher, reconfigure};

/// The leader looks around at least this often, whatever happens.
static ROUND_MAX: Knob<Span> =
    Knob::new("host.leader.round_max", Span::secs(1), Span::millis(100), Span::secs(5));
/// Pause after a command could not be committed.
static TROUBLE_PAUSE: Knob<Duration> = Knob::new(
    "host.leader.trouble_pause",
    Duration::from_millis(100),
    Duration::from_millis(1),
    Duration::from_secs(1),
);
/// Planning passes in a row before the rest of the duties get their turn.
static PLANS_MAX: Knob<u32> = Knob::new("host.leader.plans_max", 8, 1, 64);

/// Leads whenever this replica is elected, for ever.
pub(crate) async fn run<E: Env>(controller: Controller<E>) {
    let mut watch = controller.raft().watch();
    let mut configured = controller.replica().configured();
    loop {
        let status = watch.current();
        let Some(term) = status.leading() else {
            reconfigure::follow(&controller, &mut configured).await;
            if !watch.changed().await {
                return;
            }
            continue;
        };
        tracing::info!(term, "this controller leads");
        lead(&controller, term).await;
        configured = controller.replica().configured();
        tracing::info!(term, "this controller no longer leads");
        controller.expect(Outlook::default());
        // A term ends because the status changed. Where nothing can change any more, because the log
        // has stopped, there is nothing left to lead.
        if !watch.changed().await {
            return;
        }
    }
}

async fn lead<E: Env>(controller: &Controller<E>, term: u64) {
    configure_anew(controller).await;
    health::begin(controller, term);
    let mut orders = launcher::Orders::new(term);
    let mut planned = None;
    let began = controller.env().clock().wall();
    let mut watch = controller.raft().watch();
    while controller.leading() == Some(term) {
        let _ = watch.current();
        if !controller.replica().cluster().is_configured() {
            E::Rt::sleep(TROUBLE_PAUSE.get()).await;
            configure_anew(controller).await;
        }
        let duties = async {
            enforce(controller, began).await?;
            planned = plan(controller, planned).await?;
            Ok::<(), NotTaken>(())
        };
        if duties.await.is_err() {
            E::Rt::sleep(TROUBLE_PAUSE.get()).await;
        }
        orders.carry_out(controller);
        let pause = E::Rt::sleep(next_round(controller, &orders).duration());
        match E::Rt::select2(Box::pin(watch.changed()), Box::pin(pause)).await {
            Select2::First(false) => return,
            Select2::First(true) | Select2::Second(()) => {}
        }
    }
}

/// What a new leader reads may be wrong or unreadable: an earlier leader's configuration stays then,
/// and where there is none, the leader tries again.
async fn configure_anew<E: Env>(controller: &Controller<E>) {
    if let Err(text) = configure(controller).await {
        tracing::error!("could not put the configuration into the log: {text}");
    }
}

/// Reads the configuration and makes it the cluster's, unless it is already.
pub(crate) async fn configure<E: Env>(controller: &Controller<E>) -> Result<(), String> {
    let config = Box::new(controller.setup().reload().await?);
    let at = controller.env().clock().wall();
    match controller.propose(&Command::Configure { at, config }).await {
        Ok(flurm_model::Reply::Refused(refusal)) => Err(refusal.text),
        Ok(_) => Ok(()),
        Err(NotTaken::NotLeader | NotTaken::Unknown) => Err("leadership was lost".into()),
        Err(NotTaken::Busy) => Err("too many commands are waiting".into()),
        Err(NotTaken::TooLarge) => Err("the configuration is larger than the log takes".into()),
    }
}

/// Time limits and what announces them, and ended jobs that nobody needs any more.
async fn enforce<E: Env>(controller: &Controller<E>, began: Time) -> Result<(), NotTaken> {
    let now = controller.env().clock().wall();
    let mut due: Vec<_> = controller.replica().cluster().time_limits_reached(now).collect();
    if flurm_base::planted::is("host_forgets_time_limits_of_others") {
        let replica = controller.replica();
        let own = |id| replica.cluster().job(id).is_some_and(|job| job.start >= Some(began));
        due.retain(|(id, _)| own(*id));
    }
    for (job, attempt) in due {
        controller.propose(&Command::TimeLimitReached { at: now, job, attempt }).await?;
    }
    let due: Vec<_> = controller.replica().cluster().warnings_due(now).collect();
    for (job, attempt) in due {
        controller.propose(&Command::Warn { at: now, job, attempt }).await?;
    }
    let due = controller.replica().cluster().step_limits_reached(now);
    for (job, attempt, step) in due {
        let reached = Command::StepTimeLimitReached { at: now, job, attempt, step };
        controller.propose(&reached).await?;
    }
    let over = controller.replica().cluster().reservations_over(now);
    for name in over {
        controller.propose(&Command::ReservationOver { at: now, name }).await?;
    }
    let purge = controller.replica().cluster().purge_next();
    if purge.is_some_and(|at| at <= now) {
        controller.propose(&Command::Purge { at: now }).await?;
    }
    Ok(())
}

/// What the planner last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Planned {
    version: u64,
    /// The next begin time: planning again then can make a difference.
    again_at: Option<Time>,
}

/// The version of a planner that stopped, which only a planted bug does.
const NEVER: u64 = u64::MAX;

async fn plan<E: Env>(
    controller: &Controller<E>,
    mut planned: Option<Planned>,
) -> Result<Option<Planned>, NotTaken> {
    for _ in 0..PLANS_MAX.get() {
        let now = controller.env().clock().wall();
        let version = controller.replica().plan_version();
        let is_due = planned.is_none_or(|last| {
            (last.version != version && last.version != NEVER)
                || last.again_at.is_some_and(|at| at <= now)
        });
        if !is_due {
            return Ok(planned);
        }
        let (command, again_at) = {
            let replica = controller.replica();
            let snapshot = Snapshot::of(replica.cluster(), now);
            let ledger = Ledger::new(replica.cluster(), now);
            let plan = flurm_sched::plan_within(&snapshot, Some(ledger));
            let command = plan.command(now);
            controller.expect(outlook(now, plan));
            let cluster = replica.cluster();
            let period = cluster.settings().priority.as_ref().map(|rules| now + rules.period);
            // Waiting changes the order of those that wait.
            let weighed = period.filter(|_| cluster.pending_count() > 0);
            (command, cluster.begin_next(now).into_iter().chain(weighed).min())
        };
        planned = Some(Planned { version, again_at });
        let Some(command) = command else {
            if flurm_base::planted::is("host_planner_stops_when_idle") {
                planned = Some(Planned { version: NEVER, again_at: None });
            }
            return Ok(planned);
        };
        controller.propose(&command).await?;
    }
    Ok(planned)
}

/// What a plan says to those who look at waiting jobs.
fn outlook(made: Time, plan: flurm_sched::Plan) -> Outlook {
    let expected = |(job, planned): (JobId, flurm_sched::Planned)| {
        (job, Expected { start: planned.start, nodes: planned.nodes })
    };
    Outlook { made: Some(made), jobs: plan.planned.into_iter().map(expected).collect() }
}

/// When to look around again if nothing changes.
fn next_round<E: Env>(controller: &Controller<E>, orders: &launcher::Orders) -> Span {
    let clock = controller.env().clock();
    let now = clock.wall();
    let replica = controller.replica();
    let cluster = replica.cluster();
    let ends = [
        cluster.time_limit_next(),
        cluster.warning_next(),
        cluster.purge_next(),
        cluster.step_limit_next(),
    ];
    let until = ends.into_iter().chain([cluster.begin_next(now)]).flatten().map(|at| at.since(now));
    let retry = orders.next_retry(clock.monotonic());
    until
        .chain(retry)
        .chain([ROUND_MAX.get()])
        .min()
        .unwrap_or(ROUND_MAX.get())
        .max(Span::millis(1))
}
