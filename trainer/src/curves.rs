//! Curves as a picture.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::OnceLock;

use flambeau_tensor::io::{io_error, write_atomically};
use flambeau_tensor::{Error, Result, ensure};
use plotters::prelude::*;
use plotters::style::{FontStyle, RGBColor, register_font};

/// Width of a panel and height of a picture, in pixels.
const PANEL: (u32, u32) = (640, 420);

/// Colours that people with any kind of colour vision can tell apart (Okabe and Ito).
pub(crate) const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// A line: points `(x, y)`, of which those that are not finite are left out.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// The points, from left to right.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// The values at `1, 2, 3, …`, such as epochs.
    pub fn new(name: impl Into<String>, values: &[f64]) -> Curve {
        Curve {
            name: name.into(),
            points: (1..).map(f64::from).zip(values.iter().copied()).collect(),
        }
    }
}

/// Curves in one coordinate system.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// What stands below the horizontal axis.
    pub x_label: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// Draws panels side by side into a PNG file.
///
/// ```
/// use flambeau_trainer::{Curve, Panel, plot_curves};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("curves.png");
/// let loss = Panel {
///     title: "loss".into(),
///     x_label: "epoch".into(),
///     curves: vec![Curve::new("train", &[1.2, 0.8, 0.6]), Curve::new("test", &[1.1, 0.9, 0.8])],
/// };
/// plot_curves(&path, &[loss])?;
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
///
/// # Errors
/// `Value` if there is no panel or a panel has no point; `Io` if the file can't be written.
pub fn plot_curves(path: impl AsRef<Path>, panels: &[Panel]) -> Result<()> {
    ensure!(
        !panels.is_empty(),
        Value,
        "plot_curves: expected at least one panel"
    );
    for panel in panels {
        let mut points = panel.curves.iter().flat_map(|curve| &curve.points);
        ensure!(
            points.any(|(x, y)| x.is_finite() && y.is_finite()),
            Value,
            "plot_curves: the panel {:?} has no point",
            panel.title
        );
    }
    let size = (PANEL.0 * panels.len() as u32, PANEL.1);
    picture(path.as_ref(), "plot_curves", size, |pixels| {
        draw(pixels, size, panels)
    })
}

/// Whatever stops plotters.
pub(crate) type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

/// Writes what `draw` draws, a picture of that width and height, as a PNG file.
pub(crate) fn picture(
    path: &Path,
    op: &str,
    (width, height): (u32, u32),
    draw: impl FnOnce(&mut [u8]) -> Drawn,
) -> Result<()> {
    let mut pixels = vec![255; 3 * width as usize * height as usize];
    draw(&mut pixels).map_err(|error| Error::Value(format!("{op}: {error}")))?;
    let mut png = Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut png,
        &pixels,
        width,
        height,
        image::ExtendedColorType::Rgb8,
        image::ImageFormat::Png,
    )
    .map_err(|error| Error::Value(format!("{op}: {error}")))?;
    write_atomically(path, |file| file.write_all(png.get_ref()).map_err(io_error))
}

fn draw(pixels: &mut [u8], size: (u32, u32), panels: &[Panel]) -> Drawn {
    register_fonts()?;
    let root = BitMapBackend::with_buffer(pixels, size).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((1, panels.len())).iter().zip(panels) {
        let (x, y) = ranges(panel);
        let mut chart = ChartBuilder::on(area)
            .margin(14)
            .margin_right(36) // half of the last number below the axis
            .caption(&panel.title, ("sans-serif", 20))
            .x_label_area_size(40)
            .y_label_area_size(58)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225))
            .axis_style(RGBColor(110, 110, 110))
            .label_style(("sans-serif", 14))
            .x_desc(&panel.x_label)
            .x_label_formatter(&short)
            .y_label_formatter(&short)
            .draw()?;
        for (curve, color) in panel.curves.iter().zip(COLORS.iter().cycle()) {
            let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
            let points: Vec<(f64, f64)> = curve.points.iter().copied().filter(finite).collect();
            // One point is no line.
            if let [point] = points[..] {
                chart.draw_series([Circle::new(point, 3, color.filled())])?;
            }
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(&curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::MiddleRight)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .label_font(("sans-serif", 14))
            .draw()?;
    }
    root.present()?;
    Ok(())
}

/// The text of a number beside an axis.
pub(crate) fn short(x: &f64) -> String {
    let text = format!("{x:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "0" | "-0" if *x != 0.0 && x.abs() > 1e-12 => format!("{x:.1e}"),
        "-0" => "0".to_string(),
        text => text.to_string(),
    }
}

/// What the axes show: all points, with some room above and below.
fn ranges(panel: &Panel) -> (std::ops::Range<f64>, std::ops::Range<f64>) {
    let (mut x, mut y) = (
        [f64::INFINITY, f64::NEG_INFINITY],
        [f64::INFINITY, f64::NEG_INFINITY],
    );
    for &(px, py) in panel.curves.iter().flat_map(|curve| &curve.points) {
        if px.is_finite() && py.is_finite() {
            x = [x[0].min(px), x[1].max(px)];
            y = [y[0].min(py), y[1].max(py)];
        }
    }
    let room = |[low, high]: [f64; 2], share: f64| {
        let room = if high > low {
            share * (high - low)
        } else {
            0.5 * high.abs().max(1.0)
        };
        low - room..high + room
    };
    (room(x, 0.0), room(y, 0.05))
}

/// Lets plotters draw text with the font that this crate brings along, once per process.
pub(crate) fn register_fonts() -> std::result::Result<(), &'static str> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let font = include_bytes!("../assets/DejaVuSans-subset.ttf");
    let registered = *REGISTERED.get_or_init(|| register_font("sans-serif", FontStyle::Normal, font).is_ok());
    registered.then_some(()).ok_or("the font can't be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(title: &str, curves: Vec<Curve>) -> Panel {
        Panel {
            title: title.into(),
            x_label: "epoch".into(),
            curves,
        }
    }

    #[test]
    fn curves_are_drawn_in_their_colours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.png");
        let loss = vec![
            Curve::new("train", &[3.0, 2.0, f64::NAN, 1.0]),
            Curve::new("test", &[3.0, 2.5, 2.2, 2.1]),
        ];
        plot_curves(
            &path,
            &[
                panel("loss", loss),
                panel("accuracy", vec![Curve::new("test", &[0.5])]),
            ],
        )
        .unwrap();
        let picture = image::open(&path).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (1280, 420));
        let count = |left: u32, color: RGBColor| {
            let half = (0..420).flat_map(|y| (left..left + 640).map(move |x| (x, y)));
            half.filter(|&(x, y)| picture.get_pixel(x, y).0 == [color.0, color.1, color.2])
                .count()
        };
        assert!(count(0, COLORS[0]) > 100 && count(0, COLORS[1]) > 100);
        assert!(count(640, COLORS[0]) > 10, "a single point is seen");
        assert_eq!(count(640, COLORS[1]), 0);
        assert!(count(0, RGBColor(0, 0, 0)) > 50, "text is drawn");
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let path = Path::new("curves.png");
        assert!(plot_curves(path, &[]).is_err());
        let error = plot_curves(path, &[panel("loss", vec![Curve::new("train", &[f64::NAN])])]);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains(r#"the panel "loss" has no point"#)
        );
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.5, 10.0, 0.0, 1e-5, -0.25].map(|x| short(&x)),
            ["0.5", "10", "0", "1.0e-5", "-0.25"]
        );
    }
}
