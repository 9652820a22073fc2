//! `op/*`: single operations, on kernels over slices.

use anyhow::Result;
use flambeau_kernels::binary::{Binary, binary};
use flambeau_kernels::copy::gather_strided;
use flambeau_kernels::embedding::{embedding, embedding_backward};
use flambeau_kernels::gemm::{Epilogue, MatRef, gemm, gemm_batched};
use flambeau_kernels::index::{index_add, index_select};
use flambeau_kernels::mem::Buf;
use flambeau_kernels::optimizer::{Adam, Task, step_all};
use flambeau_kernels::pooling::{Window, max_pool_values};
use flambeau_kernels::random::Generator;
use flambeau_kernels::reduce::{Reduce, reduce};
use flambeau_kernels::unary::{Unary, unary};
use flambeau_kernels::view::View;

use crate::workload::{Call, Workload};

/// All workloads of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    let mut all = Vec::new();
    for n in [256, 1024, 2048] {
        all.push(matmul(format!("op/matmul_{n}"), n, n, n));
    }
    for (m, k, n) in [(8192, 768, 768), (1, 768, 3072)] {
        all.push(matmul(format!("op/matmul_{m}x{k}x{n}"), m, k, n));
    }
    all.push(bmm(96, 256, 64, 256));
    all.push(add(4_000_000).gb(0.048));
    all.push(broadcast_mul(8192, 768).gb(0.0503));
    for (name, function) in [
        ("relu", Unary::Relu),
        ("gelu", Unary::Gelu),
        ("exp", Unary::Exp),
        ("sigmoid", Unary::Sigmoid),
    ] {
        all.push(element_wise(format!("op/{name}_4m"), function, 4_000_000).gb(0.032));
    }
    all.push(transpose_copy(2048).gb(0.0336));
    all.push(sum("op/sum_dim0_8192x768", [8192, 768], [true, false]).gb(0.0252));
    all.push(sum("op/sum_all_4m", [1, 4_000_000], [true, true]).gb(0.016));
    all.push(max_pool());
    all.push(embedding_forward_backward(50_000, 256, 64 * 128));
    all.push(scatter_add(100_000, 1_000_000, 32));
    all.push(adam_step(11, 1_000_000));
    all
}

fn matmul(name: String, m: usize, k: usize, n: usize) -> Workload {
    let prepare = move || {
        let [a, b] = normal([m * k, k * n]);
        repeat(move || {
            let mut out = Buf::take(m * n);
            let (a, b) = (MatRef::row_major(&a, m, k), MatRef::row_major(&b, k, n));
            gemm::<f32>(a, b, &mut out, n, &Epilogue::default());
        })
    };
    Workload::new(name, prepare).gflop(2.0 * (m * k * n) as f64 / 1e9)
}

fn bmm(batch: usize, m: usize, k: usize, n: usize) -> Workload {
    let prepare = move || {
        let [a, b] = normal([batch * m * k, batch * k * n]);
        repeat(move || {
            let mut out = Buf::take(batch * m * n);
            let (first_a, first_b) = (MatRef::row_major(&a, m, k), MatRef::row_major(&b, k, n));
            let epilogue = Epilogue::default();
            gemm_batched::<f32>(
                batch,
                first_a,
                m * k,
                first_b,
                k * n,
                &mut out,
                n,
                m * n,
                &epilogue,
            );
        })
    };
    let name = format!("op/bmm_{batch}x{m}x{k}x{n}");
    Workload::new(name, prepare).gflop(2.0 * (batch * m * k * n) as f64 / 1e9)
}

fn add(len: usize) -> Workload {
    Workload::new("op/add_4m", move || {
        let [a, b] = normal([len, len]);
        repeat(move || {
            let shape = [len];
            let view = |data| View {
                data,
                shape: &shape,
                strides: &[1],
            };
            binary::<f32>(Binary::Add, view(&a), view(&b), &mut Buf::take(len))
        })
    })
}

/// Each row times the same one.
fn broadcast_mul(rows: usize, columns: usize) -> Workload {
    Workload::new(format!("op/broadcast_mul_{rows}x{columns}"), move || {
        let [a, b] = normal([rows * columns, columns]);
        repeat(move || {
            let shape = &[rows, columns];
            let a = View {
                data: &a,
                shape,
                strides: &[columns, 1],
            };
            let b = View {
                data: &b,
                shape,
                strides: &[0, 1],
            };
            binary::<f32>(Binary::Mul, a, b, &mut Buf::take(rows * columns))
        })
    })
}

