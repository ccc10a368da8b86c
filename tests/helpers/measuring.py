"""Peak memory of one stylisation, in a process of its own: the peak of the tests' process is that of the largest before."""

import json
import os
import subprocess
import sys
from pathlib import Path

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

name, side, masked = json.loads(sys.argv[1])
stylizer = build(name, Encoder("vgg19-compact")).eval()
content, picture = torch.rand(1, 3, side, side), torch.rand(1, 3, side, side)
styles = [Style(picture)]
if masked:
    mask = torch.rand(1, 1, side, side)
    styles = [Style(picture, mask=mask), Style(picture, mask=(1 - mask) / 2)]
estimate = stylizer.stylization_bytes(content, styles, 0.5, "none", "auto")
before = resident("VmRSS")
stylizer.stylize(content, styles, 0.5)
print(json.dumps([resident("VmHWM") - before, estimate]))
"""


def peak_and_estimate(method: str, side: int, masked: bool) -> tuple[int, int]:
    """Bytes taken by stylising a square picture in one style or, with masks, in two; and what the method says beforehand."""
    command = [sys.executable, "-c", _MEASURE, json.dumps([method, side, masked])]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    peak, estimate = json.loads(made)
    return peak, estimate
