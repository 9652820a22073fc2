//! Cases of the groups `models` and `state_dicts` that are about Hugging Face's language models (`hf.…`): outputs, texts
//! that are written, keys.

use flambeau_nn::{Module, init};
use flambeau_tensor::{DType, Error, Result, Tensor, bail, no_grad};
use flambeau_text::generation::{GenerationConfig, generate};
use flambeau_text::models::{self, GPT2LMHeadModel, Inputs, Pretrained, parse};
use safetensors::SafeTensors;
use serde_json::{Value as Json, json};

use super::compare::differs;
use super::file;
use super::models::{entry_line, fill, numbers, stored_part};

/// What the model of a file is called, without the size that lists of keys name.
fn model_of(stem: &str) -> Option<&str> {
    let name = stem.strip_prefix("hf.")?;
    let name = name
        .strip_suffix(".tiny")
        .or(name.strip_suffix(".base"))
        .unwrap_or(name);
    models::list()
        .map(|entry| entry.name)
        .find(|known| *known == name)
}

/// Whether a file is about a model that there is, and that fits a usual machine: the base configuration of LLaMA has 27 GB.
pub(super) fn knows(stem: &str) -> bool {
    if stem == "hf.LlamaForCausalLM.base" {
        return false;
    }
    stem.starts_with("hf.generate.GPT2.") || model_of(stem).is_some()
}

/// Whether a case is about a language model.
pub(super) fn is_about(json: &Json) -> bool {
    json["family"] == "hf"
}

/// Compares the outputs of a model in evaluation, or the text that it writes.
pub(super) fn check(json: &Json, tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    let name = json["model"].as_str().unwrap_or_default();
    if name.starts_with("generate.GPT2.") {
        return check_text(json, tensors);
    }
    let mut config = json["ctor"].clone();
    // The reference's classifiers have as many classes as they gave scores for.
    if let (true, Some(labels)) = (
        name.contains("Classification"),
        numbers(&json["outs"]["logits"]["shape"]).last(),
    ) {
        config["num_labels"] = json!(labels);
    }
    let mut model = init::skip(|| models::create(name, &config))?;
    model.to_dtype(DType::F64)?;
    fill(&model)?;
    model.eval();
    let id = &json["id"];
    let given = |i: usize| file::tensor(tensors, &format!("c{id}.in.{i}"));
    let (ids, mask) = (given(0)?, given(1)?);
    let inputs = Inputs {
        attention_mask: Some(&mask),
        ..Inputs::new(&ids)
    };
    let outputs = no_grad(|| model.outputs(&inputs))?;
    for (key, expected) in json["outs"].as_object().into_iter().flatten() {
        let Some((_, output)) = outputs.iter().find(|(name, _)| name == key) else {
            return Ok(Some(format!("no output {key}")));
        };
        if output.shape() != &numbers(&expected["shape"])[..] {
            let expected = &expected["shape"];
            return Ok(Some(format!("shape {:?}, expected {expected}", output.shape())));
        }
        let stored = stored_part(output, expected["stored"].as_str().unwrap_or("all"))?;
        let reference = file::tensor(tensors, &format!("c{id}.out.{key}"))?;
        let got = stored.to_dtype(reference.dtype())?;
        let tolerance = |name: &str, default| json[name].as_f64().unwrap_or(default);
        if let Some(why) = differs(
            key,
            &got,
            &reference,
            tolerance("rtol", 1e-3),
            tolerance("atol", 1e-6),
        ) {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Compares a text token by token.
fn check_text(json: &Json, tensors: &SafeTensors<'_>) -> Result<Option<String>> {
    let config = &json["ctor"];
    let mut model = init::skip(|| GPT2LMHeadModel::from_config(&parse(config)?))?;
    model.to_dtype(DType::F64)?;
    fill(&model)?;
    model.eval();
    let mut settings = config["generate"].clone();
    for name in ["eos_token_id", "pad_token_id"] {
        if settings.get(name).is_none() && !config[name].is_null() {
            settings[name] = config[name].clone();
        }
    }
    let settings: GenerationConfig =
        serde_json::from_value(settings).map_err(|error| Error::Format(format!("generate: {error}")))?;
    let id = &json["id"];
    let ids = file::tensor(tensors, &format!("c{id}.in.0"))?;
    let tokens = generate(&model, &ids, None, &settings)?;
    let expected = file::tensor(tensors, &format!("c{id}.out.tokens"))?;
    Ok(differs("tokens", &tokens, &expected, 0.0, 0.0))
}

/// The configuration of the small models whose keys are listed.
fn tiny(name: &str) -> Json {
    let mut config = match name {
        _ if name.starts_with("GPT2") => {
            json!({"vocab_size": 50, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 4})
        }
        _ if name.starts_with("XLNet") => {
            json!({"vocab_size": 50, "d_model": 16, "n_layer": 2, "n_head": 4, "d_inner": 32})
        }
        _ if name.starts_with("DistilBert") => json!({
            "vocab_size": 50, "max_position_embeddings": 40, "n_layers": 2, "n_heads": 4, "dim": 16, "hidden_dim": 32,
        }),
        _ => json!({
            "vocab_size": 50, "max_position_embeddings": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
            "hidden_size": 16, "intermediate_size": 32,
        }),
    };
    let more = match name {
        _ if name.starts_with("Albert") || name.starts_with("Electra") => json!({"embedding_size": 8}),
        _ if name.starts_with("Roberta") => json!({"type_vocab_size": 1}),
        _ if name.starts_with("Llama") => json!({"num_key_value_heads": 2}),
        _ if name.starts_with("DebertaV2") => json!({
            "relative_attention": true, "position_buckets": 8, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0,
        }),
        _ => json!({}),
    };
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    if name.contains("Classification") {
        config["num_labels"] = json!(3);
    }
    config
}

/// The keys, types and shapes of the state of a language model that a list `hf.….tiny` or `hf.….base` is about: lines
/// `key dtype d0,d1,…`.
///
/// # Errors
/// `Key` if there is no such model.
pub fn text_state_dict_list(stem: &str) -> Result<String> {
    let Some(name) = model_of(stem) else {
        bail!(Key, "{stem}: no such model");
    };
    let config = if stem.ends_with(".tiny") {
        tiny(name)
    } else if name.starts_with("Roberta") {
        // As the published base model, not as the configuration's default.
        json!({"type_vocab_size": 1, "max_position_embeddings": 514})
    } else {
        json!({})
    };
    let model = init::skip(|| models::create(name, &config))?;
    let entries = model.state_entries();
    Ok(entries
        .iter()
        .map(|(key, tensor): &(String, &Tensor)| entry_line(key, tensor))
        .collect())
}
