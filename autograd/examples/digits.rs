//! Learns to read handwritten digits with a small convolutional network, on tensors and gradients alone.
//!
//! ```sh
//! cargo run --release -p flambeau-autograd --example digits
//! ```
//!
//! 4,000 real digits to learn from and 1,000 to be tested on lie in `data/`; nothing is downloaded.

use std::io::{BufRead, BufReader};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use flambeau_autograd::{Backward, no_grad};
use flambeau_tensor::ops::conv::{ConvOptions, Padding, conv2d};
use flambeau_tensor::ops::loss::cross_entropy;
use flambeau_tensor::ops::pool::{MaxPoolOptions, max_pool2d};
use flambeau_tensor::optimizer::{Adam, Step, step_all};
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Tensor};
use indicatif::{ProgressBar, ProgressStyle};

/// 5,000 digits of MNIST; see `data/README.md`.
const DIGITS: &[u8] = include_bytes!("data/mnist_5k.csv.gz");
/// Height and width of an image, in pixels.
const SIDE: usize = 28;
/// Images of each class that are kept for the test, of 500.
const TEST_PER_CLASS: usize = 100;

/// Trains a small network on handwritten digits and tells how many unseen ones it reads correctly.
#[derive(Parser)]
struct Args {
    /// Times to go through the training images.
    #[arg(long, default_value_t = 16)]
    epochs: usize,
    /// Images per step.
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// Adam's learning rate at the start; it falls to a tenth along a cosine.
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f64,
    /// Seed of the weights, the order of the images and their shifts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A few steps only, to see that everything works.
    #[arg(long)]
    smoke: bool,
    /// Print the result as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

fn main() {
    let args = Args::parse();
    match train(&args) {
        Ok(Outcome {
            parameters,
            accuracy,
            seconds,
        }) if args.json => {
            println!(r#"{{"accuracy": {accuracy:.4}, "parameters": {parameters}, "seconds": {seconds:.2}}}"#)
        }
        Ok(Outcome {
            parameters,
            accuracy,
            seconds,
        }) => println!(
            "{parameters} parameters, {seconds:.1} s: {:.2}% of 1,000 unseen digits read",
            100.0 * accuracy
        ),
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::exit(1);
        }
    }
}

/// What came of the training.
struct Outcome {
    parameters: usize,
    /// The part of the test images that was read correctly.
    accuracy: f64,
    seconds: f64,
}

fn train(args: &Args) -> Result<Outcome> {
    ensure!(args.batch_size > 0, "--batch-size must be at least 1");
    let (train, test) = Digits::load()?;
    let mut g = Generator::new(args.seed);
    let network = Network::new(&mut g)?;
    let mut optimizer = Optimizer::new(&network)?;
    let steps_per_epoch = if args.smoke {
        4
    } else {
        train.labels.len() / args.batch_size
    };
    let epochs = if args.smoke { 1 } else { args.epochs };
    let begin = Instant::now();
    for epoch in 0..epochs {
        let bar = progress_bar(args.json, steps_per_epoch, epoch);
        let order = g.randperm(train.labels.len())?.to_vec::<i64>()?;
        let mut total_loss = 0.0;
        for batch in order.chunks_exact(args.batch_size).take(steps_per_epoch) {
            let (x, y) = train.batch(batch, Some(&mut g))?;
            let loss = cross_entropy(&network.forward(&x)?, &y, &Default::default())?;
            loss.backward()?;
            let progress = optimizer.steps as f64 / (epochs * steps_per_epoch) as f64;
            optimizer.step(&network, args.learning_rate * cosine(progress))?;
            total_loss += loss.item::<f32>()? as f64;
            bar.inc(1);
        }
        bar.finish_and_clear();
        if !args.json {
            let loss = total_loss / steps_per_epoch as f64;
            println!(
                "epoch {:2}: loss {loss:.4}, test accuracy {:.2}%",
                epoch + 1,
                100.0 * accuracy(&network, &test)?
            );
        }
    }
    Ok(Outcome {
        parameters: network.parameters().iter().map(|p| p.numel()).sum(),
        accuracy: accuracy(&network, &test)?,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// Images as bytes, `SIDE · SIDE` each, and their labels.
#[derive(Default)]
struct Digits {
    pixels: Vec<u8>,
    labels: Vec<i64>,
}

impl Digits {
    /// The training and the test images.
    fn load() -> Result<(Digits, Digits)> {
        let (mut train, mut test) = (Digits::default(), Digits::default());
        let mut seen = [0usize; 10];
        for (i, line) in BufReader::new(flate2::read::GzDecoder::new(DIGITS))
            .lines()
            .enumerate()
        {
            let line = line?;
            let numbers: Vec<u8> = line
                .split(',')
                .map(|field| field.trim().parse::<f32>().map(|x| x as u8))
                .collect::<Result<_, _>>()
                .with_context(|| format!("line {} of the digits is not a list of numbers", i + 1))?;
            ensure!(
                numbers.len() == SIDE * SIDE + 1,
                "line {} has {} numbers",
                i + 1,
                numbers.len()
            );
            let (label, pixels) = (numbers[SIDE * SIDE] as usize, &numbers[..SIDE * SIDE]);
            ensure!(label < 10, "line {} has the label {label}", i + 1);
            let set = if seen[label] < TEST_PER_CLASS {
                &mut test
            } else {
                &mut train
            };
            seen[label] += 1;
            set.pixels.extend(pixels);
            set.labels.push(label as i64);
        }
        Ok((train, test))
    }

    /// Images `[n, 1, 28, 28]` with values from 0 to 1, and labels `[n]`. With a generator, each image is shifted by up
    /// to two pixels in either direction.
    fn batch(&self, indices: &[i64], mut shift: Option<&mut Generator>) -> Result<(Tensor, Tensor)> {
        let mut x = vec![0f32; indices.len() * SIDE * SIDE];
        let mut y = Vec::with_capacity(indices.len());
        for (image, &index) in x.chunks_exact_mut(SIDE * SIDE).zip(indices) {
            let source = &self.pixels[index as usize * SIDE * SIDE..][..SIDE * SIDE];
            let mut offset = || shift.as_mut().map_or(0, |g| g.next_u32() as isize % 5 - 2);
            let (dy, dx) = (offset(), offset());
            for row in 0..SIDE {
                for column in 0..SIDE {
                    let (from_row, from_column) =
                        (row.wrapping_add_signed(dy), column.wrapping_add_signed(dx));
                    if from_row < SIDE && from_column < SIDE {
                        image[row * SIDE + column] = source[from_row * SIDE + from_column] as f32 / 255.0;
                    }
                }
            }
            y.push(self.labels[index as usize]);
        }
        let n = indices.len();
        Ok((Tensor::from_vec(x, (n, 1, SIDE, SIDE))?, Tensor::from_vec(y, n)?))
    }
}

/// Two convolutions with pooling, and a linear layer.
struct Network {
    conv1: [Tensor; 2],
    conv2: [Tensor; 2],
    linear: [Tensor; 2],
}

impl Network {
    fn new(g: &mut Generator) -> Result<Network> {
        let mut layer = |shape: &[usize]| -> Result<[Tensor; 2]> {
            let fan_in: usize = shape[1..].iter().product();
            let weight = g.randn(shape, DType::F32)?.mul((2.0 / fan_in as f64).sqrt())?;
            let bias = Tensor::zeros(shape[0], DType::F32)?;
            Ok([weight.requires_grad(true)?, bias.requires_grad(true)?])
        };
        Ok(Network {
            conv1: layer(&[32, 1, 3, 3])?,
            conv2: layer(&[64, 32, 3, 3])?,
            linear: layer(&[10, 64 * 7 * 7])?,
        })
    }

    fn parameters(&self) -> Vec<&Tensor> {
        self.conv1.iter().chain(&self.conv2).chain(&self.linear).collect()
    }

    /// Scores of the ten classes: `[n, 1, 28, 28] → [n, 10]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let same = ConvOptions {
            padding: Padding::Same,
            ..ConvOptions::default()
        };
        let half = MaxPoolOptions::default();
        let mut x = x.clone();
        for [weight, bias] in [&self.conv1, &self.conv2] {
            x = conv2d(&x, weight, Some(bias), &same)?.relu()?; // [n, channels, side, side]
            x = max_pool2d(&x, [2, 2], &half)?; // [n, channels, side/2, side/2]
        }
        let x = x.reshape((x.shape()[0], 64 * 7 * 7))?;
        let [weight, bias] = &self.linear;
        Ok(x.matmul(&weight.t()?)?.add(bias)?)
    }
}

/// Adam with its two averages per parameter.
struct Optimizer {
    averages: Vec<[Tensor; 2]>,
    steps: u64,
}

impl Optimizer {
    fn new(network: &Network) -> Result<Optimizer> {
        let zeros =
            |p: &&Tensor| -> Result<[Tensor; 2]> { Ok([p.detach().zeros_like()?, p.detach().zeros_like()?]) };
        Ok(Optimizer {
            averages: network.parameters().iter().map(zeros).collect::<Result<_>>()?,
            steps: 0,
        })
    }

    /// Moves every parameter against its gradient, which is taken.
    fn step(&mut self, network: &Network, lr: f64) -> Result<()> {
        self.steps += 1;
        let update = Adam {
            lr,
            ..Adam::default()
        }
        .update(self.steps);
        let parameters = network.parameters();
        let grads: Vec<Tensor> = parameters
            .iter()
            .map(|p| p.take_grad().context("a parameter got no gradient"))
            .collect::<Result<_>>()?;
        let steps =
            parameters
                .iter()
                .zip(&grads)
                .zip(&self.averages)
                .map(|((param, grad), [mean, square])| Step {
                    param,
                    grad,
                    state: [Some(mean), Some(square), None],
                    update,
                });
        no_grad(|| step_all::<f32, _, 3>(steps.collect()))?;
        Ok(())
    }
}

/// From 1 down to a tenth.
fn cosine(progress: f64) -> f64 {
    0.1 + 0.45 * (1.0 + (std::f64::consts::PI * progress).cos())
}

/// The part of the images that the network reads correctly.
fn accuracy(network: &Network, digits: &Digits) -> Result<f64> {
    let all: Vec<i64> = (0..digits.labels.len() as i64).collect();
    let mut right = 0;
    for indices in all.chunks(250) {
        let (x, y) = digits.batch(indices, None)?;
        let scores = no_grad(|| network.forward(&x))?;
        let guesses = scores.argmax(Some(1), false)?.to_vec::<i64>()?;
        right += guesses
            .iter()
            .zip(y.to_vec::<i64>()?)
            .filter(|(guess, label)| *guess == label)
            .count();
    }
    Ok(right as f64 / all.len() as f64)
}

fn progress_bar(hidden: bool, steps: usize, epoch: usize) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("epoch {msg} {bar:30} {pos}/{len} {per_sec}");
    let bar = ProgressBar::new(steps as u64).with_message(format!("{:2}", epoch + 1));
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighty_steps_read_most_digits() {
        let arguments = Args {
            epochs: 1,
            batch_size: 50,
            learning_rate: 2e-3,
            seed: 0,
            smoke: false,
            json: true,
        };
        let outcome = train(&arguments).unwrap();
        assert_eq!(outcome.parameters, 50_186);
        assert!(outcome.accuracy > 0.9, "{}", outcome.accuracy);
    }
}
