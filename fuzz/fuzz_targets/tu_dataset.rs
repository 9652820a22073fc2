//! Datasets of many graphs: the files of the folder stand one after the other in the bytes, with a zero between them.

#![no_main]

use flambeau_fuzz::folder_of;
use flambeau_graph::datasets::tu_dataset;
use libfuzzer_sys::fuzz_target;

const FILES: [&str; 8] = [
    "A",
    "graph_indicator",
    "graph_labels",
    "node_labels",
    "edge_labels",
    "node_attributes",
    "edge_attributes",
    "graph_attributes",
];

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(FILES.len(), |byte| *byte == 0);
    let files = FILES.map(|what| (format!("D_{what}.txt"), parts.next().filter(|part| !part.is_empty())));
    let folder = folder_of("tu", files.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
    if let Ok(graphs) = tu_dataset(folder) {
        for graph in graphs {
            graph.validate().expect("a graph that was read");
        }
    }
});
