//! flurm-host.
