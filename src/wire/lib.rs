//! flurm-wire.
