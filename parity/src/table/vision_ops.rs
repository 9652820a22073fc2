//! `torchvision.ops` as `vision.ops.…`.

use flambeau_tensor::ops::loss::Reduction;
use flambeau_tensor::{Result, Tensor, bail};
use flambeau_vision::ops::{
    BoundingBoxFormat, DeformConvOptions, FocalLossOptions, RoiAlignOptions, batched_nms, box_area,
    box_convert, box_iou, clip_boxes_to_image, complete_box_iou, complete_box_iou_loss, deform_conv2d,
    distance_box_iou, distance_box_iou_loss, drop_block2d, drop_block3d, generalized_box_iou,
    generalized_box_iou_loss, masks_to_boxes, nms, ps_roi_align, ps_roi_pool, remove_small_boxes, roi_align,
    roi_pool, rois_of, sigmoid_focal_loss,
};

use super::nn::{count, per_dimension};
use crate::args::{Arg, Args};
use crate::registry::{Entry, Output, out};

pub(super) const TABLE: &[Entry] = &[
    ("vision.ops.box_area", |a| {
        let boxes = a.tensor(0, "boxes")?;
        out(box_area(&boxes, format(a, 1, "fmt")?)?)
    }),
    ("vision.ops.box_convert", |a| {
        let boxes = a.tensor(0, "boxes")?;
        let (from, to) = (format(a, 1, "in_fmt")?, format(a, 2, "out_fmt")?);
        out(box_convert(&boxes, from, to)?)
    }),
    ("vision.ops.box_iou", |a| {
        let (boxes1, boxes2) = boxes(a)?;
        out(box_iou(&boxes1, &boxes2, format(a, 2, "fmt")?)?)
    }),
    ("vision.ops.generalized_box_iou", |a| {
        let (boxes1, boxes2) = boxes(a)?;
        out(generalized_box_iou(&boxes1, &boxes2)?)
    }),
    ("vision.ops.distance_box_iou", |a| {
        let (boxes1, boxes2) = boxes(a)?;
        out(distance_box_iou(&boxes1, &boxes2, a.float(2, "eps", 1e-7)?)?)
    }),
    ("vision.ops.complete_box_iou", |a| {
        let (boxes1, boxes2) = boxes(a)?;
        out(complete_box_iou(&boxes1, &boxes2, a.float(2, "eps", 1e-7)?)?)
    }),
    ("vision.ops.generalized_box_iou_loss", |a| {
        box_loss(a, generalized_box_iou_loss)
    }),
    ("vision.ops.distance_box_iou_loss", |a| {
        box_loss(a, distance_box_iou_loss)
    }),
    ("vision.ops.complete_box_iou_loss", |a| {
        box_loss(a, complete_box_iou_loss)
    }),
    ("vision.ops.sigmoid_focal_loss", |a| {
        let (inputs, targets) = (a.tensor(0, "inputs")?, a.tensor(1, "targets")?);
        let options = FocalLossOptions {
            alpha: a.float(2, "alpha", 0.25)?,
            gamma: a.float(3, "gamma", 2.0)?,
            reduction: reduction(a, 4)?,
        };
        out(sigmoid_focal_loss(&inputs, &targets, &options)?)
    }),
    ("vision.ops.clip_boxes_to_image", |a| {
        let (boxes, size) = (a.tensor(0, "boxes")?, a.ints(1, "size")?);
        let [height, width] = size[..] else {
            bail!(Value, "size: expected height and width, got {size:?}")
        };
        out(clip_boxes_to_image(
            &boxes,
            (count("size", height, a)?, count("size", width, a)?),
        )?)
    }),
    ("vision.ops.remove_small_boxes", |a| {
        let boxes = a.tensor(0, "boxes")?;
        out(remove_small_boxes(&boxes, a.scalar(1, "min_size")?.to_f64())?)
    }),
    ("vision.ops.masks_to_boxes", |a| {
        out(masks_to_boxes(&a.tensor(0, "masks")?)?)
    }),
    ("vision.ops.nms", |a| {
        let (boxes, scores) = (a.tensor(0, "boxes")?, a.tensor(1, "scores")?);
        out(nms(&boxes, &scores, a.scalar(2, "iou_threshold")?.to_f64())?)
    }),
    ("vision.ops.batched_nms", |a| {
        let (boxes, scores, classes) = (
            a.tensor(0, "boxes")?,
            a.tensor(1, "scores")?,
            a.tensor(2, "idxs")?,
        );
        out(batched_nms(
            &boxes,
            &scores,
            &classes,
            a.scalar(3, "iou_threshold")?.to_f64(),
        )?)
    }),
    ("vision.ops.roi_align", |a| {
        let call = Pooling::new(a)?;
        let options = RoiAlignOptions {
            spatial_scale: call.scale,
            sampling_ratio: sampling_ratio(a)?,
            aligned: a.bool(5, "aligned", false)?,
        };
        out(roi_align(&call.features, &call.regions, call.bins, &options)?)
    }),
    ("vision.ops.ps_roi_align", |a| {
        let call = Pooling::new(a)?;
        let ratio = sampling_ratio(a)?;
        out(ps_roi_align(
            &call.features,
            &call.regions,
            call.bins,
            call.scale,
            ratio,
        )?)
    }),
    ("vision.ops.roi_pool", |a| {
        let call = Pooling::new(a)?;
        out(roi_pool(&call.features, &call.regions, call.bins, call.scale)?)
    }),
    ("vision.ops.ps_roi_pool", |a| {
        let call = Pooling::new(a)?;
        out(ps_roi_pool(&call.features, &call.regions, call.bins, call.scale)?)
    }),
    ("vision.ops.deform_conv2d", |a| {
        let (x, offset, weight) = (
            a.tensor(0, "input")?,
            a.tensor(1, "offset")?,
            a.tensor(2, "weight")?,
        );
        let bias = a.opt_tensor(3, "bias")?;
        let options = DeformConvOptions {
            stride: per_dimension(a, 4, "stride")?.unwrap_or([1; 2]),
            padding: per_dimension(a, 5, "padding")?.unwrap_or([0; 2]),
            dilation: per_dimension(a, 6, "dilation")?.unwrap_or([1; 2]),
        };
        let mask = a.opt_tensor(7, "mask")?;
        out(deform_conv2d(
            &x,
            &offset,
            &weight,
            bias.as_ref(),
            mask.as_ref(),
            &options,
        )?)
    }),
    ("vision.ops.drop_block2d", |a| drop_block(a, drop_block2d)),
    ("vision.ops.drop_block3d", |a| drop_block(a, drop_block3d)),
];

