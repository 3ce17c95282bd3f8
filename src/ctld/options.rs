//! Every option of sbatch, salloc and srun: what it does here, declared once.
//!
//! Submissions are refused by this table, `docs/options.md` is written from it, and tests judge that
//! it leaves out no option of a client's and no field of a submission.

use flurm_wire::records::JobDesc;
use flurm_wire::{Errno, NO_VAL16, Text};

use crate::refused::Refused;
use crate::submit::{count, number};

/// What an option does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// It has its effect.
    Honoured,
    /// The client acts on it, or turns it into other requests; no controller hears of it.
    Client,
    /// It is kept, shown and handed on; nothing has to follow from it.
    Recorded,
    /// It is about steps; the table of steps says what becomes of it.
    Step,
    /// Who asks for it is refused.
    Refused(Ask),
}

/// A request that is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// Slurm's error where Slurm has one for a cluster that is not set up for the thing.
    pub(crate) errno: Errno,
    /// Whether a submission asks for it.
    pub(crate) asked: fn(&JobDesc) -> bool,
    /// A way to ask that clients of every release have; empty where there is none.
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is made of it"))]
    pub(crate) example: &'static str,
}

/// One option, or several of one kind. Tests read all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Names without dashes.
    pub(crate) names: &'static [&'static str],
    /// Fields of a submission that carry it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is made of it"))]
    pub(crate) fields: &'static [&'static str],
    /// What it does.
    pub(crate) effect: Effect,
    /// What is to be known beside that.
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is made of it"))]
    pub(crate) note: &'static str,
    /// Tests that show it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the document is made of it"))]
    pub(crate) tests: &'static [&'static str],
}

/// What must not be dropped and is not served, in the table's order.
pub(crate) fn refuse_what_is_not_done(desc: &JobDesc) -> Result<(), Refused> {
    for row in crate::options_table::ROWS {
        let Effect::Refused(ask) = row.effect else { continue };
        if (ask.asked)(desc) {
            let text = format!("--{}: not supported by this controller", row.names[0]);
            return Err(Refused::because(ask.errno.0, text));
        }
    }
    Ok(())
}

/// Whether a text was given.
pub(crate) fn says(value: &Option<Text>) -> bool {
    value.as_ref().is_some_and(|text| !text.is_empty())
}

/// Whether a count was given that is not zero.
pub(crate) fn counts(value: u16) -> bool {
    value != NO_VAL16 && value != 0
}

/// `--switches` with a count.
pub(crate) fn switches(desc: &JobDesc) -> bool {
    number(desc.req_switch).is_some_and(|count| count > 0)
}

/// `--ntasks-per-gpu`.
pub(crate) fn tasks_per_gpu(desc: &JobDesc) -> bool {
    count(desc.ntasks_per_tres).is_some()
}
