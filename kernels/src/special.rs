//! Special functions: scalar formulas in f64, and one entry point over slices ([`SpecialUnary`], [`SpecialBinary`]).

mod gamma;

pub use gamma::lgamma;
