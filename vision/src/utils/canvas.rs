//! Drawing on bytes: rectangles, lines, discs and text. What lies outside of the picture is left out.

use flambeau_tensor::{DType, Result, Tensor, ensure};
use font8x8::UnicodeFonts;

use super::Color;
use crate::transforms::functional::to_dtype;

/// Pixels of a letter along each side.
pub(super) const LETTER: i64 = 8;

/// An RGB picture that is drawn on.
pub(super) struct Canvas {
    width: i64,
    height: i64,
    pixels: Vec<[u8; 3]>,
    dtype: DType,
}

/// A rectangle whose edges are pixels of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub(super) left: i64,
    pub(super) top: i64,
    pub(super) right: i64,
    pub(super) bottom: i64,
}

impl Canvas {
    /// A canvas with a picture of bytes, or of floats from 0 to 1.
    pub(super) fn new(op: &str, image: &Tensor) -> Result<Canvas> {
        let (shape, dtype) = (image.shape(), image.dtype());
        ensure!(
            dtype == DType::U8 || dtype.is_float(),
            DType,
            "{op}: expected a picture of bytes or floats, got {dtype}"
        );
        ensure!(
            matches!(shape, [1 | 3, _, _]),
            Shape,
            "{op}: expected a picture [1 or 3, height, width], got {shape:?}"
        );
        let (height, width) = (shape[1], shape[2]);
        let rgb = image.detach().expand([3, height, width])?;
        let bytes = to_dtype(&rgb, DType::U8, true)?
            .permute([1, 2, 0])?
            .to_vec::<u8>()?;
        Ok(Canvas {
            width: width as i64,
            height: height as i64,
            pixels: bytes.as_chunks::<3>().0.to_vec(),
            dtype,
        })
    }

    /// The picture, in the type it came in.
    pub(super) fn finish(self) -> Result<Tensor> {
        let bytes = self.pixels.into_flattened();
        let image = Tensor::from_vec(bytes, (self.height as usize, self.width as usize, 3))?;
        to_dtype(&image.permute([2, 0, 1])?.contiguous()?, self.dtype, true)
    }

    fn pixel(&mut self, x: i64, y: i64) -> Option<&mut [u8; 3]> {
        let inside = (0..self.width).contains(&x) && (0..self.height).contains(&y);
        inside.then(|| &mut self.pixels[(y * self.width + x) as usize])
    }

    /// Calls `f` with the pixels of a rectangle.
    fn each(&mut self, area: Rectangle, mut f: impl FnMut(i64, i64, &mut [u8; 3])) {
        for y in area.top.max(0)..=area.bottom.min(self.height - 1) {
            for x in area.left.max(0)..=area.right.min(self.width - 1) {
                f(x, y, &mut self.pixels[(y * self.width + x) as usize]);
            }
        }
    }

    /// Fills a rectangle; `opacity` is from 0 to 255.
    pub(super) fn fill(&mut self, area: Rectangle, color: Color, opacity: u8) {
        let (over, under) = (u32::from(opacity), 255 - u32::from(opacity));
        self.each(area, |_, _, pixel| {
            for (old, new) in pixel.iter_mut().zip(color.0) {
                *old = ((u32::from(*old) * under + u32::from(new) * over + 127) / 255) as u8;
            }
        });
    }

    /// The outline of a rectangle, `width` pixels inwards; like Pillow's, it reaches outwards where the rectangle is
    /// narrower than two lines.
    pub(super) fn outline(&mut self, area: Rectangle, color: Color, width: i64) {
        let Rectangle {
            left,
            top,
            right,
            bottom,
        } = area;
        let side = |left: i64, top: i64, right: i64, bottom: i64| Rectangle {
            left,
            top: top.min(bottom),
            right,
            bottom: bottom.max(top),
        };
        let (upper, lower) = (top + width, bottom - width + 1);
        let sides = [
            side(left, top, right, upper - 1),
            side(left, lower, right, bottom),
            side(left, upper, left + width - 1, lower),
            side(right - width + 1, upper, right, lower),
        ];
        for side in sides.iter().filter(|_| width > 0) {
            self.each(*side, |_, _, pixel| *pixel = color.0);
        }
    }

