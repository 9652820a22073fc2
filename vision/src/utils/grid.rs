//! Pictures side by side (`make_grid`, `save_image`).

use std::path::Path;

use flambeau_tensor::{DType, Result, Tensor, bail, ensure, no_grad};

use crate::io::{write_jpeg, write_png};

/// Options of [`make_grid`]; the defaults are torchvision's.
#[derive(Clone, Copy, Debug)]
pub struct GridOptions {
    /// Pictures in a row.
    pub nrow: usize,
    /// Pixels between pictures and around them.
    pub padding: usize,
    /// Whether values are brought to `[0, 1]`.
    pub normalize: bool,
    /// What becomes 0 and 1 then; the smallest and the largest value unless given.
    pub value_range: Option<(f64, f64)>,
    /// Whether each picture has a range of its own.
    pub scale_each: bool,
    /// The value between pictures.
    pub pad_value: f64,
}

impl Default for GridOptions {
    fn default() -> Self {
        GridOptions {
            nrow: 8,
            padding: 2,
            normalize: false,
            value_range: None,
            scale_each: false,
            pad_value: 0.0,
        }
    }
}

/// Pictures in rows and columns. Grey ones get three channels; a single one is returned as it is.
///
/// # Shapes
/// `[pictures, channels, height, width]`, `[channels, height, width]` or `[height, width]` →
/// `[channels, height, width]`.
///
/// # Errors
/// `Shape` for other tensors and without pictures; `Value` for rows of no pictures; `DType` for integers that are to be
/// normalised.
pub fn make_grid(images: &Tensor, options: &GridOptions) -> Result<Tensor> {
    no_grad(|| grid(images, options))
}

fn grid(images: &Tensor, options: &GridOptions) -> Result<Tensor> {
    let op = "make_grid";
    ensure!(
        options.nrow > 0,
        Value,
        "{op}: expected one picture in a row or more"
    );
    let mut images = images.detach();
    while images.rank() < 4 && images.rank() >= 2 {
        images = images.unsqueeze(0)?;
    }
    let &[count, channels, height, width] = images.shape() else {
        bail!(
            Shape,
            "{op}: expected [pictures, channels, height, width], got {:?}",
            images.shape()
        )
    };
    ensure!(count > 0, Shape, "{op}: no pictures, {:?}", images.shape());
    if channels == 1 {
        images = images.expand([count, 3, height, width])?;
    }
    if options.normalize {
        images = normalized(&images, options)?;
    }
    if count == 1 {
        return images.squeeze_dim(0);
    }
    let (columns, padding) = (options.nrow.min(count), options.padding);
    let (row, column) = (height + padding, width + padding);
    let shape = (
        images.shape()[1],
        row * count.div_ceil(columns) + padding,
        column * columns + padding,
    );
    let grid = images.new_full(shape, options.pad_value)?;
    for k in 0..count {
        let (top, left) = (k / columns * row + padding, k % columns * column + padding);
        grid.set(
            (.., top..top + height, left..left + width),
            &images.select(0, k as isize)?,
        )?;
    }
    Ok(grid)
}

fn normalized(images: &Tensor, options: &GridOptions) -> Result<Tensor> {
    ensure!(
        images.dtype().is_float(),
        DType,
        "make_grid: normalising takes floats, got {}",
        images.dtype()
    );
    let between = |x: &Tensor| {
        let (low, high) = match options.value_range {
            Some(range) => range,
            None => (x.min()?.item_f64()?, x.max()?.item_f64()?),
        };
        let clamped = x.clamp(Some(low.into()), Some(high.into()))?;
        clamped.sub(low)?.div((high - low).max(1e-5))
    };
    if !options.scale_each {
        return between(images);
    }
    let each = images.unbind(0)?;
    Tensor::stack(&each.iter().map(between).collect::<Result<Vec<_>>>()?, 0)
}

/// Writes pictures, whose values are from 0 to 1, as a grid to a PNG or JPEG file; its extension says which.
///
/// # Errors
/// Those of [`make_grid`]; `Value` for another extension; `Io` if the file can't be written.
pub fn save_image(images: &Tensor, path: impl AsRef<Path>, options: &GridOptions) -> Result<()> {
    let path = path.as_ref();
    let grid = make_grid(images, options)?;
    let levels = grid
        .mul(255.0)?
        .add(0.5)?
        .clamp(Some(0.0.into()), Some(255.0.into()))?;
    let bytes = levels.to_dtype(DType::U8)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "png" => write_png(&bytes, path, 6),
        "jpg" | "jpeg" => write_jpeg(&bytes, path, 75),
        _ => bail!(
            Value,
            "save_image: {}: expected a name that ends in .png, .jpg or .jpeg",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids() {
        let images = Tensor::from_vec((1..=3).map(|i| i as f32).collect::<Vec<f32>>(), (3, 1, 1, 1)).unwrap();
        let options = GridOptions {
            nrow: 2,
            padding: 1,
            pad_value: 9.0,
            ..GridOptions::default()
        };
        let grid = make_grid(&images, &options).unwrap();
        assert_eq!(grid.shape(), [3, 5, 5]);
        let first = grid.select(0, 0).unwrap().to_vec::<f32>().unwrap();
        let expected = [
            9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 9.0, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 3.0, 9.0, 9.0,
            9.0, 9.0, 9.0, 9.0, 9.0, 9.0,
        ];
        assert_eq!(first, expected);
        let range = GridOptions {
            normalize: true,
            ..options
        };
        let normalized = make_grid(&images, &range).unwrap();
        assert_eq!(normalized.i((0, 1, 3)).unwrap().item::<f32>().unwrap(), 0.5);
        let each = GridOptions {
            scale_each: true,
            ..range
        };
        assert_eq!(
            make_grid(&images, &each)
                .unwrap()
                .i((0, 1, 3))
                .unwrap()
                .item::<f32>()
                .unwrap(),
            0.0
        );
        assert_eq!(
            make_grid(&Tensor::zeros((4, 5), DType::U8).unwrap(), &options)
                .unwrap()
                .shape(),
            [3, 4, 5]
        );
        assert!(make_grid(&Tensor::zeros((0, 3, 4, 5), DType::U8).unwrap(), &options).is_err());
        let error = save_image(&images, "x.bmp", &options).unwrap_err().to_string();
        assert!(error.contains("x.bmp"), "{error}");
    }
}
