//! Profiles: which events there are, how they nest, and that nothing is left open.

#![allow(clippy::unwrap_used)]

use flambeau_tensor::ops::loss::cross_entropy;
use flambeau_tensor::ops::rnn::{RnnKind, RnnParameters, rnn_layer};
use flambeau_tensor::profiler::{Event, Kind, Profile, profile, record_function, span};
use flambeau_tensor::{DType, Result, Tensor, no_grad, random};

fn names(profile: &Profile) -> Vec<&str> {
    profile.events().iter().map(|event| &*event.name).collect()
}

fn numbers(rows: usize, columns: usize) -> Tensor {
    random::manual_seed(0);
    Tensor::randn((rows, columns), DType::F32).unwrap()
}

#[test]
fn operations_are_events_tracked_or_not() {
    let (x, w) = (numbers(8, 4), numbers(4, 6).requires_grad(true).unwrap());
    let work = || -> Result<Tensor> { x.matmul(&w)?.relu()?.add(1.0)?.sum() };
    let (result, tracked) = profile(work);
    result.unwrap();
    let (result, untracked) = profile(|| no_grad(work));
    result.unwrap();
    assert_eq!(names(&tracked), ["matmul", "relu", "add", "sum"]);
    assert_eq!(names(&tracked), names(&untracked));
    let matmul = &tracked.events()[0];
    assert_eq!(
        (matmul.kind, &matmul.shape[..], matmul.bytes),
        (Kind::Operation, &[8, 6][..], 8 * 6 * 4)
    );
    assert!(tracked.time() >= tracked.events().iter().map(|event| event.time).sum());
}

#[test]
fn operations_with_several_results_are_events() {
    let (x, y) = (numbers(2, 3), Tensor::new([0i64, 2]).unwrap());
    let (w_ih, w_hh, h0) = (numbers(4, 3), numbers(4, 4), numbers(1, 4));
    let parameters = RnnParameters {
        w_ih: &w_ih,
        w_hh: &w_hh,
        b_ih: None,
        b_hh: None,
    };
    let (result, profiled) = profile(|| -> Result<()> {
        rnn_layer(RnnKind::Tanh, &x, &[1, 1], &h0, None, &parameters, false)?;
        cross_entropy(&x, &y, &Default::default())?;
        Ok(())
    });
    result.unwrap();
    let found = names(&profiled);
    assert_eq!(found[..2], ["rnn_tanh", "cross_entropy"], "{found:?}");
    assert_eq!(profiled.events()[0].bytes, (2 * 4 + 4) * 4);
}

#[test]
fn what_has_no_gradient_goes_by_its_family_and_views_are_free() {
    let x = numbers(8, 4);
    let (result, profiled) = profile(|| -> Result<Tensor> {
        let view = x.t()?.reshape((2, 2, 8))?;
        view.gt(0.0)
    });
    assert_eq!(result.unwrap().dtype(), DType::Bool);
    assert_eq!(names(&profiled), ["compare"]);
}

#[test]
fn changes_in_place_and_reading_are_events() {
    let x = numbers(8, 4);
    let (result, profiled) = profile(|| -> Result<Vec<f32>> { x.exp_()?.t()?.to_vec() });
    assert_eq!(result.unwrap().len(), 32);
    assert_eq!(names(&profiled), ["exp_", "to_vec"]);
    assert_eq!(profiled.events()[0].bytes, 8 * 4 * 4);
}

#[test]
fn ranges_hold_what_happens_inside_them() {
    let x = numbers(8, 4);
    let (result, profiled) = profile(|| {
        record_function("outer", || -> Result<Tensor> {
            let y = x.exp()?;
            record_function("inner", || y.exp())
        })
    });
    result.unwrap();
    let events = profiled.events();
    let found: Vec<(&str, Kind, usize)> = events.iter().map(|e| (&*e.name, e.kind, e.depth)).collect();
    let expected = [
        ("exp", Kind::Operation, 1),
        ("exp", Kind::Operation, 2),
        ("inner", Kind::Range, 1),
        ("outer", Kind::Range, 0),
    ];
    assert_eq!(found, expected);
    let [first, _, inner, outer] = events else {
        unreachable!()
    };
    assert_eq!(outer.own, outer.time - first.time - inner.time);
    let within =
        |event: &Event| event.begin >= outer.begin && event.begin + event.time <= outer.begin + outer.time;
    assert!(events.iter().all(within));
    let exp = &profiled
        .lines()
        .into_iter()
        .find(|line| line.name == "exp")
        .unwrap();
    assert_eq!((exp.calls, exp.bytes), (2, 2 * 8 * 4 * 4));
}

#[test]
fn errors_and_panics_end_what_they_left_open() {
    let x = numbers(8, 4);
    let (result, profiled) = profile(|| {
        assert!(record_function("fails", || x.exp()?.matmul(&x)).is_err());
        let panics = std::panic::AssertUnwindSafe(|| record_function("panics", || panic!("on purpose")));
        assert!(std::panic::catch_unwind(panics).is_err());
        x.exp()
    });
    result.unwrap();
    let depths: Vec<(&str, usize)> = profiled.events().iter().map(|e| (&*e.name, e.depth)).collect();
    assert_eq!(depths, [("exp", 1), ("fails", 0), ("panics", 0), ("exp", 0)]);
}

#[test]
fn nothing_is_seen_outside_and_of_other_threads() {
    let x = numbers(8, 4);
    x.exp().unwrap();
    let (_, profiled) = profile(|| std::thread::scope(|scope| scope.spawn(|| x.exp().map(|_| ())).join()));
    assert!(profiled.events().is_empty());
    let asked = std::cell::Cell::new(false);
    let name = || {
        asked.set(true);
        String::new()
    };
    span(Kind::Range, name, || ());
    assert!(!asked.get());
}

#[test]
fn operations_of_candle_are_fallbacks() {
    let x = numbers(8, 4).abs().unwrap();
    let (result, profiled) = profile(|| Tensor::apply_candle("profiled_sqrt", &[&x], |t| t[0].sqrt()));
    result.unwrap();
    assert_eq!(profiled.fallbacks(), 1);
    let last = profiled.events().last().unwrap();
    assert_eq!((&*last.name, last.kind), ("profiled_sqrt", Kind::Fallback));
    assert!(
        profiled.to_string().ends_with("Operations run by candle: 1\n"),
        "{profiled}"
    );
}

#[test]
fn tables_and_traces_have_every_event() {
    let x = numbers(8, 4);
    let (result, profiled) = profile(|| record_function("both", || x.exp()?.sum()));
    result.unwrap();
    let table = profiled.to_string();
    let first: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for name in ["Name", "exp", "sum", "both", "Time:"] {
        assert!(first.contains(&name), "{table}");
    }

    let folder = std::env::temp_dir().join(format!("flambeau-profile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("trace.json");
    profiled.export_chrome_trace(&path).unwrap();
    let trace: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let found: Vec<(&str, &str, &str)> = events
        .iter()
        .map(|e| {
            (
                e["name"].as_str().unwrap(),
                e["cat"].as_str().unwrap(),
                e["ph"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("exp", "operation", "X"),
            ("sum", "operation", "X"),
            ("both", "range", "X")
        ]
    );
    assert_eq!(events[0]["args"]["bytes"], 8 * 4 * 4);
    assert!(events[2]["dur"].as_f64() >= events[0]["dur"].as_f64());
    let error = profiled
        .export_chrome_trace(folder.join("none/trace.json"))
        .unwrap_err();
    assert!(error.to_string().contains("none/trace.json"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}
