//! `growth/*`: how times grow with the batch, the side of an image and the length of a sequence.

use flambeau_tensor::random::manual_seed;
use flambeau_vision::models::create;

use crate::infer::{infer, transformer_encoder};
use crate::workload::Workload;

/// Batches of images of 224 × 224.
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Sides of single images.
const SIDES: [usize; 7] = [64, 96, 128, 192, 256, 384, 512];
/// Lengths of single sequences.
const LENGTHS: [usize; 6] = [64, 128, 256, 512, 1024, 2048];

/// All workloads of this group: ResNet-18, and MiniLM's encoder (6 layers, 384 features, 12 heads).
pub(crate) fn workloads() -> Vec<Workload> {
    let resnet = |name: String, shape: [usize; 4]| {
        Workload::new(name, move || {
            manual_seed(0);
            infer(create("resnet18", Default::default())?, &shape)
        })
    };
    let batches = BATCHES.map(|batch| resnet(format!("growth/resnet18_batch_{batch}"), [batch, 3, 224, 224]));
    let sides = SIDES.map(|side| resnet(format!("growth/resnet18_side_{side}"), [1, 3, side, side]));
    let lengths = LENGTHS.map(|length| {
        Workload::new(format!("growth/encoder_length_{length}"), move || {
            infer(transformer_encoder(6, [384, 12, 1536])?, &[1, length, 384])
        })
    });
    batches.into_iter().chain(sides).chain(lengths).collect()
}
