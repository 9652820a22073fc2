//! Programs of operations on small tensors: each pair of bytes is an operation and its argument. Whatever comes, an
//! operation returns a tensor or an error.

#![no_main]

use flambeau_tensor::{Result, Tensor};
use libfuzzer_sys::fuzz_target;

fn step(op: u8, x: &Tensor, y: &Tensor, n: isize) -> Result<Tensor> {
    match op % 16 {
        0 => x.add(y),
        1 => x.mul(y),
        2 => x.div(y),
        3 => x.matmul(y),
        4 => x.transpose(n, n / 3),
        5 => x.reshape([n, -1]),
        6 => x.unsqueeze(n),
        7 => x.squeeze(),
        8 => x.sum_dim(n, n % 2 == 0),
        9 => x.select(n / 8, n % 8),
        10 => x.slice(n / 32, Some(n % 8), None, n / 8),
        11 => x.narrow(n / 16, n % 4, (n % 5).unsigned_abs()),
        12 => Tensor::cat(&[x, y], n),
        13 => x.exp(),
        14 => x.permute([n, n / 2, n / 4]),
        _ => x.sub(n as f64),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let data: Vec<f64> = (0..24).map(f64::from).collect();
    let mut tensors = vec![
        Tensor::from_vec(data, (2, 3, 4)).expect("24 elements"),
        Tensor::scalar(0.5),
    ];
    for pair in bytes.chunks_exact(2).take(64) {
        let last = tensors.len() - 1;
        let (x, y) = (&tensors[last], &tensors[pair[1] as usize % tensors.len()]);
        match step(pair[0], x, y, pair[1] as i8 as isize) {
            // Two of these have at most 2²⁰ products: more memory than that is no fault of the operations.
            Ok(tensor) if tensor.numel() <= 1 << 10 => {
                let values = tensor
                    .to_vec::<f64>()
                    .expect("programs start from float64 and keep it");
                assert_eq!(values.len(), tensor.numel());
                tensors.push(tensor);
            }
            Ok(_) | Err(_) => {}
        }
    }
});
