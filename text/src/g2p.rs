//! English words as sounds: the network of g2p-en (Park & Kim, 2019, Apache-2.0), an encoder that reads letters and a decoder
//! that says ARPAbet's phonemes, a GRU (Cho et al., 2014, arXiv:1406.1078) each.

use std::collections::BTreeMap;
use std::path::Path;

use flambeau_nn::{
    Embedding, Forward, GRU, GRUCell, Linear, LinearOptions, Module, RnnOptions, RnnWeights, init,
};
use flambeau_tensor::io::{npz, safetensors};
use flambeau_tensor::ops::embedding::EmbeddingOptions;
use flambeau_tensor::{Result, Tensor, bail, ensure, no_grad};

use crate::files;

/// The numbers of letters begin here; before them are padding, unknown letters and the end.
const FIRST_LETTER: i64 = 3;
/// A letter that is not between a and z.
const UNKNOWN: i64 = 1;
/// The end of a word.
const END_OF_WORD: i64 = 2;
/// The beginning of what is said.
const START: i64 = 2;
/// Its end.
const END: i64 = 3;
/// Phonemes of a word at most.
const LONGEST: usize = 20;
/// Letters of a word that are read at most.
const MOST_LETTERS: usize = 64;

/// What the decoder says, by number: padding, unknown, beginning, end, and ARPAbet's phonemes, vowels with their stress.
const PHONEMES: [&str; 74] = [
    "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2", "AO0",
    "AO1", "AO2", "AW0", "AW1", "AW2", "AY0", "AY1", "AY2", "B", "CH", "D", "DH", "EH0", "EH1", "EH2", "ER0",
    "ER1", "ER2", "EY0", "EY1", "EY2", "F", "G", "HH", "IH0", "IH1", "IH2", "IY0", "IY1", "IY2", "JH", "K",
    "L", "M", "N", "NG", "OW0", "OW1", "OW2", "OY0", "OY1", "OY2", "P", "R", "S", "SH", "T", "TH", "UH0",
    "UH1", "UH2", "UW", "UW0", "UW1", "UW2", "V", "W", "Y", "Z", "ZH",
];

/// The network: letters in, phonemes out.
#[derive(Debug, Module)]
pub struct G2p {
    enc_emb: Embedding,
    enc: GRU,
    dec_emb: Embedding,
    dec: GRUCell,
    fc: Linear,
}

impl G2p {
    /// A network with initial weights and so many features.
    ///
    /// # Errors
    /// `Value` for no features.
    pub fn new(features: usize) -> Result<G2p> {
        let options = RnnOptions {
            batch_first: true,
            ..RnnOptions::default()
        };
        Ok(G2p {
            enc_emb: Embedding::new(29, features, EmbeddingOptions::default())?,
            enc: GRU::new(features, features, options)?,
            dec_emb: Embedding::new(PHONEMES.len(), features, EmbeddingOptions::default())?,
            dec: GRUCell::new(features, features, true)?,
            fc: Linear::new(features, PHONEMES.len(), LinearOptions::default())?,
        })
    }

    /// The bundled network: g2p-en's weights in half precision (Apache-2.0; `text/assets/README.md`).
    ///
    /// # Errors
    /// None that a sound build meets.
    pub fn english() -> Result<G2p> {
        G2p::of(&safetensors::from_bytes(include_bytes!(
            "../assets/g2p_en.safetensors"
        ))?)
    }

    /// The network with the weights of g2p-en's file `checkpoint20.npz`.
    ///
    /// # Errors
    /// `Io` or `Format` if the file can't be read; `Key` or `Shape` with its name for weights that are missing or do not fit,
    /// `Value` for ones that are not finite.
    pub fn load(path: impl AsRef<Path>) -> Result<G2p> {
        let place = path.as_ref().display();
        let arrays = npz::read(&path)?;
        G2p::of(&arrays).map_err(|error| error.context(place))
    }

