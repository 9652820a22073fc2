//! Layers without state as functions (`torch.nn.functional`), gathered from [`flambeau_tensor::ops`].
//!
//! Functions of one tensor are its methods: `x.relu()?`, `x.softmax(-1)?`, `x.gelu()?`, `x.pad(…)?`.

pub use flambeau_tensor::ops::attention::{SdpaOptions, scaled_dot_product_attention};
pub use flambeau_tensor::ops::conv::{
    ConvOptions, ConvTransposeOptions, Padding, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d,
    conv2d, conv3d,
};
pub use flambeau_tensor::ops::dropout::{dropout, feature_dropout};
pub use flambeau_tensor::ops::embedding::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, embedding, embedding_bag,
};
pub use flambeau_tensor::ops::fold::{
    UnfoldOptions, channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold,
};
pub use flambeau_tensor::ops::interpolate::{
    InterpolateMode, InterpolateOptions, InterpolateSize, interpolate,
};
pub use flambeau_tensor::ops::linear::{bilinear, linear};
pub use flambeau_tensor::ops::loss::*;
pub use flambeau_tensor::ops::norm::{
    BatchNormOptions, RunningStats, batch_norm, group_norm, instance_norm, layer_norm, rms_norm,
};
pub use flambeau_tensor::ops::normalize::{local_response_norm, normalize};
pub use flambeau_tensor::ops::pad::PadMode;
pub use flambeau_tensor::ops::pool::{
    AvgPoolOptions, MaxPoolOptions, adaptive_avg_pool, adaptive_max_pool_with_indices, avg_pool1d,
    avg_pool2d, avg_pool3d, lp_pool, max_pool_with_indices, max_pool1d, max_pool2d, max_pool3d, max_unpool,
};
