//! Reductions of runs of rows that belong together: the edges of a target, the nodes of a graph.

use flambeau_tensor::ops::index::Reduction;
use flambeau_tensor::ops::segment::Segments;
use flambeau_tensor::{DType, Result, Tensor};

use crate::Aggregation;

/// Lengths of the runs between these offsets.
pub(crate) fn lengths(offsets: &Tensor) -> Result<Tensor> {
    let ends = offsets.slice(0, Some(1), None, 1)?;
    ends.sub(&offsets.slice(0, None, Some(-1), 1)?)
}

/// One row for each run; 0 for an empty one.
pub(crate) fn reduce(x: &Tensor, offsets: &Tensor, aggregation: Aggregation) -> Result<Tensor> {
    let reduction = match aggregation {
        Aggregation::Sum => Reduction::Sum,
        Aggregation::Mean => Reduction::Mean,
        Aggregation::Max => Reduction::Amax,
        Aggregation::Min => Reduction::Amin,
    };
    let reduced = x.segment_reduce(reduction, Segments::Offsets(offsets), 0, None)?;
    if aggregation == Aggregation::Sum {
        return Ok(reduced);
    }
    let mut empty = lengths(offsets)?.eq(0)?;
    if !empty.any()?.to_dtype(DType::Bool)?.item::<bool>()? {
        return Ok(reduced);
    }
    while empty.rank() < reduced.rank() {
        empty = empty.unsqueeze(-1)?;
    }
    reduced.masked_fill(&empty, 0)
}