    fn of(arrays: &BTreeMap<String, Tensor>) -> Result<G2p> {
        let features = match arrays.get("enc_emb").map(Tensor::shape) {
            Some(&[_, features]) => features,
            _ => bail!(Key, "g2p: no table enc_emb"),
        };
        let network = init::skip(|| G2p::new(features))?;
        let cell = |weights: &RnnWeights, name: &str| -> Vec<(String, Tensor)> {
            let mut all = vec![
                (format!("{name}_w_ih"), weights.weight_ih.tensor().clone()),
                (format!("{name}_w_hh"), weights.weight_hh.tensor().clone()),
            ];
            let biases = [("b_ih", &weights.bias_ih), ("b_hh", &weights.bias_hh)];
            for (bias, parameter) in biases {
                all.extend(
                    parameter
                        .as_ref()
                        .map(|p| (format!("{name}_{bias}"), p.tensor().clone())),
                );
            }
            all
        };
        let mut all = vec![
            ("enc_emb".to_string(), network.enc_emb.weight.tensor().clone()),
            ("dec_emb".to_string(), network.dec_emb.weight.tensor().clone()),
            ("fc_w".to_string(), network.fc.weight.tensor().clone()),
        ];
        all.extend(
            network
                .fc
                .bias
                .as_ref()
                .map(|bias| ("fc_b".to_string(), bias.tensor().clone())),
        );
        all.extend(
            network
                .enc
                .weights(0, false)
                .into_iter()
                .flat_map(|weights| cell(weights, "enc")),
        );
        all.extend(cell(&network.dec.weights, "dec"));
        for (name, tensor) in all {
            let Some(array) = arrays.get(&name) else {
                bail!(Key, "g2p: no array {name}")
            };
            ensure!(
                array.shape() == tensor.shape(),
                Shape,
                "g2p: {name} is {:?}, expected {:?}",
                array.shape(),
                tensor.shape()
            );
            no_grad(|| tensor.copy_(array).map(|_| ()))?;
        }
        files::check_finite(&network)?;
        network.eval();
        Ok(network)
    }

    /// Scores of the phoneme after each of `phonemes`, of words of one length: what a training makes large for the phonemes
    /// that come next. Letters are numbered from 3, and 2 ends a word; phonemes are numbers of ARPAbet's list here, which 2
    /// begins.
    ///
    /// # Shapes
    /// `[batch, letters]` and `[batch, time] → [batch, time, 74]`.
    ///
    /// # Errors
    /// `Shape` or `DType` unless there are numbers of as many words; `Index` for unknown ones.
    pub fn forward(&self, letters: &Tensor, phonemes: &Tensor) -> Result<Tensor> {
        ensure!(
            letters.rank() == 2 && phonemes.rank() == 2 && letters.shape()[0] == phonemes.shape()[0],
            Shape,
            "g2p: expected letters [batch, letters] and phonemes [batch, time], got {:?} and {:?}",
            letters.shape(),
            phonemes.shape()
        );
        let mut state = self.encode(letters)?;
        let mut scores = Vec::new();
        for place in 0..phonemes.shape()[1] {
            let (next, said) = self.say(&phonemes.select(1, place as isize)?, &state)?;
            state = next;
            scores.push(said);
        }
        ensure!(!scores.is_empty(), Shape, "g2p: expected at least one phoneme");
        Tensor::stack(&scores, 1)
    }

    /// What the encoder knows of words, `[batch, features]`.
    fn encode(&self, letters: &Tensor) -> Result<Tensor> {
        let (_, read) = self.enc.forward(&self.enc_emb.forward(letters)?, None)?;
        read.select(0, 0)
    }

    /// The state after these phonemes, and the scores of the next ones.
    fn say(&self, last: &Tensor, state: &Tensor) -> Result<(Tensor, Tensor)> {
        let state = self.dec.forward(&self.dec_emb.forward(last)?, Some(state))?;
        let scores = self.fc.forward(&state)?;
        Ok((state, scores))
    }

