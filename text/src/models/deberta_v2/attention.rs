//! Disentangled attention: scores of a query for a key are the sum of up to three products, content with content, content
//! with the vector of the distance, and the vector of the distance with content.

use flambeau_nn::{Dropout, Forward, Linear, Module};
use flambeau_tensor::{DType, Result, Tensor, bail};

use super::super::blocks::{join_heads, linear, split_heads};
use super::DebertaV2Config;

/// The bucket of a distance: its own number up to half of the buckets, beyond by its logarithm.
fn bucket(distance: i64, buckets: i64, largest: i64) -> i64 {
    let mid = buckets / 2;
    if distance.abs() <= mid {
        return distance;
    }
    // In single precision, as the reference has it: the ceiling of a whole number depends on it.
    let share = (distance.abs() as f32 / mid as f32).ln() / ((largest - 1) as f32 / mid as f32).ln();
    let place = (share * (mid - 1) as f32).ceil() as i64 + mid;
    place * distance.signum()
}

/// The rows of the vectors of distances that each query needs for each key, `[time, time]`, and those the other way round.
pub(super) fn distances(config: &Distances, time: usize) -> Result<[Tensor; 2]> {
    let span = config.span as i64;
    let of = |sign: i64| {
        let row = |i: usize| {
            let distance = (i / time) as i64 - (i % time) as i64;
            let distance = match config.buckets {
                Some(buckets) => bucket(distance, buckets, config.largest),
                None => distance,
            };
            (sign * distance + span).clamp(0, 2 * span - 1)
        };
        Tensor::from_vec((0..time * time).map(row).collect::<Vec<i64>>(), (time, time))
    };
    Ok([of(1)?, of(-1)?])
}

/// How distances are counted.
#[derive(Clone, Debug)]
pub(super) struct Distances {
    pub(super) span: usize,
    pub(super) buckets: Option<i64>,
    pub(super) largest: i64,
}

/// Vectors of distances, and the rows that a call needs.
pub(super) struct Relative<'a> {
    pub(super) vectors: &'a Tensor,
    pub(super) rows: &'a [Tensor; 2],
}

#[derive(Debug, Module)]
pub(super) struct DisentangledSelfAttention {
    query_proj: Linear,
    key_proj: Linear,
    value_proj: Linear,
    pos_key_proj: Option<Linear>,
    pos_query_proj: Option<Linear>,
    pos_dropout: Dropout,
    dropout: Dropout,
    heads: usize,
    content_to_place: bool,
    place_to_content: bool,
}

impl DisentangledSelfAttention {
    pub(super) fn new(config: &DebertaV2Config) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let projection = || linear(hidden, hidden, true, std);
        let (content_to_place, place_to_content) = (config.has("c2p"), config.has("p2c"));
        let own = !config.share_att_key;
        Ok(DisentangledSelfAttention {
            query_proj: projection()?,
            key_proj: projection()?,
            value_proj: projection()?,
            pos_key_proj: (own && content_to_place).then(projection).transpose()?,
            pos_query_proj: (own && place_to_content).then(projection).transpose()?,
            pos_dropout: Dropout::new(config.hidden_dropout_prob)?,
            dropout: Dropout::new(config.attention_probs_dropout_prob)?,
            heads: config.num_attention_heads,
            content_to_place,
            place_to_content,
        })
    }

    /// `mask` is `[batch, 1, time, time]`: which keys a query sees.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        mask: Option<&Tensor>,
        relative: Option<&Relative<'_>>,
    ) -> Result<Tensor> {
        let split = |x: &Tensor| split_heads(x, self.heads);
        let query = split(&self.query_proj.forward(x)?)?;
        let key = split(&self.key_proj.forward(x)?)?;
        let value = split(&self.value_proj.forward(x)?)?;
        let products = 1 + usize::from(self.content_to_place) + usize::from(self.place_to_content);
        let scale = 1.0 / ((query.shape()[3] * products) as f64).sqrt();
        let mut scores = query.matmul(&key.transpose(-1, -2)?)?;
        if let Some(Relative { vectors, rows }) = relative {
            let vectors = self.pos_dropout.forward(vectors)?.unsqueeze(0)?;
            let gathered = |contents: &Tensor, places: &Tensor, rows: &Tensor| {
                // [batch, heads, time, distances], of which each pair of tokens has one.
                let all = contents.matmul(&places.transpose(-1, -2)?)?;
                let &[batch, heads, time, _] = all.shape() else {
                    bail!(Shape, "DebertaV2Model: attention of {:?}", all.shape())
                };
                all.gather(3, &rows.expand((batch, heads, time, time))?.contiguous()?)
            };
            if self.content_to_place {
                let project = self.pos_key_proj.as_ref().unwrap_or(&self.key_proj);
                let places = split(&project.forward(&vectors)?)?;
                scores = scores.add(&gathered(&query, &places, &rows[0])?)?;
            }
            if self.place_to_content {
                let project = self.pos_query_proj.as_ref().unwrap_or(&self.query_proj);
                let places = split(&project.forward(&vectors)?)?;
                scores = scores.add(&gathered(&key, &places, &rows[1])?.transpose(-1, -2)?)?;
            }
        }
        let mut scores = scores.mul(scale)?;
        if let Some(mask) = mask {
            // The smallest number rather than -∞: a query that sees nothing sees everything alike.
            let smallest = match scores.dtype() {
                DType::F64 => f64::MIN,
                DType::F16 => -65504.0,
                _ => f64::from(f32::MIN),
            };
            scores = scores.masked_fill(&mask.logical_not()?, smallest)?;
        }
        let weights = self.dropout.forward(&scores.softmax(-1)?)?;
        join_heads(&weights.matmul(&value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_widen_with_the_distance() {
        // make_log_bucket_position(torch.tensor([...]), 8, 40) of transformers 5.24.
        let got: Vec<i64> = [0, 1, 4, 5, 8, 13, 20, 38, -3, -7, -39]
            .iter()
            .map(|&distance| bucket(distance, 8, 40))
            .collect();
        assert_eq!(got, [0, 1, 4, 5, 5, 6, 7, 7, -3, -5, -7]);
    }
}
