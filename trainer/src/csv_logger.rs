//! Measurements as a table in a CSV file.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flambeau_tensor::io::write_atomically;
use flambeau_tensor::{Result, ensure};

use crate::io_error;

/// A table that gets a row for each epoch (or step), in memory and in a file that is whole after each row.
///
/// ```
/// use flambeau_trainer::CsvLogger;
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("log.csv");
/// let mut log = CsvLogger::create(&path, &["epoch", "loss"])?;
/// log.append(&[1.0, 0.75])?;
/// log.append(&[2.0, 0.5])?;
/// assert_eq!(log.column("loss")?, [0.75, 0.5]);
/// assert_eq!(std::fs::read_to_string(&path).unwrap(), "epoch,loss\n1,0.75\n2,0.5\n");
/// // A run that goes on after epoch 1 goes on in the same file.
/// let log = CsvLogger::resume(&path, &["epoch", "loss"], 1)?;
/// assert_eq!(log.column("loss")?, [0.75]);
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CsvLogger {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl CsvLogger {
    /// A table with these columns and no rows, in place of what the file held.
    ///
    /// # Errors
    /// `Io` if the file can't be written.
    pub fn create(path: impl AsRef<Path>, columns: &[&str]) -> Result<CsvLogger> {
        let log = CsvLogger {
            path: path.as_ref().to_path_buf(),
            columns: columns.iter().map(|name| name.to_string()).collect(),
            rows: Vec::new(),
        };
        log.write()?;
        Ok(log)
    }

    /// The table in the file, of which the first `rows` rows are kept. A file that isn't there is begun.
    ///
    /// # Errors
    /// `Format` if the file is not such a table or has fewer rows, `Io` if it can't be read or written.
    pub fn resume(path: impl AsRef<Path>, columns: &[&str], rows: usize) -> Result<CsvLogger> {
        let path = path.as_ref();
        let mut log = CsvLogger::create_unless_there(path, columns)?;
        let text = fs::read_to_string(path).map_err(|error| io_error(path, error))?;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header: Vec<String> = match reader.headers() {
            Ok(header) => header.iter().map(str::to_string).collect(),
            Err(error) => return Err(io_error(path, error)),
        };
        ensure!(
            header == log.columns,
            Format,
            "{}: expected the columns {columns:?}, got {header:?}",
            path.display()
        );
        for (i, row) in reader.records().take(rows).enumerate() {
            let row = row.map_err(|error| io_error(path, error))?;
            let numbers: std::result::Result<Vec<f64>, _> = row.iter().map(str::parse).collect();
            let Ok(numbers) = numbers else {
                flambeau_tensor::bail!(
                    Format,
                    "{}: row {} has a text that is no number",
                    path.display(),
                    i + 1
                )
            };
            log.rows.push(numbers);
        }
        ensure!(
            log.rows.len() == rows,
            Format,
            "{}: expected at least {rows} rows, got {}",
            path.display(),
            log.rows.len()
        );
        log.write()?;
        Ok(log)
    }

    fn create_unless_there(path: &Path, columns: &[&str]) -> Result<CsvLogger> {
        if !path.exists() {
            return CsvLogger::create(path, columns);
        }
        Ok(CsvLogger {
            path: path.to_path_buf(),
            columns: columns.iter().map(|name| name.to_string()).collect(),
            rows: Vec::new(),
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// `Value` if it has another number of columns, `Io` if the file can't be written.
    pub fn append(&mut self, row: &[f64]) -> Result<()> {
        ensure!(
            row.len() == self.columns.len(),
            Value,
            "CsvLogger: a row of {} numbers, expected {:?}",
            row.len(),
            self.columns
        );
        self.rows.push(row.to_vec());
        self.write()
    }

    /// The numbers in a column, from the first row to the last.
    ///
    /// # Errors
    /// `Key` if there is no such column.
    pub fn column(&self, name: &str) -> Result<Vec<f64>> {
        let place = self.columns.iter().position(|column| column == name);
        let Some(place) = place else {
            flambeau_tensor::bail!(Key, "CsvLogger: no column {name:?} among {:?}", self.columns)
        };
        Ok(self.rows.iter().map(|row| row[place]).collect())
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows.
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }

    /// Writes the whole table: it is small, and so a file that was cut off is never left behind.
    fn write(&self) -> Result<()> {
        let mut text = self.columns.join(",") + "\n";
        for row in &self.rows {
            let fields: Vec<String> = row.iter().map(f64::to_string).collect();
            text += &(fields.join(",") + "\n");
        }
        write_atomically(&self.path, |file| {
            file.write_all(text.as_bytes())
                .map_err(flambeau_tensor::io::io_error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_do_not_fit_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let mut log = CsvLogger::resume(&path, &["epoch", "loss"], 0).unwrap();
        assert!(log.append(&[1.0]).is_err());
        log.append(&[1.0, f64::NAN]).unwrap();
        let log = CsvLogger::resume(&path, &["epoch", "loss"], 1).unwrap();
        assert!(log.column("loss").unwrap()[0].is_nan());
        assert!(log.column("lr").is_err());
        let error = |columns: &[&str], rows| CsvLogger::resume(&path, columns, rows).unwrap_err().to_string();
        assert!(error(&["epoch", "lr"], 1).contains(r#"expected the columns ["epoch", "lr"]"#));
        assert!(error(&["epoch", "loss"], 2).contains("expected at least 2 rows, got 1"));
        fs::write(&path, "epoch,loss\n1,low\n").unwrap();
        assert!(error(&["epoch", "loss"], 1).contains("row 1 has a text that is no number"));
    }
}
