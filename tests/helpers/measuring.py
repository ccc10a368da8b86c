"""Peak memory of one stylization, in a process of its own: the peak of the tests' process is that of the largest before."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HAS_PEAK = Path("/proc/self/status").exists()
"""Whether the peak can be read: Linux's /proc."""

_MEASURE = """
import json, sys
import torch
from ieast.methods import build
from ieast.models.encoder import Encoder
from ieast.stylizer.style import Style

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

name, options, batch, height, width, masked = json.loads(sys.argv[1])
stylizer = build(name, Encoder("vgg19-compact"), options).eval()
for weight in stylizer.encoder.parameters():
    if weight.ndim > 1:
        torch.nn.init.kaiming_normal_(weight)
content, picture = torch.rand(batch, 3, height, width), torch.rand(1, 3, 256, 256)
if name == "johnson":  # which stylizes in no style that it does not know
    stylizer.find = lambda signatures: torch.zeros(len(signatures), dtype=torch.long)
styles = [Style(picture)]
if masked:
    mask = torch.rand(1, 1, height, width)
    styles = [Style(picture, mask=mask), Style(picture, mask=(1 - mask) / 2)]
alpha = 0.5 if stylizer.has_alpha else 1.0
estimate = stylizer.stylization_bytes(content, styles, alpha, "none", "auto")
before = resident("VmRSS")
stylizer.stylize(content, styles, alpha)
print(json.dumps([resident("VmHWM") - before, estimate]))
"""


def peak_and_estimate(
    method: str,
    size: tuple[int, int] = (512, 512),
    *,
    options: dict[str, Any] | None = None,
    batch: int = 1,
    masked: bool = False,
) -> tuple[int, int]:
    """Bytes that stylizing takes in one style or, with masks, in two; and what the method says beforehand.

    Args:
        method: Its name.
        size: Height and width of the contents; styles have 256 pixels a side.
        options: The method's.
        batch: How many contents.
        masked: Whether two styles share the picture by masks.
    """
    command = [sys.executable, "-c", _MEASURE, json.dumps([method, options, batch, *size, masked])]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    peak, estimate = json.loads(output)
    return peak, estimate
