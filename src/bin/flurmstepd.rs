//! `flurmstepd`.
fn main() {}
