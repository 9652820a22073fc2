//! The examples, run as programs are: without arguments, to learn, and with what is wrong, which is one line and exit code 1.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use flambeau_nn::{Module, StateDict};
use flambeau_tensor::io::npz::{self, Compression};
use flambeau_tensor::io::safetensors;
use flambeau_tensor::{Tensor, random};
use flambeau_text::classifiers::TextClassifier;
use flambeau_text::language::moby_dick;
use flambeau_text::models::{BertModel, Pretrained, parse};
use serde_json::{Value as Json, json};

fn run(example: &str, folder: &Path, args: &[&str]) -> Output {
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push(format!("examples/{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing: `cargo test -p flambeau-text` builds it, and so does `cargo build --examples`",
        program.display()
    );
    Command::new(program)
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap()
}

/// What a program that succeeds says.
fn said(example: &str, folder: &Path, args: &[&str]) -> String {
    let output = run(example, folder, args);
    assert!(output.status.success(), "{example} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line of a program that refuses what it got.
fn refused(example: &str, folder: &Path, args: &[&str], expected: &str) {
    let output = run(example, folder, args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{example} {args:?}: {error}");
    assert!(
        error.starts_with("error: ") && error.lines().count() == 1,
        "{example} {args:?}: {error}"
    );
    assert!(
        error.contains(expected),
        "{example} {args:?}: {error}expected: {expected}"
    );
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

/// The weights with one value of a tensor replaced by NaN.
fn with_nan(weights: &StateDict, key: &str) -> StateDict {
    let mut weights = weights.clone();
    let mut values = weights[key].to_vec::<f32>().unwrap();
    values[0] = f32::NAN;
    let spoilt = Tensor::from_vec(values, weights[key].shape()).unwrap();
    weights.insert(key.to_string(), spoilt);
    weights
}

const PARTS: [&str; 9] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "happy", "person", "dog", "day",
];

/// A folder with a BERT as small as can be.
fn bert(folder: &Path) -> StateDict {
    let config = json!({
        "vocab_size": PARTS.len(), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 32, "max_position_embeddings": 12,
    });
    let model = random::fork(0, || BertModel::from_config(&parse(&config).unwrap())).unwrap();
    write(folder, "config.json", config.to_string());
    write(folder, "vocab.txt", PARTS.join("\n"));
    let weights = model.state_dict();
    safetensors::save(folder.join("model.safetensors"), &weights).unwrap();
    weights
}

/// A copy of the bundled GPT-2.
fn gpt2(folder: &Path) {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/moby_dick");
    fs::create_dir_all(folder).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(bundled.join(name), folder.join(name)).unwrap();
    }
}

/// A text of `lines` lines that are not all alike.
fn prose(lines: usize) -> String {
    let words = ["the", "captain", "saw", "a", "white", "whale", "and", "ship"];
    let line = |i: usize| {
        (0..8)
            .map(|j| words[(i * (j + 3) + j * j) % 8])
            .collect::<Vec<_>>()
    };
    (0..lines).map(|i| line(i).join(" ") + ".\n").collect()
}

#[test]
fn programs_work_without_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let emails = said("sentiment", folder.path(), &[]);
    let classes: Vec<&str> = emails
        .lines()
        .filter_map(|line| line.split("% ").nth(1)?.split(':').next())
        .collect();
    assert_eq!(classes, ["ham", "spam"], "{emails}");
    let words = said("pronounce", folder.path(), &[]);
    assert!(
        words.starts_with("tensor: T EH1 N S ER0\nautograd: AO1 T AH0 G R AE2 D\n"),
        "{words}"
    );
    let story = said("generate", folder.path(), &[]);
    assert!(story.starts_with("The white whale"), "{story}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is written"
    );
}

#[test]
fn programs_say_what_they_take() {
    let folder = tempfile::tempdir().unwrap();
    for (example, arguments) in [
        ("embed", "--model <FOLDER>"),
        ("generate", "--top-p <TOP_P>"),
        ("language_model", "--data <FILE>"),
        ("pronounce", "--weights <NPZ>"),
        ("sentiment", "train"),
    ] {
        let help = said(example, folder.path(), &["--help"]);
        assert!(help.contains(arguments), "{example}: {help}");
        let output = run(example, folder.path(), &["--nonsense"]);
        assert_eq!(output.status.code(), Some(2));
    }
    // A model is no argument that could be guessed.
    let output = run("embed", folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("--model <FOLDER>")
    );
}

#[test]
fn sentences_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let weights = bert(&folder.path().join("bert"));
    let sentences = ["a happy person", "a happy person", "a day"];
    let args = [&sentences[..], &["--model", "bert"]].concat();
    let cosines = said("embed", folder.path(), &args);
    assert!(
        cosines.starts_with("1.00000 a happy person\n") && cosines.ends_with(" a day\n"),
        "{cosines}"
    );
    let json: Json =
        serde_json::from_str(&said("embed", folder.path(), &[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!(json["sentences"], json!(sentences));

    let no = |args: &[&str], expected: &str| {
        let args = [&["a dog", "a day", "--model"], args].concat();
        refused("embed", folder.path(), &args, expected);
    };
    no(&["nowhere"], "nowhere/config.json: ");
    no(
        &["bert", "--max-length", "2"],
        "sentences of at most 2 tokens, two of which are special",
    );
    let long = "a happy dog ".repeat(10);
    refused(
        "embed",
        folder.path(),
        &[&long, "a day", "--model", "bert"],
        "32 tokens are more than the model's 12 positions",
    );
    // An empty sentence has its two special tokens.
    said("embed", folder.path(), &["", "a day", "--model", "bert"]);
    for (name, text, expected) in [
        ("config.json", &b""[..], "bert/config.json: EOF"),
        ("config.json", b"\xff\xfe", "bert/config.json: not UTF-8"),
        ("config.json", b"[1]", "bert"),
        ("vocab.txt", b"a\nday\n", "bert/vocab.txt: no token [SEP]"),
        ("vocab.txt", b"", "bert/vocab.txt: no token [SEP]"),
        ("tokenizer.json", b"{}", "bert/tokenizer.json: "),
        ("model.safetensors", b"", "bert/model.safetensors: "),
        ("model.safetensors", b"this is text", "bert/model.safetensors: "),
    ] {
        bert(&folder.path().join("bert"));
        fs::remove_file(folder.path().join("bert/tokenizer.json")).ok();
        write(folder.path(), &format!("bert/{name}"), text);
        no(&["bert"], expected);
    }
    fs::remove_file(folder.path().join("bert/tokenizer.json")).ok();
    let file = folder.path().join("bert/model.safetensors");
    let key = "encoder.layer.1.attention.self.value.weight";
    safetensors::save(&file, &with_nan(&weights, key)).unwrap();
    no(
        &["bert"],
        &format!("bert: BertModel: {key} has values that are not finite"),
    );
    let mut other = weights.clone();
    other.insert(key.to_string(), Tensor::new([[1.0f32]]).unwrap());
    safetensors::save(&file, &other).unwrap();
    no(&["bert"], &format!("shapes differ for {key}"));
    other.remove(key);
    safetensors::save(&file, &other).unwrap();
    no(
        &["bert"],
        &format!("the weights lack 1 of 39 tensors, such as {key}"),
    );
}

#[test]
fn texts_are_continued() {
    let folder = tempfile::tempdir().unwrap();
    gpt2(&folder.path().join("gpt2"));
    let drawn = |seed: &str| {
        let args = ["Call me", "--seed", seed, "--tokens", "20", "--model", "gpt2"];
        said("generate", folder.path(), &args)
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    for args in [&["--greedy"][..], &["--beams", "3"]] {
        let args = [&["Call me", "--tokens", "10"], args].concat();
        assert!(said("generate", folder.path(), &args).starts_with("Call me"));
    }

    let no = |args: &[&str], expected: &str| refused("generate", folder.path(), args, expected);
    no(&[""], "the text needs a beginning of at least one letter");
    no(
        &[&"whale ".repeat(300)],
        " tokens are more than the model's 256 positions",
    );
    no(
        &["--tokens", "1000"],
        " tokens are more than the model's 256 positions",
    );
    no(&["--tokens", "0"], "but its beginning has");
    no(
        &["--temperature", "0"],
        "expected a positive temperature and repetition penalty, got 0 and 1",
    );
    no(&["--temperature", "NaN"], "expected a positive temperature");
    no(&["--top-p", "1.5"], "expected top_p from 0 to 1, got 1.5");
    no(&["--beams", "0"], "expected at least one beam");
    no(&["--model", "nowhere"], "nowhere: no tokenizer.json");
    // Weights of another size, broken ones, and a tokeniser of another model.
    let (model, _) = moby_dick().unwrap();
    let file = folder.path().join("gpt2/model.safetensors");
    let mut weights = model.state_dict();
    weights.remove("lm_head.weight");
    safetensors::save(&file, &with_nan(&weights, "transformer.ln_f.bias")).unwrap();
    no(
        &["--model", "gpt2"],
        "gpt2: GPT2LMHeadModel: transformer.ln_f.bias has values that are not finite",
    );
    weights.insert(
        "transformer.ln_f.bias".to_string(),
        Tensor::new([1.0f32]).unwrap(),
    );
    safetensors::save(&file, &weights).unwrap();
    no(&["--model", "gpt2"], "shapes differ for transformer.ln_f.bias");
    gpt2(&folder.path().join("gpt2"));
    write(folder.path(), "gpt2/config.json", r#"{"n_layer": "many"}"#);
    no(&["--model", "gpt2"], "gpt2: configuration: invalid type");
    gpt2(&folder.path().join("gpt2"));
    let small = r#"{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"whale": 5000}, "unk_token": "whale"}}"#;
    write(folder.path(), "gpt2/tokenizer.json", small);
    no(&["whale", "--model", "gpt2"], "5000");
}

#[test]
fn a_book_is_learnt() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "book.txt", prose(400));
    let small = [
        "--epochs",
        "3",
        "--context",
        "32",
        "--vocabulary",
        "300",
        "--features",
        "32",
        "--layers",
        "1",
        "--dropout",
        "0",
    ];
    let train = |out: &str| {
        let args = [&["train", "--data", "book.txt", "--out", out], &small[..]].concat();
        said("generate", folder.path(), &args)
    };
    let log = train("one");
    assert!(log.starts_with("20 texts: "), "{log}");
    let perplexity = |begins: &str| -> f64 {
        let line = log.lines().find(|line| line.starts_with(begins)).unwrap();
        let number = line.split("perplexity ").nth(1).unwrap();
        number.split([';', ',']).next().unwrap().parse().unwrap()
    };
    // Eight words of one letter of entropy each would have a perplexity of 8 or so; 300 tokens without any knowledge 300.
    assert!(perplexity("epoch 3") < perplexity("epoch 1"), "{log}");
    assert!(perplexity("test, weights of epoch 3") < 60.0, "{log}");
    let story = said(
        "generate",
        folder.path(),
        &["the captain", "--model", "one", "--tokens", "20"],
    );
    assert!(story.starts_with("the captain "), "{story}");
    // The same seed makes the same weights.
    train("two");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let read = |run: &str| fs::read(folder.path().join(run).join(name)).unwrap();
        assert!(read("one") == read("two"), "{name}");
    }

    let no = |args: &[&str], expected: &str| {
        let args = [&["train", "--data"], args].concat();
        refused("generate", folder.path(), &args, expected);
    };
    no(&["nowhere.txt"], "nowhere.txt: ");
    write(folder.path(), "empty.txt", "");
    no(&["empty.txt"], "empty.txt: 0 texts are too few");
    write(folder.path(), "latin1.txt", b"na\xefve\n");
    no(&["latin1.txt"], "latin1.txt: not UTF-8");
    write(folder.path(), "short.txt", prose(20));
    no(&["short.txt"], "short.txt: ");
    fs::create_dir(folder.path().join("nothing")).unwrap();
    no(&["nothing"], "nothing: 0 texts are too few");
    // A file of a tebibyte, of which the disk has nothing, is not read.
    let huge = fs::File::create(folder.path().join("huge.txt")).unwrap();
    huge.set_len(1 << 40).unwrap();
    no(&["huge.txt"], "huge.txt: longer than 1073741824 bytes");
    no(
        &["book.txt", "--vocabulary", "100"],
        "expected at least 257 tokens",
    );
    no(&["book.txt", "--heads", "3"], "3 heads and 128 features");
    no(&["book.txt", "--epochs", "0"], "expected at least one epoch");
    no(&["book.txt", "--dropout", "1.5"], "1.5");
    no(&["book.txt", "--lr=-1", "--context", "16", "--layers", "1"], "-1");
}

#[test]
fn letters_and_words_are_learnt() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "book.txt", prose(60));
    let small = [
        "--data", "book.txt", "--epochs", "2", "--hidden", "16", "--tokens", "12",
    ];
    let learnt = |args: &[&str]| said("language_model", folder.path(), &[&small[..], args].concat());
    let letters = learnt(&["--steps", "16"]);
    assert!(
        letters.contains("epoch 2: loss ") && letters.contains("\nthe "),
        "{letters}"
    );
    let words = learnt(&["--steps", "4", "--words", "--prompt", "the white"]);
    assert!(words.lines().last().unwrap().starts_with("the white "), "{words}");

    // Of the text that the program has, without learning it.
    let no = |args: &[&str], expected: &str| {
        let args = [&["--epochs", "0"], args].concat();
        refused("language_model", folder.path(), &args, expected);
    };
    no(&["--data", "nowhere.txt"], "nowhere.txt: ");
    write(folder.path(), "empty.txt", "");
    no(&["--data", "empty.txt", "--prompt", ""], "the prompt is empty");
    no(
        &["--data", "empty.txt", "--words"],
        "empty.txt: a text of 0 tokens is too short for 16 parts of 64 tokens",
    );
    write(folder.path(), "latin1.txt", b"na\xefve\n");
    no(&["--data", "latin1.txt"], "latin1.txt: not UTF-8");
    no(&["--data", "."], ".: not a regular file");
    no(&["--steps", "1000000"], "ARCHITECTURE.md: a text of ");
    no(&["--batch-size", "0"], "is too short for 0 parts of 64 tokens");
    no(&["--hidden", "0"], "");
    no(
        &["--prompt", "Ümlaut"],
        "the prompt has letters that ARCHITECTURE.md has not",
    );
    no(&["--temperature", "0"], "expected a positive temperature");
    no(&["--tokens", "0"], "but its beginning has");
}

#[test]
fn classes_are_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let line = |i: usize| match i.is_multiple_of(3) {
        true => json!({"subject": "offer", "text": "free money here", "label": "spam"}),
        false => json!({"subject": "meeting", "text": "see you on monday", "label": "ham"}),
    };
    let lines: String = (0..60).map(|i| format!("{}\n", line(i))).collect();
    write(folder.path(), "mails.jsonl", lines);
    let small = ["--batch-size", "4", "--embedding", "8", "--hidden", "8", "--test"];
    let train = [&["train", "--data", "mails.jsonl"], &small[..]].concat();
    let log = said("sentiment", folder.path(), &train);
    assert!(
        log.starts_with("42 texts to learn from, 6 to choose by, 12 held out"),
        "{log}"
    );
    assert!(log.contains("held out: 100.00% of 12 texts are right"), "{log}");
    let args = ["predict", "--model", "classifier", "--json", "free money", ""];
    let answers: Json = serde_json::from_str(&said("sentiment", folder.path(), &args)).unwrap();
    assert_eq!(answers[0][0]["class"], "spam");
    assert_eq!(
        answers.as_array().unwrap().len(),
        2,
        "an empty text has an answer"
    );

    let no = |args: &[&str], expected: &str| refused("sentiment", folder.path(), args, expected);
    no(&["train", "--data", "nowhere.jsonl"], "nowhere.jsonl: ");
    write(folder.path(), "empty.jsonl", "");
    no(
        &["train", "--data", "empty.jsonl"],
        "empty.jsonl: 0 texts in batches of 32",
    );
    for (text, expected) in [
        (
            &b"{\"subject\": 1}\n"[..],
            "bad.jsonl: row 1: expected a text subject",
        ),
        (
            b"{\"subject\": \"\", \"text\": \"\", \"label\": \"egg\"}\n",
            "class \"egg\" is none of ham, spam",
        ),
        (b"no JSON\n", "bad.jsonl: "),
        (b"\xff\xfe\n", "bad.jsonl: "),
    ] {
        write(folder.path(), "bad.jsonl", text);
        no(&["train", "--data", "bad.jsonl"], expected);
    }
    no(&["train", "--data", "mails.jsonl", "--hidden", "0"], "");
    no(
        &["train", "--data", "mails.jsonl", "--out", "nowhere/classifier"],
        "nowhere/classifier.json: ",
    );
    no(&["predict", "--model", "nowhere", "a"], "nowhere.json: ");
    // Weights with NaN, of another size, and a description of something else.
    let classifier = TextClassifier::load(folder.path().join("classifier")).unwrap();
    let weights = classifier.model.state_dict();
    let file = folder.path().join("classifier.safetensors");
    safetensors::save(&file, &with_nan(&weights, "fc.bias")).unwrap();
    no(
        &["predict", "--model", "classifier", "a"],
        "classifier.json: LSTMClassifier: fc.bias has values that are not finite",
    );
    let mut other = weights.clone();
    other.insert("fc.bias".to_string(), Tensor::new([1.0f32]).unwrap());
    safetensors::save(&file, &other).unwrap();
    no(&["predict", "--model", "classifier", "a"], "fc.bias");
    write(folder.path(), "classifier.safetensors", "");
    no(
        &["predict", "--model", "classifier", "a"],
        "classifier.safetensors: ",
    );
    safetensors::save(&file, &weights).unwrap();
    write(folder.path(), "classifier.json", "{}");
    no(
        &["predict", "--model", "classifier", "a"],
        "no description of a classifier: missing field",
    );
}

#[test]
fn words_are_pronounced() {
    let folder = tempfile::tempdir().unwrap();
    let no = |args: &[&str], expected: &str| refused("pronounce", folder.path(), args, expected);
    no(&[""], "g2p: expected a word of 1 to 64 letters, got 0");
    no(
        &[&"a".repeat(65)],
        "g2p: expected a word of 1 to 64 letters, got 65",
    );
    no(&["--weights", "nowhere.npz"], "nowhere.npz: ");
    write(folder.path(), "text.npz", "this is text");
    no(&["--weights", "text.npz"], "text.npz: ");
    write(folder.path(), "empty.npz", "");
    no(&["--weights", "empty.npz"], "empty.npz: ");
    let save = |table: Tensor| {
        npz::write(
            folder.path().join("few.npz"),
            [("enc_emb", &table)],
            Compression::Stored,
        )
        .unwrap()
    };
    save(Tensor::new([[1.0f32, 2.0]]).unwrap());
    no(
        &["--weights", "few.npz"],
        "few.npz: g2p: enc_emb is [1, 2], expected [29, 2]",
    );
    save(Tensor::new([1.0f32]).unwrap());
    no(&["--weights", "few.npz"], "few.npz: g2p: no table enc_emb");
}
