//! Where in a sound the labels of a known text are: the most probable path of connectionist temporal classification that
//! says them (`torchaudio.functional.forced_align`, `merge_tokens`).

use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

/// Labels and the logarithms of their probabilities at each moment of the most probable path that says the targets.
///
/// Unlike in torchaudio, there may be several samples; a path is blank, and its score 0, behind the sample's end.
///
/// ```
/// use flambeau_audio::functional::{forced_align, merge_tokens};
/// use flambeau_tensor::Tensor;
///
/// // Classes: blank, a, b.
/// let probs = Tensor::new([[[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.1, 0.3, 0.6]]])?;
/// let (path, scores) = forced_align(&probs.log()?, &Tensor::new([[1i64, 2]])?, None, None, 0)?;
/// assert_eq!(path.to_vec::<i64>()?, [1, 1, 0, 2]);
/// let spans = merge_tokens(&path.select(0, 0)?, &scores.select(0, 0)?, 0)?;
/// assert_eq!((spans[1].token, spans[1].start, spans[1].end), (2, 3, 4));
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Shapes
/// `log_probs` `[batch, time, classes]`, `targets` `[batch, longest]` → two tensors `[batch, time]`.
///
/// # Errors
/// `Shape` if sizes don't fit; `Index` for a target that is no class; `Value` for a target that is the blank, a length
/// beyond the tensor's, or a target that is too long for its input.
pub fn forced_align(
    log_probs: &Tensor,
    targets: &Tensor,
    input_lengths: Option<&[usize]>,
    target_lengths: Option<&[usize]>,
    blank: usize,
) -> Result<(Tensor, Tensor)> {
    let op = "forced_align";
    let (&[batch, time, classes], &[samples, longest]) = (log_probs.shape(), targets.shape()) else {
        bail!(
            Shape,
            "{op}: expected log_probs [batch, time, classes] and targets [batch, longest], got {:?} and {:?}",
            log_probs.shape(),
            targets.shape()
        )
    };
    let full_inputs = vec![time; batch];
    let full_targets = vec![longest; batch];
    let inputs = input_lengths.unwrap_or(&full_inputs);
    let lengths = target_lengths.unwrap_or(&full_targets);
    ensure!(
        samples == batch && inputs.len() == batch && lengths.len() == batch,
        Shape,
        "{op}: {batch} samples of log_probs, {samples} of targets, {} and {} lengths",
        inputs.len(),
        lengths.len()
    );
    ensure!(
        blank < classes,
        Index,
        "{op}: the blank is class {blank} of {classes}"
    );
    let scores = log_probs.detach().to_vec_f64()?;
    let labels = targets.to_dtype(DType::I64)?.to_vec::<i64>()?;
    let mut paths = Vec::with_capacity(batch * time);
    for (sample, (&steps, &length)) in inputs.iter().zip(lengths).enumerate() {
        ensure!(
            steps <= time && length <= longest,
            Value,
            "{op}: sample {sample}: {steps} of {time} steps, {length} of {longest} targets"
        );
        let target = &labels[sample * longest..sample * longest + length];
        for &label in target {
            ensure!(
                label >= 0 && (label as usize) < classes,
                Index,
                "{op}: sample {sample}: target {label} is not one of {classes} classes"
            );
            ensure!(
                label as usize != blank,
                Value,
                "{op}: sample {sample}: target {label} is the blank"
            );
        }
        let rows = &scores[sample * time * classes..][..steps * classes];
        let repeated = target.windows(2).filter(|pair| pair[0] == pair[1]).count();
        ensure!(
            length + repeated <= steps,
            Value,
            "{op}: sample {sample}: {length} targets, {repeated} of them repeated, need more than {steps} steps"
        );
        paths.extend(best_path(rows, classes, target, blank));
        paths.resize((sample + 1) * time, blank as i64);
    }
    let paths = Tensor::from_vec(paths, (batch, time))?;
    let scores = log_probs.gather(2, &paths.unsqueeze(-1)?)?.squeeze_dim(-1)?;
    // Nothing is said behind the end.
    let moments = Tensor::arange(0, time as f64, 1, DType::I64)?;
    let ends = Tensor::from_vec(inputs.iter().map(|&n| n as i64).collect::<Vec<i64>>(), (batch, 1))?;
    let scores = scores.masked_fill(&moments.ge(&ends)?, 0)?;
    Ok((paths, scores))
}

/// The states are the labels with a blank before, between and behind them.
fn best_path(rows: &[f64], classes: usize, target: &[i64], blank: usize) -> Vec<i64> {
    let states = 2 * target.len() + 1;
    let label = |state: usize| match state % 2 {
        0 => blank as i64,
        _ => target[state / 2],
    };
    let steps = rows.len() / classes;
    if steps == 0 {
        return Vec::new();
    }
    let mut best = vec![f64::NEG_INFINITY; states];
    for (state, score) in best.iter_mut().enumerate().take(2) {
        *score = rows[label(state) as usize];
    }
    // How many states back each state's best predecessor is.
    let mut backs = vec![0u8; states];
    for row in rows.chunks_exact(classes).skip(1) {
        let mut next = Vec::with_capacity(states);
        for state in 0..states {
            // Equal labels have a blank between them, which can't be passed over.
            let may_skip = state % 2 == 1 && state > 1 && label(state) != label(state - 2);
            let (mut back, mut score) = (0, best[state]);
            for earlier in 1..=if may_skip { 2 } else { 1.min(state) } {
                if best[state - earlier] > score {
                    (back, score) = (earlier, best[state - earlier]);
                }
            }
            next.push(score + row[label(state) as usize]);
            backs.push(back as u8);
        }
        best = next;
    }
    let mut state = match states {
        1 => 0,
        _ if best[states - 1] > best[states - 2] => states - 1,
        _ => states - 2,
    };
    let mut path = vec![0; steps];
    for (step, at) in path.iter_mut().enumerate().rev() {
        *at = label(state);
        state -= usize::from(backs[step * states + state]);
    }
    path
}

/// A label and the moments at which it is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenSpan {
    /// The label.
    pub token: i64,
    /// Its first moment.
    pub start: usize,
    /// The moment after its last one.
    pub end: usize,
    /// The mean of the scores of its moments.
    pub score: f64,
}

/// The labels of a path, repetitions once and without blanks, and where they are.
///
/// # Shapes
/// `[time]`, both.
///
/// # Errors
/// `Shape` unless both have one dimension of one size.
pub fn merge_tokens(tokens: &Tensor, scores: &Tensor, blank: i64) -> Result<Vec<TokenSpan>> {
    ensure!(
        tokens.rank() == 1 && tokens.shape() == scores.shape(),
        Shape,
        "merge_tokens: expected tokens and scores [time], got {:?} and {:?}",
        tokens.shape(),
        scores.shape()
    );
    let tokens = tokens.to_dtype(DType::I64)?.to_vec::<i64>()?;
    let scores = scores.detach().to_vec_f64()?;
    let mut spans = Vec::new();
    let mut start = 0;
    for same in tokens.chunk_by(|a, b| a == b) {
        let end = start + same.len();
        if same[0] != blank {
            spans.push(TokenSpan {
                token: same[0],
                start,
                end,
                score: scores[start..end].iter().sum::<f64>() / same.len() as f64,
            });
        }
        start = end;
    }
    Ok(spans)
}
