import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from ieast.errors import MemoryLimitError
from ieast.io import memory as system_memory
from ieast.models.vgg19 import WIDTHS
from ieast.stylizer import memory
from ieast.stylizer.memory import available_bytes, check_memory, stylization_bytes

ROOT = Path(__file__).resolve().parents[2]
COMPACT, FULL = WIDTHS["vgg19-compact"], WIDTHS["vgg19"]
STYLE = (1, 512, 512)

# In a process of its own: the peak of this one is that of the largest test before.
MEASURE = """
import json, sys
import torch
from ieast.models.encoder import Encoder
from ieast.methods.sanet import Sanet
from ieast.stylizer.style import Style

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

height, width, alpha, options = json.loads(sys.argv[1])
stylizer = Sanet(Encoder("vgg19-compact")).eval()
content, style = torch.rand(1, 3, height, width), torch.rand(1, 3, 256, 256)
before = resident("VmRSS")
stylizer.stylize(content, [Style(style), Style(style)], alpha, **options)
print(resident("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(
    ("height", "width", "alpha", "options"),
    [
        (768, 768, 1.0, {}),
        (600, 1111, 0.5, {"preserve_colour": "coral"}),
        (768, 768, 1.0, {"tile": 256, "preserve_colour": "luminance"}),
    ],
)
def test_estimate_bounds_the_measured_peak_and_is_no_wild_guess(height, width, alpha, options):
    command = [sys.executable, "-c", MEASURE, json.dumps([height, width, alpha, options])]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    peak = int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)
    estimate = stylization_bytes(
        (1, height, width),
        [(1, 256, 256)] * 2,
        COMPACT,
        tile=options.get("tile", "auto"),
        reconstructs=alpha < 1,
        coral=options.get("preserve_colour") == "coral",
    )
    assert peak <= estimate <= 2.5 * peak


# -- estimate ---------------------------------------------------------------------------------------------------------------


def test_4096_pixels_with_the_compact_encoder_need_less_than_2_gigabytes():
    assert stylization_bytes((1, 4096, 4096), [STYLE], COMPACT) < 2e9


@pytest.mark.parametrize("widths", [COMPACT, FULL])
def test_memory_grows_no_faster_than_pixels(widths):
    for tile in ("auto", None):
        for side in (2048, 4096, 8192):
            small, large = (stylization_bytes((1, s, s), [STYLE], widths, tile=tile) for s in (side, 2 * side))
            assert small < large <= 4 * small


def test_whatever_is_more_needs_more():
    def need(batch=1, styles=(STYLE,), tile=128, **options):  # tiles so small that maps count too
        return stylization_bytes((batch, 4096, 4096), styles, COMPACT, tile=tile, **options)

    plain = need()
    assert need(batch=2) - memory._OVERHEAD == pytest.approx(2 * (plain - memory._OVERHEAD), rel=0.05)
    assert need(tile="auto") > plain
    assert need(tile=None) > 5 * need(tile="auto")
    large = (1, 4096, 4096)
    assert need(styles=[large]) > plain
    assert need(styles=[STYLE, large]) > need(styles=[large])
    assert need(styles=[large], tile=None) > need(styles=[], encoded=[large])
    assert need(reconstructs=True) == need(styles=[STYLE, large])
    assert need(styles=[(1, 8192, 8192)], tile=None, coral=True) > need(styles=[(1, 8192, 8192)], tile=None)


# -- what there is ----------------------------------------------------------------------------------------------------------


def write_cgroup(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine with 8 GB available, and an empty folder of control groups."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8_000_000_000))
    monkeypatch.setattr(system_memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(system_memory, "_OWN_CGROUP", tmp_path / "own")
    return tmp_path


def test_without_control_groups_the_system_decides(system):
    assert available_bytes() == 8_000_000_000


@pytest.mark.parametrize("limited", ["", "pod", "pod/main"])
def test_the_tightest_group_decides_and_cached_files_do_not_count(system, limited):
    (system / "own").write_text("0::/pod/main\n")
    for group in ("", "pod", "pod/main"):
        limit = 1_000_000_000 if group == limited else "max"
        files = {"memory.max": limit, "memory.current": 700_000_000, "memory.stat": "anon 1\ninactive_file 200000000"}
        write_cgroup(system / "cgroup" / group, files)
    assert available_bytes() == 500_000_000


def test_groups_of_version_1_and_a_path_that_only_the_host_has(system):
    (system / "own").write_text("5:cpu,cpuacct:/host/id\n4:memory:/host/id\n0::/\n")
    files = {
        "memory.limit_in_bytes": 1_000_000_000,
        "memory.usage_in_bytes": 700_000_000,
        "memory.stat": "total_inactive_file 100000000",
    }
    write_cgroup(system / "cgroup" / "memory", files)
    assert available_bytes() == 400_000_000


def test_a_limit_above_what_the_machine_has_says_nothing(system):
    (system / "own").write_text("0::/\n")
    write_cgroup(system / "cgroup", {"memory.max": 2**62, "memory.current": 1, "memory.stat": "anon 1"})
    assert available_bytes() == 8_000_000_000


def test_on_a_gpu_what_pytorch_holds_unused_counts(monkeypatch):
    actual = {"mem_get_info": (3_000, 10_000), "memory_reserved": 500, "memory_allocated": 200}
    for name, value in actual.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert available_bytes("cuda:0") == 3_300


def test_refusal_says_how_much_is_needed_how_much_there_is_and_what_to_do(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 2_000_000_000)
    check_memory(2_000_000_000, "cpu", "stylizing")
    with pytest.raises(MemoryLimitError) as raised:
        check_memory(12_340_000_000, "cpu", "stylizing 1 x 9000x9000 pixels")
    assert str(raised.value) == (
        "stylizing 1 x 9000x9000 pixels needs up to 12.3 GB of memory on cpu, and 2.0 GB are available. "
        "Make the picture smaller, look at the style smaller (--style-size), or close other programs"
    )
