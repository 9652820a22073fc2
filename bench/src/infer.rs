//! `infer/*`: models that answer, in evaluation mode and without recording.

use anyhow::Result;
use flambeau_autograd::inference_mode;
use flambeau_nn::functional::{SdpaOptions, scaled_dot_product_attention};
use flambeau_nn::{
    Forward, GRU, LSTM, LayerNorm, Linear, Module, RnnOptions, TransformerEncoder, TransformerEncoderLayer,
    TransformerLayerOptions, summarize, summary,
};
use flambeau_tensor::random::{Generator, Sample, manual_seed};
use flambeau_tensor::{DType, Result as TensorResult, Tensor};
use flambeau_vision::models::create;

use crate::overhead::mlp;
use crate::workload::{Call, Workload};

/// torchvision's models and the sizes of their batches.
const IMAGES: [(&str, usize); 9] = [
    ("resnet18", 1),
    ("resnet18", 8),
    ("resnet50", 1),
    ("resnet50", 8),
    ("vgg16", 1),
    ("mobilenet_v2", 1),
    ("mobilenet_v2", 8),
    ("efficientnet_b0", 1),
    ("vit_b_16", 1),
];

/// Those of them, and others, that are also run prepared: `prepared/*`.
const PREPARED: [(&str, usize); 10] = [
    ("resnet18", 1),
    ("resnet18", 8),
    ("resnet50", 1),
    ("resnet50", 8),
    ("vgg16", 1),
    ("mobilenet_v2", 1),
    ("mobilenet_v2", 8),
    ("mobilenet_v3_large", 1),
    ("efficientnet_b0", 1),
    ("densenet121", 1),
];

/// `prepared/*`: models made ready for inference, beside others that do so.
pub(crate) fn prepared() -> impl Iterator<Item = Workload> {
    PREPARED.into_iter().map(|(name, batch)| {
        Workload::new(format!("prepared/{name}_b{batch}"), move || {
            manual_seed(0);
            let model = create(name, Default::default())?;
            model.eval();
            let shape = [batch, 3, 224, 224];
            let x = Generator::new(0).randn(shape, DType::F32)?;
            // What is prepared does not tell: it does what the model does.
            let multiply_adds = summary(&model, &x)?.multiply_adds();
            Ok(infer(model.prepare(&x)?, &shape)?.multiply_adds(multiply_adds))
        })
    })
}

/// All workloads of this group.
pub(crate) fn workloads() -> Vec<Workload> {
    let images = IMAGES.map(|(name, batch)| {
        Workload::new(format!("infer/{name}_b{batch}"), move || {
            manual_seed(0);
            let model = create(name, Default::default())?;
            infer(model, &[batch, 3, 224, 224])
        })
    });
    let mut all = Vec::from(images);
    all.extend([
        encoder("infer/bert_base_b1_t128", 12, [768, 12, 3072], [1, 128, 768]),
        encoder("infer/bert_base_b8_t128", 12, [768, 12, 3072], [8, 128, 768]),
        encoder("infer/minilm6_b8_t64", 6, [384, 12, 1536], [8, 64, 384]),
        Workload::new("infer/bilstm2_t64_b32_128_256", || {
            let options = RnnOptions {
                num_layers: 2,
                bidirectional: true,
                ..Default::default()
            };
            sequences(LSTM::new(128, 256, options)?, |lstm, x| lstm.forward(x, None))
        }),
        Workload::new("infer/gru2_t64_b32_128_256", || {
            let options = RnnOptions {
                num_layers: 2,
                ..Default::default()
            };
            sequences(GRU::new(128, 256, options)?, |gru, x| gru.forward(x, None))
        }),
        Workload::new("infer/mlp_4_128_128_2_b1", || infer(mlp()?, &[1, 4])),
        Workload::new("infer/gpt2_small_decode_64_tokens", || {
            let mut decoder = Decoder::new()?;
            Ok(Call::new(move || {
                Ok(inference_mode(|| decoder.generate(32, 64))?)
            }))
        })
        .gb(65.0 * 4.0 * (12 * 12 * WIDTH * WIDTH + VOCABULARY * WIDTH) as f64 / 1e9),
    ]);
    all
}

/// A Transformer's encoder with GELU, as in BERT: layers; features, heads and features of the feed-forward block.
pub(crate) fn transformer_encoder(layers: usize, sizes: [usize; 3]) -> TensorResult<TransformerEncoder> {
    let [d_model, heads, dim_feedforward] = sizes;
    let options = TransformerLayerOptions {
        dim_feedforward,
        dropout: 0.0,
        activation: Tensor::gelu,
        batch_first: true,
        ..Default::default()
    };
    manual_seed(0);
    let layer = TransformerEncoderLayer::new(d_model, heads, options)?;
    TransformerEncoder::new(&layer, layers, None)
}

