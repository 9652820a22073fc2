//! `MultiheadAttention` (Vaswani et al., 2017; `torch.nn.MultiheadAttention`):
//! `concat(head₁, …)·W_oᵀ + b_o` with `headᵢ = softmax(Qᵢ·Kᵢᵀ/√d + mask)·Vᵢ` of the projected queries, keys and values.

use flambeau_tensor::ops::multi_head_attention::{
    InProjection, MultiHeadAttention, multi_head_attention_forward,
};
use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

use super::linear::{Linear, LinearOptions};
use crate::{Mode, Module, Parameter, init, observed};

/// Options of [`MultiheadAttention`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct MultiheadAttentionOptions {
    /// Probability with which attention weights are dropped in training.
    pub dropout: f64,
    /// Whether the projections have biases.
    pub bias: bool,
    /// Whether a learnt key and a learnt value are appended to all sequences.
    pub add_bias_kv: bool,
    /// Whether a key and a value of zeros are appended to all sequences.
    pub add_zero_attn: bool,
    /// Features of keys; `embed_dim` unless given.
    pub kdim: Option<usize>,
    /// Features of values; `embed_dim` unless given.
    pub vdim: Option<usize>,
    /// Whether the batch comes before the sequence.
    pub batch_first: bool,
}

impl Default for MultiheadAttentionOptions {
    fn default() -> Self {
        MultiheadAttentionOptions {
            dropout: 0.0,
            bias: true,
            add_bias_kv: false,
            add_zero_attn: false,
            kdim: None,
            vdim: None,
            batch_first: false,
        }
    }
}

/// What one call of [`MultiheadAttention::forward`] may be given besides its inputs; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOptions<'a> {
    /// Keys to leave out, `[batch, keys]`: bools (true hides) or numbers added to the scores.
    pub key_padding_mask: Option<&'a Tensor>,
    /// What a query does not see, `[queries, keys]` or `[batch·heads, queries, keys]`: bools (true hides) or numbers added
    /// to the scores.
    pub attn_mask: Option<&'a Tensor>,
    /// Whether to return the attention weights; without them, attention is faster.
    pub need_weights: bool,
    /// Whether the weights returned are the averages over the heads.
    pub average_attn_weights: bool,
    /// That `attn_mask`, which must be given, hides from every query the keys after it and no others, so that it need not
    /// be read.
    pub is_causal: bool,
}

impl Default for AttentionOptions<'_> {
    fn default() -> Self {
        AttentionOptions {
            key_padding_mask: None,
            attn_mask: None,
            need_weights: true,
            average_attn_weights: true,
            is_causal: false,
        }
    }
}

/// Attention of several heads between queries and keys.
///
/// The weights of the three projections of its inputs are one parameter, `in_proj_weight`, or three if keys or values
/// have features of another number than queries.
#[derive(Clone, Debug, Module)]
#[module(cost)]
pub struct MultiheadAttention {
    /// `[3·embed, embed]`: of queries, keys and values, one after the other.
    pub in_proj_weight: Option<Parameter>,
    /// `[embed, embed]`, in place of `in_proj_weight`.
    pub q_proj_weight: Option<Parameter>,
    /// `[embed, kdim]`, in place of `in_proj_weight`.
    pub k_proj_weight: Option<Parameter>,
    /// `[embed, vdim]`, in place of `in_proj_weight`.
    pub v_proj_weight: Option<Parameter>,
    /// `[3·embed]`.
    pub in_proj_bias: Option<Parameter>,
    /// The key appended to all sequences, `[1, 1, embed]`.
    pub bias_k: Option<Parameter>,
    /// The value appended to all sequences, `[1, 1, embed]`.
    pub bias_v: Option<Parameter>,
    /// The projection of the heads' outputs.
    pub out_proj: Linear,
    mode: Mode,
    embed_dim: usize,
    num_heads: usize,
    #[module(skip)]
    options: MultiheadAttentionOptions,
}

impl MultiheadAttention {
    /// Attention whose projections of inputs are initialised by `xavier_uniform_`, their biases and that of the output by
    /// zeros, the appended key and value by `xavier_normal_`.
    ///
    /// # Errors
    /// `Value` unless sizes are positive, the heads divide `embed_dim` and the dropout is a probability; `Shape` if a weight
    /// is larger than memory can address.
    pub fn new(embed_dim: usize, num_heads: usize, options: MultiheadAttentionOptions) -> Result<Self> {
        let op = "MultiheadAttention";
        ensure!(
            embed_dim > 0 && num_heads > 0 && embed_dim.is_multiple_of(num_heads),
            Value,
            "{op}: expected positive heads that divide embed_dim, got {num_heads} and {embed_dim}"
        );
        ensure!(
            (0.0..=1.0).contains(&options.dropout),
            Value,
            "{op}: expected a dropout probability between 0 and 1, got {}",
            options.dropout
        );
        let MultiheadAttentionOptions {
            bias, add_bias_kv, ..
        } = options;
        let (kdim, vdim) = (
            options.kdim.unwrap_or(embed_dim),
            options.vdim.unwrap_or(embed_dim),
        );
        let same = kdim == embed_dim && vdim == embed_dim;
        // The output's projection comes first, so that all draw PyTorch's numbers.
        let out_proj = Linear::new(embed_dim, embed_dim, LinearOptions { bias })?;
        let uniform = |rows: usize, columns: usize| {
            let weight = Tensor::zeros((rows, columns), DType::F32)?;
            init::xavier_uniform_(&weight, 1.0)?;
            Parameter::new(weight)
        };
        let in_proj_weight = same.then(|| uniform(3 * embed_dim, embed_dim)).transpose()?;
        let q_proj_weight = (!same).then(|| uniform(embed_dim, embed_dim)).transpose()?;
        let k_proj_weight = (!same).then(|| uniform(embed_dim, kdim)).transpose()?;
        let v_proj_weight = (!same).then(|| uniform(embed_dim, vdim)).transpose()?;
        let in_proj_bias = bias.then(|| Parameter::new(Tensor::zeros(3 * embed_dim, DType::F32)?));
        if let Some(bias) = &out_proj.bias {
            init::zeros_(bias)?;
        }
        let appended = || {
            let row = Tensor::zeros((1, 1, embed_dim), DType::F32)?;
            init::xavier_normal_(&row, 1.0)?;
            Parameter::new(row)
        };
        Ok(MultiheadAttention {
            in_proj_weight,
            q_proj_weight,
            k_proj_weight,
            v_proj_weight,
            in_proj_bias: in_proj_bias.transpose()?,
            bias_k: add_bias_kv.then(appended).transpose()?,
            bias_v: add_bias_kv.then(appended).transpose()?,
            out_proj,
            mode: Mode::default(),
            embed_dim,
            num_heads,
            options,
        })
    }

