//! The files of a citation network as it was published: pickles of NumPy's arrays and SciPy's sparse matrices.
//!
//! Nodes are numbered so that those with known classes come first: the ones to learn from (`y`), then the others (`ally`, whose first
//! rows are `y`, with the features `allx`), then those that are tested on, which `test.index` gives in the order of `tx` and `ty`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flambeau_hub::pickle;
use flambeau_hub::{Dict, Key, Value};
use flambeau_tensor::io::{io_error, open};
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};

use super::zeros;
use crate::{Graph, utils};

/// How many nodes, behind those that are learnt from, a model is chosen by.
const VALIDATED: usize = 500;

/// The citation network in a folder.
pub(super) fn read(folder: &Path) -> Result<Graph> {
    let files = Files::of(folder)?;
    let learnt = files.classes("y")?.len();
    let (mut y, tested_y) = (files.classes("ally")?, files.classes("ty")?);
    let tested = files.test_index(y.len(), tested_y.len())?;
    let (known, nodes) = (y.len(), tested.iter().max().map_or(y.len(), |last| last + 1));
    ensure!(
        learnt <= known,
        Format,
        "planetoid: y has {learnt} rows, ally, which begins with them, {known}"
    );
    y.resize(nodes, 0);
    for (&node, class) in tested.iter().zip(tested_y) {
        y[node] = class;
    }
    let mut graph = Graph::new(files.edges(nodes)?, nodes)?;
    graph.x = Some(files.features(known, &tested, nodes)?);
    graph.y = Some(Tensor::from_vec(y, nodes)?);
    let mask = |of: &dyn Fn(usize) -> bool| {
        Tensor::from_vec((0..nodes).map(of).collect::<Vec<bool>>(), nodes).map(Some)
    };
    graph.train_mask = mask(&|node| node < learnt)?;
    graph.val_mask = mask(&|node| (learnt..(learnt + VALIDATED).min(known)).contains(&node))?;
    let tested: BTreeSet<usize> = tested.into_iter().collect();
    graph.test_mask = mask(&|node| tested.contains(&node))?;
    graph.validate()?;
    Ok(graph)
}

/// The files of a network.
struct Files<'a> {
    folder: &'a Path,
    name: String,
}

impl Files<'_> {
    fn of(folder: &Path) -> Result<Files<'_>> {
        let entries = std::fs::read_dir(folder).map_err(io_error)?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| Some(file.strip_prefix("ind.")?.strip_suffix(".graph")?.to_string()))
            .collect();
        match (names.pop(), names.len()) {
            (Some(name), 0) => Ok(Files { folder, name }),
            (_, more) => bail!(
                Value,
                "planetoid: expected one file ind.NAME.graph in the folder, got {}",
                if more == 0 { "none" } else { "several" }
            ),
        }
    }

    fn path(&self, what: &str) -> PathBuf {
        self.folder.join(format!("ind.{}.{what}", self.name))
    }

    /// What is wrong with a file.
    fn named<T>(&self, what: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
        read().map_err(|error| error.context(format_args!("ind.{}.{what}", self.name)))
    }

    /// The classes of nodes, from rows with a 1 in the place of each one's class.
    fn classes(&self, what: &str) -> Result<Vec<i64>> {
        let value = pickle::load(self.path(what))?;
        self.named(what, || {
            let Some(rows) = value.as_tensor().filter(|rows| rows.rank() == 2) else {
                bail!(Format, "expected an array [nodes, classes]")
            };
            match rows.shape()[0] {
                0 => Ok(Vec::new()),
                _ => rows.to_dtype(DType::F32)?.argmax(Some(1), false)?.to_vec::<i64>(),
            }
        })
    }

    /// The nodes that are tested on, all of them behind those with known classes.
    fn test_index(&self, known: usize, count: usize) -> Result<Vec<usize>> {
        let text = std::fs::read_to_string(self.path("test.index"));
        self.named("test.index", || {
            let mut nodes = Vec::new();
            for (line, text) in (1..).zip(text.map_err(io_error)?.lines()) {
                let Ok(node) = text.trim().parse::<usize>() else {
                    bail!(Format, "line {line}: {text:?} is no node")
                };
                nodes.push(node);
            }
            let distinct: BTreeSet<usize> = nodes.iter().copied().collect();
            let (first, last) = (distinct.first().copied(), distinct.last().copied());
            ensure!(
                nodes.len() == count && distinct.len() == count && first.is_none_or(|first| first == known),
                Format,
                "expected {count} different nodes from {known} on, as ally and ty have rows, got {} from {first:?} on",
                distinct.len()
            );
            // Some nodes have no row, but a file can't claim that of any number.
            ensure!(
                last.is_none_or(|last| last < known + 2 * count),
                Format,
                "{last:?} is far behind {known} nodes with known classes and {count} that are tested on"
            );
            Ok(nodes)
        })
    }

    /// The features of nodes: rows of `allx`, then those of `tx`.
    fn features(&self, known: usize, tested: &[usize], nodes: usize) -> Result<Tensor> {
        let (allx, tx) = (
            Sparse::read(self, "allx", known)?,
            Sparse::read(self, "tx", tested.len())?,
        );
        ensure!(
            allx.features == tx.features,
            Shape,
            "planetoid: allx has {} features, tx has {}",
            allx.features,
            tx.features
        );
        let Some(x) = zeros(nodes, allx.features, allx.length + tx.length) else {
            bail!(
                Format,
                "planetoid: {} features of {nodes} nodes, for which the files are too short",
                allx.features
            )
        };
        let rows: Vec<i64> = allx
            .rows
            .into_iter()
            .chain(tx.rows.iter().map(|&row| tested[row as usize] as i64))
            .collect();
        let count = rows.len();
        let rows = Tensor::from_vec(rows, count)?;
        let columns = Tensor::cat(&[&allx.columns, &tx.columns], 0)?;
        let values = Tensor::cat(&[&allx.values, &tx.values], 0)?;
        x?.index_put(&[Some(&rows), Some(&columns)], &values, true)
    }

    /// The edges from lists of neighbours, each once, by targets, then sources.
    fn edges(&self, nodes: usize) -> Result<Tensor> {
        let value = pickle::load(self.path("graph"))?;
        self.named("graph", || {
            let Some(lists) = value.as_dict() else {
                bail!(Format, "expected lists of neighbours by node")
            };
            let mut pairs = BTreeSet::new();
            for (key, neighbors) in lists {
                let (Key::Int(node), Some(neighbors)) = (key, neighbors.as_list()) else {
                    bail!(
                        Format,
                        "expected a list of neighbours of a node, got something else under {key}"
                    )
                };
                for neighbor in neighbors {
                    let Some(neighbor) = neighbor.as_i64() else {
                        bail!(Format, "node {node} has a neighbour that is no number")
                    };
                    if neighbor != *node {
                        pairs.insert([neighbor, *node]);
                    }
                }
            }
            let pairs: Vec<[i64; 2]> = pairs
                .into_iter()
                .map(|[target, source]| [source, target])
                .collect();
            let edges = utils::of_pairs(&pairs)?;
            crate::edges::checked(&edges, nodes)?;
            Ok(edges)
        })
    }
}

