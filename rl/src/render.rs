//! Pictures of environments: shapes with smooth edges, written as PNG or as an animated GIF, or printed on a terminal.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use flambeau_tensor::io::{io_error, write_atomically};
use flambeau_tensor::{Error, Result, Tensor, ensure};

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

/// A picture, on which shapes are drawn. The origin is the upper left corner; units are pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    width: usize,
    height: usize,
    pixels: Vec<Rgb>,
}

impl Frame {
    /// A picture of one colour.
    pub fn new(width: usize, height: usize, color: Rgb) -> Frame {
        Frame {
            width,
            height,
            pixels: vec![color; width * height],
        }
    }

    /// Its width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Its height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colour of a pixel, if there is one.
    pub fn get(&self, x: usize, y: usize) -> Option<Rgb> {
        (x < self.width).then(|| self.pixels.get(y * self.width + x).copied())?
    }

    /// The picture as `[height, width, 3]`, `uint8`: what `render` of Gymnasium gives in the mode `rgb_array`.
    ///
    /// # Errors
    /// None that a picture meets.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Tensor::from_vec(self.pixels.concat(), (self.height, self.width, 3))
    }

    /// Fills where `distance` is negative: the distance of a pixel's middle from the shape's edge, inside it less than 0.
    fn fill(&mut self, [left, top, right, bottom]: [f64; 4], color: Rgb, distance: impl Fn(f64, f64) -> f64) {
        let range = |low: f64, high: f64, end: usize| {
            let clamp = |x: f64| x.clamp(0.0, end as f64) as usize;
            clamp((low - 1.0).floor())..clamp((high + 2.0).ceil())
        };
        for y in range(top, bottom, self.height) {
            for x in range(left, right, self.width) {
                let share = (0.5 - distance(x as f64 + 0.5, y as f64 + 0.5)).clamp(0.0, 1.0);
                if share > 0.0 {
                    let pixel = &mut self.pixels[y * self.width + x];
                    for (old, new) in pixel.iter_mut().zip(color) {
                        *old = (f64::from(*old) * (1.0 - share) + f64::from(new) * share).round() as u8;
                    }
                }
            }
        }
    }

    /// Fills a convex polygon.
    pub fn polygon(&mut self, points: &[(f64, f64)], color: Rgb) {
        let next = || points.iter().cycle().skip(1);
        let area: f64 = points
            .iter()
            .zip(next())
            .map(|(a, b)| a.0 * b.1 - b.0 * a.1)
            .sum();
        let edges: Vec<_> = points
            .iter()
            .zip(next())
            .filter_map(|(a, b)| {
                let (dx, dy) = (b.0 - a.0, b.1 - a.1);
                let length = dx.hypot(dy) * area.signum();
                // The distance from the edge's line, outwards.
                (length != 0.0).then(|| (dy / length, -dx / length, (a.1 * dx - a.0 * dy) / length))
            })
            .collect();
        let bounds = points
            .iter()
            .fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |b, p| {
                [b[0].min(p.0), b[1].min(p.1), b[2].max(p.0), b[3].max(p.1)]
            });
        self.fill(bounds, color, |x, y| {
            edges
                .iter()
                .map(|(nx, ny, c)| nx * x + ny * y + c)
                .fold(f64::MIN, f64::max)
        });
    }

    /// Fills an upright rectangle.
    pub fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, color: Rgb) {
        self.polygon(
            &[(x, y), (x + width, y), (x + width, y + height), (x, y + height)],
            color,
        );
    }

    /// Fills a circle.
    pub fn circle(&mut self, (cx, cy): (f64, f64), radius: f64, color: Rgb) {
        let bounds = [cx - radius, cy - radius, cx + radius, cy + radius];
        self.fill(bounds, color, |x, y| (x - cx).hypot(y - cy) - radius);
    }

    /// Draws a line with round ends.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, color: Rgb) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx * dx + dy * dy;
        let half = width / 2.0;
        let bounds = [
            from.0.min(to.0) - half,
            from.1.min(to.1) - half,
            from.0.max(to.0) + half,
            from.1.max(to.1) + half,
        ];
        self.fill(bounds, color, |x, y| {
            let along = match length > 0.0 {
                true => (((x - from.0) * dx + (y - from.1) * dy) / length).clamp(0.0, 1.0),
                false => 0.0,
            };
            (x - from.0 - along * dx).hypot(y - from.1 - along * dy) - half
        });
    }

    /// The picture at half its width and height, each pixel the mean of four.
    pub fn halved(&self) -> Frame {
        let mut half = Frame::new(self.width / 2, self.height / 2, [0; 3]);
        for y in 0..half.height {
            for x in 0..half.width {
                let four = [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .map(|(dx, dy)| self.pixels[(2 * y + dy) * self.width + 2 * x + dx]);
                half.pixels[y * half.width + x] = std::array::from_fn(|channel| {
                    let sum: u16 = four.iter().map(|pixel| u16::from(pixel[channel])).sum();
                    ((sum + 2) / 4) as u8
                });
            }
        }
        half
    }

    /// The picture in so many columns of text, two pixels to a character, in the terminal's colours.
    pub fn to_ansi(&self, columns: usize) -> String {
        let columns = columns.clamp(1, self.width.max(1));
        let scale = self.width as f64 / columns as f64;
        let rows = ((self.height as f64 / scale / 2.0).round() as usize).max(1);
        // The mean of what becomes one point.
        let mean = |column: usize, row: usize| -> [u32; 3] {
            let range = |i: usize, end: usize| {
                let low = ((i as f64 * scale) as usize).min(end.saturating_sub(1));
                low..(((i + 1) as f64 * scale).ceil() as usize).clamp(low + 1, end.max(low + 1))
            };
            let (mut sum, mut count) = ([0u32; 3], 0);
            for y in range(row, self.height) {
                for color in range(column, self.width).filter_map(|x| self.get(x, y)) {
                    count += 1;
                    sum.iter_mut()
                        .zip(color)
                        .for_each(|(sum, x)| *sum += u32::from(x));
                }
            }
            sum.map(|x| x / count.max(1))
        };
        let mut text = String::new();
        for row in 0..rows {
            for column in 0..columns {
                let ([r, g, b], [s, h, c]) = (mean(column, 2 * row), mean(column, 2 * row + 1));
                // Writing into a string does not fail.
                let _ = write!(text, "\x1b[38;2;{r};{g};{b}m\x1b[48;2;{s};{h};{c}m▀");
            }
            text.push_str("\x1b[0m\n");
        }
        text
    }
}

