//! Fourier transforms; complex arguments and results are pairs in a last dimension.

use flambeau_tensor::ops::complex as pairs;
use flambeau_tensor::ops::fft::{self, Norm};
use flambeau_tensor::ops::stft::{PadMode, StftOptions, istft, stft, stft_complex};
use flambeau_tensor::{DType, Result, Tensor, bail};

use crate::args::Args;
use crate::registry::{Entry, Output, complex, out};

/// What goes in and what comes out of a transform.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ComplexToComplex,
    RealToComplex,
    ComplexToReal,
}

use Kind::{ComplexToComplex, ComplexToReal, RealToComplex};

pub(super) const TABLE: &[Entry] = &[
    ("fft.fft", |a| one(a, fft::fft, ComplexToComplex)),
    ("fft.ifft", |a| one(a, fft::ifft, ComplexToComplex)),
    ("fft.rfft", |a| one(a, fft::rfft, RealToComplex)),
    ("fft.irfft", |a| one(a, fft::irfft, ComplexToReal)),
    ("fft.hfft", |a| one(a, fft::hfft, ComplexToReal)),
    ("fft.ihfft", |a| one(a, fft::ihfft, RealToComplex)),
    ("fft.fft2", |a| many(a, fft::fftn, ComplexToComplex, true)),
    ("fft.ifft2", |a| many(a, fft::ifftn, ComplexToComplex, true)),
    ("fft.rfft2", |a| many(a, fft::rfftn, RealToComplex, true)),
    ("fft.irfft2", |a| many(a, fft::irfftn, ComplexToReal, true)),
    ("fft.hfft2", |a| many(a, fft::hfftn, ComplexToReal, true)),
    ("fft.ihfft2", |a| many(a, fft::ihfftn, RealToComplex, true)),
    ("fft.fftn", |a| many(a, fft::fftn, ComplexToComplex, false)),
    ("fft.ifftn", |a| many(a, fft::ifftn, ComplexToComplex, false)),
    ("fft.rfftn", |a| many(a, fft::rfftn, RealToComplex, false)),
    ("fft.irfftn", |a| many(a, fft::irfftn, ComplexToReal, false)),
    ("fft.hfftn", |a| many(a, fft::hfftn, ComplexToReal, false)),
    ("fft.ihfftn", |a| many(a, fft::ihfftn, RealToComplex, false)),
    ("fft.fftshift", |a| shift(a, fft::fftshift)),
    ("fft.ifftshift", |a| shift(a, fft::ifftshift)),
    ("fft.fftfreq", |a| frequencies(a, fft::fftfreq)),
    ("fft.rfftfreq", |a| frequencies(a, fft::rfftfreq)),
    ("stft", |a| {
        let (x, is_complex) = a.maybe_complex(0, "input")?;
        let n_fft = a.required_count(1, "n_fft")?;
        let (hop, win) = (a.opt_count(2, "hop_length")?, a.opt_count(3, "win_length")?);
        let window = a.opt_tensor(4, "window")?;
        let options = StftOptions {
            hop_length: hop,
            win_length: win,
            window: window.as_ref(),
            center: a.bool(5, "center", true)?,
            pad_mode: pad_mode(a.opt_str(6, "pad_mode")?.as_deref())?,
            normalized: a.bool(7, "normalized", false)?,
            onesided: optional_bool(a, 8, "onesided")?,
            ..StftOptions::new(n_fft)
        };
        let spectra = if is_complex {
            stft_complex(&x, &options)?
        } else {
            stft(&x, &options)?
        };
        if a.bool(9, "return_complex", is_complex)? {
            complex(spectra)
        } else {
            out(spectra)
        }
    }),
    ("istft", |a| {
        let (x, is_complex) = a.maybe_complex(0, "input")?;
        if !is_complex {
            bail!(
                Value,
                "istft: expected a complex tensor, got a real one of shape {:?}",
                x.shape()
            );
        }
        let n_fft = a.required_count(1, "n_fft")?;
        let (hop, win) = (a.opt_count(2, "hop_length")?, a.opt_count(3, "win_length")?);
        let window = a.opt_tensor(4, "window")?;
        let options = StftOptions {
            hop_length: hop,
            win_length: win,
            window: window.as_ref(),
            center: a.bool(5, "center", true)?,
            normalized: a.bool(6, "normalized", false)?,
            onesided: optional_bool(a, 7, "onesided")?,
            ..StftOptions::new(n_fft)
        };
        let length = a.opt_count(8, "length")?;
        if a.bool(9, "return_complex", false)? {
            bail!(Unsupported, "istft: complex signals");
        }
        out(istft(&x, &options, length)?)
    }),
];

