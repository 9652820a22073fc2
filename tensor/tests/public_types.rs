//! Public types can be sent to and shared between threads.

#![allow(clippy::unwrap_used)]

use flambeau_tensor::random::Generator;
use flambeau_tensor::{DType, Error, Scalar, Shape, Tensor, graph};

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync>() -> &'static str {
        std::any::type_name::<T>()
    }
    let checked = [
        check::<Tensor>(),
        check::<Error>(),
        check::<Shape>(),
        check::<DType>(),
        check::<Scalar>(),
        check::<Generator>(),
        check::<graph::Node>(),
        check::<graph::Op>(),
    ];
    assert!(checked.iter().all(|name| name.contains("flambeau")));
}

/// A tensor made on one thread is read, changed and differentiated on others.
#[test]
fn threads_share_a_tensor() {
    let x = Tensor::zeros(1000, DType::F32).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    x.add_(1.0).unwrap();
                    assert_eq!(x.sum().unwrap().shape(), [0usize; 0]);
                }
            });
        }
    });
    assert_eq!(x.to_vec::<f32>().unwrap(), vec![400.0; 1000]);
}
