//! flurm-ctld.
