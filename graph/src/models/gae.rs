//! The graph autoencoder of "Variational Graph Auto-Encoders" (Kipf & Welling, 2016, arXiv:1611.07308);
//! `torch_geometric.nn.GAE`.

use flambeau_nn::Module;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use crate::utils::negative_sampling;

/// What keeps logarithms finite.
const EPS: f64 = 1e-15;

/// Says by products of what is known of their ends how likely edges are: `σ(zᵢ·zⱼ)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct InnerProductDecoder;

impl InnerProductDecoder {
    /// The probability of each edge, or its logit.
    ///
    /// # Shapes
    /// `[nodes, features]` and `[2, edges] → [edges]`.
    ///
    /// # Errors
    /// `Shape` or `Index` for edges of other nodes.
    pub fn forward(&self, z: &Tensor, edge_index: &Tensor, sigmoid: bool) -> Result<Tensor> {
        ensure!(
            z.rank() == 2 && edge_index.rank() == 2 && edge_index.shape()[0] == 2,
            Shape,
            "InnerProductDecoder: expected [nodes, features] and [2, edges], got {:?} and {:?}",
            z.shape(),
            edge_index.shape()
        );
        let ends = |which| z.index_select(0, &edge_index.select(0, which)?);
        let logits = ends(0)?.mul(&ends(1)?)?.sum_dim(1, false)?;
        if sigmoid { logits.sigmoid() } else { Ok(logits) }
    }

    /// The probability of an edge between any two nodes, or its logit.
    ///
    /// # Shapes
    /// `[nodes, features] → [nodes, nodes]`.
    ///
    /// # Errors
    /// `Shape` unless there are two dimensions.
    pub fn forward_all(&self, z: &Tensor, sigmoid: bool) -> Result<Tensor> {
        let logits = z.mm(&z.t()?)?;
        if sigmoid { logits.sigmoid() } else { Ok(logits) }
    }
}

/// How well edges are told from pairs of nodes without an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkScores {
    /// Area under the ROC curve: how often an edge is rated higher than a pair without one.
    pub auc: f64,
    /// Average precision.
    pub ap: f64,
}

/// A graph autoencoder: the encoder says something of each node, the decoder guesses the edges from it.
#[derive(Clone, Debug, Module)]
pub struct GAE<E> {
    /// The encoder, which is applied as it is: `gae.encoder.forward(…)`.
    pub encoder: E,
    #[module(skip)]
    decoder: InnerProductDecoder,
}

impl<E: Module> GAE<E> {
    /// An autoencoder with this encoder.
    pub fn new(encoder: E) -> GAE<E> {
        GAE {
            encoder,
            decoder: InnerProductDecoder,
        }
    }

    /// The decoder.
    pub fn decoder(&self) -> InnerProductDecoder {
        self.decoder
    }

    /// The mean negative logarithm of the probability of the edges and, added to it, that of there being none elsewhere: at
    /// `neg_edge_index`, or as many pairs without an edge that are drawn.
    ///
    /// # Errors
    /// Those of the decoder.
    pub fn recon_loss(
        &self,
        z: &Tensor,
        pos_edge_index: &Tensor,
        neg_edge_index: Option<&Tensor>,
    ) -> Result<Tensor> {
        let edges = self.decoder.forward(z, pos_edge_index, true)?;
        let drawn = match neg_edge_index {
            Some(_) => None,
            None => Some(negative_sampling(pos_edge_index, z.shape()[0], edges.numel())?),
        };
        let elsewhere = neg_edge_index.or(drawn.as_ref()).unwrap_or(pos_edge_index);
        let none = self.decoder.forward(z, elsewhere, true)?.neg()?.add(1.0)?;
        let cost = |p: &Tensor| p.add(EPS)?.log()?.mean()?.neg();
        cost(&edges)?.add(&cost(&none)?)
    }

