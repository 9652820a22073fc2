//! The training: a tokeniser and a GPT-2 of a book of your own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use flambeau_autograd::Backward;
use flambeau_nn::functional::{CrossEntropyOptions, cross_entropy};
use flambeau_nn::utils::clip_grad_norm_;
use flambeau_nn::{Module, StateDict};
use flambeau_optim::lr_scheduler::{LRScheduler, OneCycleLR, OneCycleLROptions};
use flambeau_optim::{AdamW, AdamWOptions, Optimizer};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{DType, Tensor, no_grad};
use flambeau_text::datasets::read_text;
use flambeau_text::models::{GPT2Config, GPT2LMHeadModel, Inputs};
use flambeau_text::tokenize::Tokenizer;
use serde_json::json;

#[derive(clap::Args)]
pub(crate) struct Train {
    /// A folder with the texts, files .txt of a chapter each perhaps, or one file, of which twenty parts are made
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// The folder that is written: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "FOLDER", default_value = "gpt2")]
    out: PathBuf,
    /// How often to go over the texts
    #[arg(long, default_value_t = 12)]
    epochs: usize,
    /// How many pieces of text to learn from at once
    #[arg(long, default_value_t = 8)]
    batch_size: usize,
    /// How many tokens a piece has, and the model reads at most
    #[arg(long, default_value_t = 256)]
    context: usize,
    /// How many tokens the tokeniser knows
    #[arg(long, default_value_t = 2048)]
    vocabulary: usize,
    /// Features of a token
    #[arg(long, default_value_t = 128)]
    features: usize,
    /// How many layers there are
    #[arg(long, default_value_t = 3)]
    layers: usize,
    /// How many attentions a layer has side by side
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Dropout
    #[arg(long, default_value_t = 0.1)]
    dropout: f64,
    /// The highest learning rate of the cycle
    #[arg(long, default_value_t = 3e-3)]
    lr: f64,
    /// The seed of everything random
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

pub(crate) fn train(args: &Train) -> Result<()> {
    ensure!(
        args.batch_size > 0 && args.context > 0 && args.epochs > 0,
        "expected at least one epoch, one piece at once and one token of it"
    );
    let begin = Instant::now();
    let texts = texts(&args.data)?;
    let part = |which: Part| -> Vec<&str> {
        let of_part = texts.iter().enumerate().filter(|(i, _)| Part::of(*i) == which);
        of_part.map(|(_, text)| &text[..]).collect()
    };
    let (learnt, chosen_by, tested) = (part(Part::Learn), part(Part::Choose), part(Part::Test));
    ensure!(
        !tested.is_empty(),
        "{}: {} texts are too few, as every tenth is to test with",
        args.data.display(),
        texts.len()
    );
    let tokenizer = Tokenizer::train_byte_level_bpe(&learnt, args.vocabulary)?;
    let config = GPT2Config {
        vocab_size: tokenizer.vocab_size(),
        n_positions: args.context,
        n_embd: args.features,
        n_layer: args.layers,
        n_head: args.heads,
        resid_pdrop: args.dropout,
        embd_pdrop: args.dropout,
        attn_pdrop: args.dropout,
        ..GPT2Config::default()
    };
    let model = GPT2LMHeadModel::new(&config)?;
    let [learnt, chosen_by, tested] = [learnt, chosen_by, tested].map(|part| Stream::new(&tokenizer, &part));
    let (learnt, chosen_by, tested) = (learnt?, chosen_by?, tested?);
    println!(
        "{} texts: {} tokens to learn from, {} to choose by, {} to test with; {} parameters",
        texts.len(),
        learnt.ids.len(),
        chosen_by.ids.len(),
        tested.ids.len(),
        model.num_parameters(true)
    );
    // One piece less than there are, as each epoch begins at another token.
    let pieces = (learnt.ids.len() - 1) / args.context;
    ensure!(pieces > args.batch_size, "{}: too short", args.data.display());
    let pieces = pieces - 1;
    let steps = pieces / args.batch_size;

    // Weights decay; biases and what norms multiply by do not.
    let (matrices, vectors): (Vec<Tensor>, Vec<Tensor>) = model
        .parameters()
        .into_iter()
        .partition(|tensor| tensor.rank() > 1);
    let options = |weight_decay| AdamWOptions {
        lr: args.lr,
        betas: (0.9, 0.99),
        weight_decay,
        ..AdamWOptions::default()
    };
    let mut optimizer = AdamW::with_groups([(matrices, options(0.1)), (vectors, options(0.0))])?;
    let cycle = OneCycleLROptions {
        pct_start: 0.1,
        cycle_momentum: false,
        ..OneCycleLROptions::new(args.lr, (args.epochs * steps) as i64)
    };
    let mut scheduler = OneCycleLR::new(&mut optimizer, cycle)?;
    let mut best: Option<(f64, usize, StateDict)> = None;
    for epoch in 1..=args.epochs {
        model.train();
        let start = Tensor::randint(0, args.context as i64, ())?.item::<i64>()? as usize;
        let order = Tensor::randperm(pieces)?.to_vec::<i64>()?;
        let mut sum = 0.0;
        for picked in order.chunks_exact(args.batch_size) {
            let begins = picked.iter().map(|&piece| start + piece as usize * args.context);
            let (read, next) = learnt.pieces(begins, args.context)?;
            let scores = model.forward(&Inputs::new(&read))?.flatten(0, 1)?;
            let loss = cross_entropy(&scores, &next.reshape(-1)?, &CrossEntropyOptions::default())?;
            optimizer.zero_grad();
            loss.backward()?;
            clip_grad_norm_(&model.parameters(), 1.0, 2.0, false)?;
            optimizer.step()?;
            scheduler.step(&mut optimizer)?;
            sum += loss.item::<f32>()?;
        }
        let reached = chosen_by.loss(&model, args.context)?;
        println!(
            "epoch {epoch}: loss {:.4}; validation: perplexity {:.2}; {:.0} s",
            sum / steps as f32,
            reached.exp(),
            begin.elapsed().as_secs_f64()
        );
        if best.as_ref().is_none_or(|(loss, ..)| reached < *loss) {
            best = Some((reached, epoch, stored(&model)?));
        }
    }
    let (_, epoch, weights) = best.context("the loss was no number after any epoch")?;
    write(&args.out, &config, &tokenizer, &weights)?;
    // What is measured is what was written, in half precision.
    model.load_state_dict(&weights, false)?;
    for (part, stream) in [("validation", &chosen_by), ("test", &tested)] {
        let loss = stream.loss(&model, args.context)?;
        let bits = loss / std::f64::consts::LN_2 * (stream.ids.len() - 1) as f64 / stream.bytes as f64;
        println!(
            "{part}, weights of epoch {epoch}: perplexity {:.2}, {bits:.3} bits of a byte",
            loss.exp()
        );
    }
    println!("written: {}", args.out.display());
    Ok(())
}

/// What a text is for.
#[derive(PartialEq)]
enum Part {
    Learn,
    Choose,
    Test,
}

impl Part {
    fn of(number: usize) -> Part {
        match number % 10 {
            4 => Part::Choose,
            9 => Part::Test,
            _ => Part::Learn,
        }
    }
}

/// The files of a folder in the order of their names, or twenty parts of one file.
fn texts(path: &Path) -> Result<Vec<String>> {
    if path.is_dir() {
        let files = flambeau_data::formats::folder::files(path, &["txt"])?;
        return files.iter().map(|path| Ok(read_text(path)?)).collect();
    }
    let text = read_text(path)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let parts = lines.chunks(lines.len().div_ceil(20).max(1));
    Ok(parts.map(|lines| lines.concat()).collect())
}

/// Texts one after the other, each behind the token that ends one.
struct Stream {
    ids: Vec<i64>,
    bytes: usize,
}

impl Stream {
    fn new(tokenizer: &Tokenizer, texts: &[&str]) -> Result<Stream> {
        let mut ids = Vec::new();
        for text in texts {
            ids.push(tokenizer.pad_id());
            ids.extend(tokenizer.encode(text, false)?);
        }
        let bytes = texts.iter().map(|text| text.len()).sum();
        Ok(Stream { ids, bytes })
    }

