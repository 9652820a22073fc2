//! `torch.einsum`: sums of products written with labelled dimensions, e.g. `"bij,bjk->bik"`.
//!
//! Every operand is brought to one order of all labels, operands are multiplied from left to right, and a label is
//! summed as soon as no later operand and no result has it: each step is one batched matrix product.

use crate::{Result, Tensor, bail, ensure, promote};

/// One dimension's label: a letter (or a number of the sublist form), or one of the dimensions that `...` stands for,
/// counted from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Named(u32),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Label::Ellipsis(_) => f.write_str("..."),
            Label::Named(code) => match char::from_u32(code).filter(char::is_ascii_alphabetic) {
                Some(letter) => write!(f, "{letter}"),
                None => write!(f, "{code}"),
            },
        }
    }
}

/// An operand whose dimensions are labelled, each label once.
struct Labelled {
    tensor: Tensor,
    labels: Vec<Label>,
}

/// An item of a subscript: a named label or the ellipsis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscript {
    /// A label: a letter's code, or a number.
    Label(u32),
    /// `...`: all dimensions that are not named.
    Ellipsis,
}

/// The Einstein summation of `operands` as `equation` says, e.g. `"ij,jk->ik"`, `"...ij->...ji"` or `"ii"`. Without
/// `->` the result has the ellipsis' dimensions and then, in alphabetical order, the labels that appear once.
///
/// # Errors
/// `Value` if the equation is malformed; `Shape` if it does not fit the operands.
pub fn einsum(equation: &str, operands: &[&Tensor]) -> Result<Tensor> {
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match text.split_once("->") {
        Some((inputs, output)) => (inputs, Some(output)),
        None => (text.as_str(), None),
    };
    let inputs: Vec<Vec<Subscript>> = inputs
        .split(',')
        .map(|part| subscripts(equation, part))
        .collect::<Result<_>>()?;
    let output = output.map(|part| subscripts(equation, part)).transpose()?;
    einsum_subscripts(operands, &inputs, output.as_deref())
}

fn subscripts(equation: &str, part: &str) -> Result<Vec<Subscript>> {
    let mut out = Vec::new();
    let mut rest = part;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            out.push(Subscript::Ellipsis);
            rest = after;
        } else if c.is_ascii_alphabetic() {
            out.push(Subscript::Label(c as u32));
            rest = &rest[1..];
        } else {
            bail!(Value, "einsum: unexpected {c:?} in {equation:?}")
        }
    }
    Ok(out)
}

/// [`einsum`] with subscripts given as lists, one for each operand, and one for the result or `None`.
///
/// # Errors
/// As [`einsum`].
pub fn einsum_subscripts(
    operands: &[&Tensor],
    inputs: &[Vec<Subscript>],
    output: Option<&[Subscript]>,
) -> Result<Tensor> {
    ensure!(
        !operands.is_empty() && operands.len() == inputs.len(),
        Value,
        "einsum: {} subscripts for {} operands {}",
        inputs.len(),
        operands.len(),
        shapes(operands)
    );
    let mut terms = Vec::new();
    let (mut counts, mut ellipsis) = (std::collections::BTreeMap::new(), 0);
    for (&operand, subscript) in operands.iter().zip(inputs) {
        let labels = labels_of(operand, subscript)?;
        for &label in &labels {
            match label {
                Label::Ellipsis(d) => ellipsis = ellipsis.max(d + 1),
                Label::Named(_) => *counts.entry(label).or_insert(0usize) += 1,
            }
        }
        terms.push(with_distinct_labels(operand, labels)?);
    }
    let ellipses: Vec<Label> = (0..ellipsis).rev().map(Label::Ellipsis).collect();
    let output = match output {
        Some(output) => output_labels(operands, output, &ellipses, &counts)?,
        None => {
            let once = counts
                .iter()
                .filter(|&(_, &count)| count == 1)
                .map(|(&label, _)| label);
            ellipses.iter().copied().chain(once).collect()
        }
    };
    check_sizes(operands, &terms)?;
    contract(terms, &output)
}

