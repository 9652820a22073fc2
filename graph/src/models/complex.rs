//! What is true in a knowledge graph, by complex numbers: a triple's score is `Re⟨h, r, t̄⟩`, of "Complex Embeddings for Simple Link
//! Prediction" (Trouillon et al., 2016, arXiv:1606.06357); `torch_geometric.nn.kge.ComplEx`.

use std::collections::{HashMap, HashSet};

use flambeau_nn::functional::binary_cross_entropy_with_logits;
use flambeau_nn::{Embedding, Forward, Module, Reduction, init};
use flambeau_tensor::random::{self, Sample};
use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};

/// How high true triples stand among all that differ from them in one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankScores {
    /// How many others stand above, on average.
    pub mean_rank: f64,
    /// The mean of `1/(1 + rank)`.
    pub mrr: f64,
    /// The share of triples above which fewer than `k` others stand.
    pub hits_at_k: f64,
}

/// Entities and relations as complex vectors. Real and imaginary parts are tables of their own.
#[derive(Clone, Debug, Module)]
pub struct ComplEx {
    /// Real parts of entities, `[nodes, channels]`.
    pub node_emb: Embedding,
    /// Real parts of relations, `[relations, channels]`.
    pub rel_emb: Embedding,
    /// Imaginary parts of entities.
    pub node_emb_im: Embedding,
    /// Imaginary parts of relations.
    pub rel_emb_im: Embedding,
}

impl ComplEx {
    /// Vectors with Glorot's bounds.
    ///
    /// # Errors
    /// `Shape` if they are larger than memory can address.
    pub fn new(num_nodes: usize, num_relations: usize, hidden_channels: usize) -> Result<ComplEx> {
        let table = |rows| -> Result<Embedding> {
            let table = init::skip(|| Embedding::new(rows, hidden_channels, Default::default()))?;
            init::xavier_uniform_(&table.weight, 1.0)?;
            Ok(table)
        };
        Ok(ComplEx {
            node_emb: table(num_nodes)?,
            rel_emb: table(num_relations)?,
            node_emb_im: table(num_nodes)?,
            rel_emb_im: table(num_relations)?,
        })
    }

    /// The score of each triple.
    ///
    /// # Shapes
    /// `[triples]` each `→ [triples]`.
    ///
    /// # Errors
    /// `Index` for entities and relations that there are not.
    pub fn forward(&self, head_index: &Tensor, rel_type: &Tensor, tail_index: &Tensor) -> Result<Tensor> {
        let [re, im] = self.asked_for_tails(head_index, rel_type)?;
        let tails = [
            self.node_emb.forward(tail_index)?,
            self.node_emb_im.forward(tail_index)?,
        ];
        re.mul(&tails[0])?.add(&im.mul(&tails[1])?)?.sum_dim(-1, false)
    }

    /// The scores of all entities as tails.
    ///
    /// # Shapes
    /// `[triples]` each `→ [triples, nodes]`.
    ///
    /// # Errors
    /// As [`ComplEx::forward`].
    pub fn score_tails(&self, head_index: &Tensor, rel_type: &Tensor) -> Result<Tensor> {
        self.score_all(self.asked_for_tails(head_index, rel_type)?)
    }

    /// The scores of all entities as heads.
    ///
    /// # Shapes
    /// `[triples]` each `→ [triples, nodes]`.
    ///
    /// # Errors
    /// As [`ComplEx::forward`].
    pub fn score_heads(&self, rel_type: &Tensor, tail_index: &Tensor) -> Result<Tensor> {
        let (r, r_im) = (
            self.rel_emb.forward(rel_type)?,
            self.rel_emb_im.forward(rel_type)?,
        );
        let (t, t_im) = (
            self.node_emb.forward(tail_index)?,
            self.node_emb_im.forward(tail_index)?,
        );
        let re = r.mul(&t)?.add(&r_im.mul(&t_im)?)?;
        let im = r.mul(&t_im)?.sub(&r_im.mul(&t)?)?;
        self.score_all([re, im])
    }

    /// `h·r`: by what real and imaginary parts of the tails are multiplied.
    fn asked_for_tails(&self, head_index: &Tensor, rel_type: &Tensor) -> Result<[Tensor; 2]> {
        let (r, r_im) = (
            self.rel_emb.forward(rel_type)?,
            self.rel_emb_im.forward(rel_type)?,
        );
        let (h, h_im) = (
            self.node_emb.forward(head_index)?,
            self.node_emb_im.forward(head_index)?,
        );
        let re = h.mul(&r)?.sub(&h_im.mul(&r_im)?)?;
        let im = h_im.mul(&r)?.add(&h.mul(&r_im)?)?;
        Ok([re, im])
    }

