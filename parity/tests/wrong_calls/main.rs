//! Wrong calls: each returns an error that names the function and quotes what came, the shapes, types and values; none
//! panics and none is accepted. One file per family: calls by torch's names, then methods and functions of Rust.

#![allow(clippy::unwrap_used)]

#[macro_use]
mod table;

mod elementwise;
mod files;
mod gradients;
mod indexing;
mod layers;
mod losses;
mod methods;
mod products;
mod random;
mod recurrent;
mod reductions;
mod shapes;

use std::collections::BTreeMap;

use flambeau_parity::args::{Arg, Args};
use flambeau_parity::registry;

use table::{Call, check, fault};

#[test]
fn calls_by_torch_s_names() {
    let tables = [
        elementwise::calls(),
        shapes::calls(),
        indexing::calls(),
        reductions::calls(),
        products::calls(),
        layers::calls(),
        losses::calls(),
    ];
    let fault_of = |call: Call| {
        let keywords: BTreeMap<String, Arg> = call
            .keywords
            .into_iter()
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        let args = Args::new(call.name, call.positional, keywords);
        let shown = format!("{args:?}");
        let refused = || registry::call(call.name, args).map(drop);
        (shown, fault(refused, call.name, call.mentions))
    };
    check(tables.into_iter().flatten().map(fault_of).collect(), 500);
}

#[test]
fn methods_and_functions() {
    let tables = [
        methods::faults(),
        random::faults(),
        recurrent::faults(),
        gradients::faults(),
        files::faults(),
    ];
    check(tables.concat(), 170);
}
