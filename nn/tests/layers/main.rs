//! What holds for every layer: its parameters get gradients, its state goes through a file, it prints as in PyTorch
//! (`golden/make_layers.py` made the texts), and it says what it expected of a wrong input.

#![allow(clippy::unwrap_used)]

mod losses;
mod sequences;
mod spatial;
mod table;
mod vectors;

use std::collections::{BTreeMap, BTreeSet};

use flambeau_autograd::Backward;
use flambeau_nn::{StateDict, Tensor, summarize};
use flambeau_tensor::io::safetensors;
use table::{Case, Probe};

fn cases() -> Vec<Case> {
    [
        vectors::cases(),
        spatial::cases(),
        sequences::cases(),
        losses::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// PyTorch's classes that have no counterpart.
const ABSENT: [(&str, &str); 12] = [
    ("Container", "removed long ago"),
    ("CrossMapLRN2d", "LocalResponseNorm computes it"),
    ("DataParallel", "there is one device"),
    ("Module", "a trait"),
    ("ModuleDict", "maps are fields"),
    ("ModuleList", "vectors are fields"),
    ("NLLLoss2d", "an old name of NLLLoss"),
    ("ParameterDict", "maps are fields"),
    ("ParameterList", "vectors are fields"),
    ("RNNBase", "what RNN, LSTM and GRU have in common"),
    ("RNNCellBase", "what their cells have in common"),
    ("SyncBatchNorm", "there are no devices to synchronise"),
];

struct Golden {
    classes: Vec<String>,
    text: BTreeMap<String, String>,
}

fn golden() -> Golden {
    let json: serde_json::Value = serde_json::from_str(include_str!("../golden/layers.json")).unwrap();
    let text = json["text"].as_object().unwrap().iter();
    Golden {
        classes: serde_json::from_value(json["classes"].clone()).unwrap(),
        text: text
            .map(|(name, text)| (name.clone(), text.as_str().unwrap().to_string()))
            .collect(),
    }
}

/// Names of the structs that derive `Module` in the sources of layers.
fn structs() -> BTreeSet<String> {
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/layers")];
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let mut derived = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[derive(") {
                    derived = line.contains("Module");
                } else if let Some(rest) = line.strip_prefix("pub struct ")
                    && derived
                {
                    let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                    names.insert(name);
                    derived = false;
                }
            }
        }
    }
    // Those that macros define have their names elsewhere.
    names.remove("");
    names
}

#[test]
fn the_table_covers_every_layer() {
    let golden = golden();
    let names: BTreeSet<&str> = cases().iter().map(|case| case.name).collect();
    let texts: BTreeSet<&str> = golden.text.keys().map(String::as_str).collect();
    assert_eq!(names, texts, "cases and texts differ");
    let class = |name: &str| name.split('.').next().unwrap().to_string();
    let covered: BTreeSet<String> = names.iter().map(|name| class(name)).collect();
    let absent: BTreeSet<&str> = ABSENT.iter().map(|(name, _)| *name).collect();
    let missing: Vec<&String> = golden
        .classes
        .iter()
        .filter(|class| !covered.contains(*class) && !absent.contains(class.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "PyTorch's classes without a case: {missing:?}"
    );
    assert!(absent.iter().all(|name| !covered.contains(*name)));
    let ours: Vec<String> = structs()
        .into_iter()
        .filter(|name| !covered.contains(name))
        .collect();
    assert!(ours.is_empty(), "layers without a case: {ours:?}");
}

#[test]
fn layers_print_as_in_pytorch() {
    let golden = golden();
    let mut wrong = Vec::new();
    for case in cases() {
        // PyTorch's attention has a linear layer of its own, which is not to be quantised by hand.
        let expected = golden.text[case.name].replace("NonDynamicallyQuantizableLinear", "Linear");
        let got = (case.build)().unwrap().module().repr();
        if got != expected {
            wrong.push(format!("{}:\n{got}\nexpected\n{expected}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn loss_of(outputs: &[Tensor]) -> Tensor {
    let mut loss = Tensor::scalar(0f32);
    for output in outputs.iter().filter(|output| output.dtype().is_float()) {
        loss = loss.add(&output.square().unwrap().sum().unwrap()).unwrap();
    }
    loss
}

fn run(case: &Case, probe: &dyn Probe) -> Vec<Tensor> {
    probe
        .run()
        .unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

#[test]
fn every_parameter_gets_a_gradient() {
    for case in cases() {
        let probe = (case.build)().unwrap();
        run(&case, &*probe);
        let parameters = probe.module().named_parameters();
        if parameters.is_empty() {
            continue;
        }
        loss_of(&run(&case, &*probe)).backward().unwrap();
        for (name, parameter) in parameters {
            let grad = parameter
                .grad()
                .unwrap_or_else(|| panic!("{}: {name} gets no gradient", case.name));
            let grad = grad.to_vec_f64().unwrap();
            assert!(
                grad.iter().all(|x| x.is_finite()),
                "{}: {name}: {grad:?}",
                case.name
            );
        }
    }
}

#[test]
fn states_go_through_a_file() {
    let path = std::env::temp_dir().join(format!("flambeau-layers-{}.safetensors", std::process::id()));
    for case in cases() {
        let (one, other) = ((case.build)().unwrap(), (case.build)().unwrap());
        // Lazy layers have a state once they have seen an input; running statistics differ afterwards.
        run(&case, &*one);
        run(&case, &*other);
        let state = one.module().state_dict();
        safetensors::save(&path, &state).unwrap();
        let read: StateDict = safetensors::load(&path).unwrap();
        assert_eq!(state.keys().collect::<Vec<_>>(), read.keys().collect::<Vec<_>>());
        let report = other.module().load_state_dict(&read, true).unwrap();
        assert_eq!(report, Default::default(), "{}", case.name);
        for (name, tensor) in other.module().state_dict() {
            assert!(tensor.equal(&state[&name]).unwrap(), "{}: {name}", case.name);
        }
        one.module().eval();
        other.module().eval();
        for (a, b) in run(&case, &*one).iter().zip(&run(&case, &*other)) {
            assert!(a.equal(b).unwrap(), "{}: outputs differ", case.name);
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn wrong_inputs_are_errors_that_say_what_was_expected() {
    let mut silent = Vec::new();
    for case in cases() {
        let probe = (case.build)().unwrap();
        match (probe.wrong(), case.says) {
            (None, "") => {}
            (Some(Err(error)), says) if !says.is_empty() && error.to_string().contains(says) => {}
            (got, says) => {
                let got =
                    got.map(|result| result.map_or_else(|error| error.to_string(), |_| "no error".into()));
                silent.push(format!("{}: {got:?}, expected {says:?}", case.name));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn every_layer_is_seen_by_hooks_and_summaries() {
    for case in cases() {
        let probe = (case.build)().unwrap();
        // A lazy layer becomes another one with its first input.
        run(&case, &*probe);
        let summary = summarize(probe.module(), || probe.run()).unwrap();
        assert_eq!(summary.rows[0].calls, 1, "{}", case.name);
        assert!(!summary.rows[0].output_shapes.is_empty(), "{}", case.name);
    }
}
