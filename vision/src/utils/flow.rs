//! Optical flow as colours (`flow_to_image`): hue is the direction, saturation the speed (Baker et al., 2011).

use std::f32::consts::PI;

use flambeau_tensor::{DType, Result, Tensor, bail, ensure};

/// Hues between two neighbouring main colours, from red over yellow, green, cyan, blue and magenta to red.
const STEPS: [usize; 6] = [15, 6, 4, 11, 13, 6];

/// The colours of the wheel.
fn wheel() -> Vec<[f32; 3]> {
    let mut colors = Vec::new();
    for (sector, steps) in STEPS.into_iter().enumerate() {
        for i in 0..steps {
            let rising = (255.0 * i as f32 / steps as f32).floor();
            let falling = 255.0 - rising;
            colors.push(match sector {
                0 => [255.0, rising, 0.0],
                1 => [falling, 255.0, 0.0],
                2 => [0.0, 255.0, rising],
                3 => [0.0, falling, 255.0],
                4 => [rising, 0.0, 255.0],
                _ => [255.0, 0.0, falling],
            });
        }
    }
    colors
}

/// Flow fields as pictures: no motion is white.
///
/// # Shapes
/// `[2, height, width]` or `[fields, 2, height, width]`, `float32` (x and y in pixels) → `[…, 3, height, width]`,
/// `uint8`.
///
/// # Errors
/// `Shape` or `DType` for other tensors.
pub fn flow_to_image(flow: &Tensor) -> Result<Tensor> {
    let op = "flow_to_image";
    ensure!(
        flow.dtype() == DType::F32,
        DType,
        "{op}: expected float32, got {}",
        flow.dtype()
    );
    let (fields, height, width) = match *flow.shape() {
        [2, height, width] => (1, height, width),
        [fields, 2, height, width] => (fields, height, width),
        ref shape => bail!(
            Shape,
            "{op}: expected [2, height, width] or [fields, 2, height, width], got {shape:?}"
        ),
    };
    let (values, plane) = (flow.detach().to_vec::<f32>()?, height * width);
    let speed = |x: f32, y: f32| (x * x + y * y).sqrt();
    let parts = |field: usize| values[2 * field * plane..][..2 * plane].split_at(plane);
    let fastest = (0..fields)
        .flat_map(|field| {
            let (x, y) = parts(field);
            x.iter().zip(y).map(move |(&x, &y)| speed(x, y))
        })
        .fold(0.0, f32::max);
    let scale = 1.0 / (fastest + f32::EPSILON);
    let (wheel, mut bytes) = (wheel(), vec![0u8; fields * 3 * plane]);
    for (field, image) in bytes.chunks_exact_mut((3 * plane).max(1)).enumerate() {
        let (x, y) = parts(field);
        for at in 0..plane {
            let (x, y) = (x[at] * scale, y[at] * scale);
            let turn = ((-y).atan2(-x) / PI + 1.0) / 2.0 * (wheel.len() - 1) as f32;
            let (low, share) = (turn.floor(), turn - turn.floor());
            let (from, to) = (wheel[low as usize], wheel[(low as usize + 1) % wheel.len()]);
            for channel in 0..3 {
                let hue = (1.0 - share) * from[channel] / 255.0 + share * to[channel] / 255.0;
                image[channel * plane + at] = (255.0 * (1.0 - speed(x, y) * (1.0 - hue))).floor() as u8;
            }
        }
    }
    let mut shape = flow.shape().to_vec();
    let at = shape.len() - 3;
    shape[at] = 3;
    Tensor::from_vec(bytes, shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_white_and_directions_have_colours() {
        let flow = Tensor::new([[[0.0f32, 1.0, -1.0]], [[0.0, 0.0, 0.0]]]).unwrap();
        let image = flow_to_image(&flow).unwrap().to_vec::<u8>().unwrap();
        let pixel = |at: usize| [image[at], image[at + 3], image[at + 6]];
        assert_eq!(pixel(0), [255; 3]);
        assert!(pixel(1)[0] > 200 && pixel(1)[2] < 60, "{:?}", pixel(1));
        assert!(pixel(2)[2] > 200 && pixel(2)[0] < 60, "{:?}", pixel(2));
        assert!(flow_to_image(&Tensor::zeros((3, 4, 4), DType::F32).unwrap()).is_err());
    }
}
