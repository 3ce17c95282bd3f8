//! flurm-sched.
