//! All models for texts: every parameter learns, what does not fit is an error that says what was expected, and weights
//! are found in folders as Hugging Face has them.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_nn::{Module, StateDict};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{Tensor, random};
use flambeau_text::models::{
    self, BertForSequenceClassification, BertModel, GPT2LMHeadModel, Inputs, Pretrained, TextModel,
};
use serde_json::{Value as Json, json};

/// A configuration of any family, as small as can be.
fn tiny(name: &str) -> Json {
    match name {
        _ if name.starts_with("GPT2") => {
            json!({"vocab_size": 50, "n_positions": 12, "n_embd": 16, "n_layer": 2, "n_head": 4, "pad_token_id": 0})
        }
        _ if name.starts_with("XLNet") => {
            json!({"vocab_size": 50, "d_model": 16, "n_layer": 2, "n_head": 4, "d_inner": 32})
        }
        _ if name.starts_with("DistilBert") => json!({
            "vocab_size": 50, "max_position_embeddings": 12, "n_layers": 2, "n_heads": 4, "dim": 16, "hidden_dim": 32,
        }),
        _ => json!({
            "vocab_size": 50, "max_position_embeddings": 12, "num_hidden_layers": 2, "num_attention_heads": 4,
            "hidden_size": 16, "intermediate_size": 32, "embedding_size": 8, "num_key_value_heads": 2,
            "relative_attention": true, "position_buckets": 4, "pos_att_type": "c2p|p2c", "conv_kernel_size": 3,
            "norm_rel_ebd": "layer_norm",
        }),
    }
}

fn create(name: &str) -> Box<dyn TextModel> {
    let mut config = tiny(name);
    if name.starts_with("DebertaV2") {
        config["type_vocab_size"] = json!(2);
    }
    models::create(name, &config).unwrap()
}

fn ids() -> Tensor {
    Tensor::new([[7i64, 3, 21, 44, 9], [2, 8, 8, 1, 0]]).unwrap()
}

/// Families without segments.
fn has_segments(name: &str) -> bool {
    !name.starts_with("DistilBert") && !name.starts_with("Llama")
}

#[test]
fn every_parameter_receives_a_gradient() {
    let ids = ids();
    let mask = Tensor::new([[1i64, 1, 1, 1, 1], [1, 1, 1, 1, 0]]).unwrap();
    let segments = Tensor::new([[0i64, 0, 1, 1, 1], [0, 1, 1, 1, 1]]).unwrap();
    let mut count = 0;
    for entry in models::list() {
        let model = random::fork(0, || create(entry.name));
        let inputs = Inputs {
            attention_mask: Some(&mask),
            token_type_ids: has_segments(entry.name).then_some(&segments),
            ..Inputs::new(&ids)
        };
        // Weights that do not cancel each other's gradients.
        let mut loss = Tensor::new(0.0f32).unwrap();
        for (_, output) in model.outputs(&inputs).unwrap() {
            let weights = random::fork(1, || Tensor::randn(output.shape(), output.dtype())).unwrap();
            loss = loss.add(&output.mul(&weights).unwrap().sum().unwrap()).unwrap();
        }
        loss.backward().unwrap();
        for (name, parameter) in model.named_parameters() {
            // XLNet's vector for tokens that are not known yet is for pretraining alone, as its documentation says.
            if name.ends_with("mask_emb") {
                continue;
            }
            let grad = parameter.grad();
            let grad = grad.unwrap_or_else(|| panic!("{}: {name} has no gradient", entry.name));
            let size = grad.abs().unwrap().sum().unwrap().item::<f32>().unwrap();
            // A bias of keys moves all scores of a query alike, which softmax does not see.
            if !name.ends_with("key.bias")
                && !name.ends_with("k_lin.bias")
                && !name.ends_with("pos_key_proj.bias")
            {
                assert!(size > 0.0, "{}: the gradient of {name} is zero", entry.name);
            }
        }
        count += 1;
    }
    assert_eq!(count, 40);
}

#[test]
fn what_does_not_fit_is_said() {
    for entry in models::list() {
        let model = create(entry.name);
        let message = |inputs: &Inputs<'_>| match model.outputs(inputs) {
            Ok(_) => panic!("{}: {inputs:?} was taken", entry.name),
            Err(error) => error.to_string(),
        };
        let flat = Tensor::new([1i64, 2]).unwrap();
        assert!(message(&Inputs::new(&flat)).contains("expected input_ids [batch, time], got [2]"));
        let floats = Tensor::new([[1.0f32, 2.0]]).unwrap();
        assert!(message(&Inputs::new(&floats)).contains("expected input_ids of integers, got float32"));
        let none = Tensor::from_vec(Vec::<i64>::new(), (1, 0)).unwrap();
        assert!(message(&Inputs::new(&none)).contains("expected at least one token"));
        let outside = Tensor::new([[1i64, 50]]).unwrap();
        assert!(message(&Inputs::new(&outside)).contains("50"), "{}", entry.name);
        if !entry.name.starts_with("XLNet") {
            let long = Tensor::from_vec(vec![5i64; 13], (1, 13)).unwrap();
            assert!(message(&Inputs::new(&long)).contains("13 tokens are more than the model's"));
        }
        let ids = ids();
        let mask = Tensor::new([[1i64, 1]]).unwrap();
        let inputs = Inputs {
            attention_mask: Some(&mask),
            ..Inputs::new(&ids)
        };
        assert!(message(&inputs).contains("expected attention_mask [2, 5], as the ids are, got [1, 2]"));
    }
}

