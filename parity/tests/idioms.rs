//! Runs the tables of `docs/for-pytorch-users.md`, of which `build.rs` makes the function `idioms`.

#![allow(
    clippy::unwrap_used,
    unused_imports,
    unused_variables,
    unused_must_use,
    reason = "rows show a call, and not what is done with its result"
)]

include!(concat!(env!("OUT_DIR"), "/idioms.rs"));

#[test]
fn the_idioms_of_the_book_run() {
    idioms().unwrap();
    const { assert!(ROWS >= 60) };
}
