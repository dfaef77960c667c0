"""Exports PyTorch models as the guide does, with what they compute: ``python torch_models.py FOLDER``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "pytorch.md"
CASES = 4


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.Hardswish())
        self.head = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        return self.head((x + self.depthwise(x)).mean((2, 3))).softmax(-1)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.layer = kind(5, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(steps)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(words).mean(1))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.deep = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(8, 6, 2, 2), nn.Conv2d(12, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        wide = self.wide(image).relu()
        deep = functional.silu(self.deep(functional.max_pool2d(wide, 2)))
        joined = torch.cat([self.up(deep), wide], 1)
        return self.out(functional.interpolate(joined, scale_factor=2, mode="bilinear")).sigmoid()


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (3, 96, 96)),
    "lstm": (lambda: Recurrent(nn.LSTM), (7, 5)),
    "gru": (lambda: Recurrent(nn.GRU), (7, 5)),
    "transformer": (Transformer, (6, 16)),
    "unet": (UNet, (3, 16, 16)),
}


def main(folder: Path) -> None:
    torch.manual_seed(3)
    (guide,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    for name, (make, shape) in MODELS.items():
        model = make().eval()
        target = folder / name
        target.mkdir()
        os.chdir(target)
        # The guide's example is an image; the others differ from it in their shape alone.
        code = guide.replace("torch.zeros(1, 3, 96, 96)", f"torch.zeros{(1, *shape)}")
        exec(compile(code, str(GUIDE), "exec"), {"model": model})
        inputs = torch.randn(CASES, 1, *shape)
        with torch.no_grad():
            outputs = np.stack([model(case).numpy() for case in inputs])
        np.savez("cases.npz", x=inputs.numpy(), y=outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
