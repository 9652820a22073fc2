//! Python's pickles, as far as checkpoints need them.
//!
//! A pickle is a program for a machine with a stack and a memo: it puts values on the stack, gathers them into lists,
//! tuples and dictionaries, names Python's functions and classes, and has them called. In Python, reading a pickle
//! therefore runs what its author wrote. Here nothing is called: [`globals`] is a closed list of names, each of which
//! stands for one way of putting data together, and any other name is an error.
//!
//! [`opcodes`] has the table of instructions, [`tokens`] cuts bytes into instructions, [`machine`] runs them, and
//! [`objects`] is what they make: nodes that may be shared and may contain themselves, as in Python. `pt/build.rs`
//! turns those into a finite tree of values. [`write`] makes pickles.

pub(crate) mod globals;
pub(crate) mod machine;
pub(crate) mod objects;
pub(crate) mod opcodes;
pub(crate) mod tokens;
pub(crate) mod write;

/// The longest pickle that is read. Tensors lie beside it, so that a checkpoint of 10 000 tensors takes 2 MB.
pub(crate) const MAX_LENGTH: u64 = 64 << 20;

/// Levels of lists, tuples and dictionaries, and the value in the innermost, that are read and written.
pub(crate) const MAX_DEPTH: usize = 100;