/// The labels of an operand's dimensions, the ellipsis expanded.
fn labels_of(operand: &Tensor, subscript: &[Subscript]) -> Result<Vec<Label>> {
    let rank = operand.rank();
    let named = subscript
        .iter()
        .filter(|s| matches!(s, Subscript::Label(_)))
        .count();
    let dots = subscript.len() - named;
    let fits = dots <= 1 && named <= rank && (dots == 1 || named == rank);
    ensure!(
        fits,
        Shape,
        "einsum: {named} labels (and {dots} ellipses) for an operand of shape {:?}",
        operand.shape()
    );
    let label = |s: &Subscript| match *s {
        Subscript::Label(name) => vec![Label::Named(name)],
        Subscript::Ellipsis => (0..rank - named).rev().map(Label::Ellipsis).collect(),
    };
    Ok(subscript.iter().flat_map(label).collect())
}

/// The operands' shapes, for messages.
fn shapes(operands: &[&Tensor]) -> String {
    let shapes: Vec<String> = operands.iter().map(|t| format!("{:?}", t.shape())).collect();
    shapes.join(" and ")
}

fn output_labels(
    operands: &[&Tensor],
    output: &[Subscript],
    ellipses: &[Label],
    counts: &std::collections::BTreeMap<Label, usize>,
) -> Result<Vec<Label>> {
    let mut labels = Vec::new();
    for s in output {
        match *s {
            Subscript::Ellipsis => labels.extend_from_slice(ellipses),
            Subscript::Label(name) => {
                let label = Label::Named(name);
                ensure!(
                    counts.contains_key(&label),
                    Value,
                    "einsum: the result's label {label} stands for no dimension of the operands {}",
                    shapes(operands)
                );
                ensure!(
                    !labels.contains(&label),
                    Value,
                    "einsum: the result has the label {label} twice"
                );
                labels.push(label);
            }
        }
    }
    let dots = output.iter().filter(|&&s| s == Subscript::Ellipsis).count();
    ensure!(dots <= 1, Value, "einsum: the result has {dots} ellipses");
    Ok(labels)
}

/// The operand with each label once: of dimensions that share one, the diagonal is taken.
fn with_distinct_labels(operand: &Tensor, mut labels: Vec<Label>) -> Result<Labelled> {
    let mut tensor = operand.clone();
    while let Some((i, j)) = repeated(&labels) {
        let (n, m) = (tensor.shape()[i], tensor.shape()[j]);
        ensure!(
            n == m,
            Shape,
            "einsum: the repeated label {} has the sizes {n} and {m} in an operand of shape {:?}",
            labels[i],
            operand.shape()
        );
        // Both dimensions to the end and joined: every (n + 1)-th element is on the diagonal.
        let rest: Vec<usize> = (0..labels.len()).filter(|&d| d != i && d != j).collect();
        let order: Vec<isize> = rest.iter().chain([&i, &j]).map(|&d| d as isize).collect();
        let mut shape: Vec<usize> = rest.iter().map(|&d| tensor.shape()[d]).collect();
        shape.push(n * n);
        let joined = tensor.permute(order)?.reshape(shape)?;
        tensor = joined.slice(-1, None, None, n as isize + 1)?;
        let label = labels[i];
        labels = rest.iter().map(|&d| labels[d]).collect();
        labels.push(label);
    }
    Ok(Labelled { tensor, labels })
}

fn repeated(labels: &[Label]) -> Option<(usize, usize)> {
    (0..labels.len()).find_map(|j| (0..j).find(|&i| labels[i] == labels[j]).map(|i| (i, j)))
}

fn check_sizes(operands: &[&Tensor], terms: &[Labelled]) -> Result<()> {
    let mut sizes = std::collections::BTreeMap::new();
    for term in terms {
        for (&label, &size) in term.labels.iter().zip(term.tensor.shape()) {
            let known = sizes.entry(label).or_insert(size);
            ensure!(
                *known == size || *known == 1 || size == 1,
                Shape,
                "einsum: label {label} has the sizes {known} and {size} in the operands {}",
                shapes(operands)
            );
            if *known == 1 {
                *known = size;
            }
        }
    }
    Ok(())
}

