//! Turning colours around the colour wheel (`adjust_hue`), by way of hue, saturation and value.

use flambeau_tensor::pool::parallel_chunks_mut;
use flambeau_tensor::{DType, Result, Tensor, ensure};

use super::{dimensions, grey_or_rgb, to_dtype};

/// Pixels in one task of a parallel call.
const CHUNK: usize = 16 * 1024;

/// The picture with its hues turned by `factor` of a full circle, from -0.5 to 0.5.
///
/// # Errors
/// `Value` for another factor; `Shape` unless the picture has one or three channels; `Unsupported` if it is tracked,
/// since hues have no useful gradient.
pub fn adjust_hue(image: &Tensor, factor: f64) -> Result<Tensor> {
    let op = "adjust_hue";
    ensure!(
        (-0.5..=0.5).contains(&factor),
        Value,
        "{op}: expected a factor from -0.5 to 0.5, got {factor}"
    );
    if grey_or_rgb(op, image)? == 1 || image.numel() == 0 {
        return Ok(image.clone());
    }
    ensure!(
        !(image.is_tracked() && flambeau_tensor::is_grad_enabled()),
        Unsupported,
        "{op}: a tracked picture; detach it first"
    );
    let [_, height, width] = dimensions(op, image)?;
    let (pixels, shift) = (height * width, factor as f32);
    let mut values = to_dtype(image, DType::F32, true)?.to_vec::<f32>()?;
    for picture in values.chunks_exact_mut(3 * pixels) {
        let mut turned = vec![[0f32; 3]; pixels];
        let (red, rest) = picture.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        parallel_chunks_mut(&mut turned, CHUNK, |start, out| {
            for (i, out) in out.iter_mut().enumerate() {
                let at = start + i;
                *out = turn([red[at], green[at], blue[at]], shift);
            }
        });
        for (at, [r, g, b]) in turned.into_iter().enumerate() {
            (red[at], green[at], blue[at]) = (r, g, b);
        }
    }
    to_dtype(&Tensor::from_vec(values, image.shape())?, image.dtype(), true)
}

/// A colour with its hue turned by `shift` of a full circle.
fn turn([r, g, b]: [f32; 3], shift: f32) -> [f32; 3] {
    let (low, high) = (r.min(g).min(b), r.max(g).max(b));
    let range = high - low;
    let (saturation, distance) = if range == 0.0 {
        (0.0, 1.0)
    } else {
        (range / high, range)
    };
    let [rc, gc, bc] = [
        (high - r) / distance,
        (high - g) / distance,
        (high - b) / distance,
    ];
    let sector = if high == r {
        bc - gc
    } else if high == g {
        rc + 2.0 - bc
    } else {
        gc + 4.0 - rc
    };
    let hue = (sector * (1.0 / 6.0) + 1.0) % 1.0;
    let hue = (hue + shift).rem_euclid(1.0);

    let sixth = (hue * 6.0).floor();
    let (fraction, unsaturated) = (hue * 6.0 - sixth, 1.0 - saturation);
    let level = |share: f32| (share * high).clamp(0.0, 1.0);
    let (v, p) = (high, level(unsaturated));
    let q = level(1.0 - saturation * fraction);
    let t = level(saturation * fraction + unsaturated);
    match (sixth as i32).rem_euclid(6) {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_circle_exchanges_the_primary_colours() {
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5);
        assert!(close(turn([1.0, 0.2, 0.2], 1.0 / 3.0), [0.2, 1.0, 0.2]));
        assert!(close(turn([1.0, 0.2, 0.2], -1.0 / 3.0), [0.2, 0.2, 1.0]));
        assert!(close(turn([0.5, 0.5, 0.5], 0.3), [0.5, 0.5, 0.5]));
        assert!(close(turn([0.1, 0.6, 0.3], 0.0), [0.1, 0.6, 0.3]));
    }

    #[test]
    fn tracked_pictures_are_refused() {
        let image = Tensor::zeros((3, 2, 2), DType::F32).unwrap();
        image.requires_grad(true).unwrap();
        assert!(
            adjust_hue(&image, 0.1)
                .unwrap_err()
                .to_string()
                .contains("tracked")
        );
        assert!(adjust_hue(&image, 0.6).is_err());
    }
}
