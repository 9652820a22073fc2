//! Vectors of words and vocabularies, from text.

#![no_main]

use flambeau_fuzz::file_of;
use flambeau_text::tokenize::{Vectors, Vocab};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = file_of("words", bytes);
    let vectors = Vectors::read(&path);
    let vocab = Vocab::read(&path, None);
    if let Ok(vocab) = &vocab {
        assert_eq!(vocab.ids(vocab.tokens()).expect("its own tokens").len(), vocab.len());
    }
    if let (Ok(vectors), Ok(vocab)) = (vectors, vocab) {
        let (table, known) = vectors.table(&vocab).expect("a small table");
        assert_eq!(table.shape(), [vocab.len(), vectors.dim()]);
        assert!(known <= vectors.len());
    }
});