fn element_wise(name: String, function: Unary, len: usize) -> Workload {
    Workload::new(name, move || {
        let [x] = normal([len]);
        repeat(move || unary::<f32>(function, &x, &mut Buf::take(len)))
    })
}

fn transpose_copy(n: usize) -> Workload {
    Workload::new(format!("op/transpose_copy_{n}"), move || {
        let [x] = normal([n * n]);
        repeat(move || {
            let transposed = View {
                data: &x,
                shape: &[n, n],
                strides: &[1, n],
            };
            gather_strided(transposed, &mut Buf::take(n * n))
        })
    })
}

fn sum(name: &str, shape: [usize; 2], reduced: [bool; 2]) -> Workload {
    Workload::new(name, move || {
        let [x] = normal([shape[0] * shape[1]]);
        repeat(move || {
            let view = View {
                data: &x,
                shape: &shape,
                strides: &[shape[1], 1],
            };
            let kept = shape.iter().zip(reduced).filter(|(_, reduced)| !reduced);
            let len = kept.map(|(len, _)| len).product();
            reduce::<f32>(Reduce::Sum, view, &reduced, &mut Buf::take(len))
        })
    })
}

/// The rows of a table by index, and the table's gradient.
fn embedding_forward_backward(rows: usize, dim: usize, count: usize) -> Workload {
    Workload::new(format!("op/embedding_{rows}x{dim}_fwdbwd"), move || {
        let [weight, grad] = normal([rows * dim, count * dim]);
        let index = indices(1, count, rows);
        repeat(move || {
            embedding::<f32>(&weight, &index, &mut Buf::take(count * dim), dim);
            embedding_backward::<f32>(&grad, &index, &mut Buf::take(rows * dim), dim, None, false);
        })
    })
}

/// `[8, 64, 112, 112]` in windows of 3 × 3, two apart, padded by one.
fn max_pool() -> Workload {
    let prepare = || {
        let window = Window {
            input: [1, 112, 112],
            output: [1, 56, 56],
            kernel: [1, 3, 3],
            stride: [1, 2, 2],
            padding: [0, 1, 1],
            dilation: [1, 1, 1],
        };
        let planes = 8 * 64;
        let [x] = normal([planes * window.input_len()]);
        repeat(move || max_pool_values(&x, &mut Buf::take(planes * window.output_len()), &window))
    };
    Workload::new("op/max_pool_64_112_k3s2_b8", prepare).gb(0.0321)
}

/// Sums the features of each edge's source into its target.
fn scatter_add(nodes: usize, edges: usize, features: usize) -> Workload {
    let prepare = move || {
        let [x] = normal([nodes * features]);
        let [sources, targets] = [1, 2].map(|seed| indices(seed, edges, nodes));
        repeat(move || {
            let mut messages = Buf::take(edges * features);
            let mut out = Buf::zeroed(nodes * features);
            let sizes = (1, nodes, features);
            index_select(&x, &sources, &mut messages, sizes);
            index_add(&mut out, &targets, &messages, 1.0, sizes);
        })
    };
    Workload::new("op/scatter_add_1m_edges_x32", prepare).gb(0.26)
}

/// One step of Adam with its defaults on `count` parameters of `len` elements.
fn adam_step(count: usize, len: usize) -> Workload {
    let prepare = move || {
        let mut params: Vec<[Buf<f32>; 2]> = (0..count).map(|_| normal([len, len])).collect();
        let mut states: Vec<[Buf<f32>; 2]> =
            (0..count).map(|_| [Buf::zeroed(len), Buf::zeroed(len)]).collect();
        let mut step = 0;
        repeat(move || {
            step += 1;
            let tasks = params.iter_mut().zip(&mut states);
            step_all(tasks.map(|([param, grad], [average, square])| Task {
                param,
                grad,
                state: [average, square, &mut []],
                update: Adam::default().update::<f32>(step),
            }));
        })
    };
    Workload::new("op/adam_step_11m", prepare)
}

/// Buffers of these lengths with values of the standard normal distribution.
fn normal<const N: usize>(lens: [usize; N]) -> [Buf<f32>; N] {
    let mut generator = Generator::new(0);
    lens.map(|len| {
        let mut values = Buf::take(len);
        generator.normal(&mut values, 0.0, 1.0);
        values
    })
}

/// Random numbers below `bound`.
fn indices(seed: u64, len: usize, bound: usize) -> Buf<i64> {
    let mut values = Buf::take(len);
    Generator::new(seed).random_range(&mut values, 0, bound as i64);
    values
}

/// A call that cannot fail.
fn repeat(mut call: impl FnMut() + 'static) -> Result<Call> {
    Ok(Box::new(move || {
        call();
        Ok(())
    }))
}
