//! Whole trainings that follow PyTorch's: from the same seed, over the same batches of real digits, every loss of 200 steps
//! is that of PyTorch (`tests/golden/make_training.py`). It takes default initialisation, the loader's order, layers,
//! gradients, optimisers and schedules to be right at once.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::sync::Mutex;

use flambeau_autograd::Backward;
use flambeau_data::{DataLoader, TensorDataset};
use flambeau_nn::functional::cross_entropy;
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_nn::{
    Conv2d, ConvOptions, Forward, LSTM, Linear, LinearOptions, MaxPool2d, Module, Padding, RnnOptions,
};
use flambeau_optim::lr_scheduler::{
    CosineAnnealingLR, CosineAnnealingLROptions, LRScheduler, OneCycleLR, OneCycleLROptions,
};
use flambeau_optim::{AdamW, AdamWOptions, Optimizer, SGD, SGDOptions};
use flambeau_tensor::{DType, Result, Tensor, random};
use serde::Deserialize;

const DIGITS: &[u8] = include_bytes!("../../autograd/examples/data/mnist_5k.csv.gz");
const LOSSES: &str = include_str!("golden/training.json");
const STEPS: i64 = 200;

#[derive(Deserialize)]
struct Golden {
    lenet: Losses,
    lstm: Losses,
}

#[derive(Deserialize)]
struct Losses {
    float32: Vec<f64>,
    float64: Vec<f64>,
}

/// Images `[5000, 28, 28]` with values from 0 to 1, and their labels.
fn digits() -> Result<[Tensor; 2]> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for line in BufReader::new(flate2::read::GzDecoder::new(DIGITS)).lines() {
        let line = line.unwrap();
        let (image, label) = line.rsplit_once(',').unwrap();
        pixels.extend(image.split(',').map(|field| field.parse::<f32>().unwrap()));
        labels.push(label.parse::<f32>().unwrap() as i64);
    }
    let images = labels.len();
    Ok([
        Tensor::from_vec(pixels, (images, 28, 28))?.div(255)?,
        Tensor::from_vec(labels, images)?,
    ])
}

#[derive(Module)]
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl LeNet {
    fn new() -> Result<LeNet> {
        let linear = |inputs, outputs| Linear::new(inputs, outputs, LinearOptions::default());
        let padded = ConvOptions {
            padding: Padding::Explicit([2, 2]),
            ..Default::default()
        };
        Ok(LeNet {
            conv1: Conv2d::new(1, 6, [5, 5], padded)?,
            conv2: Conv2d::new(6, 16, [5, 5], ConvOptions::default())?,
            fc1: linear(400, 120)?,
            fc2: linear(120, 84)?,
            fc3: linear(84, 10)?,
        })
    }
}

impl Forward for LeNet {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let half = MaxPool2d::new([2, 2], Default::default());
        let x = half.forward(&self.conv1.forward(&x.unsqueeze(1)?)?.relu()?)?;
        let x = half.forward(&self.conv2.forward(&x)?.relu()?)?.flatten(1, -1)?;
        let x = self.fc2.forward(&self.fc1.forward(&x)?.relu()?)?.relu()?;
        self.fc3.forward(&x)
    }
}

/// Reads an image row by row.
#[derive(Module)]
struct LstmClassifier {
    lstm: LSTM,
    fc: Linear,
}

impl LstmClassifier {
    fn new() -> Result<LstmClassifier> {
        let options = RnnOptions {
            num_layers: 2,
            batch_first: true,
            ..Default::default()
        };
        Ok(LstmClassifier {
            lstm: LSTM::new(28, 32, options)?,
            fc: Linear::new(32, 10, LinearOptions::default())?,
        })
    }
}

impl Forward for LstmClassifier {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (output, _) = self.lstm.forward(x, None)?;
        self.fc.forward(&output.select(1, -1)?)
    }
}

/// A model with the parameters that PyTorch draws after `torch.manual_seed(0)`, converted to another type.
fn seeded<M: Module>(new: impl FnOnce() -> Result<M>, dtype: DType) -> Result<M> {
    // All threads, and so all tests, draw from one default generator.
    static DRAWING: Mutex<()> = Mutex::new(());
    let _alone = DRAWING.lock();
    random::manual_seed(0);
    let mut model = new()?;
    model.to_dtype(dtype)?;
    Ok(model)
}

