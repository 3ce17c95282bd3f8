//! The `Wire` derive.