    fn score_all(&self, [re, im]: [Tensor; 2]) -> Result<Tensor> {
        let re = re.mm(&self.node_emb.weight.t()?)?;
        re.add(&im.mm(&self.node_emb_im.weight.t()?)?)
    }

    /// The triples with another head (the first half) or another tail (the others), drawn from the default generator.
    ///
    /// # Errors
    /// `Shape` unless there are equally many heads and tails.
    pub fn random_sample(&self, head_index: &Tensor, tail_index: &Tensor) -> Result<[Tensor; 2]> {
        let (count, nodes) = (head_index.numel(), self.node_emb.weight.shape()[0] as i64);
        ensure!(
            head_index.shape() == [count] && tail_index.shape() == [count],
            Shape,
            "ComplEx: expected heads and tails [triples], got {:?} and {:?}",
            head_index.shape(),
            tail_index.shape()
        );
        let drawn = random::with_default(|g| g.randint(0, nodes.max(1), count, DType::I64))?;
        let half = count / 2;
        let mixed = |first: &Tensor, second: &Tensor| {
            let rest = second.narrow(0, half as isize, count - half)?;
            Tensor::cat(&[&first.narrow(0, 0, half)?, &rest], 0)
        };
        Ok([mixed(&drawn, head_index)?, mixed(tail_index, &drawn)?])
    }

    /// How badly the triples are told from as many that [`ComplEx::random_sample`] draws: binary cross-entropy.
    ///
    /// # Errors
    /// Those of [`ComplEx::forward`] and of [`ComplEx::random_sample`].
    pub fn loss(&self, head_index: &Tensor, rel_type: &Tensor, tail_index: &Tensor) -> Result<Tensor> {
        let right = self.forward(head_index, rel_type, tail_index)?;
        let [heads, tails] = self.random_sample(head_index, tail_index)?;
        let wrong = self.forward(&heads, rel_type, &tails)?;
        let target = Tensor::cat(&[&right.ones_like()?, &wrong.zeros_like()?], 0)?;
        binary_cross_entropy_with_logits(
            &Tensor::cat(&[&right, &wrong], 0)?,
            &target,
            None,
            None,
            Reduction::Mean,
        )
    }

    /// How high the tails of triples stand among all entities. Tails that are right, too, because they are in `known`, don't count.
    ///
    /// # Shapes
    /// `[3, triples]`: head, relation and tail of each; any number of known ones.
    ///
    /// # Errors
    /// `Shape` for any other tensors, `Value` if there are no triples; those of [`ComplEx::forward`].
    pub fn test(&self, triples: &Tensor, known: &[&Tensor], k: usize) -> Result<RankScores> {
        let score = |heads: &Tensor, relations: &Tensor| self.score_tails(heads, relations);
        rank(triples, known, k, [0, 1, 2], &score)
    }

    /// As [`ComplEx::test`], for heads.
    ///
    /// # Errors
    /// As [`ComplEx::test`].
    pub fn test_heads(&self, triples: &Tensor, known: &[&Tensor], k: usize) -> Result<RankScores> {
        let score = |tails: &Tensor, relations: &Tensor| self.score_heads(relations, tails);
        rank(triples, known, k, [2, 1, 0], &score)
    }
}

/// Triples whose scores are computed at once.
const BATCH: usize = 256;

