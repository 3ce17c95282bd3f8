//! flurm-rt-tokio.