fn format(a: &mut Args, position: usize, name: &str) -> Result<BoundingBoxFormat> {
    let given = a.opt_str(position, name)?;
    match BoundingBoxFormat::from_name(given.as_deref().unwrap_or("xyxy")) {
        Some(format) => Ok(format),
        None => bail!(Unsupported, "{name}: boxes of format {given:?}"),
    }
}

fn boxes(a: &mut Args) -> Result<(Tensor, Tensor)> {
    Ok((a.tensor(0, "boxes1")?, a.tensor(1, "boxes2")?))
}

fn reduction(a: &mut Args, position: usize) -> Result<Reduction> {
    let name = a.opt_str(position, "reduction")?;
    match Reduction::from_name(name.as_deref().unwrap_or("none")) {
        Some(reduction) => Ok(reduction),
        None => bail!(Value, "reduction {name:?}"),
    }
}

fn box_loss(a: &mut Args, loss: fn(&Tensor, &Tensor, Reduction, f64) -> Result<Tensor>) -> Result<Output> {
    let (boxes1, boxes2) = boxes(a)?;
    let reduction = reduction(a, 2)?;
    out(loss(&boxes1, &boxes2, reduction, a.float(3, "eps", 1e-7)?)?)
}

/// What all poolings of regions take.
struct Pooling {
    features: Tensor,
    regions: Tensor,
    bins: [usize; 2],
    scale: f64,
}

impl Pooling {
    fn new(a: &mut Args) -> Result<Pooling> {
        let features = a.tensor(0, "input")?;
        let regions = match a.peek(1, "boxes") {
            Some(Arg::List(_)) => rois_of(&a.tensors(1, "boxes")?)?,
            _ => a.tensor(1, "boxes")?,
        };
        let Some(bins) = per_dimension(a, 2, "output_size")? else {
            bail!(Value, "output_size is missing")
        };
        Ok(Pooling {
            features,
            regions,
            bins,
            scale: a.float(3, "spatial_scale", 1.0)?,
        })
    }
}

/// None for -1: as many points as there are cells.
fn sampling_ratio(a: &mut Args) -> Result<Option<usize>> {
    Ok(usize::try_from(a.int(4, "sampling_ratio", -1)?)
        .ok()
        .filter(|&ratio| ratio > 0))
}

fn drop_block(a: &mut Args, f: fn(&Tensor, f64, usize, bool) -> Result<Tensor>) -> Result<Output> {
    let x = a.tensor(0, "input")?;
    let (p, size) = (a.scalar(1, "p")?.to_f64(), a.required_count(2, "block_size")?);
    a.bool(3, "inplace", false)?;
    out(f(&x, p, size, a.bool(5, "training", true)?)?)
}
