//! Texts with labels, as the files of well-known datasets have them (`torchtext.datasets`); CSV and JSON lines of any other.

use std::path::Path;

use flambeau_data::formats::csv::{self, CsvOptions};
use flambeau_data::formats::jsonl;
use flambeau_tensor::{Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::files;

/// A text with its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// The class's number.
    pub label: i64,
}

/// The longest file of one text that is read: 16 MiB.
const LONGEST: u64 = 16 << 20;

/// The classes of AG News, in the order of their numbers.
pub const AG_NEWS_CLASSES: [&str; 4] = ["World", "Sports", "Business", "Sci/Tech"];

/// A file of text.
///
/// # Errors
/// `Io` with its name if it can't be read; `Format` if it is not UTF-8, or longer than 1 GiB.
pub fn read_text(path: impl AsRef<Path>) -> Result<String> {
    files::read_text(path)
}

/// AG News: `train.csv` or `test.csv`, lines of a class from 1 to 4, a title and a description, which become a class from 0
/// to 3 and one text.
///
/// # Errors
/// `Io` if the file can't be read; `Format` with file and line for another form, `Value` for another class.
pub fn ag_news(path: impl AsRef<Path>) -> Result<Vec<Labelled>> {
    let options = CsvOptions {
        has_header: false,
        ..CsvOptions::default()
    };
    let rows: Vec<(i64, String, String)> = csv::read(&path, &options)?;
    let row = |(i, (class, title, description)): (usize, (i64, String, String))| {
        ensure!(
            (1..=4).contains(&class),
            Value,
            "{}: row {}: expected a class from 1 to 4, got {class}",
            path.as_ref().display(),
            i + 1
        );
        Ok(Labelled {
            text: format!("{title} {description}"),
            label: class - 1,
        })
    };
    rows.into_iter().enumerate().map(row).collect()
}

/// IMDB's reviews: the folder `train` or `test` with the folders `neg` (class 0) and `pos` (class 1), a file for each text,
/// in the order of their names.
///
/// # Errors
/// `Io` if a folder or file can't be read; `Format` with the file's name if it is not UTF-8 or too long.
pub fn imdb(folder: impl AsRef<Path>) -> Result<Vec<Labelled>> {
    let mut all = Vec::new();
    for (label, class) in ["neg", "pos"].into_iter().enumerate() {
        for path in flambeau_data::formats::folder::files(folder.as_ref().join(class), &["txt"])? {
            all.push(Labelled {
                text: files::text_up_to(&path, LONGEST)?,
                label: label as i64,
            });
        }
    }
    Ok(all)
}

/// SST-2: `train.tsv` or `dev.tsv` of GLUE, a sentence and its class, 0 or 1, with a header.
///
/// # Errors
/// `Io` if the file can't be read; `Format` with file and line for another form.
pub fn sst2(path: impl AsRef<Path>) -> Result<Vec<Labelled>> {
    // Quotation marks in sentences are no quoting, so lines are split by hand.
    let place = path.as_ref().display().to_string();
    let text = read_text(&path)?;
    let mut lines = text.lines().enumerate();
    ensure!(
        lines
            .next()
            .is_some_and(|(_, header)| header.trim_end() == "sentence\tlabel"),
        Format,
        "{place}: expected a first line of sentence and label, with a tab between them"
    );
    let row = |(i, line): (usize, &str)| match line.rsplit_once('\t') {
        Some((sentence, label @ ("0" | "1"))) => Ok(Labelled {
            text: sentence.trim_end().to_string(),
            label: i64::from(label == "1"),
        }),
        _ => bail!(
            Format,
            "{place}: line {}: expected a sentence, a tab and 0 or 1",
            i + 1
        ),
    };
    lines.map(row).collect()
}

/// A CSV file with a header, of which one column has texts and one the names of classes.
///
/// # Errors
/// `Io` if the file can't be read; `Format` with file and line for another form, `Key` for a column or class that is not
/// there.
pub fn csv_file(path: impl AsRef<Path>, text: &str, label: &str, classes: &[&str]) -> Result<Vec<Labelled>> {
    let rows: Vec<std::collections::BTreeMap<String, String>> = csv::read(&path, &CsvOptions::default())?;
    let place = |i: usize| format!("{}: row {}", path.as_ref().display(), i + 1);
    let row = |(i, mut row): (usize, std::collections::BTreeMap<String, String>)| {
        let (Some(text), Some(class)) = (row.remove(text), row.remove(label)) else {
            bail!(Key, "{}: expected the columns {text} and {label}", place(i))
        };
        let label = class_of(&class, classes).map_err(|error| error.context(place(i)))?;
        Ok(Labelled { text, label })
    };
    rows.into_iter().enumerate().map(row).collect()
}