/// What is not 0 in a matrix.
struct Sparse {
    features: usize,
    rows: Vec<i64>,
    columns: Tensor,
    values: Tensor,
    /// Bytes of the file.
    length: u64,
}

impl Sparse {
    /// The matrix in a file, which is to have so many rows.
    fn read(files: &Files<'_>, what: &str, count: usize) -> Result<Sparse> {
        let path = files.path(what);
        let (_, length) = open(&path)?;
        let value = pickle::load(path)?;
        files.named(what, || {
            let Some(dict) = value.as_dict() else {
                bail!(Format, "expected a matrix of sparse rows")
            };
            let sizes = dict.get("_shape").and_then(Value::as_list).unwrap_or_default();
            let sizes: Vec<i64> = sizes.iter().filter_map(Value::as_i64).collect();
            let &[rows, features] = &sizes[..] else {
                bail!(Format, "expected a matrix with rows and columns")
            };
            ensure!(
                rows == count as i64 && features >= 0,
                Shape,
                "expected {count} rows, got {rows} of {features} features"
            );
            let offsets = part(dict, "indptr")?.to_dtype(DType::I64)?.to_vec::<i64>()?;
            let (columns, values) = (part(dict, "indices")?.to_dtype(DType::I64)?, part(dict, "data")?);
            let entries = columns.numel();
            let ascending = offsets.first() == Some(&0)
                && offsets.is_sorted()
                && offsets.last() == Some(&(entries as i64));
            ensure!(
                offsets.len() == count + 1 && ascending && values.numel() == entries,
                Format,
                "rows of {entries} entries and {} values do not begin where {} offsets say",
                values.numel(),
                offsets.len()
            );
            let outside = |column: &&i64| **column < 0 || **column >= features;
            if let Some(bad) = columns.to_vec::<i64>()?.iter().find(outside) {
                bail!(Index, "feature {bad} is out of range for {features}")
            }
            let rows = (0..).zip(offsets.windows(2));
            let rows = rows.flat_map(|(row, ends)| std::iter::repeat_n(row, (ends[1] - ends[0]) as usize));
            Ok(Sparse {
                features: features as usize,
                rows: rows.collect(),
                columns,
                values: values.to_dtype(DType::F32)?,
                length,
            })
        })
    }
}

/// An array of one dimension among the attributes of a matrix.
fn part<'a>(dict: &'a Dict, name: &str) -> Result<&'a Tensor> {
    let part = dict
        .get(name)
        .and_then(Value::as_tensor)
        .filter(|part| part.rank() == 1);
    part.ok_or_else(|| Error::Format(format!("expected an array {name} of the matrix")))
}
