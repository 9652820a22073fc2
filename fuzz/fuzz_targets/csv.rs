//! Tables as text: rows of text, a table of numbers, and a stream of both give the same.

#![no_main]

use flambeau_data::formats::csv::{self, CsvOptions};
use flambeau_data::{DataLoader, IterableDataset};
use flambeau_fuzz::file_of;
use flambeau_tensor::{DType, Result};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The last byte is about how the rest is to be read.
    let Some((&how, bytes)) = bytes.split_last() else {
        return;
    };
    let options = CsvOptions {
        delimiter: if how & 1 == 0 { b',' } else { b'\t' },
        has_header: how & 2 == 0,
        trim: how & 4 == 0,
    };
    let path = file_of("csv", bytes);
    let rows: Result<Vec<Vec<String>>> = csv::read(&path, &options);
    let table = csv::read_table(&path, &options, DType::F64, (how & 8 == 0).then_some(f64::NAN));
    if let Ok(table) = table {
        let rows = rows.as_ref().expect("numbers are text");
        assert_eq!(table.values.shape()[0], rows.len());
    }
    let stream = csv::stream::<Vec<String>>([&path], &options).map(|row| Ok(row.len() as i64));
    let loader = DataLoader::stream(stream).unbatched().build().expect("valid options");
    match (loader.iter().collect::<Result<Vec<i64>>>(), rows) {
        (Ok(lengths), Ok(rows)) => assert!(lengths.iter().eq(&rows.iter().map(|row| row.len() as i64).collect::<Vec<_>>())),
        (Err(_), Err(_)) => {}
        (stream, rows) => panic!("a stream gives {stream:?}, the whole file {rows:?}"),
    }
});
