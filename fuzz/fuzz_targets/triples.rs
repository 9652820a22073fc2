//! Knowledge graphs: three files, one after the other in the bytes, with a zero between them.

#![no_main]

use flambeau_fuzz::folder_of;
use flambeau_graph::datasets::triples;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let files = ["train.txt", "valid.txt", "test.txt"].map(|name| (name, parts.next()));
    if let Ok(graph) = triples(folder_of("triples", files)) {
        for part in [&graph.train, &graph.valid, &graph.test] {
            let numbers = part.to_vec::<i64>().expect("numbers of names");
            let (heads, rest) = numbers.split_at(part.shape()[1]);
            let (relations, tails) = rest.split_at(part.shape()[1]);
            assert!(heads.iter().chain(tails).all(|&i| (i as usize) < graph.entities.len()));
            assert!(relations.iter().all(|&i| (i as usize) < graph.relations.len()));
        }
    }
});
