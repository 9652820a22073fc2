//! The example `inspect`, run as a program is.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../examples/inspect.rs"]
mod inspect;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flambeau_hub::{Value, load, pt};
use flambeau_tensor::Tensor;

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    path.to_str().unwrap().to_string()
}

/// A path in the folder of temporary files that no other process has.
fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("flambeau-inspect-{}-{name}", std::process::id()))
}

/// The exit code, stdout and stderr.
fn run(args: &[&str]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("inspect")
        .chain(args.iter().copied())
        .map(Into::into);
    let code = inspect::run(args, &mut out, &mut err);
    (
        code,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

#[test]
fn a_table_for_people() {
    let path = temporary("table.pt");
    let nan = Tensor::from_vec(vec![f32::NAN, 0.0, -1.5, 1e-7], 4usize).unwrap();
    let value: Value = [
        (
            "layer.weight",
            Value::from(Tensor::from_vec(vec![-0.25f32, 0.5, 0.75, 1.0], [2, 2]).unwrap()),
        ),
        (
            "steps",
            Tensor::from_vec(vec![1_234_567i64], [1usize; 0]).unwrap().into(),
        ),
        ("a\u{1b}[31mb", nan.into()),
        ("lr", 0.001.into()),
        ("betas", Value::Tuple(vec![0.9.into(), 0.999.into()])),
    ]
    .into_iter()
    .collect();
    pt::save(&path, &value).unwrap();
    let (code, out, err) = run(&[path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
    let expected = format!(
        "\
{}: PyTorch

NAME          SHAPE   TYPE         MIN      MAX     MEAN     STD  ZEROS  NaN
layer.weight  [2, 2]  float32  -0.2500        1   0.5000  0.5401      0    0
steps         []      int64    1234567  1234567  1234567       -      0    0
a\\u{{1b}}[31mb  [4]     float32  -1.5000  1.00e-7  -0.5000  0.8660      1    1

Other values
  lr     0.001
  betas  (0.9, 0.999)

3 tensors (2 of float32, 1 of int64), 9 elements, 40 bytes in memory; 1 NaN
",
        path.display()
    );
    assert_eq!(out, expected);
}

#[test]
fn json_for_programs() {
    let (code, out, _) = run(&[&golden("quants.gguf"), "--json"]);
    assert_eq!(code, ExitCode::SUCCESS);
    let all: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(all["format"], "GGUF");
    assert_eq!(all["metadata"]["general.name"], "every kind");
    assert_eq!(all["tensors"][0]["name"], "float32");
    assert_eq!(all["tensors"][0]["shape"], serde_json::json!([2, 3]));
    assert_eq!(
        (&all["tensors"][0]["min"], &all["tensors"][0]["max"]),
        (&(-2.0).into(), &3.0.into())
    );
    assert_eq!(all["tensors"][8]["dtype"], "Q4_0");
    assert_eq!(all["total"]["tensors"], 19);
}

#[test]
fn formats_are_converted() {
    let (target, back) = (temporary("converted.safetensors"), temporary("back.pt"));
    let (code, out, err) = run(&[
        &golden("training_zip.pt"),
        "--weights",
        "--convert",
        target.to_str().unwrap(),
    ]);
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
    assert!(
        out.ends_with(&format!("written to {}\n", target.display())),
        "{out}"
    );
    let (code, ..) = run(&[target.to_str().unwrap(), "--convert", back.to_str().unwrap()]);
    assert_eq!(code, ExitCode::SUCCESS);
    let original = load(golden("training_zip.pt")).unwrap().state_dict().unwrap();
    let converted = load(&back).unwrap().state_dict().unwrap();
    assert_eq!(original.len(), 7);
    assert!(original.keys().eq(converted.keys()));
    for (name, tensor) in &original {
        assert_eq!(
            tensor.to_vec_f64().unwrap(),
            converted[name].to_vec_f64().unwrap(),
            "{name}"
        );
    }

    let (_, out, _) = run(&[&golden("training_zip.pt"), "--convert", target.to_str().unwrap()]);
    assert!(out.contains("(without the "), "{out}");
    std::fs::remove_file(target).unwrap();
    std::fs::remove_file(back).unwrap();
}

#[test]
fn errors_are_one_line() {
    for (args, code, part) in [
        (vec![golden("missing.pt")], 1, "missing.pt"),
        (vec![golden("class.pt")], 1, "class.pt: data.pkl"),
        (
            vec![
                golden("views_zip.pt"),
                "--convert".to_string(),
                "x.txt".to_string(),
            ],
            1,
            "x.txt: expected a name",
        ),
    ] {
        let (got, _, err) = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(got, ExitCode::from(code));
        assert!(
            err.starts_with("error: ") && err.contains(part) && err.lines().count() == 1,
            "{err}"
        );
    }
    let (code, _, err) = run(&["--no-such-option"]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("--no-such-option"), "{err}");
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(out.contains("--convert"), "{out}");
}
