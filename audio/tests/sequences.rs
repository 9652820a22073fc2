//! Losses and alignments of sequences are what an enumeration of all paths says.

#![allow(clippy::unwrap_used)]

use flambeau_audio::functional::{RnntOptions, forced_align, merge_tokens, rnnt_loss};
use flambeau_autograd::{CheckOptions, gradcheck, gradgradcheck};
use flambeau_tensor::{DType, Result, Tensor, random};

/// The loss is the sum over all ways to say the text, which are few enough here to be counted.
#[test]
fn transducers_sum_over_all_paths() {
    random::fork(0, || {
        let logits = Tensor::randn((1, 4, 3, 3), DType::F64).unwrap();
        let options = RnntOptions {
            blank: Some(0),
            ..RnntOptions::default()
        };
        let targets = Tensor::new([[1i64, 2]]).unwrap();
        let loss = rnnt_loss(&logits, &targets, &[4], &[2], &options).unwrap();
        let p = logits.softmax(-1).unwrap().to_vec_f64().unwrap();
        let at = |t: usize, u: usize, class: usize| p[(t * 3 + u) * 3 + class];
        let mut sum = 0.0;
        // The moments of the two labels; blanks go on, and the last one ends.
        for first in 0..4 {
            for second in first..4 {
                let mut path = at(first, 0, 1) * at(second, 1, 2);
                for t in 0..4 {
                    let said = usize::from(t >= first) + usize::from(t >= second);
                    path *= at(t, said, 0);
                }
                sum += path;
            }
        }
        assert!((loss.item::<f64>().unwrap() + sum.ln()).abs() < 1e-12);
        let inputs = [logits.requires_grad(true).unwrap()];
        let f = |t: &[Tensor]| Ok(vec![transducer_of_one(&t[0])?]);
        gradcheck(f, &inputs, CheckOptions::default()).unwrap();
        let twice = gradgradcheck(f, &inputs, CheckOptions::default()).unwrap_err();
        assert!(
            twice.to_string().contains("gradients of its gradients"),
            "{twice}"
        );
    });
}

fn transducer_of_one(logits: &Tensor) -> Result<Tensor> {
    rnnt_loss(
        logits,
        &Tensor::new([[1i64, 0]])?,
        &[4],
        &[2],
        &RnntOptions::default(),
    )
}

/// Samples of a batch don't know of each other, and what stands behind their ends does not matter.
#[test]
fn alignments_end_with_their_samples() {
    random::fork(0, || {
        let log_probs = Tensor::randn((2, 9, 5), DType::F64)
            .unwrap()
            .log_softmax(-1)
            .unwrap();
        let targets = Tensor::new([[1i64, 1, 3], [4, 2, 0]]).unwrap();
        let (paths, scores) = forced_align(&log_probs, &targets, Some(&[9, 6]), Some(&[3, 2]), 0).unwrap();
        let second = log_probs.narrow(0, 1, 1).unwrap().narrow(1, 0, 6).unwrap();
        let (path, score) = forced_align(&second, &Tensor::new([[4i64, 2]]).unwrap(), None, None, 0).unwrap();
        let row = |x: &Tensor, n| x.select(0, n).unwrap().to_vec_f64().unwrap();
        let padded = |x: &Tensor| [row(x, 0), vec![0.0; 3]].concat();
        assert_eq!(row(&paths, 1), padded(&path));
        assert_eq!(row(&scores, 1), padded(&score));
        let said = merge_tokens(&paths.select(0, 0).unwrap(), &scores.select(0, 0).unwrap(), 0).unwrap();
        assert_eq!(said.iter().map(|span| span.token).collect::<Vec<_>>(), [1, 1, 3]);
        assert!(said.windows(2).all(|pair| pair[0].end <= pair[1].start));

        // No path that says the same is more probable.
        let p = log_probs.select(0, 1).unwrap().to_vec_f64().unwrap();
        let mut best = f64::NEG_INFINITY;
        for number in 0..5usize.pow(6) {
            let path: Vec<usize> = (0..6).map(|t| number / 5usize.pow(t) % 5).collect();
            let mut text = path.clone();
            text.dedup();
            text.retain(|&label| label != 0);
            if text == [4, 2] {
                best = best.max(path.iter().enumerate().map(|(t, label)| p[t * 5 + label]).sum());
            }
        }
        assert!((row(&score, 0).iter().sum::<f64>() - best).abs() < 1e-12);
    });
}