#[test]
fn configurations_that_make_no_model_are_refused() {
    let message = |name: &str, config: Json| match models::create(name, &config) {
        Ok(_) => panic!("{name}: {config} was taken"),
        Err(error) => error.to_string(),
    };
    assert!(message("BertModel", json!({"hidden_size": 10})).contains("12 heads and 10 features"));
    assert!(message("BertModel", json!({"hidden_size": "many"})).starts_with("configuration: invalid type"));
    assert!(message("BertModel", json!({"hidden_act": "magic"})).contains("unknown variant `magic`"));
    assert!(message("BertModel", json!([1])).starts_with("configuration: "));
    assert!(
        message("GPT2Model", json!({"n_layer": 1_000_000_000u64, "n_embd": 12}))
            .contains("at most 10000 layers")
    );
    let spans = json!({"num_labels": 3, "vocab_size": 9, "hidden_size": 12, "num_hidden_layers": 1, "intermediate_size": 4});
    let model = models::create("BertForQuestionAnswering", &spans).unwrap();
    let ids = Tensor::new([[1i64, 2]]).unwrap();
    let error = model.outputs(&Inputs::new(&ids)).unwrap_err().to_string();
    assert_eq!(
        error,
        "BertForQuestionAnswering: spans need two labels, the configuration has Some(3)"
    );
    assert!(message("Bert", json!({})).contains("no model for texts is called Bert"));
    assert!(message("LlamaModel", json!({"rope_scaling": {"rope_type": "yarn"}})).contains("rope_type yarn"));
    assert!(message("XLNetModel", json!({"bi_data": true})).contains("bi_data"));
}

/// A folder as Hugging Face has it.
fn folder(config: &Json, weights: &StateDict) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    safetensors::save(folder.path().join("model.safetensors"), weights).unwrap();
    folder
}

fn hidden<M: TextModel>(model: &M) -> Vec<f32> {
    let outputs = model.outputs(&Inputs::new(&ids())).unwrap();
    outputs[0].1.to_vec::<f32>().unwrap()
}

#[test]
fn weights_are_found_under_other_names() {
    let config = tiny("BertModel");
    let model = BertModel::from_config(&models::parse(&config).unwrap()).unwrap();
    model.eval();
    let expected = hidden(&model);
    // As the encoder's own, as those of a model with a head, and under the names of TensorFlow's time.
    let own = model.state_dict();
    let of_a_head: StateDict = own
        .iter()
        .map(|(name, t)| (format!("bert.{name}"), t.clone()))
        .collect();
    let old = |name: &str| match name.contains("LayerNorm") {
        true => name.replace(".weight", ".gamma").replace(".bias", ".beta"),
        false => name.to_string(),
    };
    let of_old: StateDict = own.iter().map(|(name, t)| (old(name), t.clone())).collect();
    for weights in [&own, &of_a_head, &of_old] {
        let folder = folder(&config, weights);
        let (read, report) = BertModel::from_pretrained(folder.path()).unwrap();
        assert_eq!(hidden(&read), expected);
        assert!(report.missing.is_empty() && report.unexpected.is_empty());
    }
    // A head that is not there is missed by name; what is in excess is reported.
    let folder = folder(&config, &own);
    let error = BertForSequenceClassification::from_pretrained(folder.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the weights lack 2 of 41 tensors, such as classifier.weight")
    );
}

#[test]
fn shared_weights_need_be_given_once() {
    let config = tiny("GPT2LMHeadModel");
    let model = GPT2LMHeadModel::from_config(&models::parse(&config).unwrap()).unwrap();
    model.eval();
    // Published files have no prefix, no head, and buffers that models have no more.
    let mut weights: StateDict = model
        .state_dict()
        .into_iter()
        .filter(|(name, _)| name != "lm_head.weight")
        .map(|(name, tensor)| (name.replace("transformer.", ""), tensor))
        .collect();
    weights.insert("h.0.attn.bias".to_string(), Tensor::new([1.0f32]).unwrap());
    let folder = folder(&config, &weights);
    let (read, report) = GPT2LMHeadModel::from_pretrained(folder.path()).unwrap();
    assert_eq!(hidden(&read), hidden(&model));
    assert_eq!(report.unexpected, ["h.0.attn.bias"]);
}

#[test]
fn folders_that_are_wrong_are_named() {
    let config = tiny("BertModel");
    let model = BertModel::from_config(&models::parse(&config).unwrap()).unwrap();
    let message = |folder: &std::path::Path| BertModel::from_pretrained(folder).unwrap_err().to_string();
    let empty = tempfile::tempdir().unwrap();
    assert!(message(empty.path()).contains("config.json"));
    std::fs::write(empty.path().join("config.json"), "{").unwrap();
    assert!(message(empty.path()).contains("config.json: EOF"));
    let mut larger = config.clone();
    larger["hidden_size"] = json!(32);
    let other = folder(&larger, &model.state_dict());
    assert!(message(other.path()).contains("shapes differ for"));
}
