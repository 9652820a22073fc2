//! Settings as Python prints them.

/// A number: `0.01`, `1.0`, `1e-05`.
pub(crate) fn float(x: f64) -> String {
    let text = format!("{x:?}");
    match text.split_once("e-") {
        Some((digits, exponent)) if exponent.len() == 1 => format!("{digits}e-0{exponent}"),
        _ => text,
    }
}

/// A number that PyTorch prints as it was given: `2` for a whole one, else as [`float`].
pub(crate) fn number(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e15 {
        format!("{x:.0}")
    } else {
        float(x)
    }
}

/// A truth value.
pub(crate) fn bool(x: bool) -> &'static str {
    if x { "True" } else { "False" }
}

/// A tuple of a fixed number of sizes: `(3, 3)`, `(3,)`.
pub(crate) fn tuple<const D: usize>(sizes: [usize; D]) -> String {
    list(&sizes)
}

/// Sizes that PyTorch prints as they were given: one number if it is the same for all dimensions, else a tuple.
pub(crate) fn size<const D: usize>(sizes: [usize; D]) -> String {
    match sizes.first() {
        Some(first) if sizes.iter().all(|size| size == first) => first.to_string(),
        _ => list(&sizes),
    }
}

/// A tuple: `(3, 3)`, `(3,)`.
pub(crate) fn list(sizes: &[usize]) -> String {
    let items: Vec<String> = sizes.iter().map(usize::to_string).collect();
    format!(
        "({}{})",
        items.join(", "),
        if sizes.len() == 1 { "," } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_tuples_print_as_in_python() {
        assert_eq!(
            [float(1e-5), float(1.0), float(0.01), float(2.5e-12)],
            ["1e-05", "1.0", "0.01", "2.5e-12"]
        );
        assert_eq!([tuple([3]), tuple([3, 1])], ["(3,)", "(3, 1)"]);
        assert_eq!([size([3, 3]), size([3, 1])], ["3", "(3, 1)"]);
    }
}
