//! Masks of COCO: polygons, and runs of zeros and ones down the columns, in numbers or in text.

use flambeau_tensor::{Result, bail, ensure};

/// Polygons are drawn on a grid this much finer than the pixels.
const FINE: f64 = 5.0;
/// No picture is as large as this.
const FARTHEST: f64 = 65_536.0;

/// Adds to `mask` (row by row) what `runs` of zeros, ones, zeros, … cover, column by column.
pub(super) fn add_runs(runs: &[u64], height: usize, width: usize, mask: &mut [u8]) -> Result<()> {
    let area = (height * width) as u64;
    let total = runs.iter().try_fold(0u64, |sum, &run| sum.checked_add(run));
    ensure!(
        total == Some(area),
        Format,
        "runs of {total:?} pixels in a picture of {height} x {width}"
    );
    let mut at = 0;
    for (number, &run) in runs.iter().enumerate() {
        let end = at + run as usize;
        if number % 2 == 1 {
            (at..end).for_each(|pixel| mask[pixel % height * width + pixel / height] = 1);
        }
        at = end;
    }
    Ok(())
}

/// The runs that a text stands for: numbers in groups of five bits, behind the first ones as the difference from the last
/// but one.
pub(super) fn runs_of(text: &str) -> Result<Vec<u64>> {
    let mut runs: Vec<i64> = Vec::new();
    let mut letters = text.bytes();
    while let Some(first) = letters.next() {
        let (mut number, mut shift, mut letter) = (0i64, 0, first);
        loop {
            let bits = i64::from(letter) - 48;
            ensure!(
                (0..64).contains(&bits) && shift <= 55,
                Format,
                "{text:?} does not stand for runs of a mask"
            );
            number |= (bits & 0x1f) << shift;
            shift += 5;
            if bits & 0x20 == 0 {
                if bits & 0x10 != 0 {
                    number |= -1 << shift;
                }
                break;
            }
            let Some(next) = letters.next() else {
                bail!(Format, "{text:?} does not stand for runs of a mask")
            };
            letter = next;
        }
        if runs.len() > 2 {
            number = number.wrapping_add(runs[runs.len() - 2]);
        }
        runs.push(number);
    }
    let positive = runs.into_iter().map(u64::try_from);
    match positive.collect() {
        Ok(runs) => Ok(runs),
        Err(_) => bail!(Format, "{text:?} has runs of negative length"),
    }
}

/// Adds to `mask` what a polygon covers, by COCO's rule: the outline is drawn on the finer grid, and where it passes from one
/// column of pixels to the next, what is below it changes from outside to inside or back.
pub(super) fn add_polygon(corners: &[f64], height: usize, width: usize, mask: &mut [u8]) -> Result<()> {
    ensure!(
        corners.len() >= 6 && corners.len().is_multiple_of(2),
        Format,
        "a polygon of {} numbers",
        corners.len()
    );
    ensure!(
        corners.iter().all(|x| x.abs() <= FARTHEST),
        Format,
        "a polygon beyond all pictures: {corners:?}"
    );
    // Towards zero, as C converts.
    let points: Vec<[i64; 2]> = corners
        .as_chunks::<2>()
        .0
        .iter()
        .map(|point| point.map(|x| (FINE * x + 0.5) as i64))
        .collect();
    let mut crossings = Vec::new();
    let mut last = None;
    for (i, &from) in points.iter().enumerate() {
        let to = points[(i + 1) % points.len()];
        outline(from, to, |[x, y]| {
            if let Some([last_x, last_y]) = last.replace([x, y])
                && last_x != x
            {
                crossings.extend(crossing([last_x, last_y], [x, y], height, width));
            }
        });
    }
    crossings.sort_unstable();
    for pair in crossings.chunks(2) {
        let end = pair.get(1).copied().unwrap_or(height * width);
        (pair[0]..end).for_each(|pixel| mask[pixel % height * width + pixel / height] = 1);
    }
    Ok(())
}

