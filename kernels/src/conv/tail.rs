//! What is done to the outputs of a convolution while they are at hand: [`Tail`].

use crate::simd::{Real, Simd, WithSimd};

/// An element-wise function at the end of a convolution.
#[derive(Clone, Copy, Debug)]
pub enum Finish<T = f32> {
    /// `min(max(x, low), high)`; NaN stays NaN.
    Clamp {
        /// The least output.
        low: T,
        /// The greatest output.
        high: T,
    },
    /// Any function, applied in place.
    Function(fn(&mut [T])),
}

impl<T: Real> Finish<T> {
    /// The identity.
    pub const NONE: Self = Finish::Clamp {
        low: T::NEG_INFINITY,
        high: T::INFINITY,
    };
    /// `max(x, 0)`.
    pub const RELU: Self = Finish::Clamp {
        low: T::ZERO,
        high: T::INFINITY,
    };

    /// Whether nothing happens.
    pub fn is_none(self) -> bool {
        matches!(self, Finish::Clamp { low, high } if low == T::NEG_INFINITY && high == T::INFINITY)
    }

    /// The same for outputs that are there already.
    pub fn apply(self, out: &mut [T]) {
        match self {
            Finish::Function(function) => function(out),
            Finish::Clamp { low, high } => {
                // A NaN compares as neither.
                for x in out {
                    *x = if *x < low {
                        low
                    } else if *x > high {
                        high
                    } else {
                        *x
                    };
                }
            }
        }
    }

    pub(crate) fn bounds(self) -> [T; 2] {
        match self {
            Finish::Clamp { low, high } => [low, high],
            Finish::Function(_) => [T::NEG_INFINITY, T::INFINITY],
        }
    }
}

/// What is done to the outputs of a convolution before they are left: `finish((x + bias)·scale + shift + residual)`, each part
/// only if it is there, and each rounded as if it were a pass of its own.
#[derive(Clone, Copy, Debug)]
pub struct Tail<'a, T> {
    /// `[out_channels]`.
    pub bias: Option<&'a [T]>,
    /// Scale and shift, `[out_channels]` each: a norm whose statistics are given.
    pub affine: Option<[&'a [T]; 2]>,
    /// Laid out like the output.
    pub residual: Option<&'a [T]>,
    /// The last step.
    pub finish: Finish<T>,
}

impl<T: Real> Default for Tail<'_, T> {
    fn default() -> Self {
        Tail {
            bias: None,
            affine: None,
            residual: None,
            finish: Finish::NONE,
        }
    }
}

impl<'a, T: Real> Tail<'a, T> {
    /// A bias and nothing else.
    pub fn bias(bias: Option<&'a [T]>) -> Self {
        Tail {
            bias,
            ..Tail::default()
        }
    }

    pub(super) fn check(&self, op: &str, channels: usize, output: usize) {
        let fits = |values: &[T]| values.len() == channels;
        assert!(self.bias.is_none_or(fits), "{op}: the size of the bias");
        assert!(
            self.affine.is_none_or(|affine| affine.into_iter().all(fits)),
            "{op}: the size of scale or shift"
        );
        assert!(
            self.residual.is_none_or(|residual| residual.len() == output),
            "{op}: the size of the residual"
        );
    }

    /// Whether there is nothing but perhaps a bias.
    pub(super) fn is_plain(&self) -> bool {
        self.affine.is_none() && self.residual.is_none() && self.finish.is_none()
    }

    /// The same after the bias was added.
    pub(super) fn without_bias(self) -> Self {
        Tail { bias: None, ..self }
    }

    /// What is done to a vector of outputs of one channel: all but functions.
    #[inline(always)]
    pub(super) fn of_channel<S: Simd<Elem = T>>(&self, s: S, channel: usize) -> OfChannel<S> {
        OfChannel {
            bias: self.bias.map(|bias| s.splat(bias[channel])),
            affine: self
                .affine
                .map(|affine| affine.map(|values| s.splat(values[channel]))),
            residual: self.residual.map(<[T]>::as_ptr),
            bounds: match self.finish {
                Finish::Clamp { low, high } if !self.finish.is_none() => Some([s.splat(low), s.splat(high)]),
                _ => None,
            },
        }
    }

    /// All but functions in place, for outputs of one channel that are the output's elements from `offset` on.
    pub(super) fn apply(&self, channel: usize, offset: usize, out: &mut [T]) {
        if !self.is_plain() || self.bias.is_some() {
            T::dispatch(Apply {
                tail: self,
                channel,
                offset,
                out,
            });
        }
    }
}

/// [`Tail`] for vectors of one channel.
#[derive(Clone, Copy)]
pub(super) struct OfChannel<S: Simd> {
    bias: Option<S::Vector>,
    affine: Option<[S::Vector; 2]>,
    residual: Option<*const S::Elem>,
    bounds: Option<[S::Vector; 2]>,
}

impl<S: Simd> OfChannel<S> {
    /// What becomes of `count` outputs, the output's elements from `offset` on.
    ///
    /// # Safety
    /// They are elements of the output.
    #[inline(always)]
    pub(super) unsafe fn of(&self, s: S, mut x: S::Vector, offset: usize, count: usize) -> S::Vector {
        if let Some(bias) = self.bias {
            x = s.add(x, bias);
        }
        if let Some([scale, shift]) = self.affine {
            x = s.add(s.mul(x, scale), shift);
        }
        if let Some(residual) = self.residual {
            // SAFETY: the residual is as long as the output.
            x = s.add(x, unsafe { s.load_partial(residual.add(offset), count) });
        }
        if let Some([low, high]) = self.bounds {
            // In this order a NaN stays one.
            x = s.min(high, s.max(low, x));
        }
        x
    }
}

struct Apply<'a, T> {
    tail: &'a Tail<'a, T>,
    channel: usize,
    offset: usize,
    out: &'a mut [T],
}

impl<T: Real> WithSimd<T> for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = T>>(self, s: S) {
        let tail = self.tail.of_channel(s, self.channel);
        for (i, out) in self.out.chunks_mut(S::LANES).enumerate() {
            // SAFETY: `out` is a part of the output, at most a vector long.
            unsafe {
                let x = s.load_partial(out.as_ptr(), out.len());
                let x = tail.of(s, x, self.offset + i * S::LANES, out.len());
                s.store_partial(out.as_mut_ptr(), x, out.len());
            }
        }
    }
}
