//! flurm-conf.
