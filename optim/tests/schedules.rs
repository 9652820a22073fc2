//! Every schedule, saved as text in mid-training and resumed, goes on bit for bit; wrong options are refused with PyTorch's
//! texts.

#![allow(clippy::unwrap_used)]

use flambeau_optim::lr_scheduler::*;
use flambeau_optim::{Optimizer, SGD, SGDOptions, StateDict};
use flambeau_tensor::{DType, Error, Result, Tensor};

type Make = fn(&mut dyn Optimizer) -> Result<Box<dyn LRScheduler>>;

/// An entry of the table.
macro_rules! schedule {
    ($Schedule:ident, $options:expr) => {
        (
            stringify!($Schedule),
            (|optimizer| Ok(Box::new($Schedule::new(optimizer, $options)?))) as Make,
        )
    };
}

fn table() -> Vec<(&'static str, Make)> {
    vec![
        schedule!(LambdaLR, LambdaLROptions::new(|epoch| 0.95f64.powf(epoch as f64))),
        schedule!(MultiplicativeLR, MultiplicativeLROptions::new(|_| 0.93)),
        schedule!(
            StepLR,
            StepLROptions {
                gamma: 0.7,
                ..StepLROptions::new(3)
            }
        ),
        schedule!(MultiStepLR, MultiStepLROptions::new([4, 9, 13])),
        schedule!(
            ConstantLR,
            ConstantLROptions {
                total_iters: 12,
                ..Default::default()
            }
        ),
        schedule!(
            LinearLR,
            LinearLROptions {
                total_iters: 15,
                ..Default::default()
            }
        ),
        schedule!(ExponentialLR, ExponentialLROptions { gamma: 0.9 }),
        schedule!(
            PolynomialLR,
            PolynomialLROptions {
                total_iters: 18,
                power: 1.5
            }
        ),
        schedule!(CosineAnnealingLR, CosineAnnealingLROptions::new(8)),
        schedule!(
            CosineAnnealingWarmRestarts,
            CosineAnnealingWarmRestartsOptions {
                t_mult: 2,
                ..CosineAnnealingWarmRestartsOptions::new(3)
            }
        ),
        schedule!(
            CyclicLR,
            CyclicLROptions {
                step_size_up: 4.0,
                ..CyclicLROptions::new(0.01, 0.1)
            }
        ),
        schedule!(OneCycleLR, OneCycleLROptions::new(0.3, 21)),
        schedule!(
            SWALR,
            SWALROptions {
                anneal_epochs: 14,
                ..SWALROptions::new(0.02)
            }
        ),
        ("ChainedScheduler", |optimizer| {
            let schedulers: Vec<Box<dyn LRScheduler>> = vec![
                Box::new(LinearLR::new(optimizer, LinearLROptions::default())?),
                Box::new(ExponentialLR::new(
                    optimizer,
                    ExponentialLROptions { gamma: 0.9 },
                )?),
            ];
            Ok(Box::new(ChainedScheduler::new(optimizer, schedulers)?))
        }),
        ("SequentialLR", |optimizer| {
            let schedulers: Vec<Box<dyn LRScheduler>> = vec![
                Box::new(LinearLR::new(optimizer, LinearLROptions::default())?),
                Box::new(CosineAnnealingLR::new(
                    optimizer,
                    CosineAnnealingLROptions::new(16),
                )?),
            ];
            Ok(Box::new(SequentialLR::new(optimizer, schedulers, [5])?))
        }),
    ]
}

fn optimizer() -> SGD {
    let group = |lr| {
        let options = SGDOptions {
            lr,
            momentum: 0.9,
            ..Default::default()
        };
        ([Tensor::zeros(1, DType::F32).unwrap()], options)
    };
    SGD::with_groups([group(0.1), group(0.03)]).unwrap()
}

/// Bits of all learning rates and momenta.
fn rates(optimizer: &SGD) -> Vec<u64> {
    let groups = optimizer.groups().iter();
    groups
        .flat_map(|group| [group.options.lr.to_bits(), group.options.momentum.to_bits()])
        .collect()
}

