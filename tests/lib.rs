//! flurm-tests.
