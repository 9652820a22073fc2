//! Knowledge graphs as triples: `head`, `relation` and `tail`, separated by tabs, in the files `train.txt`, `valid.txt` and
//! `test.txt`, as Nations, UMLS, FB15k-237 and WN18RR are published.

use std::collections::HashMap;
use std::path::Path;

use flambeau_tensor::io::io_error;
use flambeau_tensor::{Error, Result, Tensor, ensure};

/// A knowledge graph.
#[derive(Clone, Debug)]
pub struct Triples {
    /// The names of the entities, in the order in which they come first.
    pub entities: Vec<String>,
    /// The names of the relations, likewise.
    pub relations: Vec<String>,
    /// Head, relation and tail of each triple that is learnt from, `[3, triples]`, `int64`.
    pub train: Tensor,
    /// What a model is chosen by, likewise.
    pub valid: Tensor,
    /// What it is tested on, likewise.
    pub test: Tensor,
}

/// The knowledge graph in a folder.
///
/// # Errors
/// `Io` if a file can't be read, `Format` for a line that is no triple; both name the file.
pub fn triples(folder: impl AsRef<Path>) -> Result<Triples> {
    let (mut entities, mut relations) = (Names::default(), Names::default());
    let mut read = |file: &str| -> Result<Tensor> {
        let path = folder.as_ref().join(file);
        let read = || -> Result<Tensor> {
            let text = std::fs::read_to_string(&path).map_err(io_error)?;
            let mut columns = [Vec::new(), Vec::new(), Vec::new()];
            for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.is_empty()) {
                let parts: Vec<&str> = text.split('\t').collect();
                let [head, relation, tail] = parts[..] else {
                    let message = format!(
                        "line {line}: expected head, relation and tail, got {} parts",
                        parts.len()
                    );
                    return Err(Error::Format(message));
                };
                columns[0].push(entities.number(head));
                columns[1].push(relations.number(relation));
                columns[2].push(entities.number(tail));
            }
            let count = columns[0].len();
            ensure!(count > 0, Format, "expected triples, got none");
            Tensor::from_vec(columns.concat(), (3, count))
        };
        let mut read = read;
        read().map_err(|error| error.context(path.display()))
    };
    let (train, valid, test) = (read("train.txt")?, read("valid.txt")?, read("test.txt")?);
    Ok(Triples {
        entities: entities.names,
        relations: relations.names,
        train,
        valid,
        test,
    })
}

/// Names and their numbers.
#[derive(Default)]
struct Names {
    names: Vec<String>,
    numbers: HashMap<String, i64>,
}

impl Names {
    fn number(&mut self, name: &str) -> i64 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as i64;
        self.names.push(name.to_string());
        self.numbers.insert(name.to_string(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triples_are_numbered_by_their_first_occurrence() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        write("train.txt", "a\tlikes\tb\nb\tknows\ta\n");
        write("valid.txt", "c\tlikes\ta\n");
        write("test.txt", "a\tknows\tc\n\n");
        let graph = triples(folder.path()).unwrap();
        assert_eq!(graph.entities, ["a", "b", "c"]);
        assert_eq!(graph.relations, ["likes", "knows"]);
        assert_eq!(graph.train.to_vec::<i64>().unwrap(), [0, 1, 0, 1, 1, 0]);
        assert_eq!(graph.valid.to_vec::<i64>().unwrap(), [2, 0, 0]);
        assert_eq!(graph.test.to_vec::<i64>().unwrap(), [0, 1, 2]);
        write("valid.txt", "c\tlikes a\n");
        let error = triples(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("valid.txt") && error.contains("line 1") && error.contains("got 2 parts"),
            "{error}"
        );
        write("valid.txt", "");
        assert!(
            triples(folder.path())
                .unwrap_err()
                .to_string()
                .contains("expected triples")
        );
        std::fs::remove_file(folder.path().join("test.txt")).unwrap();
    }
}
