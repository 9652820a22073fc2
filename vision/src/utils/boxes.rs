//! Boxes with labels drawn on a picture (`draw_bounding_boxes`).

use flambeau_tensor::{Result, Tensor, ensure};

use super::Color;
use super::canvas::{Canvas, LETTER, Rectangle};
use super::color::for_each;

/// Options of [`draw_bounding_boxes`].
#[derive(Clone, Copy, Debug)]
pub struct DrawBoxesOptions<'a> {
    /// A line of text for each box; none if empty.
    pub labels: &'a [&'a str],
    /// The colours: one for all, one for each, or the palette's if empty.
    pub colors: &'a [Color],
    /// Whether boxes are filled, with the picture shining through.
    pub fill: bool,
    /// Pixels of the outline.
    pub width: usize,
    /// The colours of labels: one for all or one for each. Those of the boxes if empty; black on filled labels.
    pub label_colors: &'a [Color],
    /// Whether labels stand on a coloured ground, in the colour of their box.
    pub fill_labels: bool,
}

impl Default for DrawBoxesOptions<'_> {
    fn default() -> Self {
        DrawBoxesOptions {
            labels: &[],
            colors: &[],
            fill: false,
            width: 1,
            label_colors: &[],
            fill_labels: false,
        }
    }
}

/// How opaque a filled box is, of 255.
const OPACITY: u8 = 100;

/// The picture with boxes (x, y, x, y) drawn on it; fractions of pixels are cut off.
///
/// # Shapes
/// image `[1 or 3, height, width]` of bytes, or floats from 0 to 1, boxes `[boxes, 4]` → `[3, height, width]`.
///
/// # Errors
/// `Shape`, `DType` for other tensors; `Value` for boxes whose edges are exchanged, and for too few labels or colours.
pub fn draw_bounding_boxes(image: &Tensor, boxes: &Tensor, options: &DrawBoxesOptions<'_>) -> Result<Tensor> {
    let op = "draw_bounding_boxes";
    let mut canvas = Canvas::new(op, image)?;
    ensure!(
        matches!(boxes.shape(), [_, 4]),
        Shape,
        "{op}: expected boxes [boxes, 4], got {:?}",
        boxes.shape()
    );
    let count = boxes.shape()[0];
    ensure!(
        options.labels.is_empty() || options.labels.len() == count,
        Value,
        "{op}: {} labels for {count} boxes",
        options.labels.len()
    );
    let colors = for_each(op, options.colors, count)?;
    let label_colors = match (options.label_colors, options.fill_labels) {
        ([], true) => vec![Color([0; 3]); count],
        ([], false) => colors.clone(),
        (given, _) => for_each(op, given, count)?,
    };
    let corners = boxes.detach().to_vec_f64()?;
    let width = options.width as i64;
    for (at, corners) in corners.chunks_exact(4).enumerate() {
        ensure!(
            corners[0] <= corners[2] && corners[1] <= corners[3],
            Value,
            "{op}: expected boxes (x, y, x, y), got {corners:?}; see box_convert"
        );
        let area = Rectangle {
            left: corners[0] as i64,
            top: corners[1] as i64,
            right: corners[2] as i64,
            bottom: corners[3] as i64,
        };
        if options.fill {
            canvas.fill(area, colors[at], OPACITY);
        }
        canvas.outline(area, colors[at], width);
        if let Some(label) = options.labels.get(at) {
            let corner = (
                area.left.saturating_add(width + 1),
                area.top.saturating_add(width + 1),
            );
            if options.fill_labels {
                let ground = Rectangle {
                    left: corner.0 - 1,
                    top: corner.1 - 1,
                    right: corner.0.saturating_add(label.chars().count() as i64 * LETTER),
                    bottom: corner.1.saturating_add(LETTER),
                };
                canvas.fill(ground, colors[at], u8::MAX);
            }
            canvas.text(corner, label, label_colors[at]);
        }
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn outlines_go_inwards() {
        let image = Tensor::zeros((3, 6, 7), DType::U8).unwrap();
        let boxes = Tensor::new([[1.9f32, 1.0, 5.0, 4.0]]).unwrap();
        let options = DrawBoxesOptions {
            colors: &[Color([9, 0, 0])],
            ..DrawBoxesOptions::default()
        };
        let drawn = draw_bounding_boxes(&image, &boxes, &options).unwrap();
        let red = drawn.select(0, 0).unwrap().to_vec::<u8>().unwrap();
        let rows = ["0000000", "0999990", "0900090", "0900090", "0999990", "0000000"];
        let expected: Vec<u8> = rows.concat().bytes().map(|digit| digit - b'0').collect();
        assert_eq!(red, expected);
    }

    #[test]
    fn wrong_arguments_are_errors() {
        let image = Tensor::zeros((3, 6, 7), DType::U8).unwrap();
        let message = |boxes: [[f32; 4]; 2], options: DrawBoxesOptions<'_>| {
            let boxes = Tensor::new(boxes).unwrap();
            draw_bounding_boxes(&image, &boxes, &options)
                .unwrap_err()
                .to_string()
        };
        let good = [[0.0, 0.0, 2.0, 2.0]; 2];
        let labels = DrawBoxesOptions {
            labels: &["one"],
            ..DrawBoxesOptions::default()
        };
        assert!(message(good, labels).contains("1 labels for 2 boxes"));
        let exchanged = [[0.0, 3.0, 2.0, 2.0]; 2];
        assert!(message(exchanged, DrawBoxesOptions::default()).contains("box_convert"));
    }
}
