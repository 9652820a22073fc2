//! Functions of edges (`torch_geometric.utils`).

use flambeau_tensor::random::{self, Sample};
use flambeau_tensor::{DType, Result, Tensor, ensure};

use crate::edges::checked;
use crate::{Aggregation, segments};

/// The edges sorted by sources, then targets, each once, and what belongs to them, combined where an edge occurs several times
/// (`coalesce`).
///
/// # Shapes
/// `[2, edges]` and `[edges, …] → [2, distinct]` and `[distinct, …]`.
///
/// # Errors
/// Those of [`Edges::new`](crate::Edges::new); `Shape` unless there is a row for each edge.
pub fn coalesce(
    edge_index: &Tensor,
    edge_attr: Option<&Tensor>,
    num_nodes: usize,
    aggregation: Aggregation,
) -> Result<(Tensor, Option<Tensor>)> {
    let ends = checked(edge_index, num_nodes)?;
    let (sources, targets) = ends.split_at(ends.len() / 2);
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&edge| (sources[edge], targets[edge]));
    let (mut pairs, mut offsets) = (Vec::<[i64; 2]>::new(), Vec::new());
    for (at, &edge) in order.iter().enumerate() {
        let pair = [sources[edge], targets[edge]];
        if pairs.last() != Some(&pair) {
            pairs.push(pair);
            offsets.push(at as i64);
        }
    }
    offsets.push(order.len() as i64);
    let combined = |attr: &Tensor| -> Result<Tensor> {
        expect_rows("coalesce", attr, order.len())?;
        let order = Tensor::from_vec(order.iter().map(|&edge| edge as i64).collect(), order.len())?;
        let offsets = Tensor::from_slice(&offsets, offsets.len())?;
        segments::reduce(&attr.index_select(0, &order)?, &offsets, aggregation)
    };
    Ok((of_pairs(&pairs)?, edge_attr.map(combined).transpose()?))
}

/// The edges with the opposite of each, sorted and each once; what belongs to them is added up (`to_undirected`).
///
/// # Errors
/// As [`coalesce`].
pub fn to_undirected(
    edge_index: &Tensor,
    edge_attr: Option<&Tensor>,
    num_nodes: usize,
) -> Result<(Tensor, Option<Tensor>)> {
    checked(edge_index, num_nodes)?;
    let both = Tensor::cat(&[edge_index, &edge_index.flip([0])?], 1)?;
    let attr = edge_attr.map(|attr| Tensor::cat(&[attr, attr], 0)).transpose()?;
    coalesce(&both, attr.as_ref(), num_nodes, Aggregation::Sum)
}

/// The edges, then one from each node to itself, whose attributes are `fill_value` (`add_self_loops`).
///
/// # Errors
/// Those of [`Edges::new`](crate::Edges::new); `Shape` unless there is a row for each edge.
pub fn add_self_loops(
    edge_index: &Tensor,
    edge_attr: Option<&Tensor>,
    fill_value: f64,
    num_nodes: usize,
) -> Result<(Tensor, Option<Tensor>)> {
    let edges = checked(edge_index, num_nodes)?.len() / 2;
    let nodes: Vec<i64> = (0..num_nodes as i64).collect();
    let loops = Tensor::from_vec([&nodes[..], &nodes].concat(), (2, num_nodes))?;
    let extended = |attr: &Tensor| -> Result<Tensor> {
        expect_rows("add_self_loops", attr, edges)?;
        let mut shape = attr.shape().to_vec();
        shape[0] = num_nodes;
        Tensor::cat(&[attr, &Tensor::full(shape, fill_value, attr.dtype())?], 0)
    };
    Ok((
        Tensor::cat(&[edge_index, &loops], 1)?,
        edge_attr.map(extended).transpose()?,
    ))
}