    /// How well the edges are told from pairs without one (`GAE.test`).
    ///
    /// # Errors
    /// Those of the decoder; `Value` if there are no edges or no pairs without one.
    pub fn test(&self, z: &Tensor, pos_edge_index: &Tensor, neg_edge_index: &Tensor) -> Result<LinkScores> {
        let scores = |index: &Tensor| {
            let logits = self.decoder.forward(&z.detach(), index, false)?;
            logits.to_dtype(DType::F64)?.to_vec::<f64>()
        };
        link_scores(scores(pos_edge_index)?, scores(neg_edge_index)?)
    }
}

fn link_scores(edges: Vec<f64>, none: Vec<f64>) -> Result<LinkScores> {
    ensure!(
        !edges.is_empty() && !none.is_empty(),
        Value,
        "GAE: expected edges and pairs without one, got {} and {}",
        edges.len(),
        none.len()
    );
    let counts = [edges.len() as f64, none.len() as f64];
    let mut all: Vec<(f64, bool)> = edges.into_iter().map(|score| (score, true)).collect();
    all.extend(none.into_iter().map(|score| (score, false)));
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut auc, mut ap, mut above) = (0.0, 0.0, [0.0; 2]);
    // Of equal scores neither is higher.
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let right = group.iter().filter(|(_, edge)| *edge).count() as f64;
        let wrong = group.len() as f64 - right;
        auc += wrong * (above[0] + right / 2.0);
        above = [above[0] + right, above[1] + wrong];
        ap += right / counts[0] * above[0] / (above[0] + above[1]);
    }
    Ok(LinkScores {
        auc: auc / (counts[0] * counts[1]),
        ap,
    })
}

#[cfg(test)]
mod tests {
    use flambeau_autograd::Backward;
    use flambeau_nn::Linear;

    use super::*;

    #[test]
    fn equal_scores_are_no_order() {
        // By hand: of twelve pairs five are in order and two are equal; precisions at recalls 1/4, 3/4 and 1.
        let scores = link_scores(vec![0.9, 0.4, 0.4, 0.1], vec![0.8, 0.4, 0.2]).unwrap();
        assert!((scores.auc - 0.5).abs() < 1e-12, "{scores:?}");
        assert!(
            (scores.ap - (0.25 + 0.5 * 0.6 + 0.25 * 4.0 / 7.0)).abs() < 1e-12,
            "{scores:?}"
        );
        let perfect = link_scores(vec![2.0, 1.0], vec![0.0]).unwrap();
        assert_eq!((perfect.auc, perfect.ap), (1.0, 1.0));
        assert!(link_scores(vec![], vec![1.0]).is_err());
    }

    #[test]
    fn the_loss_has_gradients() {
        let gae = GAE::new(Linear::new(3, 2, Default::default()).unwrap());
        let z = Tensor::new([[1f64, 0.0], [0.5, -1.0], [0.0, 2.0]])
            .unwrap()
            .requires_grad(true)
            .unwrap();
        let edges = Tensor::new([[0i64, 1], [1, 0]]).unwrap();
        let none = Tensor::new([[0i64, 1], [2, 2]]).unwrap();
        let loss = gae.recon_loss(&z, &edges, Some(&none)).unwrap();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let expected = -sigmoid(0.5).ln() - ((1.0 - sigmoid(0.0)).ln() + (1.0 - sigmoid(-2.0)).ln()) / 2.0;
        assert!((loss.item::<f64>().unwrap() - expected).abs() < 1e-12);
        loss.backward().unwrap();
        assert!(
            z.grad()
                .unwrap()
                .abs()
                .unwrap()
                .min()
                .unwrap()
                .item::<f64>()
                .unwrap()
                > 0.0
        );
        let drawn = gae.recon_loss(&z.detach(), &edges, None).unwrap();
        assert!(drawn.item::<f64>().unwrap().is_finite());
        let all = gae.decoder().forward_all(&z.detach(), true).unwrap();
        let one = gae.decoder().forward(&z.detach(), &edges, true).unwrap();
        assert_eq!(all.to_vec::<f64>().unwrap()[1], one.to_vec::<f64>().unwrap()[0]);
    }
}
