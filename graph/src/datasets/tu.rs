//! Datasets of many graphs in the text format of TUDataset ("TUDataset: A collection of benchmark datasets for learning with
//! graphs", Morris et al., 2020, arXiv:2007.08663); `torch_geometric.datasets.TUDataset`.

use std::path::Path;
use std::str::FromStr;

use flambeau_tensor::io::{io_error, open, unpacked_limit};
use flambeau_tensor::{DType, Error, Result, Tensor, ensure};

use crate::{Aggregation, Graph, utils};

/// So many classes are taken for what they say, whatever the file's length.
const FEW: usize = 256;

/// The graphs in the folder of a dataset: `NAME_A.txt` has the edges as pairs of nodes, numbered from 1 through all graphs,
/// `NAME_graph_indicator.txt` the graph of each node. What else there may be: `graph_labels` (classes as `y`, numbered from 0 in
/// ascending order) or `graph_attributes` (numbers as `y`), `node_attributes` and `node_labels` (as `x`, labels one-hot behind the
/// attributes), `edge_attributes` and `edge_labels` (as `edge_attr`, likewise). `NAME` is that of the one file `NAME_A.txt`.
///
/// As in PyTorch Geometric, self-loops are left out and edges that come several times are one, with the sum of their attributes.
///
/// # Errors
/// `Io` if a file can't be read, `Format` or `Value` for one that is something else; all name the file.
pub fn tu_dataset(folder: impl AsRef<Path>) -> Result<Vec<Graph>> {
    let files = Files::of(folder.as_ref())?;
    let (nodes_of, graphs) = files.indicator()?;
    let nodes = nodes_of.len();
    let edges = files.pairs(nodes)?;
    let x = files.features("node", nodes)?;
    let edge_attr = files.features("edge", edges.shape()[1])?;
    let (edges, edge_attr) = utils::remove_self_loops(&edges, edge_attr.as_ref())?;
    let (edges, edge_attr) = utils::coalesce(&edges, edge_attr.as_ref(), nodes, Aggregation::Sum)?;
    let y = files.targets(graphs)?;

    // Nodes ascend by graphs and edges by sources, so that what belongs to a graph lies together.
    let ends = edges.to_vec::<i64>()?;
    let (sources, targets) = ends.split_at(ends.len() / 2);
    let (mut first_node, mut first_edge) = (0, 0);
    let mut made = Vec::with_capacity(graphs);
    for i in 0..graphs {
        let count = nodes_of[first_node..]
            .iter()
            .take_while(|&&graph| graph == i)
            .count();
        let own = |node: i64| (first_node..first_node + count).contains(&(node as usize));
        let edges_here = sources[first_edge..]
            .iter()
            .take_while(|&&source| own(source))
            .count();
        if let Some(stray) = targets[first_edge..first_edge + edges_here]
            .iter()
            .find(|&&t| !own(t))
        {
            return Err(files.error("A", format!("node {} has an edge from another graph", stray + 1)));
        }
        let index = edges
            .narrow(1, first_edge as isize, edges_here)?
            .sub(first_node as i64)?;
        let mut graph = Graph::new(index.contiguous()?, count)?;
        let part = |tensor: &Option<Tensor>, from: usize, count| {
            let cut = |tensor: &Tensor| tensor.narrow(0, from as isize, count);
            tensor.as_ref().map(cut).transpose()
        };
        graph.x = part(&x, first_node, count)?;
        graph.edge_attr = part(&edge_attr, first_edge, edges_here)?;
        graph.y = part(&y, i, 1)?;
        made.push(graph);
        (first_node, first_edge) = (first_node + count, first_edge + edges_here);
    }
    Ok(made)
}

/// The files of a dataset.
struct Files<'a> {
    folder: &'a Path,
    name: String,
}