/// The edges without those from a node to itself (`remove_self_loops`).
///
/// # Errors
/// `Shape` unless `edge_index` is `[2, edges]` and there is a row for each edge.
pub fn remove_self_loops(
    edge_index: &Tensor,
    edge_attr: Option<&Tensor>,
) -> Result<(Tensor, Option<Tensor>)> {
    let ends = checked(edge_index, usize::MAX)?;
    let (sources, targets) = ends.split_at(ends.len() / 2);
    let kept = (0..sources.len()).filter(|&edge| sources[edge] != targets[edge]);
    let kept: Vec<i64> = kept.map(|edge| edge as i64).collect();
    let kept = Tensor::from_slice(&kept, kept.len())?;
    let of_kept = |attr: &Tensor| -> Result<Tensor> {
        expect_rows("remove_self_loops", attr, sources.len())?;
        attr.index_select(0, &kept)
    };
    Ok((
        edge_index.index_select(1, &kept)?,
        edge_attr.map(of_kept).transpose()?,
    ))
}

/// How often each node occurs, `[nodes]` (`degree`): of one row of an `edge_index`, the number of edges that begin or end there.
///
/// # Errors
/// `Shape` unless there is one dimension; `Index` for a node outside.
pub fn degree(nodes: &Tensor, num_nodes: usize, dtype: DType) -> Result<Tensor> {
    ensure!(
        nodes.rank() == 1,
        Shape,
        "degree: expected [edges], got {:?}",
        nodes.shape()
    );
    let mut counts = vec![0i64; num_nodes];
    for node in nodes.to_vec::<i64>()? {
        let count = usize::try_from(node).ok().and_then(|node| counts.get_mut(node));
        ensure!(
            count.is_some(),
            Index,
            "degree: node {node} is out of range for {num_nodes} nodes"
        );
        count.into_iter().for_each(|count| *count += 1);
    }
    Tensor::from_vec(counts, num_nodes)?.to_dtype(dtype)
}

/// Pairs of different nodes between which there is no edge, each at most once, in random order (`negative_sampling`): so many, or
/// all if there are fewer. They are drawn from the default generator.
///
/// # Shapes
/// `[2, edges] → [2, at most num_neg_samples]`.
///
/// # Errors
/// Those of [`Edges::new`](crate::Edges::new).
pub fn negative_sampling(edge_index: &Tensor, num_nodes: usize, num_neg_samples: usize) -> Result<Tensor> {
    let ends = checked(edge_index, num_nodes)?;
    let (sources, targets) = ends.split_at(ends.len() / 2);
    // Pairs of different nodes are numbered row by row, without the diagonal.
    let others = num_nodes.saturating_sub(1) as i64;
    let mut taken: Vec<i64> = sources
        .iter()
        .zip(targets)
        .filter(|(source, target)| source != target)
        .map(|(&source, &target)| source * others + target - i64::from(target > source))
        .collect();
    taken.sort_unstable();
    taken.dedup();
    let free = num_nodes as i64 * others - taken.len() as i64;
    // Which of the free pairs: the `i`-th of them has so many taken ones before it as have fewer than `i + 1` free ones.
    let ranks = distinct(free, num_neg_samples)?;
    let before: Vec<i64> = (0..).zip(&taken).map(|(i, &pair)| pair - i).collect();
    let pairs = ranks.into_iter().map(|rank| {
        let pair = rank + before.partition_point(|&free| free <= rank) as i64;
        let (source, target) = (pair / others, pair % others);
        [source, target + i64::from(target >= source)]
    });
    of_pairs(&pairs.collect::<Vec<_>>())
}

/// `count` different numbers below `bound`, or all of them if there are fewer, in random order.
fn distinct(bound: i64, count: usize) -> Result<Vec<i64>> {
    let bound = bound.max(0);
    if count as u64 >= bound as u64 / 2 {
        let mut all = random::with_default(|g| g.randperm(bound as usize))?.to_vec::<i64>()?;
        all.truncate(count);
        return Ok(all);
    }
    let mut seen = std::collections::HashSet::with_capacity(count);
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let more = random::with_default(|g| g.randint(0, bound, count - drawn.len(), DType::I64))?;
        drawn.extend(
            more.to_vec::<i64>()?
                .into_iter()
                .filter(|&number| seen.insert(number)),
        );
    }
    Ok(drawn)
}

