//! flurm-model.