/// Ranks of what stands in row `asked` of the triples, given what stands in rows `given` and `relation`.
fn rank(
    triples: &Tensor,
    known: &[&Tensor],
    k: usize,
    [given, relation, asked]: [usize; 3],
    score: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<RankScores> {
    let rows = |triples: &Tensor| -> Result<[Vec<i64>; 3]> {
        ensure!(
            matches!(triples.shape(), [3, _]),
            Shape,
            "ComplEx: expected triples [3, triples], got {:?}",
            triples.shape()
        );
        let row = |row: usize| triples.select(0, row as isize)?.contiguous()?.to_vec::<i64>();
        Ok([row(given)?, row(relation)?, row(asked)?])
    };
    let mut right = HashMap::<(i64, i64), HashSet<i64>>::new();
    for triples in known {
        let [given, relations, asked] = rows(triples)?;
        for ((given, relation), asked) in given.into_iter().zip(relations).zip(asked) {
            right.entry((given, relation)).or_default().insert(asked);
        }
    }
    let [given, relations, asked] = rows(triples)?;
    let count = asked.len();
    ensure!(count > 0, Value, "ComplEx: expected triples to rank, got none");
    let (mut ranks, mut reciprocal, mut hits) = (0.0, 0.0, 0.0);
    for from in (0..count).step_by(BATCH) {
        let here = from..(from + BATCH).min(count);
        let index = |of: &[i64]| Tensor::from_slice(&of[here.clone()], here.len());
        let scores = no_grad(|| score(&index(&given)?, &index(&relations)?))?.to_dtype(DType::F64)?;
        let nodes = scores.shape()[1];
        for (i, scores) in here.zip(scores.to_vec::<f64>()?.chunks_exact(nodes.max(1))) {
            let own = usize::try_from(asked[i]).ok().and_then(|asked| scores.get(asked));
            let Some(own) = own else {
                flambeau_tensor::bail!(Index, "ComplEx: entity {} is out of range for {nodes}", asked[i])
            };
            let others = right.get(&(given[i], relations[i]));
            let counts = |node: i64| node != asked[i] && others.is_none_or(|others| !others.contains(&node));
            // Of others with the same score, half stand above.
            let above: f64 = (0..)
                .zip(scores)
                .filter(|&(node, score)| score >= own && counts(node))
                .map(|(_, score)| if score > own { 1.0 } else { 0.5 })
                .sum();
            ranks += above;
            reciprocal += 1.0 / (1.0 + above);
            hits += f64::from(above < k as f64);
        }
    }
    let count = count as f64;
    Ok(RankScores {
        mean_rank: ranks / count,
        mrr: reciprocal / count,
        hits_at_k: hits / count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_does_not_count_and_equals_count_half() {
        let scores = Tensor::new([[3f64, 2.0, 2.0, 1.0, 5.0]]).unwrap();
        let score = |_: &Tensor, _: &Tensor| Ok(scores.clone());
        let triple = |tail: i64| Tensor::new([[0i64], [0], [tail]]).unwrap();
        let of = |tail: i64, known: &[&Tensor]| rank(&triple(tail), known, 2, [0, 1, 2], &score).unwrap();
        let plain = of(1, &[]);
        assert_eq!(
            (plain.mean_rank, plain.mrr, plain.hits_at_k),
            (2.5, 1.0 / 3.5, 0.0)
        );
        let filtered = of(1, &[&triple(0), &triple(4), &triple(1)]);
        assert_eq!((filtered.mean_rank, filtered.hits_at_k), (0.5, 1.0));
        let other = Tensor::new([[0i64], [1], [4]]).unwrap();
        assert_eq!(of(1, &[&other]).mean_rank, 2.5);
        let error = rank(&triple(5), &[], 2, [0, 1, 2], &score)
            .unwrap_err()
            .to_string();
        assert!(error.contains("entity 5 is out of range for 5"), "{error}");
        let none = Tensor::zeros((3, 0), DType::I64).unwrap();
        assert!(rank(&none, &[], 2, [0, 1, 2], &score).is_err());
    }

    #[test]
    fn heads_and_tails_are_scored_as_triples_are() {
        let model = random::fork(0, || ComplEx::new(6, 3, 4)).unwrap();
        let (h, r, t) = (
            Tensor::new([1i64, 5]).unwrap(),
            Tensor::new([2i64, 0]).unwrap(),
            Tensor::new([3i64, 3]).unwrap(),
        );
        let one = model.forward(&h, &r, &t).unwrap().to_vec::<f32>().unwrap();
        let tails = model.score_tails(&h, &r).unwrap().to_vec::<f32>().unwrap();
        let heads = model.score_heads(&r, &t).unwrap().to_vec::<f32>().unwrap();
        for (i, (head, tail)) in [(1, 3), (5, 3)].into_iter().enumerate() {
            assert!((one[i] - tails[6 * i + tail]).abs() < 1e-6);
            assert!((one[i] - heads[6 * i + head]).abs() < 1e-6);
        }
        let error = model.forward(&h, &Tensor::new([2i64, 3]).unwrap(), &t);
        assert!(error.is_err());
    }
}