/// Multiplies the terms from left to right and puts the result's dimensions in order.
fn contract(terms: Vec<Labelled>, output: &[Label]) -> Result<Tensor> {
    let mut terms: std::collections::VecDeque<Labelled> = terms.into();
    let Some(mut product) = terms.pop_front() else {
        bail!(Value, "einsum: no operands")
    };
    let unwanted =
        |label: Label| !output.contains(&label) && !terms.iter().any(|t| t.labels.contains(&label));
    if terms.is_empty() {
        product = without(product, unwanted)?;
    } else {
        product = without_ones(product, unwanted)?;
        product = without(product, unwanted)?;
    }
    while let Some(next) = terms.pop_front() {
        let wanted =
            |label: Label| output.contains(&label) || terms.iter().any(|t| t.labels.contains(&label));
        let unwanted = |label: Label| !wanted(label) && !product.labels.contains(&label);
        let next = without(without_ones(next, unwanted)?, unwanted)?;
        product = pair(product, next, &wanted)?;
    }
    let place = |label: &Label| product.labels.iter().position(|l| l == label).map(|d| d as isize);
    let order: Vec<isize> = output.iter().filter_map(place).collect();
    product.tensor.permute(order)
}

/// The term without the dimensions of size 1 whose labels `drop` names: no sum, which would turn integers to `int64`.
fn without_ones(term: Labelled, drop: impl Fn(Label) -> bool) -> Result<Labelled> {
    let kept: Vec<usize> = (0..term.labels.len())
        .filter(|&d| !(drop(term.labels[d]) && term.tensor.shape()[d] == 1))
        .collect();
    let shape: Vec<usize> = kept.iter().map(|&d| term.tensor.shape()[d]).collect();
    Ok(Labelled {
        tensor: term.tensor.reshape(shape)?,
        labels: kept.into_iter().map(|d| term.labels[d]).collect(),
    })
}

/// The term summed over the dimensions whose labels `drop` names; integers are summed as `int64`.
fn without(term: Labelled, drop: impl Fn(Label) -> bool) -> Result<Labelled> {
    let dims: Vec<isize> = (0..term.labels.len())
        .filter(|&d| drop(term.labels[d]))
        .map(|d| d as isize)
        .collect();
    if dims.is_empty() {
        return Ok(term);
    }
    Ok(Labelled {
        tensor: term.tensor.sum_dim(dims, false)?,
        labels: term.labels.into_iter().filter(|&label| !drop(label)).collect(),
    })
}