fn encoder(name: &str, layers: usize, sizes: [usize; 3], shape: [usize; 3]) -> Workload {
    Workload::new(name, move || infer(transformer_encoder(layers, sizes)?, &shape))
}

/// A call of a model in evaluation mode.
pub(crate) fn infer(model: impl Forward + 'static, shape: &[usize]) -> Result<Call> {
    model.eval();
    let x = Generator::new(0).randn(shape, DType::F32)?;
    let multiply_adds = summary(&model, &x)?.multiply_adds();
    Ok(call(x, move |x| model.forward(x)).multiply_adds(multiply_adds))
}

fn call(x: Tensor, forward: impl Fn(&Tensor) -> TensorResult<Tensor> + 'static) -> Call {
    Call::new(move || Ok(inference_mode(|| forward(&x)).map(drop)?))
}

/// A call of a recurrent network over sequences `[64, 32, 128]`, of which the last outputs are made as well.
fn sequences<M: Module + 'static, R: 'static>(
    model: M,
    forward: fn(&M, &Tensor) -> TensorResult<(Tensor, R)>,
) -> Result<Call> {
    let x = Generator::new(0).randn((64, 32, 128), DType::F32)?;
    let multiply_adds = summarize(&model, || Ok(forward(&model, &x)?.0))?.multiply_adds();
    Ok(call(x, move |x| Ok(forward(&model, x)?.0)).multiply_adds(multiply_adds))
}

/// GPT-2 small's arithmetic, with random weights.
struct Decoder {
    embedding: Tensor,
    blocks: Vec<Block>,
    prompts: Generator,
}

/// One of its blocks.
struct Block {
    norms: [LayerNorm; 2],
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

const WIDTH: usize = 768;
const HEADS: usize = 12;
const VOCABULARY: usize = 50_257;

impl Decoder {
    fn new() -> TensorResult<Decoder> {
        manual_seed(0);
        let linear = |from: usize, to: usize| Linear::new(from, to, Default::default());
        let norm = || LayerNorm::new(&[WIDTH], Default::default());
        let block = |_| {
            Ok(Block {
                norms: [norm()?, norm()?],
                qkv: linear(WIDTH, 3 * WIDTH)?,
                out: linear(WIDTH, WIDTH)?,
                up: linear(WIDTH, 4 * WIDTH)?,
                down: linear(4 * WIDTH, WIDTH)?,
            })
        };
        Ok(Decoder {
            embedding: Tensor::randn((VOCABULARY, WIDTH), DType::F32)?.mul(0.02)?,
            blocks: (0..12).map(block).collect::<TensorResult<_>>()?,
            prompts: Generator::new(0),
        })
    }

    /// The likeliest tokens after a random prompt, one at a time, with keys and values kept.
    fn generate(&mut self, prompt: usize, tokens: usize) -> TensorResult<()> {
        let mut ids = self
            .prompts
            .randint(0, VOCABULARY as i64, (1, prompt), DType::I64)?;
        let mut caches = vec![None; self.blocks.len()];
        for _ in 0..=tokens {
            let mut x = self
                .embedding
                .index_select(0, &ids.flatten(0, -1)?)?
                .unsqueeze(0)?;
            for (block, cache) in self.blocks.iter().zip(&mut caches) {
                x = block.forward(&x, cache)?;
            }
            let scores = x.select(1, -1)?.matmul(&self.embedding.t()?)?;
            ids = scores.argmax(Some(-1), true)?;
        }
        Ok(())
    }
}

impl Block {
    fn forward(&self, x: &Tensor, cache: &mut Option<[Tensor; 2]>) -> TensorResult<Tensor> {
        let len = x.shape()[1];
        let heads = |x: &Tensor| x.reshape((1, len, HEADS, WIDTH / HEADS))?.transpose(1, 2);
        let parts = self.qkv.forward(&self.norms[0].forward(x)?)?.chunk(3, -1)?;
        let [query, mut key, mut value] = [heads(&parts[0])?, heads(&parts[1])?, heads(&parts[2])?];
        if let Some([keys, values]) = cache.take() {
            key = Tensor::cat(&[keys, key], 2)?;
            value = Tensor::cat(&[values, value], 2)?;
        }
        let options = SdpaOptions {
            is_causal: len > 1,
            ..Default::default()
        };
        let mixed = scaled_dot_product_attention(&query, &key, &value, &options)?;
        *cache = Some([key, value]);
        let mixed = mixed.transpose(1, 2)?.reshape((1, len, WIDTH))?;
        let x = x.add(&self.out.forward(&mixed)?)?;
        let hidden = self.up.forward(&self.norms[1].forward(&x)?)?.gelu_tanh()?;
        x.add(&self.down.forward(&hidden)?)
    }
}
