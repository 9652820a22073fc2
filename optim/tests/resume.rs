//! Every optimiser, saved to a file in mid-training and resumed, goes on bit for bit as if nothing had happened.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_optim::*;
use flambeau_tensor::{DType, Result, Tensor};

/// Makes an optimiser of the parameters.
type Make = fn(Vec<Tensor>) -> Result<Box<dyn Optimizer>>;

/// An entry of the table: the optimiser with the defaults, changed by the given fields.
macro_rules! with {
    ($Optimizer:ident, $Options:ident { $($field:ident: $value:expr),* }) => {
        (stringify!($Optimizer), (|params| {
            #[allow(clippy::needless_update)]
            let options = $Options { $($field: $value,)* ..Default::default() };
            Ok(Box::new($Optimizer::new(params, options)?))
        }) as Make)
    };
}

fn table() -> Vec<(&'static str, Make)> {
    vec![
        with!(
            SGD,
            SGDOptions {
                lr: 0.03,
                momentum: 0.9,
                nesterov: true
            }
        ),
        with!(
            Adam,
            AdamOptions {
                lr: 0.03,
                amsgrad: true,
                weight_decay: 0.01
            }
        ),
        with!(AdamW, AdamWOptions { lr: 0.03 }),
        with!(
            RMSprop,
            RMSpropOptions {
                momentum: 0.5,
                centered: true
            }
        ),
        with!(
            Adagrad,
            AdagradOptions {
                lr_decay: 0.1,
                initial_accumulator_value: 0.1
            }
        ),
        with!(Adadelta, AdadeltaOptions { weight_decay: 0.1 }),
        with!(Adamax, AdamaxOptions { lr: 0.05 }),
        with!(
            NAdam,
            NAdamOptions {
                lr: 0.05,
                decoupled_weight_decay: true
            }
        ),
        with!(RAdam, RAdamOptions { lr: 0.05 }),
        with!(ASGD, ASGDOptions { t0: 3.0 }),
        with!(Rprop, RpropOptions { lr: 0.02 }),
        with!(
            Lion,
            LionOptions {
                lr: 0.02,
                weight_decay: 0.1
            }
        ),
    ]
}

fn params(dtype: DType) -> Vec<Tensor> {
    let make = |data: &[f64], shape: &[usize]| {
        let tensor = Tensor::from_slice(data, shape).unwrap().to_dtype(dtype).unwrap();
        tensor.requires_grad(true).unwrap()
    };
    vec![
        make(&[0.5, -1.5, 2.0, 0.1, -0.7, 1.1], &[2, 3]),
        make(&[0.3, -0.2, 0.9, 1.4], &[2, 2]),
    ]
}

/// One step down `Σ (x - 0.3)⁴ + x²`.
fn train(optimizer: &mut dyn Optimizer, params: &[Tensor], steps: usize) {
    for _ in 0..steps {
        let step = optimizer.step_with_closure(&mut || {
            let mut loss = Tensor::scalar(0.0f32);
            for x in params {
                let part = x.sub(0.3)?.square()?.square()?.add(&x.square()?)?.sum()?;
                loss = loss.add(&part)?;
            }
            loss.backward()?;
            Ok(loss)
        });
        step.unwrap();
    }
}

fn bits(params: &[Tensor]) -> Vec<u64> {
    let values = params.iter().flat_map(|p| p.detach().to_vec_f64().unwrap());
    values.map(f64::to_bits).collect()
}

fn check(name: &str, make: Make, dtype: DType) {
    let straight = params(dtype);
    let start = bits(&straight);
    let mut optimizer = make(straight.clone()).unwrap();
    train(&mut *optimizer, &straight, 20);
    assert_ne!(bits(&straight), start, "{name}: nothing moved");

    let first = params(dtype);
    let mut optimizer = make(first.clone()).unwrap();
    train(&mut *optimizer, &first, 10);
    let path = std::env::temp_dir().join(format!("flambeau-optim-{}-{name}-{dtype}", std::process::id()));
    optimizer.state_dict().unwrap().save(&path).unwrap();
    let saved: Vec<Tensor> = first.iter().map(Tensor::detach).collect();
    train(&mut *optimizer, &first, 1);

    let second: Vec<Tensor> = saved.iter().map(|p| p.requires_grad(true).unwrap()).collect();
    let mut resumed = make(second.clone()).unwrap();
    resumed.load_state_dict(&StateDict::load(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    train(&mut *resumed, &second, 10);
    assert_eq!(bits(&second), bits(&straight), "{name} in {dtype}");
}

#[test]
fn ten_steps_and_ten_more_are_twenty() {
    for (name, make) in table() {
        for dtype in [DType::F32, DType::F64, DType::BF16] {
            check(name, make, dtype);
        }
    }
}
