"""Losses and gradients of torch.nn.functional.ctc_loss (PyTorch 2.15), in float64: python3 make_ctc.py writes ctc.safetensors."""

import torch
from safetensors.torch import save_file

torch.manual_seed(0)
logits = torch.randn(14, 3, 6, dtype=torch.float64)
targets = torch.tensor([[1, 2, 2, 5], [3, 3, 0, 0], [4, 1, 5, 0]])
lengths, target_lengths = torch.tensor([14, 9, 12]), torch.tensor([4, 2, 3])
file = {"logits": logits, "targets": targets, "lengths": lengths, "target_lengths": target_lengths}
for reduction in ["mean", "sum", "none"]:
    x = logits.clone().requires_grad_()
    loss = torch.nn.functional.ctc_loss(x.log_softmax(-1), targets, lengths, target_lengths, reduction=reduction)
    loss.sum().backward()
    file[f"loss.{reduction}"], file[f"grad.{reduction}"] = loss.detach(), x.grad
save_file(file, "ctc.safetensors")
