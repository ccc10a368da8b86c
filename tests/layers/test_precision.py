import logging

import pytest
import torch

from ieast.layers import precision
from ieast.layers.precision import gains_by_bf16, has_bf16, warn_of_slow_bf16

INTEL, AMD = "vendor_id\t: GenuineIntel\n", "vendor_id\t: AuthenticAMD\n"


@pytest.fixture
def cpu(monkeypatch, tmp_path):
    """Makes PyTorch see a CPU as it is described."""

    def make(cpuinfo: str | None, bf16: bool, amx: bool) -> None:
        file = tmp_path / "cpuinfo"
        if cpuinfo:
            file.write_text(cpuinfo)
        monkeypatch.setattr(precision, "_CPUINFO", file)
        monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)

    warn_of_slow_bf16.cache_clear()
    yield make
    warn_of_slow_bf16.cache_clear()


@pytest.mark.parametrize(
    ("cpuinfo", "bf16", "amx", "gains", "warning"),
    [
        (AMD, True, False, True, None),
        (INTEL, True, True, True, None),
        (INTEL, True, False, False, "has bf16 but not AMX, without which it takes longer than fp32: choose fp32"),
        (INTEL, False, False, False, "only emulates bf16, which takes ten to a hundred times as long as fp32: choose fp32"),
        (AMD, False, False, False, "only emulates bf16"),
        (None, True, False, True, None),  # neither Linux nor Intel, as Apple's
    ],
)
def test_intels_cpus_gain_by_bf16_with_amx_alone(cpu, caplog, cpuinfo, bf16, amx, gains, warning):
    cpu(cpuinfo, bf16, amx)
    assert gains_by_bf16("cpu") is gains
    with caplog.at_level(logging.WARNING):
        warn_of_slow_bf16("cpu", "choose fp32")
    assert (warning in caplog.text) if warning else not caplog.records


def test_gpus_are_asked_of_cuda(cpu, monkeypatch):
    cpu(INTEL, True, False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert gains_by_bf16("cuda")
    assert not gains_by_bf16("mps")


def test_gpus_that_only_emulate_bf16_do_not_have_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not has_bf16("cuda")
