//! Citation networks with the split of "Revisiting Semi-Supervised Learning with Graph Embeddings" (Yang et al., 2016,
//! arXiv:1603.08861): Cora, CiteSeer, PubMed; `torch_geometric.datasets.Planetoid`.

mod published;

use std::path::Path;

use flambeau_tensor::io::{io_error, safetensors, unpacked_limit};
use flambeau_tensor::{DType, Error, Result, Tensor, bail, ensure};

use crate::{Edges, Graph};

/// So many classes are taken for what they say, whatever the number of nodes.
const FEW: usize = 256;

/// The citation network in a folder, as it was published, or in one file. Features are as they are: most recipes begin with
/// [`NormalizeFeatures`](crate::transforms::NormalizeFeatures).
///
/// The folder has the files `ind.NAME.allx`, `ally`, `tx`, `ty`, `y`, `graph` and `test.index`, of which all but the last are pickles
/// ([`flambeau_hub::pickle`]). Nodes, classes, masks and edges are those of PyTorch Geometric: loops are left out, edges that come
/// several times are one. Of nodes that are tested on but have no row (there are some in CiteSeer), features are 0.
///
/// The file is a `.safetensors` one with `edge_index` `[2, edges]`, each edge in both directions, `x_index` `[2, ones]` (node and
/// feature of each 1 among the features), `y` `[nodes]` and `train_mask`, `val_mask` and `test_mask` `[nodes]`, all of them whole
/// numbers.
///
/// There are files with source and target of each edge side by side under the shape `[2, edges]`. It shows, because then not every
/// edge has its opposite, and they are read as what they are.
///
/// # Errors
/// `Io` or `Format` if a file can't be read or speaks of more features than a file of its length may unpack to
/// ([`unpacked_limit`]), `Key` if a tensor is missing, `Shape` or `DType` for one of another shape or type, `Index` for edges and
/// features of nodes that there are not, `Value` for edges without their opposites and for what is no class; all name the file.
pub fn planetoid(path: impl AsRef<Path>) -> Result<Graph> {
    let path = path.as_ref();
    let read = if path.is_dir() { published::read } else { read };
    read(path).map_err(|error| error.context(path.display()))
}

fn read(path: &Path) -> Result<Graph> {
    let tensors = safetensors::load(path)?;
    let get = |name: &str| {
        let missing = || Error::Key(format!("planetoid: there is no tensor {name}"));
        let tensor = tensors.get(name).ok_or_else(missing)?;
        ensure!(
            !tensor.dtype().is_float(),
            DType,
            "planetoid: expected {name} to have whole numbers, got {}",
            tensor.dtype()
        );
        Ok(tensor)
    };
    let y = get("y")?.to_dtype(DType::I64)?;
    let &[nodes] = y.shape() else {
        bail!(Shape, "planetoid: expected y [nodes], got {:?}", y.shape())
    };
    let ones = get("x_index")?.to_dtype(DType::I64)?;
    for (name, tensor) in [("x_index", &ones), ("edge_index", get("edge_index")?)] {
        ensure!(
            matches!(tensor.shape(), [2, _]),
            Shape,
            "planetoid: expected {name} [2, …], got {:?}",
            tensor.shape()
        );
    }
    // There are no more classes than nodes, as a rule.
    let most_classes = nodes.max(FEW) as i64;
    if let Some(bad) = y
        .to_vec::<i64>()?
        .iter()
        .find(|class| !(0..most_classes).contains(*class))
    {
        bail!(Value, "planetoid: {bad} in y is no class of {nodes} nodes")
    }
    let (rows, columns) = (ones.select(0, 0)?, ones.select(0, 1)?);
    let last = match columns.numel() {
        0 => -1,
        _ => columns.max()?.item::<i64>()?,
    };
    let features = last.checked_add(1).and_then(|count| usize::try_from(count).ok());
    let length = std::fs::metadata(path).map_err(io_error)?.len();
    let Some(x) = features.and_then(|features| zeros(nodes, features, length)) else {
        bail!(
            Format,
            "planetoid: x_index has the feature {last} of {nodes} nodes, for which a file of {length} bytes is too short"
        )
    };
    let x = x?.index_put(&[Some(&rows), Some(&columns)], &Tensor::new(1f32)?, false)?;
    let mask = |name: &str| -> Result<Option<Tensor>> {
        let mask = get(name)?;
        ensure!(
            mask.shape() == [nodes],
            Shape,
            "planetoid: expected {name} [{nodes}], got {:?}",
            mask.shape()
        );
        mask.to_dtype(DType::Bool).map(Some)
    };
    let mut graph = Graph::new(
        symmetric(&get("edge_index")?.to_dtype(DType::I64)?, nodes)?,
        nodes,
    )?;
    graph.x = Some(x);
    graph.y = Some(y);
    graph.train_mask = mask("train_mask")?;
    graph.val_mask = mask("val_mask")?;
    graph.test_mask = mask("test_mask")?;
    graph.validate()?;
    Ok(graph)
}

