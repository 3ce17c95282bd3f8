//! flurm-checks.
