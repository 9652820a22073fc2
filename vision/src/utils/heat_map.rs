//! Heat maps laid over a picture.

use flambeau_tensor::{DType, Result, Tensor, ensure, no_grad};

/// Colours from cold to hot: blue, cyan, yellow, red.
const COLORS: [[f32; 3]; 4] = [
    [0.0, 0.0, 255.0],
    [0.0, 255.0, 255.0],
    [255.0, 255.0, 0.0],
    [255.0, 0.0, 0.0],
];

/// The colour of a temperature from 0 to 1, between the two that are closest.
fn color(heat: f32) -> [f32; 3] {
    let place = heat.clamp(0.0, 1.0) * (COLORS.len() - 1) as f32;
    let below = (place as usize).min(COLORS.len() - 2);
    let part = place - below as f32;
    std::array::from_fn(|c| COLORS[below][c] + part * (COLORS[below + 1][c] - COLORS[below][c]))
}

/// The picture with a heat map laid over it, from blue over cyan and yellow to red. The hotter a place, the more colour:
/// where it is cold, the picture stays as it is, and at 1, `opacity` is that of the colour.
///
/// # Shapes
/// image `[1 or 3, height, width]`, `uint8`, heat `[height, width]` from 0 to 1 → `[3, height, width]`, `uint8`.
///
/// # Errors
/// `Shape`, `DType` for other tensors.
pub fn draw_heat_map(image: &Tensor, heat: &Tensor, opacity: f64) -> Result<Tensor> {
    let op = "draw_heat_map";
    ensure!(
        image.dtype() == DType::U8,
        DType,
        "{op}: expected a picture of bytes, got {}",
        image.dtype()
    );
    let (shape, heat_shape) = (image.shape(), heat.shape());
    ensure!(
        matches!(shape, [1 | 3, _, _]) && *heat_shape == shape[1..],
        Shape,
        "{op}: expected a picture [1 or 3, height, width] and heat [height, width], got {shape:?} and {heat_shape:?}"
    );
    let (height, width) = (shape[1], shape[2]);
    no_grad(|| {
        let heat = heat.to_dtype(DType::F32)?.to_vec::<f32>()?;
        let levels = image.expand([3, height, width])?.to_vec::<u8>()?;
        let plane = height * width;
        let mixed = levels.iter().enumerate().map(|(at, &level)| {
            let (channel, heat) = (at / plane, heat[at % plane]);
            let part = opacity as f32 * heat.clamp(0.0, 1.0);
            (f32::from(level) * (1.0 - part) + color(heat)[channel] * part).round() as u8
        });
        Tensor::from_vec(mixed.collect::<Vec<u8>>(), (3, height, width))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_places_stay_and_hot_ones_are_red() {
        let image = Tensor::full((1, 1, 3), 100, DType::U8).unwrap();
        let heat = Tensor::new([[0.0f32, 1.0, 0.5]]).unwrap();
        let drawn = draw_heat_map(&image, &heat, 0.5).unwrap();
        // In the middle between cyan and yellow, a quarter of it.
        assert_eq!(
            drawn.to_vec::<u8>().unwrap(),
            [100, 178, 107, 100, 50, 139, 100, 50, 107]
        );
        assert!(draw_heat_map(&image, &heat.squeeze_dim(0).unwrap(), 0.5).is_err());
        assert!(draw_heat_map(&image.to_dtype(DType::F32).unwrap(), &heat, 0.5).is_err());
    }
}