#[test]
fn a_saved_schedule_goes_on() {
    for (name, make) in table() {
        let mut straight = optimizer();
        let mut schedule = make(&mut straight).unwrap();
        let mut saved = None;
        let mut expected = Vec::new();
        for step in 0..20 {
            if step == 7 {
                let path = std::env::temp_dir().join(format!("flambeau-sched-{}-{name}", std::process::id()));
                straight.state_dict().unwrap().save(&path).unwrap();
                saved = Some((
                    StateDict::load(&path).unwrap(),
                    schedule.state_dict().unwrap().to_string(),
                ));
                std::fs::remove_file(&path).unwrap();
            }
            schedule.step(&mut straight).unwrap();
            if step >= 7 {
                expected.push(rates(&straight));
            }
        }
        assert!(
            expected.iter().any(|rates| *rates != expected[0]),
            "{name}: nothing changes"
        );
        let (state, text) = saved.unwrap();
        let mut resumed = optimizer();
        let mut schedule = make(&mut resumed).unwrap();
        resumed.load_state_dict(&state).unwrap();
        schedule
            .load_state_dict(&serde_json::from_str(&text).unwrap())
            .unwrap();
        for expected in expected {
            schedule.step(&mut resumed).unwrap();
            assert_eq!(rates(&resumed), expected, "{name}");
        }
        assert_eq!(
            schedule.last_lr(),
            [resumed.groups()[0].options.lr, resumed.groups()[1].options.lr]
        );
        if !["LambdaLR", "MultiplicativeLR"].contains(&name) {
            assert!(
                schedule.load_state_dict(&serde_json::json!({})).is_err(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_plateau_is_seen_after_a_resumption() {
    let mut optimizer = optimizer();
    let options = ReduceLROnPlateauOptions {
        patience: 1,
        factor: 0.5,
        ..Default::default()
    };
    let mut schedule = ReduceLROnPlateau::new(&mut optimizer, options.clone()).unwrap();
    // A measurement of none is saved, though JSON has no infinity.
    let mut resumed = ReduceLROnPlateau::new(&mut optimizer, ReduceLROnPlateauOptions::default()).unwrap();
    resumed.load_state_dict(&schedule.state_dict().unwrap()).unwrap();
    for loss in [1.0, 0.5, 0.6, 0.55] {
        schedule.step(&mut optimizer, loss).unwrap();
    }
    assert_eq!(schedule.last_lr(), [0.05, 0.015]);
    resumed.load_state_dict(&schedule.state_dict().unwrap()).unwrap();
    for loss in [0.6, 0.7] {
        resumed.step(&mut optimizer, loss).unwrap();
    }
    assert_eq!(resumed.last_lr(), [0.025, 0.0075]);
}

#[test]
fn wrong_options_are_refused() {
    let refused = |make: &dyn Fn(&mut dyn Optimizer) -> Option<Error>| {
        make(&mut optimizer()).map_or_else(String::new, |error| error.to_string())
    };
    let messages = [
        (
            refused(&|o| {
                ConstantLR::new(
                    o,
                    ConstantLROptions {
                        factor: 1.5,
                        total_iters: 2,
                    },
                )
                .err()
            }),
            "Constant multiplicative factor expected to be between 0 and 1.",
        ),
        (
            refused(&|o| {
                LinearLR::new(
                    o,
                    LinearLROptions {
                        start_factor: 0.0,
                        ..Default::default()
                    },
                )
                .err()
            }),
            "Starting multiplicative factor expected to be greater than 0 and less or equal to 1.",
        ),
        (
            refused(&|o| OneCycleLR::new(o, OneCycleLROptions::new(0.1, 0)).err()),
            "Expected positive integer total_steps, but got 0",
        ),
        (
            refused(&|o| OneCycleLR::new(o, OneCycleLROptions::new(vec![0.1], 9)).err()),
            "max_lr must have the same length as optimizer.param_groups. max_lr has 1 values, param_groups has 2.",
        ),
        (
            refused(&|o| {
                CosineAnnealingWarmRestarts::new(o, CosineAnnealingWarmRestartsOptions::new(0)).err()
            }),
            "Expected positive integer T_0, but got 0",
        ),
        (
            refused(&|o| {
                let options = ReduceLROnPlateauOptions {
                    factor: 1.0,
                    ..Default::default()
                };
                ReduceLROnPlateau::new(o, options).err()
            }),
            "Factor should be < 1.0.",
        ),
        (
            refused(&|o| SequentialLR::new(o, Vec::new(), []).err()),
            "expects at least one scheduler, but got no scheduler.",
        ),
        (
            refused(&|o| StepLR::new(o, StepLROptions::new(0)).err()),
            "positive step_size",
        ),
    ];
    for (got, expected) in messages {
        assert!(got.contains(expected), "{got:?} lacks {expected:?}");
    }
    let mut optimizer = optimizer();
    let mut schedule = OneCycleLR::new(&mut optimizer, OneCycleLROptions::new(0.1, 4)).unwrap();
    let steps = (0..5).map(|_| schedule.step(&mut optimizer)).collect::<Vec<_>>();
    assert!(steps[..4].iter().all(Result::is_ok));
    let message = steps[4].as_ref().unwrap_err().to_string();
    assert!(
        message.contains("Tried to step 5 times. The specified number of total steps is 4"),
        "{message}"
    );
}

#[test]
fn each_schedule_keeps_its_own_bounds_of_the_momentum() {
    let weight = Tensor::zeros(1, DType::F32).unwrap().requires_grad(true).unwrap();
    let options = SGDOptions {
        momentum: 0.9,
        ..Default::default()
    };
    let mut optimizer = SGD::new([weight], options).unwrap();
    let one_cycle = OneCycleLR::new(&mut optimizer, OneCycleLROptions::new(0.3, 60)).unwrap();
    let cyclic = CyclicLR::new(&mut optimizer, CyclicLROptions::new(0.01, 0.2)).unwrap();
    let schedulers: Vec<Box<dyn LRScheduler>> = vec![Box::new(one_cycle), Box::new(cyclic)];
    SequentialLR::new(&mut optimizer, schedulers, [5]).unwrap();
    // PyTorch begins with 0.9, the bound of the schedule that was made last.
    assert_eq!(optimizer.param_groups()[0].momentum(), Some(0.95));
}
