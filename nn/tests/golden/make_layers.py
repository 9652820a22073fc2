"""Makes layers.json: the classes of torch.nn, and how layers print, for tests/layers. Run with PyTorch 2.15."""

import json
import pathlib

from torch import nn

text = {}


def keep(name, module):
    assert name not in text, name
    text[name] = repr(module)


for d in [1, 2, 3]:
    conv, transposed = getattr(nn, f"Conv{d}d"), getattr(nn, f"ConvTranspose{d}d")
    keep(f"Conv{d}d", conv(4, 6, 3))
    keep(f"Conv{d}d.reflect", conv(4, 6, 3, 2, 1, 1, 2, False, "reflect"))
    keep(f"Conv{d}d.same", conv(4, 6, 3, padding="same", dilation=2))
    keep(f"ConvTranspose{d}d", transposed(4, 6, 3, 2, 1, 1, 2, False, 2))
    keep(f"LazyConv{d}d", getattr(nn, f"LazyConv{d}d")(6, 3, padding=1))
    keep(f"LazyConvTranspose{d}d", getattr(nn, f"LazyConvTranspose{d}d")(6, 3, stride=2))
    keep(f"BatchNorm{d}d", getattr(nn, f"BatchNorm{d}d")(4))
    keep(f"LazyBatchNorm{d}d", getattr(nn, f"LazyBatchNorm{d}d")(momentum=None))
    keep(f"InstanceNorm{d}d", getattr(nn, f"InstanceNorm{d}d")(4, 1e-3, affine=True, bias=False))
    keep(f"LazyInstanceNorm{d}d", getattr(nn, f"LazyInstanceNorm{d}d")())
    keep(f"MaxPool{d}d", getattr(nn, f"MaxPool{d}d")(3, 2, 1))
    keep(f"MaxUnpool{d}d", getattr(nn, f"MaxUnpool{d}d")(2))
    keep(f"AvgPool{d}d", getattr(nn, f"AvgPool{d}d")(2))
    keep(f"LPPool{d}d", getattr(nn, f"LPPool{d}d")(2, 3, 2))
    size = (2, None, 3)[:d] if d > 1 else 2
    keep(f"AdaptiveMaxPool{d}d", getattr(nn, f"AdaptiveMaxPool{d}d")(size))
    keep(f"AdaptiveAvgPool{d}d", getattr(nn, f"AdaptiveAvgPool{d}d")(size))
    if d > 1:
        keep(f"FractionalMaxPool{d}d", getattr(nn, f"FractionalMaxPool{d}d")(2, output_ratio=0.5))
    keep(f"ConstantPad{d}d", getattr(nn, f"ConstantPad{d}d")(1, 3.5))
    for pad in ["Zero", "Reflection", "Replication", "Circular"]:
        keep(f"{pad}Pad{d}d", getattr(nn, f"{pad}Pad{d}d")(1))
    keep(f"Dropout{d}d", getattr(nn, f"Dropout{d}d")(0.25))

for name in "ReLU ReLU6 SELU SiLU Mish Sigmoid LogSigmoid Tanh Tanhshrink Hardsigmoid Hardswish Softsign Softmax2d Identity".split():
    keep(name, getattr(nn, name)())
for name in "Dropout AlphaDropout FeatureAlphaDropout".split():
    keep(name, getattr(nn, name)(0.25))
for name in "L1Loss MSELoss HuberLoss SmoothL1Loss SoftMarginLoss KLDivLoss PoissonNLLLoss GaussianNLLLoss HingeEmbeddingLoss".split():
    keep(name, getattr(nn, name)())
for name in "MarginRankingLoss CosineEmbeddingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss BCELoss".split():
    keep(name, getattr(nn, name)())
for name in "BCEWithLogitsLoss NLLLoss CrossEntropyLoss TripletMarginLoss TripletMarginWithDistanceLoss CTCLoss".split():
    keep(name, getattr(nn, name)())
keep("LinearCrossEntropyLoss", nn.LinearCrossEntropyLoss(4, 3, out_features=(2,), label_smoothing=0.1))
keep("AdaptiveLogSoftmaxWithLoss", nn.AdaptiveLogSoftmaxWithLoss(8, 12, [4, 8], 2.0))
keep("LeakyReLU", nn.LeakyReLU(0.2))
keep("PReLU", nn.PReLU(3))
keep("RReLU", nn.RReLU())
keep("ELU", nn.ELU())
keep("CELU", nn.CELU(2.0))
keep("GELU", nn.GELU())
keep("GELU.tanh", nn.GELU("tanh"))
keep("GLU", nn.GLU(1))
keep("Hardtanh", nn.Hardtanh())
keep("Hardshrink", nn.Hardshrink())
keep("Softshrink", nn.Softshrink(0.25))
keep("Softplus", nn.Softplus())
keep("Threshold", nn.Threshold(0.1, 20))
for name in ["Softmax", "LogSoftmax", "Softmin"]:
    keep(name, getattr(nn, name)(1))
keep("Linear", nn.Linear(4, 3))
keep("LazyLinear", nn.LazyLinear(3, bias=False))
keep("Bilinear", nn.Bilinear(4, 3, 2))
keep("Embedding", nn.Embedding(6, 3, padding_idx=1, max_norm=2.0))
keep("EmbeddingBag", nn.EmbeddingBag(6, 3, mode="sum"))
keep("Flatten", nn.Flatten())
keep("Unflatten", nn.Unflatten(1, (2, 3)))
keep("PixelShuffle", nn.PixelShuffle(2))
keep("PixelUnshuffle", nn.PixelUnshuffle(2))
keep("ChannelShuffle", nn.ChannelShuffle(2))
keep("Unfold", nn.Unfold(2))
keep("Fold", nn.Fold((3, 4), 2))
keep("Upsample", nn.Upsample(scale_factor=2, mode="bilinear"))
keep("Upsample.size", nn.Upsample((5, 7)))
keep("UpsamplingNearest2d", nn.UpsamplingNearest2d(scale_factor=2))
keep("UpsamplingBilinear2d", nn.UpsamplingBilinear2d((5, 7)))
keep("CosineSimilarity", nn.CosineSimilarity())
keep("PairwiseDistance", nn.PairwiseDistance())
keep("GroupNorm", nn.GroupNorm(2, 4))
keep("LayerNorm", nn.LayerNorm((3, 4)))
keep("RMSNorm", nn.RMSNorm(4))
keep("LocalResponseNorm", nn.LocalResponseNorm(3))
for name in ["RNN", "LSTM", "GRU"]:
    keep(name, getattr(nn, name)(3, 4, 2, batch_first=True, dropout=0.5, bidirectional=True))
    keep(f"{name}Cell", getattr(nn, f"{name}Cell")(3, 4))
keep("MultiheadAttention", nn.MultiheadAttention(8, 2))
options = dict(dim_feedforward=16, batch_first=True)
keep("TransformerEncoderLayer", nn.TransformerEncoderLayer(8, 2, **options))
keep("TransformerDecoderLayer", nn.TransformerDecoderLayer(8, 2, **options))
keep("TransformerEncoder", nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, **options), 2, nn.LayerNorm(8)))
keep("TransformerDecoder", nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, **options), 1))
keep("Transformer", nn.Transformer(8, 2, 1, 2, **options))
keep("Sequential", nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))

everything = [getattr(nn, name) for name in dir(nn)]
classes = sorted({c.__name__ for c in everything if isinstance(c, type) and issubclass(c, nn.Module)})
path = pathlib.Path(__file__).with_name("layers.json")
path.write_text(json.dumps({"classes": classes, "text": text}, indent=1, sort_keys=True) + "\n")