    /// A disc around a pixel.
    pub(super) fn disc(&mut self, (cx, cy): (i64, i64), radius: i64, color: Color) {
        let area = Rectangle {
            left: cx - radius,
            top: cy - radius,
            right: cx + radius,
            bottom: cy + radius,
        };
        // Half a pixel more than the radius: discs look round rather than pointed.
        let limit = radius * radius + radius;
        self.each(area, |x, y, pixel| {
            if (x - cx).pow(2) + (y - cy).pow(2) <= limit {
                *pixel = color.0;
            }
        });
    }

    /// A line between the centres of two pixels.
    pub(super) fn line(&mut self, (x0, y0): (i64, i64), (x1, y1): (i64, i64), width: i64, color: Color) {
        let reach = width / 2 + 1;
        let area = Rectangle {
            left: x0.min(x1) - reach,
            top: y0.min(y1) - reach,
            right: x0.max(x1) + reach,
            bottom: y0.max(y1) + reach,
        };
        let (dx, dy) = ((x1 - x0) as f64, (y1 - y0) as f64);
        let length = (dx * dx + dy * dy).max(1.0);
        let limit = (width as f64 / 2.0).max(0.5);
        self.each(area, |x, y, pixel| {
            let (px, py) = ((x - x0) as f64, (y - y0) as f64);
            let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
            let (ex, ey) = (px - along * dx, py - along * dy);
            if ex * ex + ey * ey <= limit * limit {
                *pixel = color.0;
            }
        });
    }

    /// A line of text, its upper left corner at a pixel. Letters that the font lacks become question marks.
    pub(super) fn text(&mut self, (left, top): (i64, i64), text: &str, color: Color) {
        for (at, letter) in text.chars().enumerate() {
            let left = left + at as i64 * LETTER;
            for (y, row) in glyph(letter).into_iter().enumerate() {
                for x in (0..8).filter(|x| row >> x & 1 == 1) {
                    if let Some(pixel) = self.pixel(left + x, top + y as i64) {
                        *pixel = color.0;
                    }
                }
            }
        }
    }
}

/// The rows of a letter, the lowest bit to the left.
fn glyph(letter: char) -> [u8; 8] {
    let known = font8x8::BASIC_FONTS
        .get(letter)
        .or_else(|| font8x8::LATIN_FONTS.get(letter))
        .or_else(|| font8x8::GREEK_FONTS.get(letter));
    known
        .or_else(|| font8x8::BASIC_FONTS.get('?'))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_left_out() {
        let mut canvas = Canvas::new("test", &Tensor::zeros((1, 4, 5), DType::F32).unwrap()).unwrap();
        let (red, far) = (Color([255, 0, 0]), 1_000_000);
        let all = Rectangle {
            left: -far,
            top: -far,
            right: far,
            bottom: far,
        };
        canvas.outline(all, red, 2);
        canvas.text((-20, -3), "outside", red);
        canvas.disc((2, 2), 0, red);
        canvas.line((0, 0), (0, 0), 1, red);
        canvas.fill(all, Color([0, 0, 255]), 0);
        let image = canvas.finish().unwrap();
        assert_eq!((image.dtype(), image.shape()), (DType::F32, &[3, 4, 5][..]));
        assert_eq!(image.i((0, 2, 2)).unwrap().item::<f32>().unwrap(), 1.0);
        assert_eq!(image.i((0, 0, 0)).unwrap().item::<f32>().unwrap(), 1.0);
        assert_eq!(image.i(1..).unwrap().max().unwrap().item::<f32>().unwrap(), 0.0);
    }
}
