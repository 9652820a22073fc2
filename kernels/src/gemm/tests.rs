//! Products of all shapes and strides against a plain triple loop.

use super::*;
use crate::testing::{Lcg, assert_close, for_every_isa, same_bits_for_any_threads};

fn reference<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Vec<f64> {
    let mut c = vec![0.0; a.rows * b.columns];
    for i in 0..a.rows {
        for j in 0..b.columns {
            for k in 0..a.columns {
                let x = a.data[i * a.row_stride + k * a.column_stride].to_f64();
                c[i * b.columns + j] += x * b.data[k * b.row_stride + j * b.column_stride].to_f64();
            }
        }
    }
    c
}

/// A `rows × columns` view of `data` in one of four layouts.
fn view<T: Real>(data: &[T], rows: usize, columns: usize, layout: usize) -> MatRef<'_, T> {
    match layout {
        0 => MatRef::row_major(data, rows, columns),
        1 => MatRef::new(data, rows, columns, 1, rows),
        2 => MatRef::new(data, rows, columns, 2 * columns + 1, 2),
        _ => MatRef::new(data, rows, columns, 0, 1),
    }
}

const SIZES: [(usize, usize, usize); 30] = [
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (1, 1, 20_000),
    (1, 100, 37),
    (1, 300, 129),
    (300, 1, 65),
    (257, 3, 70),
    (2, 513, 19),
    (3, 70, 70),
    (5, 41, 33),
    (7, 200, 17),
    (8, 47, 400),
    (9, 49, 385),
    (13, 13, 13),
    (14, 32, 64),
    (15, 33, 1),
    (17, 100, 769),
    (29, 97, 31),
    (60, 50, 9000),
    (64, 64, 64),
    (64, 128, 128),
    (61, 95, 20),
    (100, 48, 10),
    (130, 131, 132),
    (33, 600, 45),
    (600, 33, 45),
    (31, 70, 1700),
    (140, 140, 1900),
];

fn products_match<T: Real>(tolerance: f64) {
    let mut random = Lcg::new(1);
    for (m, n, k) in SIZES {
        let layouts = if m * n * k > 1 << 17 { 2 } else { 8 };
        for layout in 0..layouts {
            let (a, b) = (
                random.vec::<T>(2 * m * k + m + 2),
                random.vec::<T>(2 * n * k + k + 2),
            );
            let (a, b) = (
                view(&a, m, k, layout % 4),
                view(&b, k, n, (layout * 3 + layout / 4) % 4),
            );
            let want = reference(a, b);
            let ldc = n + layout % 2;
            let mut c = vec![T::from_f64(f64::NAN); m * ldc];
            gemm(a, b, &mut c, ldc, &Epilogue::default());
            for i in 0..m {
                assert_close(
                    &c[i * ldc..][..n],
                    &want[i * n..][..n],
                    tolerance * (k as f64).sqrt().max(1.0),
                );
                assert!(ldc == n || c[i * ldc + n].to_f64().is_nan());
            }
        }
    }
}

#[test]
fn every_size_layout_and_set() {
    for_every_isa(|| {
        products_match::<f32>(2e-6);
        products_match::<f64>(1e-14);
    });
}

#[test]
fn epilogues() {
    for_every_isa(|| {
        let mut random = Lcg::new(2);
        for (m, n, k) in SIZES.into_iter().filter(|&(_, _, k)| k < 9000) {
            for layout in 0..2 {
                let (a, b) = (random.vec::<f32>(m * k), random.vec::<f32>(n * k));
                let (a, b) = (view(&a, m, k, 0), view(&b, k, n, layout));
                let (rows, columns) = (random.vec::<f32>(m), random.vec::<f32>(n));
                let (residual, before) = (random.vec::<f32>(m * n), random.vec::<f32>(m * n));
                let double = |row: usize, offset: usize, piece: &mut [f32]| {
                    assert!(row * n <= offset && offset + piece.len() <= (row + 1) * n);
                    piece.iter_mut().for_each(|x| *x *= 2.0);
                };
                for activation in [Activation::None, Activation::Relu, Activation::Rows(&double)] {
                    let mut c = before.clone();
                    let epilogue = Epilogue {
                        alpha: 0.5,
                        beta: -1.5,
                        row_bias: Some(&rows),
                        column_bias: Some(&columns),
                        residual: Some(&residual),
                        activation,
                    };
                    gemm(a, b, &mut c, n, &epilogue);
                    let mut want = reference(a, b);
                    for (i, w) in want.iter_mut().enumerate() {
                        *w = 0.5 * *w - 1.5 * before[i] as f64;
                        *w += rows[i / n] as f64 + columns[i % n] as f64 + residual[i] as f64;
                        *w = match activation {
                            Activation::None => *w,
                            Activation::Relu => w.max(0.0),
                            Activation::Rows(_) => 2.0 * *w,
                        };
                    }
                    assert_close(&c, &want, 5e-5);
                }
            }
        }
    });
}

