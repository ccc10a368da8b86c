"""Peak memory of stylizing square pictures of growing size, whole and in tiles: `python -m benchmarks.memory`.

Every measurement is a process of its own, because what one picture leaves in the allocator would hide what the next takes.
Linux only: the peak is VmHWM of /proc/self/status. `ru_maxrss` is the same number, but in a child it begins at what its
parent held when it forked.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "memory.md"
STYLE_SIDE = 512
MODES = {"tiles (auto)": False, "whole": True}


def measure_here(
    height: int, width: int, style_side: int, whole: bool = False, encoder: str = "vgg19-compact"
) -> dict[str, float]:
    """Stylize one picture of noise with an untrained model.

    Returns:
        `total`, the process's peak in bytes; `above`, how far that lies above what it held just before, pictures and model
        included; `estimate`, what `ieast.stylizer.memory` says of `above`; and `seconds`.
    """
    import torch

    from ieast.config import EncoderConfig
    from ieast.methods.sanet import Sanet
    from ieast.models.encoder_weights import build_encoder
    from ieast.stylizer.memory import resident_bytes, stylization_bytes
    from ieast.stylizer.tiling import Tile

    tile: Tile = None if whole else "auto"
    torch.manual_seed(0)
    stylizer = Sanet(build_encoder(EncoderConfig(name=encoder, weights="untrained"))).eval()
    content, style = torch.rand(1, 3, height, width), torch.rand(1, 3, style_side, style_side)
    before, start = resident_bytes("VmRSS"), time.perf_counter()
    stylizer.stylize(content, style, tile=tile)
    seconds, total = time.perf_counter() - start, resident_bytes("VmHWM")
    sizes = (1, height, width), [(1, style_side, style_side)]
    estimate = stylization_bytes(*sizes, stylizer.encoder.widths, tile=tile)
    return {"total": total, "above": total - before, "estimate": estimate, "seconds": seconds}


def measure(**arguments: int | str) -> dict[str, float]:
    """`measure_here` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--child", json.dumps(arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Measure and write the page, or be one measurement's process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048, 4096], help="pixels")
    parser.add_argument("--whole-up-to", type=int, default=2048, help="largest side that is computed whole too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure_here(**json.loads(arguments.child))))
        return
    rows = []
    for side in arguments.sides:
        for mode, whole in MODES.items():
            if whole and side > arguments.whole_up_to:
                continue
            measured = measure(height=side, width=side, style_side=STYLE_SIDE, whole=whole)
            amounts = " | ".join(f"{measured[key] / 1e9:.2f} GB" for key in ("total", "above", "estimate"))
            rows.append(f"| {side} x {side} | {mode} | {amounts} | {measured['seconds']:.0f} s |")
            print(rows[-1], flush=True)
    command = " ".join(["python -m benchmarks.memory", *sys.argv[1:]])
    PAGE.write_text(_PAGE.format(rows="\n".join(rows), command=command, threads=os.environ.get("OMP_NUM_THREADS", "all")))


_PAGE = """# Memory

What one stylization by `sanet`, without `match_statistics` and `bound_palette`, takes with the compact encoder in fp32 on a
CPU, with a style of 512 x 512 pixels, and what `ieast.stylizer.memory` estimates before it begins; a stylization whose estimate
exceeds the memory available is refused.

| content | computed | peak of the process | above what it held before | estimate of that | time |
| --- | --- | --- | --- | --- | --- |
{rows}

The process holds Python, PyTorch, the model and both pictures before it begins. `auto` computes pictures of up to 1.5 million
pixels whole, which is why the first rows are alike. Only memory is claimed here: the times are of a machine that was busy with
other work, with OMP_NUM_THREADS={threads}.

Made by:

```bash
{command}
```
"""


if __name__ == "__main__":
    main()