impl Files<'_> {
    fn of(folder: &Path) -> Result<Files<'_>> {
        let entries = std::fs::read_dir(folder).map_err(|error| io_error(error).context(folder.display()))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix("_A.txt").map(str::to_string))
            .collect();
        match (names.pop(), names.len()) {
            (Some(name), 0) => Ok(Files { folder, name }),
            (_, more) => Err(Error::Value(format!(
                "tu_dataset: expected one file NAME_A.txt in {}, got {}",
                folder.display(),
                if more == 0 { "none" } else { "several" }
            ))),
        }
    }

    fn file(&self, what: &str) -> String {
        format!("{}_{what}.txt", self.name)
    }

    fn error(&self, what: &str, message: String) -> Error {
        Error::Format(message).context(self.folder.join(self.file(what)).display())
    }

    /// The numbers of each line, of which all have equally many, and how many; `None` if there is no such file.
    fn numbers<T: FromStr>(&self, what: &str) -> Result<Option<(Vec<T>, usize)>> {
        let path = self.folder.join(self.file(what));
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).map_err(|error| io_error(error).context(path.display()))?;
        let (mut all, mut columns) = (Vec::new(), None);
        for (line, text) in (1..)
            .zip(text.lines())
            .filter(|(_, text)| !text.trim().is_empty())
        {
            let before = all.len();
            for part in text.split(',').map(str::trim) {
                let number = part.parse();
                all.push(
                    number
                        .map_err(|_| self.error(what, format!("line {line}: {part:?} is no such number")))?,
                );
            }
            let here = all.len() - before;
            if here != *columns.get_or_insert(here) {
                return Err(self.error(
                    what,
                    format!("line {line} has {here} numbers, those before it have others"),
                ));
            }
        }
        Ok(Some((all, columns.unwrap_or(1))))
    }

    fn needed(&self, what: &str) -> Result<(Vec<i64>, usize)> {
        let missing = || self.error(what, "there is no such file".to_string());
        self.numbers(what)?.ok_or_else(missing)
    }

    /// The graph of each node, from 0, and the number of graphs.
    fn indicator(&self) -> Result<(Vec<usize>, usize)> {
        let (graphs, columns) = self.needed("graph_indicator")?;
        let ascending = graphs.is_sorted() && graphs.first().is_none_or(|&first| first >= 1);
        let last = graphs.last().copied().unwrap_or(0);
        // A number without nodes is a graph without nodes, but a file can't claim more than a few of them.
        if columns != 1 || !ascending || last as usize > graphs.len() {
            let message = "expected a number for each node that says its graph, ascending from 1";
            return Err(self.error("graph_indicator", message.to_string()));
        }
        Ok((
            graphs.into_iter().map(|graph| graph as usize - 1).collect(),
            last as usize,
        ))
    }

    /// The edges, `[2, edges]`, from 0.
    fn pairs(&self, nodes: usize) -> Result<Tensor> {
        let (ends, columns) = self.needed("A")?;
        if columns != 2 && !ends.is_empty() {
            return Err(self.error(
                "A",
                format!("expected two nodes in each line, got {columns} numbers"),
            ));
        }
        if let Some(bad) = ends.iter().find(|&&node| node < 1 || node as usize > nodes) {
            return Err(self.error(
                "A",
                format!("node {bad} is out of range for {nodes} nodes, which are counted from 1"),
            ));
        }
        let pairs: Vec<[i64; 2]> = ends
            .chunks_exact(2)
            .map(|pair| [pair[0] - 1, pair[1] - 1])
            .collect();
        utils::of_pairs(&pairs)
    }

    /// Attributes and labels of nodes or edges, if there are any.
    fn features(&self, of: &str, count: usize) -> Result<Option<Tensor>> {
        let mut parts = Vec::new();
        let what = format!("{of}_attributes");
        if let Some((numbers, columns)) = self.numbers::<f32>(&what)? {
            self.expect_lines(&what, numbers.len() / columns, count)?;
            parts.push(Tensor::from_vec(numbers, (count, columns))?);
        }
        let what = format!("{of}_labels");
        if let Some((labels, columns)) = self.numbers::<i64>(&what)? {
            self.expect_lines(&what, labels.len() / columns, count)?;
            let (_, length) = open(&self.folder.join(self.file(&what)))?;
            let most = unpacked_limit(length) / columns as u64;
            for column in 0..columns {
                let column: Vec<i64> = labels.iter().skip(column).step_by(columns).copied().collect();
                parts.push(self.one_hot(&what, &column, most)?);
            }
        }
        parts.retain(|part| part.shape()[1] > 0);
        match parts.is_empty() {
            true => Ok(None),
            false => Tensor::cat(&parts.iter().collect::<Vec<_>>(), 1).map(Some),
        }
    }

    /// Labels from the least to the largest as columns, of up to `most` bytes if they are not few.
    fn one_hot(&self, what: &str, labels: &[i64], most: u64) -> Result<Tensor> {
        let (least, largest) = (labels.iter().min(), labels.iter().max());
        let (Some(&least), Some(&largest)) = (least, largest) else {
            return Tensor::zeros((0, 0), DType::F32);
        };
        let classes = largest
            .checked_sub(least)
            .and_then(|range| usize::try_from(range).ok());
        // The labels are a packed matrix, and may claim any size of it.
        let fits = |classes: usize| {
            let count = classes
                .checked_add(1)?
                .checked_mul(labels.len())?
                .checked_mul(4)?;
            (classes < FEW || count as u64 <= most).then_some(classes)
        };
        let Some(classes) = classes.and_then(fits) else {
            let message = format!("labels from {least} to {largest} are too far apart to be classes");
            return Err(self.error(what, message));
        };
        let mut rows = vec![0f32; labels.len() * (classes + 1)];
        for (row, label) in rows.chunks_exact_mut(classes + 1).zip(labels) {
            row[(label - least) as usize] = 1.0;
        }
        Tensor::from_vec(rows, (labels.len(), classes + 1))
    }

    /// What is to be learnt of each graph, if it is said.
    fn targets(&self, graphs: usize) -> Result<Option<Tensor>> {
        if let Some((numbers, columns)) = self.numbers::<f32>("graph_attributes")? {
            self.expect_lines("graph_attributes", numbers.len() / columns, graphs)?;
            return Tensor::from_vec(numbers, (graphs, columns)).map(Some);
        }
        let Some((labels, columns)) = self.numbers::<i64>("graph_labels")? else {
            return Ok(None);
        };
        self.expect_lines("graph_labels", labels.len() / columns, graphs)?;
        ensure!(
            columns == 1,
            Format,
            "{}: expected one label in each line, got {columns}",
            self.folder.join(self.file("graph_labels")).display()
        );
        let mut classes = labels.clone();
        classes.sort_unstable();
        classes.dedup();
        let numbered = labels
            .iter()
            .map(|label| classes.partition_point(|class| class < label) as i64);
        Tensor::from_vec(numbered.collect(), graphs).map(Some)
    }

    fn expect_lines(&self, what: &str, lines: usize, count: usize) -> Result<()> {
        match lines == count {
            true => Ok(()),
            false => Err(self.error(what, format!("expected {count} lines, got {lines}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two graphs: a triangle of which one edge comes twice, and a pair of which one has a self-loop.
    const FILES: [(&str, &str); 6] = [
        ("A", "1, 2\n2, 1\n1, 2\n2, 3\n3, 1\n4, 4\n5, 4\n"),
        ("graph_indicator", "1\n1\n1\n2\n2\n"),
        ("graph_labels", "5\n-1\n"),
        ("node_labels", "2\n4\n2\n3\n3\n"),
        ("node_attributes", "0.5, 1\n1,1\n2,1\n3,1\n4,1\n"),
        ("edge_labels", "0\n1\n0\n1\n1\n1\n0\n"),
    ];

    fn folder(changed: (&str, &str)) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (what, text) in FILES {
            let text = if what == changed.0 { changed.1 } else { text };
            std::fs::write(folder.path().join(format!("TOY_{what}.txt")), text).unwrap();
        }
        folder
    }

    #[test]
    fn graphs_are_read_as_pytorch_geometric_reads_them() {
        let graphs = tu_dataset(folder(("", "")).path()).unwrap();
        let floats = |tensor: &Tensor| tensor.to_vec::<f32>().unwrap();
        assert_eq!(graphs.len(), 2);
        let [triangle, pair] = &graphs[..] else { panic!() };
        triangle.validate().unwrap();
        assert_eq!(
            triangle.edge_index.to_vec::<i64>().unwrap(),
            [0, 1, 1, 2, 1, 0, 2, 0]
        );
        assert_eq!(
            floats(triangle.x().unwrap()),
            [
                0.5, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 2.0, 1.0, 1.0, 0.0, 0.0
            ]
        );
        assert_eq!(
            floats(triangle.edge_attr().unwrap()),
            [2.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
        );
        assert_eq!(triangle.y().unwrap().to_vec::<i64>().unwrap(), [1]);
        assert_eq!(
            (pair.num_nodes, pair.edge_index.to_vec::<i64>().unwrap()),
            (2, vec![1, 0])
        );
        assert_eq!(floats(pair.edge_attr().unwrap()), [1.0, 0.0]);
        assert_eq!(pair.y().unwrap().to_vec::<i64>().unwrap(), [0]);
    }

    #[test]
    fn what_is_wrong_is_named_with_the_file() {
        for (what, text, expected) in [
            ("A", "1, 2\n2, 6\n", "node 6 is out of range for 5 nodes"),
            ("A", "1, 2\n2, x\n", "line 2: \"x\" is no such number"),
            ("A", "1, 2\n2\n", "line 2 has 1 numbers"),
            ("A", "1\n2\n", "expected two nodes in each line"),
            (
                "A",
                "1, 2\n2, 3\n3, 4\n4, 5\n5, 4\n1, 3\n2, 1\n",
                "node 4 has an edge from another graph",
            ),
            ("graph_indicator", "1\n1\n2\n1\n2\n", "ascending from 1"),
            ("graph_indicator", "1\n1\n1\n2\n2000000000\n", "ascending from 1"),
            ("graph_labels", "5\n", "expected 2 lines, got 1"),
            ("node_labels", "2\n4\n2\n3\n9000000000\n", "too far apart"),
            ("node_attributes", "1\n1\n1\n1\n", "expected 5 lines, got 4"),
            ("edge_labels", "1\n", "expected 7 lines, got 1"),
        ] {
            let error = tu_dataset(folder((what, text)).path()).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains(&format!("TOY_{what}.txt")),
                "{error}"
            );
        }
        let empty = tempfile::tempdir().unwrap();
        let error = tu_dataset(empty.path()).unwrap_err().to_string();
        assert!(error.contains("expected one file NAME_A.txt"), "{error}");
    }
}