/// Features that are all 0, unless they take more than a file of this length may unpack to. A list of what is not 0 is a packed
/// matrix, and may claim any size of it.
fn zeros(nodes: usize, features: usize, length: u64) -> Option<Result<Tensor>> {
    let bytes = nodes.checked_mul(features)?.checked_mul(4)?;
    (bytes as u64 <= unpacked_limit(length)).then(|| Tensor::zeros((nodes, features), DType::F32))
}

/// Edges that all have their opposites, from two rows or from pairs.
fn symmetric(edge_index: &Tensor, nodes: usize) -> Result<Tensor> {
    let pairs = edge_index.reshape((-1, 2))?.t()?;
    for edge_index in [edge_index, &pairs] {
        if Edges::new(edge_index, nodes)?.is_symmetric()? {
            return Ok(edge_index.clone());
        }
    }
    Err(Error::Value(
        "planetoid: expected each edge in both directions".to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn file(edges: &Tensor) -> tempfile::NamedTempFile {
        let mask = |which: [u8; 3]| Tensor::new(which).unwrap();
        let tensors = BTreeMap::from([
            ("edge_index".to_string(), edges.clone()),
            (
                "x_index".to_string(),
                Tensor::new([[0i32, 0, 2], [1, 3, 0]]).unwrap(),
            ),
            ("y".to_string(), Tensor::new([1i64, 0, 1]).unwrap()),
            ("train_mask".to_string(), mask([1, 0, 0])),
            ("val_mask".to_string(), mask([0, 1, 0])),
            ("test_mask".to_string(), mask([0, 0, 1])),
        ]);
        let file = tempfile::NamedTempFile::new().unwrap();
        safetensors::save(file.path(), &tensors).unwrap();
        file
    }

    #[test]
    fn rows_and_pairs_are_read_alike() {
        let rows = Tensor::new([[0i64, 1, 1, 2], [1, 0, 2, 1]]).unwrap();
        let pairs = Tensor::new([[0i64, 1, 1, 0], [1, 2, 2, 1]]).unwrap();
        for edges in [rows, pairs] {
            let graph = planetoid(file(&edges).path()).unwrap();
            let edges = graph.edges().unwrap();
            assert_eq!(edges.sources().to_vec::<i64>().unwrap(), [1, 0, 2, 1]);
            assert_eq!(edges.targets().to_vec::<i64>().unwrap(), [0, 1, 1, 2]);
            assert_eq!((graph.num_features(), graph.num_classes().unwrap()), (4, 2));
            let x = graph.x().unwrap().to_vec::<f32>().unwrap();
            assert_eq!(x, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
            assert_eq!(
                graph.test_mask().unwrap().to_vec::<bool>().unwrap(),
                [false, false, true]
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_file() {
        let one_way = file(&Tensor::new([[0i64, 1], [1, 2]]).unwrap());
        let error = planetoid(one_way.path()).unwrap_err().to_string();
        assert!(error.contains("in both directions") && error.contains(one_way.path().to_str().unwrap()));
        let outside = file(&Tensor::new([[0i64, 3], [3, 0]]).unwrap());
        let error = planetoid(outside.path()).unwrap_err().to_string();
        assert!(error.contains("node 3 is out of range for 3 nodes"), "{error}");
    }

    #[test]
    fn claims_about_features_are_checked_before_memory_is_asked_for() {
        let with = |name: &str, tensor: Tensor| {
            let file = file(&Tensor::new([[0i64, 1, 1, 2], [1, 0, 2, 1]]).unwrap());
            let mut tensors = safetensors::load(file.path()).unwrap();
            tensors.insert(name.to_string(), tensor);
            safetensors::save(file.path(), &tensors).unwrap();
            planetoid(file.path()).map(drop).unwrap_err().to_string()
        };
        for feature in [1 << 32, 1 << 60, i64::MAX, -2] {
            let message = with("x_index", Tensor::new([[0i64], [feature]]).unwrap());
            let expected = format!("x_index has the feature {feature} of 3 nodes");
            assert!(message.contains(&expected), "{message}");
        }
        for class in [-1, 256, i64::MAX] {
            let message = with("y", Tensor::new([0, class, 1]).unwrap());
            assert!(
                message.contains(&format!("{class} in y is no class of 3 nodes")),
                "{message}"
            );
        }
        let message = with("x_index", Tensor::new([0i64, 1]).unwrap());
        assert!(message.contains("expected x_index [2, …], got [2]"), "{message}");
        let message = with("edge_index", Tensor::new([[0i64], [1], [0]]).unwrap());
        assert!(
            message.contains("expected edge_index [2, …], got [3, 1]"),
            "{message}"
        );
        let message = with("y", Tensor::new([[0i64], [1], [0]]).unwrap());
        assert!(message.contains("expected y [nodes], got [3, 1]"), "{message}");
        for name in ["edge_index", "x_index", "y", "train_mask"] {
            let message = with(name, Tensor::new([[0f32, f32::NAN], [1.0, 2.5]]).unwrap());
            let expected = format!("expected {name} to have whole numbers, got float32");
            assert!(message.contains(&expected), "{message}");
        }
        for name in ["train_mask", "val_mask", "test_mask"] {
            let message = with(name, Tensor::new([true, false]).unwrap());
            assert!(
                message.contains(&format!("expected {name} [3], got [2]")),
                "{message}"
            );
        }
    }
}
