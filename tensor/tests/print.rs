//! Tensors are printed character by character as PyTorch prints them. `scripts/print_cases.py` made the cases.

#![allow(clippy::unwrap_used)]

use flambeau_tensor::{DType, PrintOptions, Result, Tensor};

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn options(settings: &str) -> PrintOptions {
    let mut options = PrintOptions::default();
    for setting in settings.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap();
        match name {
            "precision" => options.precision = value.parse().unwrap(),
            "threshold" => options.threshold = value.parse().unwrap(),
            "edgeitems" => options.edgeitems = value.parse().unwrap(),
            "linewidth" => options.linewidth = value.parse().unwrap(),
            "sci_mode" => options.sci_mode = Some(value == "True"),
            _ => panic!("unknown option {name}"),
        }
    }
    options
}

fn tensor(dtype: DType, shape: &[usize], data: &str) -> Result<Tensor> {
    if data != "arange" && dtype == DType::I64 {
        let data: Vec<i64> = data.split_whitespace().map(|x| x.parse().unwrap()).collect();
        return Tensor::from_vec(data, shape);
    }
    let data: Vec<f64> = match data {
        "arange" => (0..shape.iter().product()).map(|i: usize| i as f64).collect(),
        _ => data.split_whitespace().map(number).collect(),
    };
    Tensor::from_vec(data, shape)?.to_dtype(dtype)
}

#[test]
fn output_is_pytorch_s() -> Result<()> {
    let golden = include_str!("golden/print.txt");
    let cases = golden.split("== ").skip(1);
    let mut failures = Vec::new();
    for case in cases {
        let mut lines = case.splitn(3, '\n');
        let (head, data, expected) = (
            lines.next().unwrap(),
            lines.next().unwrap(),
            lines.next().unwrap().trim_end(),
        );
        let [dtype, shape, settings] = head.splitn(3, ';').collect::<Vec<_>>()[..] else {
            panic!("bad head {head}")
        };
        let shape: Vec<usize> = shape.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let tensor = tensor(DType::from_name(dtype).unwrap(), &shape, data)?;
        let printed = tensor.display(&options(settings)).to_string();
        if printed != expected {
            failures.push(format!("{head}\nexpected:\n{expected}\nprinted:\n{printed}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    Ok(())
}
