//! flurm-bin.
