//! Replies that tell what became of a change: names, numbers and reasons, which commands print
//! whether they failed or not.

use flurm_wire::dbd as d;
use flurm_wire::messages as m;
use flurm_wire::{DbdMessage, Gen, Message, NO_VAL, Release, Wire, names};

use crate::cases::{CLIENT, Case, Sample, case, pick};
use crate::shown::Form;

/// A crontab of one line, given on standard input. Debian's 22.05 has no such client.
const SCRONTAB: &[&str] = &["sh", "-c", "echo '0 1 * * * true' | scrontab -"];

/// All of them.
pub(crate) const CASES: &[Case] = &[
    case(
        "reservation_created",
        names::REQUEST_CREATE_RESERVATION,
        |g| Message::ResponseCreateReservation(Wire::sample(g)),
        &["scontrol", "create", "reservation", "users=root", "start=now", "duration=9", "nodes=n1"],
        Form::Lines(": "),
    ),
    case(
        "array_held",
        names::REQUEST_UPDATE_JOB,
        |g| Message::ResponseJobArrayErrors(Wire::sample(g)),
        &["scontrol", "hold", "1_[1-3]"],
        Form::Lines(": "),
    )
    .failing(),
    case(
        "array_updated",
        names::REQUEST_UPDATE_JOB,
        |g| Message::ResponseJobArrayErrors(Wire::sample(g)),
        &["scontrol", "update", "JobId=1", "TimeLimit=9"],
        Form::Lines(": "),
    )
    .failing(),
    case(
        "callerid",
        names::REQUEST_NETWORK_CALLERID,
        |g| Message::ResponseNetworkCallerid(Wire::sample(g)),
        &["scontrol", "callerid", "127.0.0.1", "1", "127.0.0.1", "2"],
        Form::Lines(" "),
    ),
    case(
        "jobs_killed",
        names::REQUEST_KILL_JOBS,
        killed,
        &["scancel", "--ctld", "--verbose", "1", "2"],
        Form::Lines(": "),
    )
    .since(Release::V24_11)
    .failing(),
    case("crontab", names::REQUEST_CRONTAB, crontab, &["scrontab", "-l"], Form::Lines(":"))
        .since(Release::V24_11),
    case("crontab_refused", names::REQUEST_UPDATE_CRONTAB, refused, SCRONTAB, Form::Lines(": "))
        .since(Release::V24_11)
        .failing(),
    case("crontab_taken", names::REQUEST_UPDATE_CRONTAB, taken, SCRONTAB, Form::Lines(": "))
        .since(Release::V24_11),
    case(
        "resource_layout",
        names::REQUEST_RESOURCE_LAYOUT,
        |g| Message::ResponseResourceLayout(Wire::sample(g)),
        &["scontrol", "show", "resources", "1"],
        Form::Pairs,
    )
    .since(Release::V26_05),
    case(
        "resource_layout_json",
        names::REQUEST_RESOURCE_LAYOUT,
        |g| Message::ResponseResourceLayout(Wire::sample(g)),
        &["scontrol", "show", "resources", "1", "--json"],
        Form::Json,
    )
    .since(Release::V26_05)
    .volatile(CLIENT),
    Case::new(
        "sacctmgr_modified",
        names::DBD_MODIFY_ACCOUNTS,
        Sample::Accounting(changed),
        &["sacctmgr", "-i", "modify", "account", "a1", "set", "description=d"],
        Form::Lines(": "),
    ),
    Case::new(
        "sacctmgr_removed",
        names::DBD_REMOVE_QOS,
        Sample::Accounting(changed),
        &["sacctmgr", "-i", "remove", "qos", "qos1"],
        Form::Lines(": "),
    ),
];

/// A job of each kind that has a form of its own: a plain one, a task, tasks, a component.
fn killed(g: &mut Gen) -> Message {
    let mut jobs = Vec::new();
    for kind in 0..4 {
        for mut job in m::KillJobsResponse::sample(g).jobs {
            if kind != 1 {
                job.id.array_task_id = NO_VAL;
            }
            if kind != 2 {
                job.id.array_bitmap = None;
            }
            if kind != 3 {
                job.id.het_job_offset = NO_VAL;
            }
            jobs.push(job);
        }
    }
    Message::ResponseKillJobs(m::KillJobsResponse { jobs })
}

/// The second of its three lines was disabled, or the third.
fn crontab(g: &mut Gen) -> Message {
    let mut crontab = m::CrontabResponse::sample(g);
    if let Some(text) = &mut crontab.crontab {
        text.push_str("\n1 2 3 4 5 second\n1 2 3 4 5 third\n");
    }
    if let Some(lines) = &mut crontab.disabled_lines {
        *lines = if lines.starts_with("altered") { "2" } else { "1" }.to_owned();
    }
    Message::ResponseCrontab(crontab)
}

fn refused(g: &mut Gen) -> Message {
    Message::ResponseUpdateCrontab(Wire::sample(g))
}

fn taken(g: &mut Gen) -> Message {
    let mut answer = m::CrontabUpdateResponse::sample(g);
    answer.return_code = pick(answer.return_code, 0, 0);
    Message::ResponseUpdateCrontab(answer)
}

fn changed(g: &mut Gen) -> DbdMessage {
    let mut names = d::Listing::<String>::sample(g);
    names.return_code = pick(names.return_code, 0, 0);
    DbdMessage::DbdGotList(names)
}
