//! `flurmctld`.
fn main() {}
