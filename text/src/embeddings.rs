//! Sentences as vectors: the mean of a BERT's hidden states over the tokens, of length 1 ("Sentence-BERT", Reimers & Gurevych,
//! 2019, arXiv:1908.10084).

use std::path::Path;

use flambeau_nn::StateDict;
use flambeau_tensor::{Result, Tensor, bail, ensure, no_grad};
use serde_json::{Value as Json, json};

use crate::models::{BertModel, Inputs, Pretrained, read_config};
use crate::tokenize::{EncodeOptions, Tokenizer};

/// The sizes of a BERT, from the shapes of its weights.
fn sizes(weights: &StateDict) -> Result<Json> {
    let shape = |ending: &str| {
        let found = weights.iter().find(|(name, _)| name.ends_with(ending));
        match found.map(|(_, tensor)| tensor.shape()) {
            Some(&[rows, columns]) => Ok((rows, columns)),
            _ => bail!(
                Key,
                "no BERT's configuration, and among the weights no table {ending}"
            ),
        }
    };
    let (vocab_size, hidden_size) = shape("embeddings.word_embeddings.weight")?;
    let query = "attention.self.query.weight";
    let layers = weights.keys().filter(|name| name.ends_with(query)).count();
    Ok(json!({
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": layers,
        "intermediate_size": shape("layer.0.intermediate.dense.weight")?.0,
        "max_position_embeddings": shape("embeddings.position_embeddings.weight")?.0,
        "type_vocab_size": shape("embeddings.token_type_embeddings.weight")?.0,
    }))
}

/// A BERT and its tokeniser, which make vectors of sentences.
#[derive(Debug)]
pub struct SentenceEmbedder {
    model: BertModel,
    tokenizer: Tokenizer,
    max_length: usize,
}

impl SentenceEmbedder {
    /// Those of a folder with `config.json`, weights and a tokeniser. Sentences are cut at `max_length` tokens. If
    /// `config.json` is about something else, as in packages that have the pooling's there, the sizes are those of the
    /// weights, and the rest is BERT's, 12 heads included.
    ///
    /// # Errors
    /// `Io`, `Format` or `Key` with the file's name.
    pub fn from_pretrained(folder: impl AsRef<Path>, max_length: usize) -> Result<SentenceEmbedder> {
        let folder = folder.as_ref();
        let mut config = read_config(folder)?;
        let weights = flambeau_hub::load(folder)?.state_dict()?;
        if config.get("hidden_size").is_none() {
            config = sizes(&weights).map_err(|error| error.context(folder.display()))?;
        }
        let (model, _) =
            BertModel::from_parts(&config, weights).map_err(|error| error.context(folder.display()))?;
        SentenceEmbedder::new(model, Tokenizer::from_pretrained(folder)?, max_length)
    }

    /// An embedder of its parts.
    ///
    /// # Errors
    /// `Value` unless a sentence may have a token besides the two special ones.
    pub fn new(model: BertModel, tokenizer: Tokenizer, max_length: usize) -> Result<SentenceEmbedder> {
        ensure!(
            max_length > 2,
            Value,
            "SentenceEmbedder: sentences of at most {max_length} tokens, two of which are special"
        );
        Ok(SentenceEmbedder {
            model,
            tokenizer,
            max_length,
        })
    }

    /// The sentences' vectors, `[sentences, hidden]`, of length 1: their products are cosines.
    ///
    /// # Errors
    /// `Value` for no sentence.
    pub fn embed<S: AsRef<str>>(&self, sentences: &[S]) -> Result<Tensor> {
        let options = EncodeOptions {
            max_length: Some(self.max_length),
            ..EncodeOptions::default()
        };
        let batch = self.tokenizer.encode_batch(sentences, &options)?;
        let inputs = Inputs {
            attention_mask: Some(&batch.attention_mask),
            token_type_ids: Some(&batch.token_type_ids),
            ..Inputs::new(&batch.input_ids)
        };
        let states = no_grad(|| self.model.forward(&inputs))?.last_hidden_state;
        let mask = batch.attention_mask.unsqueeze(2)?.to_dtype(states.dtype())?;
        let mean = states
            .mul(&mask)?
            .sum_dim(1, false)?
            .div(&mask.sum_dim(1, false)?.clamp_min(1e-9)?)?;
        let length = mean.square()?.sum_dim(1, true)?.sqrt()?.clamp_min(1e-12)?;
        mean.div(&length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_nn::Module;
    use flambeau_tensor::io::safetensors;
    use flambeau_tensor::random;

    use crate::models::BertConfig;

    const TOKENS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\ncat\n##s\nsat\n";

    /// A folder with a small BERT and a tokeniser.
    fn folder(config: &str) -> tempfile::TempDir {
        let small = BertConfig {
            vocab_size: 8,
            hidden_size: 24,
            num_hidden_layers: 2,
            intermediate_size: 16,
            max_position_embeddings: 10,
            ..BertConfig::default()
        };
        let model = random::fork(0, || BertModel::new(&small)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        safetensors::save(folder.path().join("model.safetensors"), &model.state_dict()).unwrap();
        std::fs::write(folder.path().join("vocab.txt"), TOKENS).unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        folder
    }

    #[test]
    fn sentences_have_vectors_of_length_1_whatever_stands_beside_them() {
        // The sizes come from the weights.
        let folder = folder("{\"word_embedding_dimension\": 24}");
        let embedder = SentenceEmbedder::from_pretrained(folder.path(), 8).unwrap();
        let both = embedder
            .embed(&["The cats sat", "the cat sat the cat sat the cat sat"])
            .unwrap();
        assert_eq!(both.shape(), [2, 24]);
        let lengths = both
            .square()
            .unwrap()
            .sum_dim(1, false)
            .unwrap()
            .to_vec::<f32>()
            .unwrap();
        assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-5));
        let alone = embedder
            .embed(&["the cats sat"])
            .unwrap()
            .to_vec::<f32>()
            .unwrap();
        let first = both.select(0, 0).unwrap().to_vec::<f32>().unwrap();
        assert!(alone.iter().zip(&first).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(embedder.embed::<&str>(&[]).is_err());
        let batch = embedder
            .tokenizer
            .encode_pairs(&[("the cats", "dog")], &EncodeOptions::default())
            .unwrap();
        assert_eq!(batch.input_ids.to_vec::<i64>().unwrap(), [2, 4, 5, 6, 3, 1, 3]);
        assert_eq!(
            batch.token_type_ids.to_vec::<i64>().unwrap(),
            [0, 0, 0, 0, 0, 1, 1]
        );
        assert_eq!(
            embedder.tokenizer.decode(&[2, 4, 5, 6, 3], true).unwrap(),
            "the cats"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |folder: &Path| {
            SentenceEmbedder::from_pretrained(folder, 8)
                .unwrap_err()
                .to_string()
        };
        let wrong = folder("{\"hidden_size\": 12}");
        assert!(message(wrong.path()).contains("the weights lack"));
        let other = folder("{}");
        safetensors::save(other.path().join("model.safetensors"), &StateDict::new()).unwrap();
        assert!(message(other.path()).contains("no table embeddings.word_embeddings.weight"));
        let short = folder("{}");
        std::fs::write(short.path().join("vocab.txt"), "[PAD]\n[UNK]\n").unwrap();
        assert!(message(short.path()).ends_with("vocab.txt: no token [SEP]"));
    }
}