    /// Pieces of `length` tokens, and the tokens that come next: `[pieces, length]` each.
    fn pieces(&self, begins: impl Iterator<Item = usize>, length: usize) -> Result<(Tensor, Tensor)> {
        let (mut read, mut next) = (Vec::new(), Vec::new());
        let mut count = 0;
        for begin in begins {
            read.extend_from_slice(&self.ids[begin..begin + length]);
            next.extend_from_slice(&self.ids[begin + 1..begin + length + 1]);
            count += 1;
        }
        let shape = (count, length);
        Ok((Tensor::from_vec(read, shape)?, Tensor::from_vec(next, shape)?))
    }

    /// The mean loss of a token, of which each piece of `context` tokens is read by itself.
    fn loss(&self, model: &GPT2LMHeadModel, context: usize) -> Result<f64> {
        model.eval();
        let mut sum = 0.0;
        let last = self.ids.len() - 1;
        for begin in (0..last).step_by(context) {
            let length = context.min(last - begin);
            let (read, next) = self.pieces([begin].into_iter(), length)?;
            let scores = no_grad(|| model.forward(&Inputs::new(&read)))?.squeeze_dim(0)?;
            let loss = cross_entropy(&scores, &next.reshape(-1)?, &CrossEntropyOptions::default())?;
            sum += f64::from(loss.item::<f32>()?) * length as f64;
        }
        Ok(sum / last as f64)
    }
}

/// The weights in half precision, without the head, whose vectors are those of the tokens.
fn stored(model: &GPT2LMHeadModel) -> Result<StateDict> {
    let own = model
        .state_dict()
        .into_iter()
        .filter(|(name, _)| name != "lm_head.weight");
    let halves = own.map(|(name, tensor)| Ok((name, tensor.detach().to_dtype(DType::F16)?)));
    halves.collect()
}

/// The three files that Hugging Face's `from_pretrained` reads, too.
fn write(folder: &Path, config: &GPT2Config, tokenizer: &Tokenizer, weights: &StateDict) -> Result<()> {
    let place = || folder.display().to_string();
    std::fs::create_dir_all(folder).with_context(place)?;
    let mut described = serde_json::to_value(config)?;
    described["model_type"] = json!("gpt2");
    described["architectures"] = json!(["GPT2LMHeadModel"]);
    described["bos_token_id"] = json!(tokenizer.pad_id());
    described["eos_token_id"] = json!(tokenizer.pad_id());
    let text = serde_json::to_string_pretty(&described)? + "\n";
    std::fs::write(folder.join("config.json"), text).with_context(place)?;
    safetensors::save(folder.join("model.safetensors"), weights)?;
    Ok(tokenizer.save(folder.join("tokenizer.json"))?)
}
