//! A job's place in its array: as clients are shown it, and as the job itself is told.

use flurm_model::{ArrayRequest, Job, JobArray};
use flurm_wire::messages::JobState;
use flurm_wire::records::JobInfo;
use flurm_wire::{Bits, NO_VAL};

/// Fills in the fields about arrays.
pub(crate) fn put_array(job: &Job, info: &mut JobInfo) {
    info.array_task_id = NO_VAL;
    let Some(array) = &job.array else { return };
    info.array_job_id = array.job.0;
    info.array_task_id = array.task.unwrap_or(NO_VAL);
    info.array_task_str = array.task.is_none().then(|| array.undivided.hex_mask()).map(Into::into);
    info.array_max_tasks = array.running_max.unwrap_or(0);
}

/// A job's state with its place in its array.
pub(crate) fn state(job: &Job) -> JobState {
    let mut state = JobState { job_id: job.id.0, state: job.state_number(), ..JobState::default() };
    if let Some(array) = &job.array {
        state.array_job_id = array.job.0;
        state.array_task_id = array.task.unwrap_or(NO_VAL);
        state.array_task_id_bitmap = array.task.is_none().then(|| bits(array));
    }
    state
}

fn bits(array: &JobArray) -> Bits {
    let size = array.undivided.last().map_or(1, |last| last.saturating_add(1));
    Bits::from_indices(size, array.undivided.iter())
}

/// The array's number and the task's, as file name patterns show them: an undivided record has
/// no task, which Slurm shows as its largest number.
pub(crate) fn numbers(job: &Job) -> Option<(u32, u32)> {
    job.array.as_ref().map(|array| (array.job.0, array.task.unwrap_or(NO_VAL)))
}

/// What every task is told of its array (sbatch(1), "output environment variables").
pub(crate) fn environment(request: &ArrayRequest) -> Vec<String> {
    let number = |task: Option<u32>| task.unwrap_or(0);
    vec![
        format!("SLURM_ARRAY_TASK_COUNT={}", request.tasks.count()),
        format!("SLURM_ARRAY_TASK_MIN={}", number(request.tasks.first())),
        format!("SLURM_ARRAY_TASK_MAX={}", number(request.tasks.last())),
        format!("SLURM_ARRAY_TASK_STEP={}", request.step),
    ]
}
