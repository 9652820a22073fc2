//! Tables of learnt vectors, looked up by index (`torch.nn.Embedding`) and combined by bags (`torch.nn.EmbeddingBag`).

use flambeau_tensor::ops::embedding::{
    BagMode, EmbeddingBagOptions as BagCall, EmbeddingOptions, embedding, embedding_bag,
};
use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};

use super::text;
use crate::{Forward, Module, Parameter, init, observed};

/// A table of normal numbers, with zeros in the padding row.
fn table(op: &str, rows: usize, dim: usize, padding_idx: Option<isize>) -> Result<Parameter> {
    let weight = Tensor::zeros((rows, dim), DType::F32)?;
    init::normal_(&weight, 0.0, 1.0)?;
    if let Some(index) = padding_idx {
        let row = if index < 0 { index + rows as isize } else { index };
        ensure!(
            (0..rows as isize).contains(&row),
            Index,
            "{op}: padding_idx {index} is outside a table of {rows} rows"
        );
        no_grad(|| weight.set(row, 0.0).map(|_| ()))?;
    }
    Parameter::new(weight)
}

fn describe(weight: &Tensor, options: &EmbeddingOptions) -> String {
    let mut out = format!("{}, {}", weight.shape()[0], weight.shape()[1]);
    if let Some(index) = options.padding_idx {
        out += &format!(", padding_idx={index}");
    }
    if let Some(max_norm) = options.max_norm {
        out += &format!(", max_norm={}", text::float(max_norm));
    }
    out
}

/// A table of `num_embeddings` vectors, of which indices pick.
///
/// # Shapes
/// indices `[…] → […, embedding_dim]`.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct Embedding {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Parameter,
    #[module(skip)]
    options: EmbeddingOptions,
}

impl Embedding {
    /// A table of standard normal numbers.
    ///
    /// # Errors
    /// `Index` if the padding row is outside.
    pub fn new(num_embeddings: usize, embedding_dim: usize, options: EmbeddingOptions) -> Result<Self> {
        Ok(Embedding {
            weight: table("Embedding", num_embeddings, embedding_dim, options.padding_idx)?,
            options,
        })
    }

    fn describe(&self) -> String {
        describe(&self.weight, &self.options)
    }
}

impl Forward for Embedding {
    #[observed]
    fn forward(&self, indices: &Tensor) -> Result<Tensor> {
        embedding(indices, &self.weight, &self.options)
    }
}

/// A table of vectors, of which bags of indices pick and combine: sums, means or maxima.
#[derive(Clone, Debug, Module)]
#[module(describe)]
pub struct EmbeddingBag {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Parameter,
    #[module(skip)]
    options: EmbeddingOptions,
    #[module(skip)]
    mode: BagMode,
    include_last_offset: bool,
}

/// Options of [`EmbeddingBag`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingBagOptions {
    /// About the table.
    pub table: EmbeddingOptions,
    /// How the vectors of a bag are combined.
    pub mode: BagMode,
    /// The last offset is the end of the last bag rather than the start of one more.
    pub include_last_offset: bool,
}

impl Default for EmbeddingBagOptions {
    fn default() -> Self {
        EmbeddingBagOptions {
            table: EmbeddingOptions::default(),
            mode: BagMode::Mean,
            include_last_offset: false,
        }
    }
}

impl EmbeddingBag {
    /// A table of standard normal numbers.
    ///
    /// # Errors
    /// `Index` if the padding row is outside.
    pub fn new(num_embeddings: usize, embedding_dim: usize, options: EmbeddingBagOptions) -> Result<Self> {
        let EmbeddingBagOptions {
            table: of_table,
            mode,
            include_last_offset,
        } = options;
        let weight = table(
            "EmbeddingBag",
            num_embeddings,
            embedding_dim,
            of_table.padding_idx,
        )?;
        Ok(EmbeddingBag {
            weight,
            options: of_table,
            mode,
            include_last_offset,
        })
    }

    /// One vector a bag. Rows of `indices` are bags if it has two dimensions; else `offsets` say where bags begin.
    /// `per_sample_weights` are factors of the vectors, for sums.
    ///
    /// # Errors
    /// `Shape` if indices, offsets and weights don't fit; `Index` if an index is outside.
    #[observed]
    pub fn forward(
        &self,
        indices: &Tensor,
        offsets: Option<&Tensor>,
        per_sample_weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let options = BagCall {
            mode: self.mode,
            offsets,
            per_sample_weights,
            include_last_offset: self.include_last_offset,
            table: self.options,
        };
        embedding_bag(indices, &self.weight, &options)
    }

    fn describe(&self) -> String {
        let mode = format!("{:?}", self.mode).to_lowercase();
        format!("{}, mode='{mode}'", describe(&self.weight, &self.options))
    }
}
