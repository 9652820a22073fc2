//! The arithmetic of MTCNN's boxes, in edges: `[left, top, right, bottom]`.

use flambeau_tensor::{Result, Tensor};

use super::Face;
use crate::ops::nms;
use crate::transforms::functional::Crop;

/// The edges of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds(pub(super) [f32; 4]);

/// A part of the picture that may be a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) bounds: Bounds,
    pub(super) probability: f32,
    /// By what part of its size each edge should be moved.
    pub(super) offsets: [f32; 4],
}

impl Window {
    /// Where the window should be.
    pub(super) fn moved(&self) -> Bounds {
        self.bounds.moved(&self.offsets)
    }
}

impl Bounds {
    fn size(&self) -> [f32; 2] {
        let [left, top, right, bottom] = self.0;
        [right - left, bottom - top]
    }

    /// With each edge moved by a part of the box's size.
    pub(super) fn moved(&self, offsets: &[f32; 4]) -> Bounds {
        let size = self.size();
        Bounds(std::array::from_fn(|side| {
            self.0[side] + offsets[side] * size[side % 2]
        }))
    }

    /// The square with the same middle and the longer side's length.
    pub(super) fn square(&self) -> Bounds {
        let [left, top, right, bottom] = self.0;
        let [width, height] = self.size();
        let half = width.max(height) / 2.0;
        let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
        Bounds([x - half, y - half, x + half, y + half])
    }

    /// The place at parts of the box's width and height.
    pub(super) fn place(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [width, height] = self.size();
        [self.0[0] + x * width, self.0[1] + y * height]
    }

    /// The pixels of the box, at least one.
    pub(super) fn crop(&self) -> Crop {
        let [left, top, right, bottom] = self.0.map(|edge| edge.round() as isize);
        Crop {
            top,
            left,
            height: (bottom - top).max(1) as usize,
            width: (right - left).max(1) as usize,
        }
    }
}

/// Of windows that overlap by more than a part of their union, the most probable one; by falling probability.
pub(super) fn suppress(windows: Vec<Window>, overlap: f64) -> Result<Vec<Window>> {
    let count = windows.len();
    let edges: Vec<f32> = windows.iter().flat_map(|window| window.bounds.0).collect();
    let probabilities: Vec<f32> = windows.iter().map(|window| window.probability).collect();
    let kept = nms(
        &Tensor::from_vec(edges, (count, 4))?,
        &Tensor::from_vec(probabilities, count)?,
        overlap,
    )?;
    let kept = kept.to_vec::<i64>()?;
    Ok(kept.into_iter().map(|at| windows[at as usize]).collect())
}

/// Of faces that overlap by more than a part of the smaller one, the most probable one; by falling probability. A small box
/// within a large one goes, which an overlap measured by the union would keep.
pub(super) fn suppress_within(mut faces: Vec<Face>, overlap: f32) -> Vec<Face> {
    faces.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        let covered = |other: &Face| part_of_smaller(&face.bounds, &other.bounds) > overlap;
        if !kept.iter().any(covered) {
            kept.push(face);
        }
    }
    kept
}

/// What part of the smaller box the common part is.
fn part_of_smaller(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[left, top, right, bottom]: [f32; 4]| (right - left).max(0.0) * (bottom - top).max(0.0);
    let common = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
    let smaller = area(*a).min(area(*b));
    if smaller > 0.0 {
        area(common) / smaller
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_move_by_parts_of_the_size() {
        let bounds = Bounds([10.0, 20.0, 30.0, 60.0]);
        assert_eq!(bounds.moved(&[0.5, -0.25, 0.0, 1.0]).0, [20.0, 10.0, 30.0, 100.0]);
        assert_eq!(bounds.square().0, [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(bounds.place([0.5, 0.25]), [20.0, 30.0]);
        let crop = Bounds([-1.6, 2.4, 7.5, 2.4]).crop();
        assert_eq!((crop.left, crop.top, crop.width, crop.height), (-2, 2, 10, 1));
    }

    #[test]
    fn the_most_probable_of_overlapping_windows_stays() {
        let window = |left: f32, probability| Window {
            bounds: Bounds([left, 0.0, left + 10.0, 10.0]),
            probability,
            offsets: [0.0; 4],
        };
        // The first two share 8 of 12 columns, an overlap of 2/3.
        let windows = vec![window(0.0, 0.7), window(2.0, 0.9), window(50.0, 0.8)];
        let left = |kept: Vec<Window>| kept.iter().map(|w| w.bounds.0[0]).collect::<Vec<_>>();
        assert_eq!(left(suppress(windows.clone(), 0.5).unwrap()), [2.0, 50.0]);
        assert_eq!(left(suppress(windows, 0.7).unwrap()), [2.0, 50.0, 0.0]);
        assert!(suppress(Vec::new(), 0.5).unwrap().is_empty());
    }

    #[test]
    fn small_boxes_within_large_ones_go() {
        let face = |bounds, probability| Face {
            bounds,
            probability,
            landmarks: [[0.0; 2]; 5],
        };
        let large = face([0.0, 0.0, 40.0, 40.0], 0.9);
        let inside = face([10.0, 10.0, 20.0, 20.0], 0.99);
        let beside = face([35.0, 0.0, 75.0, 40.0], 0.8);
        assert_eq!(part_of_smaller(&large.bounds, &inside.bounds), 1.0);
        assert_eq!(part_of_smaller(&large.bounds, &beside.bounds), 0.125);
        assert_eq!(part_of_smaller(&[0.0; 4], &large.bounds), 0.0);
        assert_eq!(
            suppress_within(vec![large, beside, inside], 0.7),
            [inside, beside]
        );
    }
}
