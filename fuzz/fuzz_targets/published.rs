//! Citation networks as they were published: the first byte says which file of a small one the other bytes replace.

#![no_main]

use flambeau_fuzz::folder_of;
use flambeau_graph::datasets::planetoid;
use libfuzzer_sys::fuzz_target;

macro_rules! files {
    ($($what:literal),*) => {
        [$((
            concat!("ind.citeseer.", $what),
            include_bytes!(concat!("../../graph/tests/golden/planetoid/gap/ind.citeseer.", $what)) as &[u8],
        )),*]
    };
}
const FILES: [(&str, &[u8]); 7] = files!("allx", "ally", "graph", "test.index", "tx", "ty", "y");

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, bytes)) = bytes.split_first() else {
        return;
    };
    let replaced = which as usize % FILES.len();
    let files = FILES.iter().enumerate().map(|(i, &(name, whole))| (name, Some(if i == replaced { bytes } else { whole })));
    if let Ok(graph) = planetoid(folder_of("published", files)) {
        graph.validate().expect("a graph that was read");
        graph.edges().expect("a graph that was read");
        assert!(graph.num_classes().expect("classes") <= bytes.len().max(3));
    }
});
