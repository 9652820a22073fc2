//! What examples share, pictures of graphs and curves above all.

#![allow(dead_code)] // No example needs all of it.

pub(crate) mod layout;

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use flambeau_tensor::Tensor;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, RGBColor, register_font};

/// Colours that people with any kind of colour vision can tell apart (Okabe and Ito), for up to eight classes.
pub(crate) const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
    RGBColor(120, 120, 120),
];
pub(crate) const GREY: RGBColor = RGBColor(190, 190, 190);
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);

/// Pictures are drawn so many times as large, then reduced, which makes edges smooth.
const OVERSAMPLING: u32 = 2;

/// A part of a picture, in pixels of the large one.
pub(crate) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Text of so many pixels.
pub(crate) fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", (size * OVERSAMPLING) as i32)
        .into_text_style(&(10_000, 10_000))
        .color(&INK)
}

/// Draws a picture of so many pixels into a PNG file.
pub(crate) fn picture(
    path: &Path,
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area) -> Result<()>,
) -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let font = include_bytes!("../../../trainer/assets/DejaVuSans-subset.ttf");
    let registered = *REGISTERED.get_or_init(|| register_font("sans-serif", FontStyle::Normal, font).is_ok());
    ensure!(registered, "the font can't be read");
    let size = (width * OVERSAMPLING, height * OVERSAMPLING);
    let mut pixels = vec![255; 3 * size.0 as usize * size.1 as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    let large = image::RgbImage::from_raw(size.0, size.1, pixels).context("a picture of the wrong size")?;
    image::imageops::resize(&large, width, height, image::imageops::FilterType::Triangle)
        .save_with_format(path, image::ImageFormat::Png)
        .with_context(|| path.display().to_string())
}

/// Ends a program: an error becomes one line on stderr, unless it is that nobody reads the output any more, as after `| head`.
pub(crate) fn exit(outcome: Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    let cause = error.downcast_ref::<std::io::Error>();
    if cause.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", format!("{error:#}").replace('\n', " "));
    ExitCode::FAILURE
}

/// The loss of an epoch, as long as it is a number.
pub(crate) fn finite(epoch: u32, loss: &Tensor) -> Result<f64> {
    let loss = loss.detach().item_f64()?;
    ensure!(
        loss.is_finite(),
        "epoch {epoch}: the loss is {loss}; are all features numbers?"
    );
    Ok(loss)
}

/// A node of a picture.
#[derive(Clone, Copy)]
pub(crate) struct Dot {
    pub(crate) fill: RGBColor,
    /// A ring around it.
    pub(crate) ring: Option<RGBColor>,
    /// In pixels.
    pub(crate) radius: u32,
}

/// A line between two nodes.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) ends: [usize; 2],
    pub(crate) color: RGBColor,
    pub(crate) width: u32,
}

/// Draws a graph with a title; `places` are those of a layout, `names` stand in the nodes if there are any.
pub(crate) fn draw_graph(
    area: &Area,
    title: &str,
    places: &[[f64; 2]],
    lines: &[Line],
    dots: &[Dot],
    names: &[String],
) -> Result<()> {
    let space = 8 * OVERSAMPLING;
    let area = area
        .margin(space, 0, 0, 0)
        .titled(title, text(17))
        .map_err(|error| anyhow!("{error}"))?;
    let (width, height) = area.dim_in_pixel();
    let room = (16 * OVERSAMPLING) as f64;
    let place = |[x, y]: [f64; 2]| {
        let at = |t: f64, size: u32| (room + t * (size as f64 - 2.0 * room)) as i32;
        (at(x, width), at(y, height))
    };
    for line in lines {
        let ends = line.ends.map(|node| place(places[node]));
        area.draw(&PathElement::new(ends, line.color.stroke_width(line.width)))?;
    }
    for (i, (&at, dot)) in places.iter().zip(dots).enumerate() {
        let radius = dot.radius * OVERSAMPLING;
        if let Some(ring) = dot.ring {
            area.draw(&Circle::new(place(at), radius + 2 * OVERSAMPLING, ring.filled()))?;
            area.draw(&Circle::new(place(at), radius + OVERSAMPLING / 2, WHITE.filled()))?;
        }
        area.draw(&Circle::new(place(at), radius, dot.fill.filled()))?;
        if let Some(name) = names.get(i) {
            let centre = plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Center,
            );
            let style = text(dot.radius).pos(centre).color(&WHITE);
            area.draw(&Text::new(name.clone(), place(at), style))?;
        }
    }
    Ok(())
}

/// Draws curves over one axis, with a legend.
pub(crate) fn draw_curves(
    area: &Area,
    title: &str,
    labels: [&str; 2],
    curves: &[(&str, Vec<(f64, f64)>)],
) -> Result<()> {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let ends = points()
            .map(of)
            .fold([f64::MAX, f64::MIN], |[a, b], v| [a.min(v), b.max(v)]);
        if ends[0] < ends[1] {
            ends
        } else {
            [ends[0] - 0.5, ends[0] + 0.5]
        }
    };
    ensure!(points().next().is_some(), "{title}: there is nothing to draw");
    let (x, y) = (bounds(|p| p.0), bounds(|p| p.1));
    let room = 0.04 * (y[1] - y[0]);
    let mut chart = ChartBuilder::on(area)
        .margin(14 * OVERSAMPLING)
        .margin_right(30 * OVERSAMPLING)
        .caption(title, text(17))
        .x_label_area_size(38 * OVERSAMPLING)
        .y_label_area_size(52 * OVERSAMPLING)
        .build_cartesian_2d(x[0]..x[1], y[0] - room..y[1] + room)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(RGBColor(110, 110, 110))
        .label_style(text(13))
        .x_desc(labels[0])
        .y_desc(labels[1])
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_labels(6)
        .y_labels(6)
        .draw()?;
    for ((name, points), color) in curves.iter().zip(COLORS.iter().cycle()) {
        let style = color.stroke_width(2 * OVERSAMPLING);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18 * OVERSAMPLING as i32, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .legend_area_size(24 * OVERSAMPLING)
        .margin(10 * OVERSAMPLING)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(text(13))
        .draw()?;
    Ok(())
}
