//! Bars as a picture.

use std::path::Path;

use flambeau_tensor::{Result, ensure};
use plotters::prelude::*;
use plotters::style::RGBColor;

use crate::curves::{COLORS, Drawn, picture, register_fonts, short};

/// Width of a picture, and height of a bar with the gap below it, in pixels.
const WIDTH: u32 = 960;
const PITCH: u32 = 18;

/// A bar that goes to the right.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What stands to the left of it.
    pub name: String,
    /// Its length, not negative.
    pub value: f64,
    /// Bars of the same group have the same colour.
    pub group: usize,
}

/// Bars below each other.
#[derive(Clone, Debug)]
pub struct BarChart {
    /// What stands above them.
    pub title: String,
    /// What stands below the horizontal axis.
    pub x_label: String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
    /// A value that all bars are compared with: a line from top to bottom.
    pub mark: Option<f64>,
}

/// Draws bars into a PNG file.
///
/// ```
/// use flambeau_trainer::{Bar, BarChart, plot_bars};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("bars.png");
/// let bar = |name: &str, value| Bar { name: name.into(), value, group: 0 };
/// let chart = BarChart {
///     title: "time of an epoch".into(),
///     x_label: "seconds".into(),
///     bars: vec![bar("one thread", 3.1), bar("two threads", 1.7)],
///     mark: None,
/// };
/// plot_bars(&path, &chart)?;
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Errors
/// `Value` if there is no bar, or a value is negative or not finite; `Io` if the file can't be written.
pub fn plot_bars(path: impl AsRef<Path>, chart: &BarChart) -> Result<()> {
    ensure!(
        !chart.bars.is_empty(),
        Value,
        "plot_bars: expected at least one bar"
    );
    for Bar { name, value, .. } in &chart.bars {
        ensure!(
            value.is_finite() && *value >= 0.0,
            Value,
            "plot_bars: expected finite values that are not negative, got {value} for {name:?}"
        );
    }
    let size = (WIDTH, PITCH * chart.bars.len() as u32 + 110);
    picture(path.as_ref(), "plot_bars", size, |pixels| {
        draw(pixels, size, chart)
    })
}

fn draw(pixels: &mut [u8], size: (u32, u32), chart: &BarChart) -> Drawn {
    register_fonts()?;
    let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
    root.fill(&WHITE)?;
    let longest = chart
        .bars
        .iter()
        .map(|bar| bar.value)
        .chain(chart.mark)
        .fold(0.0, f64::max);
    let count = chart.bars.len() as f64;
    let mut area = ChartBuilder::on(&root)
        .margin(14)
        .caption(&chart.title, ("sans-serif", 20))
        .x_label_area_size(40)
        .y_label_area_size(270)
        .build_cartesian_2d(0.0..1.08 * longest.max(f64::MIN_POSITIVE), 0.0..count)?;
    area.configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(RGBColor(110, 110, 110))
        .label_style(("sans-serif", 14))
        .x_desc(&chart.x_label)
        .x_label_formatter(&short)
        .draw()?;
    let (left, top) = area.plotting_area().get_base_pixel();
    let height = f64::from(area.plotting_area().dim_in_pixel().1);
    for (i, bar) in chart.bars.iter().enumerate() {
        let y = count - i as f64;
        let color = COLORS[bar.group % COLORS.len()];
        area.draw_series([Rectangle::new(
            [(0.0, y - 0.14), (bar.value, y - 0.86)],
            color.filled(),
        )])?;
        let middle = top + ((i as f64 + 0.5) * height / count) as i32;
        let text = ("sans-serif", 13).into_font().color(&BLACK);
        root.draw(&Text::new(
            bar.name.clone(),
            (left - 262, middle - 6),
            text.clone(),
        ))?;
        let value = Text::new(format!("{:.2}", bar.value), (bar.value, y - 0.24), text);
        area.plotting_area().draw(&value)?;
    }
    if let Some(mark) = chart.mark {
        let line = PathElement::new([(mark, 0.0), (mark, count)], BLACK.stroke_width(1));
        area.draw_series([line])?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> BarChart {
        let bars = values.iter().enumerate().map(|(i, &value)| Bar {
            name: format!("bar {i}"),
            value,
            group: i % 2,
        });
        BarChart {
            title: "ratios".into(),
            x_label: "ours / theirs".into(),
            bars: bars.collect(),
            mark: Some(1.0),
        }
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bars.png");
        plot_bars(&path, &chart(&[0.5, 1.0, 0.0])).unwrap();
        let picture = image::open(&path).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (WIDTH, 3 * PITCH + 110));
        let count = |color: RGBColor| {
            let pixels = picture
                .pixels()
                .filter(|pixel| pixel.0 == [color.0, color.1, color.2]);
            pixels.count() as f64
        };
        let ratio = count(COLORS[1]) / count(COLORS[0]);
        assert!(
            (ratio - 2.0).abs() < 0.15,
            "the second bar is {ratio} times the first"
        );
        assert!(count(RGBColor(0, 0, 0)) > 100.0, "text is drawn");
    }

    #[test]
    fn what_can_not_be_drawn_is_an_error() {
        let path = Path::new("bars.png");
        assert!(plot_bars(path, &chart(&[])).is_err());
        let error = plot_bars(path, &chart(&[1.0, f64::NAN])).unwrap_err();
        assert!(error.to_string().contains(r#"got NaN for "bar 1""#), "{error}");
    }
}
