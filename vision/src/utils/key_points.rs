//! Points, and lines between them, drawn on a picture (`draw_keypoints`).

use flambeau_tensor::{Result, Tensor, bail, ensure};

use super::Color;
use super::canvas::Canvas;

/// Options of [`draw_keypoints`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct DrawKeyPointsOptions<'a> {
    /// Pairs of points that are joined by lines.
    pub connectivity: &'a [(usize, usize)],
    /// The colour of points.
    pub color: Color,
    /// The radius of points, in pixels.
    pub radius: usize,
    /// The width of lines, in pixels.
    pub width: usize,
    /// Which points are seen, `[instances, points]`; all unless given.
    pub visibility: Option<&'a Tensor>,
}

impl Default for DrawKeyPointsOptions<'_> {
    fn default() -> Self {
        DrawKeyPointsOptions {
            connectivity: &[],
            color: Color([255; 3]),
            radius: 2,
            width: 3,
            visibility: None,
        }
    }
}

/// The picture with the points of several instances (such as the joints of persons) and white lines between them.
///
/// # Shapes
/// image `[3, height, width]` of bytes, or floats from 0 to 1, points `[instances, points, 2]` → `[3, height, width]`.
///
/// # Errors
/// `Shape`, `DType` for other tensors; `Index` for a line to a point that is not there.
pub fn draw_keypoints(image: &Tensor, points: &Tensor, options: &DrawKeyPointsOptions<'_>) -> Result<Tensor> {
    let op = "draw_keypoints";
    let mut canvas = Canvas::new(op, image)?;
    let &[instances, count, 2] = points.shape() else {
        bail!(
            Shape,
            "{op}: expected points [instances, points, 2], got {:?}",
            points.shape()
        )
    };
    if let Some(&pair) = options.connectivity.iter().find(|(a, b)| *a.max(b) >= count) {
        bail!(Index, "{op}: a line {pair:?} between {count} points");
    }
    let visible = match options.visibility {
        Some(visibility) => {
            let flags = visibility.detach().bool()?.to_vec::<bool>()?;
            ensure!(
                flags.len() == instances * count && visibility.shape().starts_with(&[instances, count]),
                Shape,
                "{op}: visibility {:?} of points {:?}",
                visibility.shape(),
                points.shape()
            );
            flags
        }
        None => vec![true; instances * count],
    };
    let coordinates = points.detach().to_vec_f64()?;
    let places: Vec<(i64, i64)> = coordinates
        .chunks_exact(2)
        .map(|p| (p[0] as i64, p[1] as i64))
        .collect();
    for instance in 0..instances {
        let range = instance * count..(instance + 1) * count;
        let (places, visible) = (&places[range.clone()], &visible[range]);
        for (&place, _) in places.iter().zip(visible).filter(|(_, visible)| **visible) {
            canvas.disc(place, options.radius as i64, options.color);
        }
        for &(a, b) in options.connectivity {
            if visible[a] && visible[b] {
                canvas.line(places[a], places[b], options.width as i64, Color([255; 3]));
            }
        }
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn hidden_points_are_not_drawn() {
        let image = Tensor::zeros((3, 9, 9), DType::U8).unwrap();
        let points = Tensor::new([[[1i64, 1], [7, 1], [4, 7]]]).unwrap();
        let visibility = Tensor::new([[true, true, false]]).unwrap();
        let options = DrawKeyPointsOptions {
            connectivity: &[(0, 1), (1, 2)],
            radius: 0,
            width: 1,
            visibility: Some(&visibility),
            ..DrawKeyPointsOptions::default()
        };
        let drawn = draw_keypoints(&image, &points, &options).unwrap();
        let white = drawn.select(0, 0).unwrap().to_dtype(DType::Bool).unwrap();
        assert_eq!(white.nonzero().unwrap().shape()[0], 7);
        assert!(white.i((1, 1..8)).unwrap().all().unwrap().item::<bool>().unwrap());
        let wrong = DrawKeyPointsOptions {
            connectivity: &[(0, 3)],
            ..options
        };
        assert!(draw_keypoints(&image, &points, &wrong).is_err());
    }
}
