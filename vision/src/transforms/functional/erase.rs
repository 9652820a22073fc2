//! Writing a value over a part of a picture (`erase`).

use flambeau_tensor::{Result, Tensor, ensure};

use super::{Crop, dimensions};

/// The picture with `value`, which broadcasts to `[channels, part.height, part.width]`, in the place of a part.
///
/// # Errors
/// `Shape` unless the part lies in the picture; `Broadcast` if the value does not fit.
pub fn erase(image: &Tensor, part: Crop, value: &Tensor) -> Result<Tensor> {
    let [_, height, width] = dimensions("erase", image)?;
    let (bottom, right) = (part.top + part.height as isize, part.left + part.width as isize);
    ensure!(
        part.top >= 0 && part.left >= 0 && bottom <= height as isize && right <= width as isize,
        Shape,
        "erase: {part:?} is no part of the picture {:?}",
        image.shape()
    );
    let inside = image.i((.., part.top..bottom, part.left..right))?;
    let value = value.to_dtype(image.dtype())?.expand(inside.shape())?;
    let rows = image.slice(-2, Some(part.top), Some(bottom), 1)?;
    let rows = rows.slice_scatter(&value, -1, Some(part.left), Some(right), 1)?;
    image.slice_scatter(&rows, -2, Some(part.top), Some(bottom), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flambeau_tensor::DType;

    #[test]
    fn a_part_is_replaced() {
        let image = Tensor::zeros((2, 2, 3), DType::U8).unwrap();
        let part = Crop {
            top: 1,
            left: 1,
            height: 1,
            width: 2,
        };
        let value = Tensor::new([[[5.0f32]], [[6.0]]]).unwrap();
        let erased = erase(&image, part, &value).unwrap();
        assert_eq!(
            erased.to_vec::<u8>().unwrap(),
            [0, 0, 0, 0, 5, 5, 0, 0, 0, 0, 6, 6]
        );
        assert!(erase(&image, Crop { width: 3, ..part }, &value).is_err());
    }
}