/// JSON lines, packed by gzip or not: objects whose `fields` are joined to the text and whose `label` names the class, or
/// is its number.
///
/// # Errors
/// `Io` if the file can't be read; `Format` with the line for what is no object of that form, `Key` for another class.
pub fn json_lines(
    path: impl AsRef<Path>,
    fields: &[&str],
    label: &str,
    classes: &[&str],
) -> Result<Vec<Labelled>> {
    #[derive(Deserialize)]
    struct Line(serde_json::Map<String, Json>);
    let lines: Vec<Line> = jsonl::read(&path)?;
    let place = |i: usize| format!("{}: row {}", path.as_ref().display(), i + 1);
    let line = |(i, Line(object)): (usize, Line)| {
        let part = |name: &&str| match object.get(*name).and_then(Json::as_str) {
            Some(part) => Ok(part),
            None => bail!(Format, "{}: expected a text {name}", place(i)),
        };
        let parts = fields.iter().map(part).collect::<Result<Vec<&str>>>()?;
        let label = match object.get(label) {
            Some(Json::String(class)) => class_of(class, classes),
            Some(Json::Number(number)) => class_of(&number.to_string(), classes),
            _ => bail!(Format, "{}: expected a class {label}", place(i)),
        };
        Ok(Labelled {
            text: parts.join(" "),
            label: label.map_err(|error| error.context(place(i)))?,
        })
    };
    lines.into_iter().enumerate().map(line).collect()
}

/// The number of a class, by its name or as a number.
fn class_of(class: &str, classes: &[&str]) -> Result<i64> {
    let by_name = classes.iter().position(|name| *name == class);
    let by_number = || {
        class
            .parse::<usize>()
            .ok()
            .filter(|number| *number < classes.len())
    };
    match by_name.or_else(by_number) {
        Some(number) => Ok(number as i64),
        None => bail!(Key, "class {class:?} is none of {}", classes.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn pairs(rows: Result<Vec<Labelled>>) -> Vec<(String, i64)> {
        rows.unwrap()
            .into_iter()
            .map(|row| (row.text, row.label))
            .collect()
    }

    #[test]
    fn news_have_titles_and_descriptions() {
        let (_folder, path) = file(
            "train.csv",
            "\"3\",\"Wall St.\",\"Bears, \"\"back\"\"\"\n\"1\",\"A\",\"B\"\n",
        );
        let expected = [
            ("Wall St. Bears, \"back\"".to_string(), 2),
            ("A B".to_string(), 0),
        ];
        assert_eq!(pairs(ag_news(&path)), expected);
        let (_folder, path) = file("train.csv", "5,A,B\n");
        let error = ag_news(&path).unwrap_err().to_string();
        assert!(error.ends_with("row 1: expected a class from 1 to 4, got 5"));
    }

    #[test]
    fn reviews_are_files() {
        let (folder, _) = file("neg/0_2.txt", "bad");
        assert!(imdb(folder.path()).is_err(), "no folder of the other class");
        fs::create_dir(folder.path().join("pos")).unwrap();
        fs::write(folder.path().join("pos/0_9.txt"), "good").unwrap();
        let expected = [("bad".to_string(), 0), ("good".to_string(), 1)];
        assert_eq!(pairs(imdb(folder.path())), expected);
        fs::write(folder.path().join("pos/1_9.txt"), b"\xff").unwrap();
        assert!(
            imdb(folder.path())
                .unwrap_err()
                .to_string()
                .ends_with("1_9.txt: not UTF-8")
        );
    }

    #[test]
    fn sentences_keep_their_quotation_marks() {
        let (_folder, path) = file("dev.tsv", "sentence\tlabel\nthe \" best \t1\nworst\t0\n");
        let expected = [("the \" best".to_string(), 1), ("worst".to_string(), 0)];
        assert_eq!(pairs(sst2(&path)), expected);
        let (_folder, path) = file("dev.tsv", "sentence\tlabel\nbest 1\n");
        assert!(
            sst2(&path)
                .unwrap_err()
                .to_string()
                .ends_with("line 2: expected a sentence, a tab and 0 or 1")
        );
        let (_folder, path) = file("dev.tsv", "");
        assert!(
            sst2(&path)
                .unwrap_err()
                .to_string()
                .contains("expected a first line")
        );
    }

    #[test]
    fn classes_are_named_or_counted() {
        let (_folder, path) = file(
            "a.jsonl",
            "{\"a\": \"x\", \"b\": \"y\", \"c\": \"spam\"}\n{\"a\": \"z\", \"b\": \"\", \"c\": 0}\n",
        );
        let expected = [("x y".to_string(), 1), ("z ".to_string(), 0)];
        assert_eq!(
            pairs(json_lines(&path, &["a", "b"], "c", &["ham", "spam"])),
            expected
        );
        let error = json_lines(&path, &["a"], "c", &["ham"]).unwrap_err().to_string();
        assert!(error.ends_with("row 1: class \"spam\" is none of ham"), "{error}");
        let error = json_lines(&path, &["d"], "c", &["ham"]).unwrap_err().to_string();
        assert!(error.ends_with("row 1: expected a text d"), "{error}");

        let (_folder, path) = file("a.csv", "id,text,label\n1,hello,good\n2,oh,bad\n");
        let expected = [("hello".to_string(), 1), ("oh".to_string(), 0)];
        assert_eq!(
            pairs(csv_file(&path, "text", "label", &["bad", "good"])),
            expected
        );
        let error = csv_file(&path, "body", "label", &["bad", "good"])
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("row 1: expected the columns body and label"),
            "{error}"
        );
    }
}
