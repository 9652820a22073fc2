//! `op/*`: single operations, called as a user calls them.

use anyhow::Result;
use flambeau_autograd::{Backward, GradOptions, no_grad};
use flambeau_optim::{Adam, AdamOptions, Optimizer};
use flambeau_tensor::Tensor;
use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
use flambeau_tensor::ops::conv::{ConvOptions, Padding, conv2d};
use flambeau_tensor::ops::embedding::{EmbeddingOptions, embedding};
use flambeau_tensor::ops::loss::cross_entropy;
use flambeau_tensor::ops::norm::{BatchNormOptions, batch_norm, layer_norm};
use flambeau_tensor::ops::pool::{MaxPoolOptions, max_pool2d};
use flambeau_tensor::ops::stft::{StftOptions, stft};
use flambeau_tensor::ops::windows;
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Element};

use crate::workload::{Call, Workload};

/// An operation on tensors of random numbers.
type Operation = fn(&[Tensor]) -> Result<Tensor>;

/// All workloads of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    let mut all = matrix_products();
    all.extend(element_wise());
    all.extend(rows());
    all.extend(attention());
    all.extend(convolutions());
    all.extend([
        cross_entropy_forward_backward(4096, 10_000),
        embedding_forward_backward(50_000, 256, [64, 128]),
        scatter_add(100_000, 1_000_000, 32).gb(0.26),
        adam_step(11, 1_000_000),
        spectrogram(),
    ]);
    all
}

fn matrix_products() -> Vec<Workload> {
    let matmul: Operation = |x| Ok(x[0].matmul(&x[1])?);
    let sizes = [[256; 3], [1024; 3], [2048; 3], [8192, 768, 768], [1, 768, 3072]];
    let mut all: Vec<Workload> = sizes
        .iter()
        .map(|&[m, k, n]| {
            let name = if m == n {
                format!("matmul_{n}")
            } else {
                format!("matmul_{m}x{k}x{n}")
            };
            forward(&name, &[&[m, k], &[k, n]], matmul).gflop(2.0 * (m * k * n) as f64 / 1e9)
        })
        .collect();
    let [batch, m, k, n] = [96, 256, 64, 256];
    let bmm = forward(
        &format!("bmm_{batch}x{m}x{k}x{n}"),
        &[&[batch, m, k], &[batch, k, n]],
        matmul,
    );
    all.push(bmm.gflop(2.0 * (batch * m * k * n) as f64 / 1e9));
    all
}

fn element_wise() -> [Workload; 8] {
    const LEN: &[usize] = &[4_000_000];
    [
        forward("add_4m", &[LEN, LEN], |x| Ok(x[0].add(&x[1])?)).gb(0.048),
        forward("broadcast_mul_8192x768", &[&[8192, 768], &[768]], |x| {
            Ok(x[0].mul(&x[1])?)
        })
        .gb(0.0503),
        forward("relu_4m", &[LEN], |x| Ok(x[0].relu()?)).gb(0.032),
        forward("gelu_4m", &[LEN], |x| Ok(x[0].gelu()?)).gb(0.032),
        forward("exp_4m", &[LEN], |x| Ok(x[0].exp()?)).gb(0.032),
        forward("sigmoid_4m", &[LEN], |x| Ok(x[0].sigmoid()?)).gb(0.032),
        forward("transpose_copy_2048", &[&[2048, 2048]], |x| {
            Ok(x[0].t()?.contiguous()?)
        })
        .gb(0.0336),
        forward("sum_all_4m", &[LEN], |x| Ok(x[0].sum()?)).gb(0.016),
    ]
}

