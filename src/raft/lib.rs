//! flurm-raft.