/// The product of two terms, summed over the labels that both have and nobody wants any more.
fn pair(a: Labelled, b: Labelled, wanted: &dyn Fn(Label) -> bool) -> Result<Labelled> {
    let size = |t: &Labelled, label: Label| {
        t.labels
            .iter()
            .position(|&l| l == label)
            .map(|d| t.tensor.shape()[d])
    };
    // A summed dimension of size 1 in one term is broadcast: the other term can be summed over it first.
    let lonely = |own: &Labelled, other: &Labelled, label: Label| {
        !wanted(label) && size(other, label) == Some(1) && size(own, label) != Some(1)
    };
    let a_alone: Vec<Label> = a.labels.iter().copied().filter(|&l| lonely(&a, &b, l)).collect();
    let b_alone: Vec<Label> = b.labels.iter().copied().filter(|&l| lonely(&b, &a, l)).collect();
    let drop_a = |l: Label| a_alone.contains(&l) || (b_alone.contains(&l));
    let (a, b) = (without(a, drop_a)?, without(b, drop_a)?);

    let both: Vec<Label> = a
        .labels
        .iter()
        .copied()
        .filter(|l| b.labels.contains(l))
        .collect();
    let (batch, summed): (Vec<Label>, Vec<Label>) = both.into_iter().partition(|&l| wanted(l));
    let own = |t: &Labelled, other: &Labelled| -> Vec<Label> {
        t.labels
            .iter()
            .copied()
            .filter(|l| !other.labels.contains(l))
            .collect()
    };
    let (a_own, b_own) = (own(&a, &b), own(&b, &a));
    let sizes = |t: &Labelled, labels: &[Label]| -> Vec<usize> {
        labels.iter().filter_map(|&l| size(t, l)).collect()
    };
    let arranged = |t: &Labelled, groups: [&[Label]; 2]| -> Result<Tensor> {
        let labels = [&batch, groups[0], groups[1]].concat();
        let place = |l: &Label| t.labels.iter().position(|x| x == l).map(|d| d as isize);
        let order: Vec<isize> = labels.iter().filter_map(place).collect();
        let volume = |labels: &[Label]| sizes(t, labels).iter().product::<usize>();
        let mut shape = sizes(t, &batch);
        shape.push(volume(groups[0]));
        shape.push(volume(groups[1]));
        t.tensor.permute(order)?.reshape(shape)
    };
    let (lhs, rhs) = (arranged(&a, [&a_own, &summed])?, arranged(&b, [&summed, &b_own])?);
    let product = if summed.is_empty() {
        lhs.mul(&rhs)?
    } else {
        let dtype = promote(lhs.dtype(), rhs.dtype());
        lhs.to_dtype(dtype)?.matmul(&rhs.to_dtype(dtype)?)?
    };
    let mut shape = product.shape()[..batch.len()].to_vec();
    shape.extend(sizes(&a, &a_own));
    shape.extend(sizes(&b, &b_own));
    Ok(Labelled {
        tensor: product.reshape(shape)?,
        labels: [batch, a_own, b_own].concat(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iota(shape: &[usize]) -> Tensor {
        let numel: usize = shape.iter().product();
        Tensor::from_vec((0..numel).map(|i| i as f64).collect::<Vec<_>>(), shape).unwrap()
    }

    fn run(equation: &str, operands: &[&Tensor]) -> (Vec<usize>, Vec<f64>) {
        let y = einsum(equation, operands).unwrap();
        (y.shape().to_vec(), y.to_vec::<f64>().unwrap())
    }

    #[test]
    fn traces_diagonals_and_transposes() {
        let a = iota(&[3, 3]);
        assert_eq!(run("ii", &[&a]), (vec![], vec![12.0]));
        assert_eq!(run("ii->i", &[&a]), (vec![3], vec![0.0, 4.0, 8.0]));
        assert_eq!(
            run("ba", &[&iota(&[2, 2])]),
            (vec![2, 2], vec![0.0, 2.0, 1.0, 3.0])
        );
        assert_eq!(run("...i->...", &[&iota(&[2, 2])]), (vec![2], vec![1.0, 5.0]));
    }

    #[test]
    fn products_agree_with_matmul() {
        let (a, b, c) = (iota(&[2, 3, 4]), iota(&[2, 4, 5]), iota(&[5]));
        let expected = a.matmul(&b).unwrap();
        assert_eq!(
            run("bij,bjk->bik", &[&a, &b]).1,
            expected.to_vec::<f64>().unwrap()
        );
        let summed = expected.matmul(&c).unwrap().sum_dim(0, false).unwrap();
        assert_eq!(run("bij,bjk,k", &[&a, &b, &c]).1, summed.to_vec::<f64>().unwrap());
        assert_eq!(run("ij,kj->ik", &[&iota(&[2, 3]), &iota(&[1, 3])]).0, [2, 1]);
        assert_eq!(
            run("i,j->ji", &[&iota(&[2]), &iota(&[3])]).1,
            [0.0, 0.0, 0.0, 1.0, 0.0, 2.0]
        );
    }

    #[test]
    fn sizes_of_one_broadcast() {
        let (a, b) = (
            iota(&[2, 3]),
            Tensor::full((4, 1), 2.0, crate::DType::F64).unwrap(),
        );
        assert_eq!(
            run("ij,kj->ik", &[&a, &b]).1,
            [6.0; 4].iter().chain(&[24.0; 4]).copied().collect::<Vec<_>>()
        );
        assert_eq!(
            run("...ik, ...j -> ij", &[&iota(&[1, 2, 3]), &iota(&[3])]).0,
            [2, 3]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let a = iota(&[2, 3]);
        assert!(einsum("i", &[&a]).is_err());
        assert!(einsum("ij,jk", &[&a]).is_err());
        assert!(einsum("ij->ijk", &[&a]).is_err());
        assert!(
            einsum("ii", &[&a])
                .unwrap_err()
                .to_string()
                .contains("sizes 2 and 3")
        );
    }
}