/// The points of the finer grid from `from` to `to`. Rounding does not depend on the direction.
fn outline(from: [i64; 2], to: [i64; 2], mut visit: impl FnMut([i64; 2])) {
    let (dx, dy) = ((to[0] - from[0]).abs(), (to[1] - from[1]).abs());
    // The axis along which there is a point at each step, and the other one.
    let (main, other, length) = if dx >= dy { (0, 1, dx) } else { (1, 0, dy) };
    let turned = from[main] > to[main];
    let (start, end) = if turned { (to, from) } else { (from, to) };
    let slope = match length {
        0 => 0.0,
        length => (end[other] - start[other]) as f64 / length as f64,
    };
    for step in 0..=length {
        let t = if turned { length - step } else { step };
        let mut point = [0; 2];
        point[main] = start[main] + t;
        point[other] = (start[other] as f64 + slope * t as f64 + 0.5) as i64;
        visit(point);
    }
}

/// The pixel, counted down the columns, from which on things change where the outline steps from one column of the finer
/// grid to the next; none unless that is the middle of a column of pixels.
fn crossing(from: [i64; 2], to: [i64; 2], height: usize, width: usize) -> Option<usize> {
    let pixel = |fine: i64| (fine as f64 + 0.5) / FINE - 0.5;
    let column = pixel(if to[0] < from[0] { to[0] } else { to[0] - 1 });
    if column.floor() != column || column < 0.0 || column > width as f64 - 1.0 {
        return None;
    }
    let row = pixel(to[1].min(from[1])).clamp(0.0, height as f64).ceil();
    Some(column as usize * height + row as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(mask: &[u8], width: usize) -> Vec<String> {
        let row = |row: &[u8]| row.iter().map(|&x| if x == 1 { '#' } else { '.' }).collect();
        mask.chunks(width).map(row).collect()
    }

    #[test]
    fn runs_go_down_the_columns() {
        let mut mask = vec![0; 6];
        add_runs(&[1, 2, 3], 2, 3, &mut mask).unwrap();
        assert_eq!(drawn(&mask, 3), [".#.", "#.."]);
        assert!(add_runs(&[1, 2], 2, 3, &mut mask).is_err());
        assert!(add_runs(&[u64::MAX, 7], 2, 3, &mut mask).is_err());
    }

    /// What pycocotools encodes and draws (`encode`, `frPyObjects`, `decode`).
    #[test]
    fn texts_and_polygons_are_those_of_pycocotools() {
        assert_eq!(
            runs_of("8161O2OO0O=").unwrap(),
            [8, 1, 6, 2, 5, 4, 4, 3, 4, 2, 17]
        );
        let draw = |corners: &[f64], height, width| {
            let mut mask = vec![0; height * width];
            add_polygon(corners, height, width, &mut mask).unwrap();
            drawn(&mask, width)
        };
        let triangle = [
            "........", ".###....", "..####..", "...###..", "...##...", "........", "........",
        ];
        assert_eq!(draw(&[1.0, 1.0, 6.5, 2.0, 4.0, 6.2], 7, 8), triangle);
        let beyond = [
            "..####..", ".#######", ".#######", ".#######", "########", ".#######", "..######",
        ];
        assert_eq!(draw(&[2.5, -1.0, 12.0, 3.3, 5.1, 9.9, 0.2, 4.4], 7, 8), beyond);
        assert_eq!(draw(&[3.0; 6], 3, 3), ["..."; 3]);
    }

    #[test]
    fn what_is_no_mask_is_an_error() {
        let mut mask = vec![0; 9];
        for corners in [
            &[1.0; 4][..],
            &[1.0; 7],
            &[1.0, 1.0, f64::NAN, 1.0, 1.0, 1.0],
            &[1e300; 6],
        ] {
            assert!(add_polygon(corners, 3, 3, &mut mask).is_err(), "{corners:?}");
        }
        assert_eq!(mask, [0; 9]);
        for text in ["~", " ", "o", "oooooooooooooooo0", "O"] {
            assert!(runs_of(text).is_err(), "{text}");
        }
        assert!(runs_of("").unwrap().is_empty());
    }
}