/// Writes pictures of one size as an animated GIF that is repeated forever, replacing an old file in one step.
///
/// # Errors
/// `Value` if there are no pictures or their sizes differ; `Io` if the file can't be written.
pub fn save_gif(path: impl AsRef<Path>, frames: &[Frame], frames_per_second: f64) -> Result<()> {
    let Some(first) = frames.first() else {
        flambeau_tensor::bail!(Value, "save_gif: expected at least one picture")
    };
    let size = (first.width, first.height);
    ensure!(
        frames_per_second > 0.0,
        Value,
        "save_gif: expected more than 0 pictures per second, got {frames_per_second}"
    );
    let (Ok(width), Ok(height)) = (u16::try_from(size.0), u16::try_from(size.1)) else {
        flambeau_tensor::bail!(
            Value,
            "save_gif: expected at most 65535 × 65535 pixels, got {size:?}"
        )
    };
    let failed = |error: gif::EncodingError| Error::Io(format!("save_gif: {error}"));
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &[]).map_err(failed)?;
    encoder.set_repeat(gif::Repeat::Infinite).map_err(failed)?;
    for frame in frames {
        ensure!(
            (frame.width, frame.height) == size,
            Value,
            "save_gif: expected pictures of one size, got {size:?} and {:?}",
            (frame.width, frame.height)
        );
        // Speed 10 looks at every tenth pixel to choose the colours.
        let mut picture = gif::Frame::from_rgb_speed(width, height, &frame.pixels.concat(), 10);
        picture.delay = (100.0 / frames_per_second).round().clamp(1.0, 6000.0) as u16;
        encoder.write_frame(&picture).map_err(failed)?;
    }
    drop(encoder);
    write_atomically(path, |file| file.write_all(&bytes).map_err(io_error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Rgb = [0; 3];
    const WHITE: Rgb = [255; 3];

    #[test]
    fn shapes_cover_their_areas() {
        let area = |draw: &dyn Fn(&mut Frame)| {
            let mut frame = Frame::new(60, 40, WHITE);
            draw(&mut frame);
            let dark = frame.pixels.iter().map(|p| 1.0 - f64::from(p[0]) / 255.0);
            dark.sum::<f64>()
        };
        let close = |got: f64, expected: f64| assert!((got - expected).abs() < 0.03 * expected, "{got}");
        close(
            area(&|f| f.circle((30.0, 20.0), 10.0, BLACK)),
            std::f64::consts::PI * 100.0,
        );
        close(area(&|f| f.rectangle(5.0, 5.0, 20.0, 10.0, BLACK)), 200.0);
        // Either orientation.
        close(
            area(&|f| f.polygon(&[(5.0, 5.0), (45.0, 5.0), (5.0, 35.0)], BLACK)),
            600.0,
        );
        close(
            area(&|f| f.polygon(&[(5.0, 35.0), (45.0, 5.0), (5.0, 5.0)], BLACK)),
            600.0,
        );
        // What lies outside is cut off.
        close(area(&|f| f.rectangle(-10.0, -10.0, 20.0, 20.0, BLACK)), 100.0);
        close(
            area(&|f| f.line((10.0, 10.0), (40.0, 10.0), 4.0, BLACK)),
            120.0 + 12.57,
        );
    }

    #[test]
    fn a_gif_and_a_text_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        let mut frame = Frame::new(8, 8, WHITE);
        frame.rectangle(0.0, 0.0, 8.0, 4.0, [255, 0, 0]);
        save_gif(&path, &[frame.clone(), Frame::new(8, 8, BLACK)], 20.0).unwrap();
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(std::fs::File::open(&path).unwrap()).unwrap();
        let picture = decoder.read_next_frame().unwrap().unwrap();
        assert_eq!((picture.delay, &picture.buffer[..4]), (5, &[255, 0, 0, 255][..]));
        assert!(decoder.read_next_frame().unwrap().is_some());
        assert!(decoder.read_next_frame().unwrap().is_none());

        assert!(
            save_gif(&path, &[frame.clone(), Frame::new(4, 8, BLACK)], 20.0)
                .unwrap_err()
                .to_string()
                .contains("one size")
        );
        assert!(save_gif(&path, &[], 20.0).is_err());
        assert_eq!(
            frame.to_ansi(1),
            "\x1b[38;2;255;127;127m\x1b[48;2;255;255;255m▀\x1b[0m\n"
        );
        assert_eq!(frame.to_tensor().unwrap().shape(), [8, 8, 3]);
        let half = frame.halved();
        assert_eq!((half.width(), half.height()), (4, 4));
        assert_eq!([half.get(0, 1), half.get(0, 2)], [Some([255, 0, 0]), Some(WHITE)]);
        assert_eq!(half.get(4, 0), None);
    }
}
