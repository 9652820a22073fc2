//! The gradient of [`ctc_loss`](super::ctc_loss) made of recorded operations, so that it can be differentiated: the kernel's
//! recursions, a step of time for the whole batch at once.
//!
//! With `α[t, s]` and `β[t, s]` the logarithms of the probability of all alignments that end, or begin, at step `t` in
//! place `s` of the target and the blanks around it, the gradient of `-log p` is `eˣ - Σ e^(α + β - x - log p)`, summed
//! over the places of a class.

use flambeau_kernels::ctc::CtcSample;

use crate::{DType, Result, Tensor};

/// The logarithm of what is impossible: finite, so that differences of two of them are numbers; no logarithm of a
/// probability comes near.
const NEVER: f64 = -1e30;

/// The places of a batch of targets, and how many steps each sample has.
pub(super) struct Alignment {
    steps: Vec<usize>,
    /// Each sample's classes with blanks around them.
    places: Vec<Vec<i64>>,
    blank: i64,
    zero_infinity: bool,
}

/// `log Σ eˣ` of several tensors, element by element.
fn log_sum(terms: &[Tensor]) -> Result<Tensor> {
    Tensor::stack(terms, 0)?.logsumexp(0, false)
}

impl Alignment {
    pub(super) fn new(samples: &[CtcSample<'_>], blank: usize, zero_infinity: bool) -> Alignment {
        let blank = blank as i64;
        let with_blanks = |sample: &CtcSample<'_>| {
            let pairs = sample.target.iter().flat_map(|&class| [blank, class]);
            pairs.chain([blank]).collect()
        };
        Alignment {
            steps: samples.iter().map(|sample| sample.steps).collect(),
            places: samples.iter().map(with_blanks).collect(),
            blank,
            zero_infinity,
        }
    }

    /// `[batch, places]`: `value` where `holds(classes, place)`, else [`NEVER`].
    fn mask(&self, longest: usize, holds: impl Fn(&[i64], usize) -> bool) -> Result<Tensor> {
        let rows = self.places.iter().flat_map(|classes| {
            let holds = &holds;
            (0..longest).map(move |s| {
                if s < classes.len() && holds(classes, s) {
                    0.0
                } else {
                    NEVER
                }
            })
        });
        Tensor::from_vec(rows.collect::<Vec<f64>>(), (self.places.len(), longest))
    }

    /// Ones where sample `n` satisfies `holds`, else zeros: `[batch, 1]`.
    fn samples(&self, holds: impl Fn(usize) -> bool) -> Result<Tensor> {
        let flags: Vec<bool> = (0..self.steps.len()).map(holds).collect();
        Tensor::from_vec(flags, (self.steps.len(), 1))
    }

    /// The gradients of the samples' losses with respect to `log_probs` `[time, batch, classes]`.
    ///
    /// # Errors
    /// None for the log-probabilities that the alignment was made for.
    pub(super) fn gradient(&self, log_probs: &Tensor) -> Result<Tensor> {
        let (time, batch) = (log_probs.shape()[0], log_probs.shape()[1]);
        let longest = self.places.iter().map(Vec::len).max().unwrap_or(0);
        if time == 0 || batch == 0 {
            return log_probs.zeros_like();
        }
        let x = log_probs.to_dtype(DType::F64)?;
        let class = |n: usize, s: usize| self.places[n].get(s).copied().unwrap_or(self.blank);
        let classes = (0..batch).flat_map(|n| (0..longest).map(move |s| class(n, s)));
        let index = Tensor::from_vec(classes.collect::<Vec<i64>>(), (1, batch, longest))?;
        let index = index.expand((time, batch, longest))?.contiguous()?;
        let at_places = x.clamp_min(NEVER)?.gather(2, &index)?;
        let step = |t: usize| at_places.select(0, t as isize);

        let start = self.mask(longest, |_, s| s < 2)?;
        let end = self.mask(longest, |classes, s| s + 2 >= classes.len())?;
        // A blank may be left out between two classes that differ.
        let skip = self.mask(longest, |classes, s| {
            s % 2 == 1 && s > 1 && classes[s] != classes[s - 2]
        })?;
        let moved = |x: &Tensor, by: isize| x.constant_pad_nd(&[by, -by], NEVER);
        let mut alpha = vec![start.add(&step(0)?)?];
        for t in 1..time {
            let before = &alpha[t - 1];
            let paths = [before.clone(), moved(before, 1)?, moved(before, 2)?.add(&skip)?];
            alpha.push(log_sum(&paths)?.add(&step(t)?)?);
        }
        let mut beta = Vec::with_capacity(time);
        let mut next: Option<Tensor> = None;
        for t in (0..time).rev() {
            let behind = match &next {
                None => end.clone(),
                Some(next) => {
                    let paths = [next.clone(), moved(next, -1)?, moved(&next.add(&skip)?, -2)?];
                    self.samples(|n| t + 1 >= self.steps[n])?
                        .where_cond(&end, &log_sum(&paths)?)?
                }
            };
            let here = behind.add(&step(t)?)?;
            beta.push(here.clone());
            next = Some(here);
        }
        beta.reverse();
        let log_p = start.add(&beta[0])?.logsumexp(1, true)?;
        let possible = log_p.gt(NEVER / 2.0)?;
        let joint = Tensor::stack(&alpha, 0)?
            .add(&Tensor::stack(&beta, 0)?)?
            .sub(&at_places)?;
        // Chosen before the exponential: where nothing is possible, a difference of sums of NEVER may be large.
        let shares = possible.where_cond(&joint.sub(&log_p)?, NEVER)?.exp()?;
        let gradient = x.exp()?.sub(&x.zeros_like()?.scatter_add(2, &index, &shares)?)?;
        let counts: Vec<Tensor> = (0..time)
            .map(|t| self.samples(|n| t < self.steps[n]))
            .collect::<Result<_>>()?;
        let mut counts = Tensor::stack(&counts, 0)?;
        if self.zero_infinity {
            counts = counts.logical_and(&possible)?;
        }
        counts.where_cond(&gradient, 0.0)?.to_dtype(log_probs.dtype())
    }
}