/// Reductions and normalisations over rows or columns.
fn rows() -> [Workload; 6] {
    const ROWS: &[usize] = &[8192, 768];
    let layer_norm: Operation = |x| Ok(layer_norm(&x[0], &[768], None, None, 1e-5)?);
    let images: &[&[usize]] = &[&[8, 64, 56, 56]];
    [
        forward("sum_dim0_8192x768", &[ROWS], |x| Ok(x[0].sum_dim(0, false)?)).gb(0.0252),
        forward("softmax_98304x128", &[&[98_304, 128]], |x| Ok(x[0].softmax(-1)?)).gb(0.1007),
        forward("layer_norm_8192x768", &[ROWS], layer_norm).gb(0.0503),
        forward_backward("layer_norm_8192x768", &[ROWS], layer_norm),
        forward("max_pool_64_112_k3s2_b8", &[&[8, 64, 112, 112]], |x| {
            let options = MaxPoolOptions {
                stride: Some([2, 2]),
                padding: [1, 1],
                ..MaxPoolOptions::default()
            };
            Ok(max_pool2d(&x[0], [3, 3], &options)?)
        })
        .gb(0.0321),
        forward_backward("batch_norm_train_64_56_b8", images, |x| {
            Ok(batch_norm(&x[0], true, &BatchNormOptions::default())?)
        }),
    ]
}

fn attention() -> [Workload; 2] {
    let shapes: &[&[usize]] = &[[8, 12, 256, 64].as_slice(); 3];
    let operation: Operation = |x| {
        Ok(scaled_dot_product_attention(
            &x[0],
            &x[1],
            &x[2],
            &SdpaOptions::default(),
        )?)
    };
    let gflop = 4.0 * (96 * 256 * 256 * 64) as f64 / 1e9;
    [
        forward("sdpa_8x12x256x64", shapes, operation).gflop(gflop),
        forward_backward("sdpa_8x12x256x64", shapes, operation),
    ]
}

fn convolutions() -> Vec<Workload> {
    let mut all = Vec::new();
    // Input and output channels, height and width, kernel, stride.
    for [c_in, c_out, side, kernel, stride] in [
        [64, 64, 56, 3, 1],
        [128, 128, 28, 3, 1],
        [256, 256, 14, 3, 1],
        [512, 512, 7, 3, 1],
        [3, 64, 224, 7, 2],
        [256, 64, 56, 1, 1],
    ] {
        let operation: Operation = match stride {
            1 => |x| Ok(conv2d(&x[0], &x[1], None, &same_size(x[1].shape()[2], 1))?),
            _ => |x| Ok(conv2d(&x[0], &x[1], None, &same_size(x[1].shape()[2], 2))?),
        };
        let name = format!("conv_{c_in}_{c_out}_{side}_k{kernel}_b8");
        let shapes: &[&[usize]] = &[&[8, c_in, side, side], &[c_out, c_in, kernel, kernel]];
        let out = side.div_ceil(stride);
        let gflop = 2.0 * (8 * c_out * out * out * c_in * kernel * kernel) as f64 / 1e9;
        all.push(forward(&name, shapes, operation).gflop(gflop));
        all.push(forward_backward(&name, shapes, operation).gflop(3.0 * gflop));
    }
    let depthwise = forward(
        "depthwise_144_56_k3_b8",
        &[&[8, 144, 56, 56], &[144, 1, 3, 3]],
        |x| {
            let options = ConvOptions {
                groups: 144,
                ..same_size(3, 1)
            };
            Ok(conv2d(&x[0], &x[1], None, &options)?)
        },
    );
    all.push(depthwise.gflop(2.0 * (8 * 144 * 56 * 56 * 9) as f64 / 1e9));
    all
}

/// A convolution that is padded by half of its kernel.
fn same_size(kernel: usize, stride: usize) -> ConvOptions<2> {
    ConvOptions {
        stride: [stride; 2],
        padding: Padding::Explicit([kernel / 2; 2]),
        ..ConvOptions::default()
    }
}

/// The operation on normal random numbers, without a history.
fn forward(name: &str, shapes: &[&[usize]], operation: Operation) -> Workload {
    let shapes = owned(shapes);
    Workload::new(format!("op/{name}"), move || {
        let inputs = normal(&shapes)?;
        Ok(Call::new(move || no_grad(|| operation(&inputs)).map(drop)))
    })
}