type One = fn(&Tensor, Option<usize>, isize, Norm) -> Result<Tensor>;
type Many = fn(&Tensor, Option<&[isize]>, Option<&[isize]>, Norm) -> Result<Tensor>;

/// The input as the transform takes it.
fn input(a: &mut Args, kind: Kind) -> Result<Tensor> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    match (kind, is_complex) {
        (RealToComplex, true) => bail!(Value, "{}: expected a real tensor", a.op()),
        (RealToComplex, false) | (_, true) => Ok(x),
        (_, false) => pairs::from_real(&x.to_dtype(x.dtype().to_float())?),
    }
}

fn result(x: Tensor, kind: Kind) -> Result<Output> {
    if kind == ComplexToReal { out(x) } else { complex(x) }
}

fn norm(a: &mut Args) -> Result<Norm> {
    Norm::from_name(a.opt_str(3, "norm")?.as_deref().unwrap_or("backward"))
}

fn one(a: &mut Args, transform: One, kind: Kind) -> Result<Output> {
    let x = input(a, kind)?;
    let n = match a.opt_int(1, "n")? {
        Some(n) if n < 1 => bail!(Value, "{}: invalid number of data points ({n})", a.op()),
        n => n.map(|n| n as usize),
    };
    let dim = a.int(2, "dim", -1)? as isize;
    result(transform(&x, n, dim, norm(a)?)?, kind)
}

fn many(a: &mut Args, transform: Many, kind: Kind, two: bool) -> Result<Output> {
    let x = input(a, kind)?;
    let s = a.opt_dims(1, "s")?;
    let dim = a
        .opt_dims(2, "dim")?
        .or(if two { Some(vec![-2, -1]) } else { None });
    result(transform(&x, s.as_deref(), dim.as_deref(), norm(a)?)?, kind)
}

fn shift(a: &mut Args, roll: fn(&Tensor, Option<&[isize]>) -> Result<Tensor>) -> Result<Output> {
    let (x, is_complex) = a.maybe_complex(0, "input")?;
    let dim = a.opt_dims(1, "dim")?;
    if !is_complex {
        return out(roll(&x, dim.as_deref())?);
    }
    // The last dimension holds the pairs.
    let rank = x.rank() as isize - 1;
    let dims = dim.unwrap_or_else(|| (0..rank).collect());
    let dims: Vec<isize> = dims
        .into_iter()
        .map(|d| if d < 0 { d + rank } else { d })
        .collect();
    complex(roll(&x, Some(&dims))?)
}

fn frequencies(a: &mut Args, f: fn(usize, f64, DType) -> Result<Tensor>) -> Result<Output> {
    let n = a.required_count(0, "n")?;
    let d = a.float(1, "d", 1.0)?;
    let dtype = a.opt_dtype(2, "dtype")?.unwrap_or(DType::DEFAULT);
    a.ignore_factory_keywords();
    out(f(n, d, dtype)?)
}

fn pad_mode(name: Option<&str>) -> Result<PadMode> {
    match name {
        None | Some("reflect") => Ok(PadMode::Reflect),
        Some("constant") => Ok(PadMode::Constant),
        Some("replicate") => Ok(PadMode::Replicate),
        Some("circular") => Ok(PadMode::Circular),
        Some(other) => bail!(Value, "stft: pad_mode {other:?}"),
    }
}

fn optional_bool(a: &mut Args, position: usize, name: &str) -> Result<Option<bool>> {
    match a.peek(position, name) {
        None | Some(crate::args::Arg::None) => {
            a.take(position, name);
            Ok(None)
        }
        _ => a.bool(position, name, false).map(Some),
    }
}
