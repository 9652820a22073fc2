//! Fused optimiser updates, in place: torch's `SGD`, `Adam`/`AdamW`, `Adamax`, `NAdam`, `RAdam`, `RMSprop`, `Adagrad`,
//! `Adadelta`, `ASGD`, `Rprop`, and `Lion`.
//!
//! An optimiser is a struct of its hyper-parameters that, given the step number, makes an [`Update`]: the constants of
//! that step, and the element-wise rule in PyTorch's order of operations. One pass reads and writes the parameter, its
//! gradient and its state. [`step`] applies an update to one parameter, [`step_all`] updates many in one parallel call.

mod adam;
mod adaptive;
mod sgd;

pub use adam::{Adam, AdamUpdate, Adamax, AdamaxUpdate, NAdam, NAdamUpdate, RAdam, RAdamUpdate};
pub use adaptive::{Adadelta, AdadeltaUpdate, Adagrad, AdagradUpdate, RmsProp, RmsPropUpdate};
pub use sgd::{Asgd, AsgdUpdate, Lion, LionUpdate, Rprop, RpropUpdate, Sgd, SgdUpdate};

use crate::element::Float;
use crate::pool;

/// The rule of one step, with `N` state tensors per parameter. States that the hyper-parameters don't call for are
/// given as empty slices.
pub trait Update<T: Float, const N: usize>: Sync {
    /// Updates these elements. The slices are equally long, but for states that are empty.
    fn apply(&self, param: &mut [T], grad: &[T], state: [&mut [T]; N]);
}

/// A parameter with its gradient, its state and the update to make.
#[derive(Debug)]
pub struct Task<'a, T, U, const N: usize> {
    /// The parameter.
    pub param: &'a mut [T],
    /// Its gradient.
    pub grad: &'a [T],
    /// Its state; see the optimiser for the order.
    pub state: [&'a mut [T]; N],
    /// The update; per parameter, because parameters may differ in step number and hyper-parameters.
    pub update: U,
}

/// Elements that one thread updates at a time: the slices of an Adam step then take about 256 KiB.
const CHUNK: usize = 1 << 14;

/// Updates one parameter, in parallel if it is large.
pub fn step<T: Float, U: Update<T, N>, const N: usize>(
    param: &mut [T],
    grad: &[T],
    state: [&mut [T]; N],
    update: U,
) {
    step_all([Task {
        param,
        grad,
        state,
        update,
    }])
}

/// Updates many parameters in one parallel call; small ones are grouped, large ones are cut.
pub fn step_all<'a, T: Float, U: Update<T, N>, const N: usize>(
    tasks: impl IntoIterator<Item = Task<'a, T, U, N>>,
) {
    let tasks: Vec<_> = tasks.into_iter().collect();
    for task in &tasks {
        let len = task.param.len();
        assert_eq!(task.grad.len(), len);
        assert!(task.state.iter().all(|s| s.len() == len || s.is_empty()));
    }
    let total: usize = tasks.iter().map(|task| task.param.len()).sum();
    if total <= CHUNK || pool::num_threads() == 1 {
        for Task {
            param,
            grad,
            state,
            update,
        } in tasks
        {
            update.apply(param, grad, state);
        }
        return;
    }
    // Groups of pieces, each about a chunk in all.
    let mut groups = Vec::with_capacity(total / CHUNK + 1);
    let mut room = 0;
    let tasks: Vec<_> = tasks
        .into_iter()
        .map(|t| (t.update, t.param, t.grad, t.state))
        .collect();
    let mut updates = Vec::with_capacity(tasks.len());
    for (i, (update, mut param, mut grad, mut state)) in tasks.into_iter().enumerate() {
        updates.push(update);
        while !param.is_empty() {
            if room == 0 {
                groups.push(Vec::new());
                room = CHUNK;
            }
            let take = room.min(param.len());
            room -= take;
            let (param_piece, rest) = param.split_at_mut(take);
            param = rest;
            let (grad_piece, rest) = grad.split_at(take);
            grad = rest;
            let mut state_pieces = [const { None }; N];
            state = std::array::from_fn(|n| {
                let whole = std::mem::take(&mut state[n]);
                let (piece, rest) = whole.split_at_mut(take.min(whole.len()));
                state_pieces[n] = Some(piece);
                rest
            });
            if let Some(group) = groups.last_mut() {
                group.push((
                    i,
                    param_piece,
                    grad_piece,
                    state_pieces.map(Option::unwrap_or_default),
                ));
            }
        }
    }
    pool::parallel_chunks_mut(&mut groups, 1, |_, group| {
        for (i, param, grad, state) in group[0].drain(..) {
            updates[i].apply(param, grad, state);
        }
    });
}

/// `grad`, negated to maximise, plus `decay · param`: torch's opening of every update.
#[inline(always)]
fn effective_grad<T: Float>(grad: T, param: T, sign: T, decay: T) -> T {
    let grad = sign * grad;
    if decay == T::ZERO {
        grad
    } else {
        grad + decay * param
    }
}

/// `start + weight · (end - start)`, from the nearer end.
#[inline(always)]
fn lerp<T: Float>(start: T, end: T, weight: T) -> T {
    if weight < T::from_f64(0.5) {
        start + weight * (end - start)
    } else {
        end - (end - start) * (T::ONE - weight)
    }
}

/// -1, 0 or 1; 0 for NaN.
#[inline(always)]
fn sign<T: Float>(x: T) -> T {
    let positive = if x > T::ZERO { T::ONE } else { T::ZERO };
    let negative = if x < T::ZERO { T::ONE } else { T::ZERO };
    positive - negative
}

/// -1 to maximise, 1 to minimise.
fn direction<T: Float>(maximize: bool) -> T {
    if maximize { -T::ONE } else { T::ONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 13 + seed) as f32 * 0.7).sin()).collect()
    }

    #[test]
    fn many_parameters_are_updated_as_one_by_one() {
        let sizes = [3, 40_000, 0, 100, 16_384, 70_001];
        let adam = Adam {
            weight_decay: 0.1,
            ..Adam::default()
        };
        let grads: Vec<_> = sizes.iter().map(|&n| values(n, 5)).collect();
        let fresh = || -> Vec<[Vec<f32>; 3]> {
            sizes
                .iter()
                .map(|&n| [values(n, 1), vec![0.0; n], vec![0.0; n]])
                .collect()
        };
        let (mut together, mut apart) = (fresh(), fresh());
        pool::set_num_threads(2);
        for number in 1..3 {
            step_all(together.iter_mut().zip(&grads).map(|([param, m, v], grad)| Task {
                param,
                grad,
                state: [m, v, &mut []],
                update: adam.update(number),
            }));
            for ([param, m, v], grad) in apart.iter_mut().zip(&grads) {
                adam.update::<f32>(number).apply(param, grad, [m, v, &mut []]);
            }
        }
        assert!(together == apart);
        assert_ne!(together[1][0], values(40_000, 1));
    }
}