/// The operation and the gradients of all its inputs, for a random gradient of its output.
fn forward_backward(name: &str, shapes: &[&[usize]], operation: Operation) -> Workload {
    let shapes = owned(shapes);
    Workload::new(format!("op/{name}_fwdbwd"), move || {
        let inputs = normal(&shapes)?;
        for input in &inputs {
            input.requires_grad(true)?;
        }
        let grad = no_grad(|| operation(&inputs))?.randn_like()?;
        Ok(Call::new(move || {
            inputs.iter().for_each(Tensor::zero_grad);
            Ok(operation(&inputs)?.backward_with(Some(&grad), GradOptions::default())?)
        }))
    })
}

fn cross_entropy_forward_backward(rows: usize, classes: usize) -> Workload {
    Workload::new(format!("op/cross_entropy_{rows}x{classes}_fwdbwd"), move || {
        let mut g = Generator::new(0);
        let scores = g.randn((rows, classes), DType::F32)?.requires_grad(true)?;
        let labels = integers(&mut g, classes, &[rows])?;
        Ok(Call::new(move || {
            scores.zero_grad();
            Ok(cross_entropy(&scores, &labels, &Default::default())?.backward()?)
        }))
    })
}

/// The rows of a table by index, and the table's gradient.
fn embedding_forward_backward(rows: usize, dim: usize, index: [usize; 2]) -> Workload {
    Workload::new(format!("op/embedding_{rows}x{dim}_fwdbwd"), move || {
        let mut g = Generator::new(0);
        let weight = g.randn((rows, dim), DType::F32)?.requires_grad(true)?;
        let grad = g.randn((index[0], index[1], dim), DType::F32)?;
        let index = integers(&mut g, rows, &index)?;
        Ok(Call::new(move || {
            weight.zero_grad();
            let looked_up = embedding(&index, &weight, &EmbeddingOptions::default())?;
            Ok(looked_up.backward_with(Some(&grad), GradOptions::default())?)
        }))
    })
}

/// Sums the features of each edge's source into its target.
fn scatter_add(nodes: usize, edges: usize, features: usize) -> Workload {
    Workload::new("op/scatter_add_1m_edges_x32", move || {
        let mut g = Generator::new(0);
        let x = g.randn((nodes, features), DType::F32)?;
        let (sources, targets) = (
            integers(&mut g, nodes, &[edges])?,
            integers(&mut g, nodes, &[edges])?,
        );
        Ok(Call::new(move || {
            let sums = Tensor::zeros((nodes, features), DType::F32)?;
            sums.index_add_(0, &targets, &x.index_select(0, &sources)?)?;
            Ok(())
        }))
    })
}

/// One step of Adam with its defaults on `count` parameters of `len` elements.
fn adam_step(count: usize, len: usize) -> Workload {
    Workload::new("op/adam_step_11m", move || {
        let params = normal(&vec![vec![len]; count])?;
        for param in &params {
            param.requires_grad(true)?.set_grad(Some(param.randn_like()?))?;
        }
        let mut optimizer = Adam::new(params, AdamOptions::default())?;
        Ok(Call::new(move || Ok(optimizer.step()?)))
    })
}

/// The power spectrogram of ten seconds of sound.
fn spectrogram() -> Workload {
    Workload::new("op/rfft_stft_16khz_10s", || {
        let x = Generator::new(0).randn((1, 160_000), DType::F32)?;
        let window = windows::hann(400, false, DType::F32)?;
        let call = Call::new(move || {
            let options = StftOptions {
                hop_length: Some(160),
                window: Some(&window),
                ..StftOptions::new(400)
            };
            stft(&x, &options)?.complex_abs()?.square()?;
            Ok(())
        });
        Ok(call)
    })
}

fn owned(shapes: &[&[usize]]) -> Vec<Vec<usize>> {
    shapes.iter().map(|shape| shape.to_vec()).collect()
}

/// Tensors of standard normal numbers.
fn normal(shapes: &[Vec<usize>]) -> Result<Vec<Tensor>> {
    let mut g = Generator::new(0);
    shapes
        .iter()
        .map(|shape| Ok(g.randn(shape.as_slice(), DType::F32)?))
        .collect()
}

/// Random numbers below `bound`.
fn integers(g: &mut Generator, bound: usize, shape: &[usize]) -> Result<Tensor> {
    Ok(g.randint(0, bound as i64, shape, i64::DTYPE)?)
}
