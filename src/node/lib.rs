//! flurm-node.
