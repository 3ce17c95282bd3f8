//! What reservations leave to one job, whenever it would start.

use flurm_base::Time;
use flurm_model::{JobSpec, Limit, NodeBounds, Reason, Reservation};

/// Judges nodes by the time at which a job would start there.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    reservations: &'a [Reservation],
    spec: &'a JobSpec,
    limit: Limit,
}

impl<'a> Gate<'a> {
    /// For a job that runs no longer than `limit`.
    pub(crate) fn new(reservations: &'a [Reservation], spec: &'a JobSpec, limit: Limit) -> Self {
        Self { reservations, spec, limit }
    }

    /// Whether no reservation says anything, at any time.
    pub(crate) fn is_open(&self) -> bool {
        self.reservations.is_empty() && self.spec.requests.reservation.is_none()
    }

    /// Whether a reservation ends just then.
    pub(crate) fn opens_at(&self, at: Time) -> bool {
        self.reservations.iter().any(|one| one.end == at || one.start == at)
    }

    /// What is left to the job if it starts then, or why it cannot.
    pub(crate) fn bounds(&self, at: Time) -> Result<NodeBounds, Reason> {
        if self.is_open() {
            return Ok(NodeBounds::default());
        }
        flurm_model::node_bounds(self.reservations.iter(), self.spec, self.limit, at)
    }
}
