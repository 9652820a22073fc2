//! What all optimisers share: groups, closures, half precision, refusals with PyTorch's texts.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_optim::*;
use flambeau_tensor::{DType, Error, Tensor};

fn leaf(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, values.len())
        .unwrap()
        .requires_grad(true)
        .unwrap()
}

fn error<T>(result: Result<T, Error>) -> String {
    result.err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn wrong_options_are_refused() {
    /// The message of an optimiser made with one option.
    macro_rules! refused {
        ($Optimizer:ident, $Options:ident { $($field:ident: $value:expr),* }) => {
            error($Optimizer::new([leaf(&[1.0])], $Options { $($field: $value,)* ..Default::default() }))
        };
    }
    let messages = [
        (
            refused!(SGD, SGDOptions { lr: -0.1 }),
            "SGD: Invalid learning rate: -0.1",
        ),
        (
            refused!(SGD, SGDOptions { momentum: -1.0 }),
            "Invalid momentum value: -1.0",
        ),
        (
            refused!(SGD, SGDOptions { nesterov: true }),
            "Nesterov momentum requires a momentum and zero dampening",
        ),
        (
            refused!(Adam, AdamOptions { betas: (1.0, 0.9) }),
            "Invalid beta parameter at index 0: 1.0",
        ),
        (
            refused!(AdamW, AdamWOptions { betas: (0.9, -0.5) }),
            "Invalid beta parameter at index 1: -0.5",
        ),
        (
            refused!(Adamax, AdamaxOptions { eps: -1.0 }),
            "Invalid epsilon value: -1.0",
        ),
        (
            refused!(NAdam, NAdamOptions { momentum_decay: -1.0 }),
            "Invalid momentum_decay value: -1.0",
        ),
        (
            refused!(RAdam, RAdamOptions { weight_decay: -1.0 }),
            "Invalid weight_decay value: -1.0",
        ),
        (
            refused!(RMSprop, RMSpropOptions { alpha: -1.0 }),
            "Invalid alpha value: -1.0",
        ),
        (
            refused!(Adagrad, AdagradOptions { lr_decay: -1.0 }),
            "Invalid lr_decay value: -1.0",
        ),
        (
            refused!(Adadelta, AdadeltaOptions { rho: 1.5 }),
            "Invalid rho value: 1.5",
        ),
        (
            refused!(ASGD, ASGDOptions { lr: f64::NAN }),
            "Invalid learning rate: NaN",
        ),
        (
            refused!(Rprop, RpropOptions { etas: (1.2, 0.5) }),
            "Invalid eta values: 1.2, 0.5",
        ),
        (
            refused!(SparseAdam, SparseAdamOptions { lr: 0.0 }),
            "Invalid learning rate: 0.0",
        ),
        (
            refused!(Adafactor, AdafactorOptions { d: 0.5 }),
            "Clipping threshold d should be >= 1 but is: 0.5",
        ),
        (
            refused!(Muon, MuonOptions { lr: 0.1 }),
            "Muon only supports 2D parameters whereas we found a parameter with size: [1]",
        ),
        (
            refused!(LBFGS, LBFGSOptions { lr: -1.0 }),
            "Invalid learning rate: -1.0",
        ),
        (
            refused!(Lion, LionOptions { betas: (0.9, 1.0) }),
            "Invalid beta parameter at index 1: 1.0",
        ),
    ];
    for (got, expected) in messages {
        assert!(got.contains(expected), "{got:?} lacks {expected:?}");
    }
}

#[test]
fn wrong_parameters_are_refused() {
    let options = SGDOptions::default;
    assert!(error(SGD::new([], options())).contains("optimizer got an empty parameter list"));
    let x = leaf(&[1.0]);
    assert!(error(SGD::new([x.mul(2.0).unwrap()], options())).contains("can't optimize a non-leaf Tensor"));
    let twice = error(SGD::new([x.clone(), x.clone()], options()));
    assert!(
        twice.contains("some parameters appear in more than one parameter group"),
        "{twice}"
    );
    let mut optimizer = SGD::new([x.clone()], options()).unwrap();
    assert!(optimizer.add_param_group([x.clone()], options()).is_err());
    assert!(error(LBFGS::new([x], LBFGSOptions::default()).unwrap().step()).contains("closure"));
}

#[test]
fn groups_have_their_own_options() {
    let (a, b, c) = (leaf(&[1.0]), leaf(&[1.0]), leaf(&[1.0]));
    let options = |lr| SGDOptions {
        lr,
        ..Default::default()
    };
    let groups = [([a.clone()], options(0.5)), ([b.clone()], options(0.25))];
    let mut optimizer = SGD::with_groups(groups).unwrap();
    for x in [&a, &b] {
        x.set_grad(Some(Tensor::new([1.0f32]).unwrap())).unwrap();
    }
    optimizer.step().unwrap();
    optimizer.add_param_group([c.clone()], options(1.0)).unwrap();
    for group in optimizer.param_groups_mut() {
        group.set_lr(0.5 * group.lr());
    }
    // c has no gradient and stays.
    optimizer.step().unwrap();
    assert_eq!(
        [
            a.item::<f32>().unwrap(),
            b.item::<f32>().unwrap(),
            c.item::<f32>().unwrap()
        ],
        [0.25, 0.625, 1.0]
    );
    optimizer.zero_grad();
    assert!(a.grad().is_none());
    let state = optimizer.state_dict().unwrap();
    assert_eq!(state.param_groups[2]["lr"], 0.5);
    assert_eq!(state.param_groups[1]["params"], serde_json::json!([1]));
    let mut other = SGD::new([a], options(0.1)).unwrap();
    assert!(error(other.load_state_dict(&state)).contains("different number of parameter groups"));
}

#[test]
fn half_precision_is_updated_in_float32() {
    for dtype in [DType::F16, DType::BF16] {
        let start = Tensor::new([1.0f32, -2.0]).unwrap().to_dtype(dtype).unwrap();
        let param = start.requires_grad(true).unwrap();
        let grad = Tensor::new([1e-3f32, -2e-3]).unwrap().to_dtype(dtype).unwrap();
        let options = AdamOptions {
            lr: 0.125,
            ..Default::default()
        };
        let mut optimizer = Adam::new([param.clone()], options).unwrap();
        for _ in 0..4 {
            param.set_grad(Some(grad.clone())).unwrap();
            optimizer.step().unwrap();
        }
        assert_eq!(param.dtype(), dtype);
        let moved = param.detach().to_vec_f64().unwrap();
        assert!(
            (moved[0] - 0.5).abs() < 0.02 && (moved[1] + 1.5).abs() < 0.02,
            "{moved:?}"
        );
        assert_eq!(
            optimizer.groups()[0].states()[0]
                .tensor("exp_avg_sq")
                .unwrap()
                .dtype(),
            DType::F32
        );
    }
}

#[test]
fn a_state_dict_is_not_changed_by_later_steps() {
    let param = leaf(&[1.0]);
    let options = SGDOptions {
        momentum: 0.5,
        ..Default::default()
    };
    let mut optimizer = SGD::new([param.clone()], options).unwrap();
    param.set_grad(Some(Tensor::new([1.0f32]).unwrap())).unwrap();
    optimizer.step().unwrap();
    let saved = optimizer.state_dict().unwrap();
    optimizer.step().unwrap();
    let buffer = |state: &StateDict| state.state[&0]["momentum_buffer"].item::<f32>().unwrap();
    assert_eq!(
        (buffer(&saved), buffer(&optimizer.state_dict().unwrap())),
        (1.0, 1.5)
    );
    optimizer.load_state_dict(&saved).unwrap();
    optimizer.step().unwrap();
    assert_eq!(buffer(&saved), 1.0);
}

#[test]
fn rows_without_a_gradient_stay() {
    let table = Tensor::new([[1.0f32, 1.0], [2.0, 2.0], [3.0, 3.0]])
        .unwrap()
        .requires_grad(true)
        .unwrap();
    let options = SparseAdamOptions {
        lr: 0.5,
        ..Default::default()
    };
    let mut optimizer = SparseAdam::new([table.clone()], options).unwrap();
    for row in [0usize, 2, 0] {
        let mut grad = [[0.0f32; 2]; 3];
        grad[row] = [1.0, 1.0];
        table.set_grad(Some(Tensor::new(grad).unwrap())).unwrap();
        optimizer.step().unwrap();
    }
    let rows = table.detach().to_vec2::<f32>().unwrap();
    assert!(rows[0][0] < 0.6 && rows[2][0] < 2.9, "{rows:?}");
    assert_eq!(rows[1], [2.0, 2.0]);
}

#[test]
fn gradients_are_cleared_before_the_closure() {
    let x = leaf(&[2.0]);
    let mut optimizer = SGD::new(
        [x.clone()],
        SGDOptions {
            lr: 0.25,
            ..Default::default()
        },
    )
    .unwrap();
    x.set_grad(Some(Tensor::new([100.0f32]).unwrap())).unwrap();
    let loss = optimizer.step_with_closure(&mut || {
        assert!(x.grad().is_none());
        let loss = x.square()?.sum()?;
        loss.backward()?;
        Ok(loss)
    });
    assert_eq!(
        (loss.unwrap().item::<f32>().unwrap(), x.item::<f32>().unwrap()),
        (4.0, 1.0)
    );
}

#[test]
fn everything_can_go_to_another_thread() {
    fn shared<T: Send + Sync>() {}
    shared::<Adam>();
    shared::<LBFGS>();
    shared::<StateDict>();
    shared::<AveragedModel>();
    shared::<GradScaler>();
    shared::<lr_scheduler::LambdaLR>();
    shared::<lr_scheduler::CyclicLR>();
    shared::<lr_scheduler::SequentialLR>();
    shared::<lr_scheduler::ReduceLROnPlateau>();
    shared::<Box<dyn Optimizer>>();
    shared::<Box<dyn lr_scheduler::LRScheduler>>();
}
