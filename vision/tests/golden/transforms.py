"""Makes transforms.safetensors: what torchvision's transforms make of a small picture for a few seeds.

Run: python transforms.py  (torch 2.15, torchvision 0.29)
"""

import pathlib

import torch
from safetensors.torch import save_file
from torchvision import tv_tensors
from torchvision.transforms import v2 as T

SEEDS = range(6)
HEIGHT, WIDTH = 18, 22


def picture():
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    red = 10 * x + 20
    green = (x * x + 3 * y * y) % 256
    blue = (255 - 12 * y) % 256
    return torch.stack([red, green, blue]).to(torch.uint8)


IMAGE = [
    ("RandomCrop", T.RandomCrop(12, padding=2)),
    ("RandomCrop.pad_if_needed", T.RandomCrop((20, 12), pad_if_needed=True, padding_mode="reflect")),
    ("RandomResizedCrop", T.RandomResizedCrop(10)),
    ("RandomHorizontalFlip", T.RandomHorizontalFlip()),
    ("RandomVerticalFlip", T.RandomVerticalFlip()),
    ("ColorJitter", T.ColorJitter(0.4, 0.3, 0.5, 0.2)),
    ("RandomGrayscale", T.RandomGrayscale(0.5)),
    ("RandomPhotometricDistort", T.RandomPhotometricDistort()),
    ("RandomRotation", T.RandomRotation(40, interpolation=T.InterpolationMode.BILINEAR, fill=[1, 2, 3])),
    ("RandomAffine", T.RandomAffine(30, (0.1, 0.2), (0.7, 1.3), (-10, 10, -5, 5), T.InterpolationMode.BILINEAR)),
    ("RandomPerspective", T.RandomPerspective(p=0.8)),
    ("ElasticTransform", T.ElasticTransform(alpha=40.0, sigma=1.0)),
    ("RandomErasing", T.RandomErasing(0.8)),
    ("RandomErasing.random", T.RandomErasing(0.8, value="random")),
    ("GaussianBlur", T.GaussianBlur(5)),
    ("GaussianNoise", T.GaussianNoise()),
    ("RandomAdjustSharpness", T.RandomAdjustSharpness(2.0)),
    ("RandomAutocontrast", T.RandomAutocontrast()),
    ("RandomEqualize", T.RandomEqualize()),
    ("RandomInvert", T.RandomInvert()),
    ("RandomPosterize", T.RandomPosterize(3)),
    ("RandomSolarize", T.RandomSolarize(100.0)),
    ("RandomChannelPermutation", T.RandomChannelPermutation()),
    ("RandomApply", T.RandomApply([T.RandomInvert(), T.RandomHorizontalFlip()], 0.6)),
    ("RandomChoice", T.RandomChoice([T.RandomInvert(1.0), T.RandomHorizontalFlip(1.0), T.Grayscale(3)], [1, 2, 0.5])),
    ("RandomOrder", T.RandomOrder([T.RandomInvert(), T.RandomPosterize(2), T.RandomSolarize(90.0)])),
    ("AutoAugment.imagenet", T.AutoAugment()),
    ("AutoAugment.cifar10", T.AutoAugment(T.AutoAugmentPolicy.CIFAR10)),
    ("AutoAugment.svhn", T.AutoAugment(T.AutoAugmentPolicy.SVHN)),
    ("RandAugment", T.RandAugment()),
    ("TrivialAugmentWide", T.TrivialAugmentWide()),
    ("AugMix", T.AugMix()),
    ("ScaleJitter", T.ScaleJitter((24, 24))),
    ("RandomShortestSize", T.RandomShortestSize([10, 14, 17], 20)),
    ("RandomResize", T.RandomResize(8, 20)),
]

MARKED = [
    ("RandomIoUCrop", T.RandomIoUCrop()),
    ("RandomZoomOut", T.RandomZoomOut()),
    ("RandomHorizontalFlip", T.RandomHorizontalFlip()),
    ("RandomAffine", T.RandomAffine(30, (0.1, 0.2), (0.7, 1.3))),
    ("RandomRotation", T.RandomRotation(60, expand=True)),
    ("RandomPerspective", T.RandomPerspective(p=0.8)),
    ("ElasticTransform", T.ElasticTransform(alpha=40.0, sigma=1.0)),
    ("RandomResizedCrop", T.RandomResizedCrop(10)),
    ("RandomCrop", T.RandomCrop(12, padding=2)),
]


def main():
    tensors = {}
    for name, transform in IMAGE:
        for seed in SEEDS:
            torch.manual_seed(seed)
            tensors[f"image.{name}.{seed}"] = transform(picture()).contiguous()

    boxes = torch.tensor([[2.0, 3.0, 9.0, 12.0], [8.0, 1.0, 21.0, 17.0]])
    points = torch.tensor([[4.0, 5.0], [15.0, 9.0], [20.0, 2.0]])
    size = (HEIGHT, WIDTH)
    for name, transform in MARKED:
        for seed in SEEDS:
            sample = {
                "image": tv_tensors.Image(picture()),
                "boxes": tv_tensors.BoundingBoxes(boxes.clone(), format="XYXY", canvas_size=size),
                "masks": tv_tensors.Mask((picture() > 120)[:2]),
                "points": tv_tensors.KeyPoints(points.clone(), canvas_size=size),
            }
            torch.manual_seed(seed)
            for key, value in transform(sample).items():
                tensors[f"marked.{name}.{seed}.{key}"] = value.as_subclass(torch.Tensor).contiguous()

    for name, transform in [("MixUp", T.MixUp(alpha=0.7, num_classes=5)), ("CutMix", T.CutMix(num_classes=5))]:
        for seed in SEEDS:
            torch.manual_seed(seed)
            batch = torch.stack([picture() / 255.0, picture().flip(-1) / 255.0, 1 - picture() / 255.0])[..., ::3, ::3]
            images, labels = transform(batch.contiguous(), torch.tensor([3, 0, 4]))
            tensors[f"batch.{name}.{seed}.image"] = images.contiguous()
            tensors[f"batch.{name}.{seed}.labels"] = labels.contiguous()

    save_file(tensors, pathlib.Path(__file__).with_name("transforms.safetensors"))


if __name__ == "__main__":
    main()
