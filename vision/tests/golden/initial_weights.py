"""Sums of torchvision's initial weights: for each model, after `torch.manual_seed(0)`, the number of elements of the state,
the sum of all floating point ones and the sum of their squares, in float64.

    python initial_weights.py > initial_weights.json
"""

import json
import warnings

import torch
import torchvision.models as models

warnings.filterwarnings("ignore")

NAMES = [
    "resnet18",
    "squeezenet1_1",
    "googlenet",
    "inception_v3",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "regnet_y_400mf",
    "swin_t",
    "swin_v2_t",
    "convnext_tiny",
    "maxvit_t",
]

if __name__ == "__main__":
    sums = {}
    for name in NAMES:
        torch.manual_seed(0)
        state = models.get_model(name, num_classes=10).state_dict().values()
        floats = [value.double() for value in state if value.is_floating_point()]
        sums[name] = {
            "elements": sum(value.numel() for value in state),
            "sum": sum(value.sum().item() for value in floats),
            "squares": sum(value.square().sum().item() for value in floats),
        }
    print(json.dumps({"torch": torch.__version__, "models": sums}, indent=1))
