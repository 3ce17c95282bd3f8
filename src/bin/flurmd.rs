//! `flurmd`.
fn main() {}
