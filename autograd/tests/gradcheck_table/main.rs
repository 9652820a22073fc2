//! Every recorded operation has its gradient and its double gradient compared with finite differences: a table of
//! functions, and a test that what they record is the whole list of operations.
//!
//! Each function is checked at contiguous inputs, at inputs that are views (transposed, or every other element of a
//! larger tensor), and with an incoming gradient that is not contiguous.

use std::collections::BTreeSet;

use flambeau_autograd::{CheckOptions, GradOptions, grad, gradcheck, gradgradcheck};
use flambeau_tensor::graph::{Edge, Op};
use flambeau_tensor::random::{Generator, Sample};
use flambeau_tensor::{DType, Result, Tensor};

mod table;

/// A function of tracked inputs.
type Function = fn(&[Tensor]) -> Result<Tensor>;

/// A row of the table: a name, the inputs' shapes and the function.
struct Row {
    name: &'static str,
    shapes: &'static [&'static [usize]],
    /// Whether the inputs are made positive, away from 0 (for `log`, `sqrt`, …).
    positive: bool,
    function: Function,
}

fn inputs(row: &Row) -> Result<Vec<Tensor>> {
    let mut g = Generator::new(17);
    let make = |shape: &&[usize]| -> Result<Tensor> {
        let x = g.randn(*shape, DType::F64)?;
        let x = if row.positive { x.mul(&x)?.add(0.5)? } else { x };
        x.requires_grad(true)
    };
    row.shapes.iter().map(make).collect()
}

/// The same numbers as a transposed view of other memory.
fn as_view(x: &Tensor) -> Result<Tensor> {
    if x.rank() < 2 {
        return Tensor::cat(&[&x.unsqueeze(-1)?, &x.unsqueeze(-1)?], -1)?.select(-1, 0);
    }
    x.transpose(0, 1)?.copy()?.transpose(0, 1)
}

/// Multiplies by fixed weights after a transposition, so that the gradient that comes in is not contiguous.
fn weighted(y: &Tensor) -> Result<Tensor> {
    let turned = if y.rank() >= 2 {
        y.transpose(0, -1)?
    } else {
        y.clone()
    };
    let weights: Vec<f64> = (0..y.numel())
        .map(|i| 0.5 + 0.3 * (i as f64 * 1.7).sin())
        .collect();
    turned.mul(&Tensor::from_vec(weights, turned.shape())?)
}

fn check(row: &Row) -> Result<()> {
    let x = inputs(row)?;
    let options = CheckOptions::default();
    let plain = |x: &[Tensor]| Ok(vec![(row.function)(x)?]);
    gradcheck(plain, &x, options)?;
    let views = |x: &[Tensor]| {
        let x: Vec<Tensor> = x.iter().map(as_view).collect::<Result<_>>()?;
        Ok(vec![weighted(&(row.function)(&x)?)?])
    };
    gradcheck(views, &x, options)?;
    gradgradcheck(plain, &x, options)?;
    gradgradcheck(views, &x, options)
}

/// The variants of the operations that were recorded to make `y`.
fn recorded(y: &Tensor) -> BTreeSet<&'static str> {
    let mut seen = BTreeSet::new();
    let mut variants = BTreeSet::new();
    let mut stack: Vec<Edge> = y.edge().into_iter().collect();
    while let Some(edge) = stack.pop() {
        if seen.insert(edge.node.id()) {
            variants.extend(edge.node.op().map(|op| op.variant()));
            stack.extend(edge.node.inputs().iter().flatten().cloned());
        }
    }
    variants
}

#[test]
fn gradients_and_double_gradients_agree_with_finite_differences() {
    let wrong: Vec<String> = table::ROWS
        .iter()
        .filter_map(|row| check(row).err().map(|error| format!("{}: {error}", row.name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_covers_every_operation() -> Result<()> {
    let mut covered = BTreeSet::new();
    for row in table::ROWS {
        let x = inputs(row)?;
        let y = (row.function)(&x)?;
        let options = GradOptions {
            create_graph: true,
            allow_unused: true,
            ..GradOptions::default()
        };
        let gradients = grad(&[&y], &x.iter().collect::<Vec<_>>(), &[Some(&y)], options)?;
        covered.extend(recorded(&y));
        // Operations that stand in rules alone.
        covered.extend(gradients.iter().flatten().flat_map(recorded));
    }
    let missing: Vec<&&str> = Op::VARIANTS.iter().filter(|v| !covered.contains(**v)).collect();
    assert!(missing.is_empty(), "operations without a row: {missing:?}");
    Ok(())
}