pub(crate) fn of_pairs(pairs: &[[i64; 2]]) -> Result<Tensor> {
    let ends = |which: usize| pairs.iter().map(move |pair| pair[which]);
    Tensor::from_vec(ends(0).chain(ends(1)).collect(), (2, pairs.len()))
}

fn expect_rows(function: &str, attr: &Tensor, edges: usize) -> Result<()> {
    ensure!(
        attr.rank() > 0 && attr.shape()[0] == edges,
        Shape,
        "{function}: expected attributes [{edges}, …], a row for each edge, got {:?}",
        attr.shape()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn index() -> Tensor {
        Tensor::new([[1i64, 0, 1, 2, 1], [0, 2, 0, 2, 1]]).unwrap()
    }

    fn pairs(index: &Tensor) -> Vec<[i64; 2]> {
        let ends = index.to_vec::<i64>().unwrap();
        let (sources, targets) = ends.split_at(ends.len() / 2);
        sources.iter().zip(targets).map(|(&s, &t)| [s, t]).collect()
    }

    #[test]
    fn edges_are_combined() {
        let attr = Tensor::new([1f32, 2.0, 4.0, 8.0, 16.0]).unwrap();
        let values = |attr: Option<Tensor>| attr.unwrap().to_vec::<f32>().unwrap();
        let (once, sums) = coalesce(&index(), Some(&attr), 3, Aggregation::Sum).unwrap();
        assert_eq!(pairs(&once), [[0, 2], [1, 0], [1, 1], [2, 2]]);
        assert_eq!(values(sums), [2.0, 5.0, 16.0, 8.0]);
        let (both, sums) = to_undirected(&index(), Some(&attr), 3).unwrap();
        assert_eq!(pairs(&both), [[0, 1], [0, 2], [1, 0], [1, 1], [2, 0], [2, 2]]);
        assert_eq!(values(sums), [5.0, 2.0, 5.0, 32.0, 2.0, 16.0]);
        let (none, kept) = remove_self_loops(&index(), Some(&attr)).unwrap();
        assert_eq!(pairs(&none), [[1, 0], [0, 2], [1, 0]]);
        assert_eq!(values(kept), [1.0, 2.0, 4.0]);
        let (more, filled) =
            add_self_loops(&none, Some(&Tensor::ones(3, DType::F32).unwrap()), 0.5, 3).unwrap();
        assert_eq!(pairs(&more)[3..], [[0, 0], [1, 1], [2, 2]]);
        assert_eq!(values(filled), [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]);
        let out = degree(&index().select(0, 0).unwrap(), 4, DType::F32).unwrap();
        assert_eq!(out.to_vec::<f32>().unwrap(), [1.0, 3.0, 1.0, 0.0]);
        let error = coalesce(&index(), Some(&out), 3, Aggregation::Sum)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "coalesce: expected attributes [5, …], a row for each edge, got [4]"
        );
        assert!(degree(&index().select(0, 0).unwrap(), 2, DType::F32).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn negative_samples_are_no_edges(
            nodes in 0usize..12,
            edges in proptest::collection::vec((0usize..12, 0usize..12), 0..60),
            count in 0usize..150,
            seed in 0u64..100,
        ) {
            let edges: Vec<[i64; 2]> = edges
                .iter()
                .filter(|(s, t)| *s < nodes && *t < nodes)
                .map(|&(s, t)| [s as i64, t as i64])
                .collect();
            let index = of_pairs(&edges).unwrap();
            let draw = || random::fork(seed, || pairs(&negative_sampling(&index, nodes, count).unwrap()));
            let drawn = draw();
            let distinct: HashSet<_> = drawn.iter().collect();
            prop_assert_eq!(distinct.len(), drawn.len());
            let present: HashSet<_> = edges.iter().filter(|[s, t]| s != t).collect();
            prop_assert!(drawn.iter().all(|pair| pair[0] != pair[1] && !present.contains(pair)));
            let free = (nodes * nodes).saturating_sub(nodes) - present.len();
            prop_assert_eq!(drawn.len(), count.min(free));
            prop_assert_eq!(draw(), drawn);
        }
    }
}