    /// The phonemes of a word, whose letters are taken as small ones.
    ///
    /// # Errors
    /// `Value` for no letters, and for more than 64.
    pub fn pronounce(&self, word: &str) -> Result<Vec<&'static str>> {
        let letters = word.chars().count();
        ensure!(
            (1..=MOST_LETTERS).contains(&letters),
            Value,
            "g2p: expected a word of 1 to {MOST_LETTERS} letters, got {letters}"
        );
        let number = |letter: char| match letter.to_ascii_lowercase() {
            letter @ 'a'..='z' => FIRST_LETTER + i64::from(u32::from(letter) - u32::from('a')),
            _ => UNKNOWN,
        };
        let ids: Vec<i64> = word.chars().map(number).chain([END_OF_WORD]).collect();
        no_grad(|| {
            let mut state = self.encode(&Tensor::from_slice(&ids, (1, ids.len()))?)?;
            let (mut said, mut all) = (START, Vec::new());
            while all.len() < LONGEST {
                let (next, scores) = self.say(&Tensor::new([said])?, &state)?;
                state = next;
                said = scores.argmax(None, false)?.item::<i64>()?;
                match PHONEMES.get(said as usize) {
                    Some(phoneme) if said != END => all.push(*phoneme),
                    _ => break,
                }
            }
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_autograd::Backward;
    use flambeau_tensor::random;

    #[test]
    fn every_parameter_receives_a_gradient() {
        let network = random::fork(0, || G2p::new(8)).unwrap();
        let letters = Tensor::new([[3i64, 4, 2], [5, 6, 2]]).unwrap();
        let phonemes = Tensor::new([[2i64, 4], [2, 73]]).unwrap();
        let scores = network.forward(&letters, &phonemes).unwrap();
        assert_eq!(scores.shape(), [2, 2, 74]);
        scores.square().unwrap().sum().unwrap().backward().unwrap();
        for (name, parameter) in network.named_parameters() {
            let size = parameter.grad().unwrap().abs().unwrap().sum().unwrap();
            assert!(size.item::<f32>().unwrap() > 0.0, "{name}");
        }
        let flat = Tensor::new([2i64]).unwrap();
        let error = network.forward(&letters, &flat).unwrap_err().to_string();
        assert!(
            error.contains("phonemes [batch, time], got [2, 3] and [1]"),
            "{error}"
        );
    }

    #[test]
    fn the_bundled_network_says_what_the_reference_says() {
        let network = G2p::english().unwrap();
        for (word, said) in [("tensor", "T EH1 N S ER0"), ("autograd", "AO1 T AH0 G R AE2 D")] {
            assert_eq!(network.pronounce(word).unwrap().join(" "), said);
        }
    }

    #[test]
    fn weights_are_found_by_their_names_and_words_are_said() {
        let network = random::fork(0, || G2p::new(8)).unwrap();
        let said = network.pronounce("tensor").unwrap();
        assert!(said.len() <= LONGEST);
        let cell = &network.dec.weights;
        let gru = network.enc.weights(0, false).unwrap();
        let mut arrays = BTreeMap::new();
        for (name, weights) in [("enc", gru), ("dec", cell)] {
            arrays.insert(format!("{name}_w_ih"), weights.weight_ih.detach());
            arrays.insert(format!("{name}_w_hh"), weights.weight_hh.detach());
            arrays.insert(format!("{name}_b_ih"), weights.bias_ih.as_ref().unwrap().detach());
            arrays.insert(format!("{name}_b_hh"), weights.bias_hh.as_ref().unwrap().detach());
        }
        arrays.insert("enc_emb".to_string(), network.enc_emb.weight.detach());
        arrays.insert("dec_emb".to_string(), network.dec_emb.weight.detach());
        arrays.insert("fc_w".to_string(), network.fc.weight.detach());
        let error = G2p::of(&arrays).unwrap_err().to_string();
        assert_eq!(error, "g2p: no array fc_b");
        arrays.insert("fc_b".to_string(), network.fc.bias.as_ref().unwrap().detach());
        let read = G2p::of(&arrays).unwrap();
        assert_eq!(read.pronounce("Tensor").unwrap(), said);
        arrays.insert("fc_b".to_string(), Tensor::new([1.0f32]).unwrap());
        let error = G2p::of(&arrays).unwrap_err().to_string();
        assert_eq!(error, "g2p: fc_b is [1], expected [74]");
        assert!(read.pronounce("").is_err() && read.pronounce(&"a".repeat(65)).is_err());
        assert!(read.pronounce("naïve!").is_ok());
    }
}
