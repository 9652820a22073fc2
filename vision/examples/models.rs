//! Prints the models that there are: `cargo run -p flambeau-vision --example models`.

use flambeau_vision::models;

fn main() {
    println!(
        "{:<20} {:>12} {:>8}  weights (ImageNet-1K acc@1)",
        "name", "parameters", "GFLOPs"
    );
    for entry in models::list() {
        let weights = entry.weights.iter().map(|weights| match weights.accuracy {
            Some(accuracy) => format!("{} ({:.1}%)", weights.name, accuracy.acc1),
            None => weights.name.to_string(),
        });
        let weights: Vec<_> = weights.collect();
        println!(
            "{:<20} {:>12} {:>8.3}  {}",
            entry.name,
            entry.parameters,
            entry.gflops,
            weights.join(", ")
        );
    }
}
