//! flurm-sim.
