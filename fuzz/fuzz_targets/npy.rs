//! `.npy` files. What can be read can be written, and then reads the same.

#![no_main]

use flambeau_tensor::io::npy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensor) = npy::from_bytes(bytes) {
        let written = npy::to_bytes(&tensor).expect("every element type that is read can be written");
        let again = npy::from_bytes(&written).expect("what was written can be read");
        assert_eq!((again.shape(), again.dtype()), (tensor.shape(), tensor.dtype()));
        assert_eq!(npy::to_bytes(&again).expect("as above"), written);
    }
});
