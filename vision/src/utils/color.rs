//! Colours by name or number.

use flambeau_tensor::{Result, bail};

use super::names::NAMES;

/// Red, green and blue, from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// The colour of a CSS name such as `"red"`, or of a number `"#ff0000"` or `"#f00"`.
    ///
    /// # Errors
    /// `Value` if it is neither.
    pub fn named(name: &str) -> Result<Color> {
        let lower = name.to_ascii_lowercase();
        if let Ok(at) = NAMES.binary_search_by_key(&lower.as_str(), |(name, _)| name) {
            return Ok(Color(NAMES[at].1));
        }
        match lower.strip_prefix('#').and_then(from_digits) {
            Some(color) => Ok(Color(color)),
            None => bail!(
                Value,
                "color: expected a name of CSS, #rrggbb or #rgb, got {name:?}"
            ),
        }
    }
}

fn from_digits(digits: &str) -> Option<[u8; 3]> {
    let values: Vec<u8> = digits
        .chars()
        .map(|digit| digit.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    match values[..] {
        [r, g, b] => Some([r * 17, g * 17, b * 17]),
        [r1, r0, g1, g0, b1, b0] => Some([r1 * 16 + r0, g1 * 16 + g0, b1 * 16 + b0]),
        _ => None,
    }
}

/// Torchvision's colours for `count` things: black first, then ones that differ well.
pub fn palette(count: usize) -> Vec<Color> {
    let steps = [(1u64 << 25) - 1, (1 << 15) - 1, (1 << 21) - 1];
    (0..count as u64)
        .map(|i| Color(steps.map(|step| (i % 255 * step % 255) as u8)))
        .collect()
}

/// A colour for each of `count` things: one given for all, one for each, or the palette's if none are given.
///
/// # Errors
/// `Value` if there are several, but too few.
pub(super) fn for_each(op: &str, colors: &[Color], count: usize) -> Result<Vec<Color>> {
    match colors {
        [] => Ok(palette(count)),
        [one] => Ok(vec![*one; count]),
        _ if colors.len() >= count => Ok(colors[..count].to_vec()),
        _ => bail!(Value, "{op}: {} colours for {count} things", colors.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(Color::named("Red").unwrap().0, [255, 0, 0]);
        assert_eq!(
            Color::named("rebeccapurple").unwrap(),
            Color::named("#663399").unwrap()
        );
        assert_eq!(Color::named("#f0a").unwrap().0, [255, 0, 170]);
        for wrong in ["", "#", "#12", "#gg0000", "redd"] {
            assert!(Color::named(wrong).is_err(), "{wrong}");
        }
        assert!(NAMES.is_sorted_by_key(|(name, _)| name));
        assert_eq!(
            palette(3),
            [Color([0; 3]), Color([1, 127, 31]), Color([2, 254, 62])]
        );
    }
}