#[test]
fn batches() {
    let mut random = Lcg::new(3);
    for (batch, m, n, k) in [(0, 2, 2, 2), (3, 5, 7, 9), (40, 30, 20, 10), (2, 100, 90, 80)] {
        let (a, b) = (random.vec::<f64>(batch * m * k), random.vec::<f64>(k * n));
        let mut c = vec![0.0; batch * m * n];
        let (left, right) = (
            MatRef::row_major(&a, if batch == 0 { 0 } else { m }, k),
            MatRef::row_major(&b, k, n),
        );
        gemm_batched(
            batch,
            left,
            m * k,
            right,
            0,
            &mut c,
            n,
            m * n,
            &Epilogue::default(),
        );
        for i in 0..batch {
            let want = reference(MatRef::row_major(&a[i * m * k..], m, k), right);
            assert_close(&c[i * m * n..][..m * n], &want, 1e-13);
        }
    }
}

#[test]
fn packed_once() {
    for_every_isa(|| {
        let mut random = Lcg::new(4);
        for (m, n, k) in SIZES.into_iter().filter(|&(_, _, k)| k < 9000) {
            let (a, b) = (random.vec::<f32>(m * k), random.vec::<f32>(n * k));
            let (a, b) = (view(&a, m, k, 0), view(&b, k, n, 1));
            let packed = PackedB::new(b);
            assert_eq!(packed.shape(), [k, n]);
            let mut c = vec![f32::NAN; m * n];
            gemm_packed(a, &packed, &mut c, n, &Epilogue::default());
            assert_close(&c, &reference(a, b), 1e-4);
        }
    });
}

#[test]
fn a_kernel_that_reads_twice_gives_the_same_bits() {
    for_every_isa(|| {
        let (mut random, depth) = (Lcg::new(6), 37);
        let table = f32::kernel_table();
        let width = 2 * table.lanes;
        let (spreading, rereading) = table.two_ways();
        assert_eq!(spreading.len(), rereading.len());
        for (rows, kernels) in spreading.iter().zip(rereading).enumerate() {
            let rows = rows + 1;
            let (a, b) = (random.vec::<f32>(depth * rows), random.vec::<f32>(depth * width));
            let [one, other] = [kernels.0, kernels.1].map(|kernel| {
                let mut c = vec![f32::NAN; rows * width];
                let tile = Tile::plain(c.as_mut_ptr(), width, table.lanes);
                // SAFETY: the panels hold `depth` steps and the tile covers C.
                unsafe { kernel(depth, a.as_ptr(), b.as_ptr(), width, &tile) };
                c.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            });
            assert_eq!(one, other, "{rows} rows");
        }
    });
}

#[test]
fn integers_wrap() {
    let a: Vec<i8> = (0..15).map(|i| (i * 37 % 251) as u8 as i8).collect();
    let b: Vec<i8> = (0..20).map(|i| (i * 53 % 241) as u8 as i8).collect();
    let mut c = vec![1i8; 12];
    gemm_integer(MatRef::new(&a, 3, 5, 1, 3), MatRef::row_major(&b, 5, 4), &mut c);
    for i in 0..3 {
        for j in 0..4 {
            let sum: i64 = (0..5).map(|k| a[i + 3 * k] as i64 * b[k * 4 + j] as i64).sum();
            assert_eq!(c[i * 4 + j], sum as i8);
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_threads() {
    let mut random = Lcg::new(5);
    for (m, n, k) in [
        (300, 200, 900),
        (1, 5000, 70),
        (5000, 2, 300),
        (40, 40, 30_000),
        (20, 3000, 100),
        (64, 128, 128),
        (170, 160, 1300),
        (150, 170, 1400),
        (140, 140, 1900),
    ] {
        let (a, b) = (random.vec::<f32>(m * k), random.vec::<f32>(n * k));
        for layout in 0..2 {
            same_bits_for_any_threads(|| {
                let mut c = vec![0.0f32; m * n];
                gemm(
                    view(&a, m, k, 0),
                    view(&b, k, n, layout),
                    &mut c,
                    n,
                    &Epilogue::default(),
                );
                c
            });
        }
    }
}

#[test]
#[should_panic(expected = "inner dimensions")]
fn inner_dimensions_must_agree() {
    let x = [0.0f32; 12];
    gemm(
        MatRef::row_major(&x, 3, 4),
        MatRef::row_major(&x, 3, 4),
        &mut [0.0; 12],
        4,
        &Epilogue::default(),
    );
}