    /// The settings.
    pub fn options(&self) -> &MultiheadAttentionOptions {
        &self.options
    }

    /// How many features queries and outputs have.
    pub fn embed_dim(&self) -> usize {
        self.embed_dim
    }

    /// How many heads there are.
    pub fn num_heads(&self) -> usize {
        self.num_heads
    }

    /// What the queries attend to, and, if asked for, the weights.
    ///
    /// # Shapes
    /// query `[queries, batch, embed]`, key `[keys, batch, kdim]`, value `[keys, batch, vdim]` → `[queries, batch, embed]`,
    /// with the batch first if `batch_first`; weights `[batch, queries, keys]`, or `[batch, heads, queries, keys]` unless
    /// averaged. The batch may be left out everywhere.
    ///
    /// # Errors
    /// `Shape` if shapes do not fit; `DType` if types differ; `Value` for `is_causal` without a mask.
    #[observed]
    pub fn forward(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        options: &AttentionOptions<'_>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        self.check([query, key, value])?;
        let batched = query.rank() == 3;
        let [query, key, value] = if batched && self.options.batch_first {
            [
                query.transpose(0, 1)?,
                key.transpose(0, 1)?,
                value.transpose(0, 1)?,
            ]
        } else {
            [query.clone(), key.clone(), value.clone()]
        };
        ensure!(
            !options.is_causal || options.attn_mask.is_some(),
            Value,
            "MultiheadAttention: is_causal says of an attn_mask that it is causal, but there is none; \
             generate_square_subsequent_mask makes one"
        );
        let bias_k = self.bias_k.as_deref();
        let call = MultiHeadAttention {
            num_heads: self.num_heads,
            in_projection: self.in_projection()?,
            in_bias: self.in_proj_bias.as_deref(),
            out_weight: &self.out_proj.weight,
            out_bias: self.out_proj.bias.as_deref(),
            bias_kv: bias_k.zip(self.bias_v.as_deref()).map(|(k, v)| [k, v]),
            add_zero_attn: self.options.add_zero_attn,
            dropout_p: self.options.dropout,
            training: self.mode.is_training(),
            key_padding_mask: options.key_padding_mask,
            attn_mask: options.attn_mask,
            is_causal: options.is_causal,
            need_weights: options.need_weights,
            average_attn_weights: options.average_attn_weights,
        };
        let (out, weights) = multi_head_attention_forward(&query, &key, &value, &call)?;
        let out = if batched && self.options.batch_first {
            out.transpose(0, 1)?
        } else {
            out
        };
        Ok((out, weights))
    }

    /// The four projections, and the products of queries with keys and of weights with values.
    fn cost(&self, inputs: &[Tensor], _: &[Tensor]) -> u64 {
        let ([query, key, value], embed) = (inputs, self.embed_dim) else {
            return 0;
        };
        let queries = query.numel() / embed;
        let length = usize::from(key.rank() == 3 && self.options.batch_first);
        let keys = key.shape().get(length).copied().unwrap_or(0);
        let projections = (2 * query.numel() + key.numel() + value.numel()) * embed;
        (projections + 2 * queries * keys * embed) as u64
    }

    fn in_projection(&self) -> Result<InProjection<'_>> {
        let separate = [&self.q_proj_weight, &self.k_proj_weight, &self.v_proj_weight];
        match (&self.in_proj_weight, separate) {
            (Some(packed), _) => Ok(InProjection::Packed(packed)),
            (None, [Some(q), Some(k), Some(v)]) => Ok(InProjection::Separate([q, k, v])),
            _ => bail!(Value, "MultiheadAttention: a projection's weight was taken away"),
        }
    }

    /// Whether the inputs' ranks and features are those of the projections.
    fn check(&self, inputs: [&Tensor; 3]) -> Result<()> {
        let embed = self.embed_dim;
        let features = [
            embed,
            self.options.kdim.unwrap_or(embed),
            self.options.vdim.unwrap_or(embed),
        ];
        let fits = inputs
            .iter()
            .zip(features)
            .all(|(x, features)| x.rank() == inputs[0].rank() && x.shape().last() == Some(&features));
        ensure!(
            fits && (2..=3).contains(&inputs[0].rank()),
            Shape,
            "MultiheadAttention: expected query, key and value of 2 or 3 dimensions, the last of {features:?} features, got {:?}",
            inputs.map(Tensor::shape)
        );
        Ok(())
    }
}