/// The losses of [`STEPS`] steps, whatever the model, the optimiser and its schedule are.
fn losses(
    model: &dyn Forward,
    optimizer: &mut dyn Optimizer,
    scheduler: &mut dyn LRScheduler,
    clip: Option<f64>,
) -> Result<Vec<f64>> {
    let dtype = model.parameters()[0].dtype();
    let loader = DataLoader::builder(TensorDataset::new(digits()?)?)
        .batch_size(32)
        .shuffle(true)
        .drop_last(true)
        .seed(1)
        .build()?;
    let mut losses = Vec::new();
    while losses.len() < STEPS as usize {
        for batch in loader.iter().take(STEPS as usize - losses.len()) {
            let [x, y] = batch?;
            optimizer.zero_grad();
            let loss = cross_entropy(&model.forward(&x.to_dtype(dtype)?)?, &y, &Default::default())?;
            loss.backward()?;
            if let Some(max_norm) = clip {
                clip_grad_norm_(&model.parameters(), max_norm, 2.0, true)?;
            }
            optimizer.step()?;
            scheduler.step(optimizer)?;
            losses.push(loss.item_f64()?);
        }
    }
    Ok(losses)
}

fn lenet(dtype: DType) -> Result<Vec<f64>> {
    let model = seeded(LeNet::new, dtype)?;
    let options = SGDOptions {
        lr: 0.02,
        momentum: 0.9,
        weight_decay: 5e-4,
        ..Default::default()
    };
    let mut optimizer = SGD::new(model.parameters(), options)?;
    let mut scheduler = CosineAnnealingLR::new(&mut optimizer, CosineAnnealingLROptions::new(STEPS))?;
    losses(&model, &mut optimizer, &mut scheduler, None)
}

fn lstm(dtype: DType) -> Result<Vec<f64>> {
    let model = seeded(LstmClassifier::new, dtype)?;
    let mut optimizer = AdamW::new(model.parameters(), AdamWOptions::default())?;
    let mut scheduler = OneCycleLR::new(&mut optimizer, OneCycleLROptions::new(2e-3, STEPS))?;
    losses(&model, &mut optimizer, &mut scheduler, Some(1.0))
}

/// Asserts that losses are PyTorch's, up to a part of each.
fn assert_follows(name: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    let off = |(got, expected): (&f64, &f64)| (got - expected).abs() / expected;
    let errors: Vec<f64> = got.iter().zip(expected).map(off).collect();
    let largest = errors.iter().copied().fold(0.0, f64::max);
    println!("{name}: losses differ by at most {largest:.1e} of themselves");
    if let Some(step) = errors
        .iter()
        .position(|error| error.is_nan() || *error > tolerance)
    {
        panic!(
            "{name}: the loss of step {step} is {}, expected {}",
            got[step], expected[step]
        );
    }
    // They were learning: what is followed is a training, not a standstill.
    assert!(expected[STEPS as usize - 1] < 0.55 * expected[0]);
}

#[test]
fn lenet_on_digits_follows_pytorch() {
    let golden: Golden = serde_json::from_str(LOSSES).unwrap();
    assert_follows(
        "LeNet, float32",
        &lenet(DType::F32).unwrap(),
        &golden.lenet.float32,
        1e-4,
    );
    assert_follows(
        "LeNet, float64",
        &lenet(DType::F64).unwrap(),
        &golden.lenet.float64,
        1e-12,
    );
}

#[test]
fn two_layers_of_lstm_follow_pytorch() {
    let golden: Golden = serde_json::from_str(LOSSES).unwrap();
    assert_follows(
        "LSTM, float32",
        &lstm(DType::F32).unwrap(),
        &golden.lstm.float32,
        1e-4,
    );
    assert_follows(
        "LSTM, float64",
        &lstm(DType::F64).unwrap(),
        &golden.lstm.float64,
        1e-12,
    );
}
