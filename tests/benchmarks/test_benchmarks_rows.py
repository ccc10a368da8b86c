import operator
import os
from functools import partial

import pytest
import torch

from benchmarks import training
from benchmarks.__main__ import table
from benchmarks.elsewhere import Elsewhere
from benchmarks.machine import Machine, Rate
from benchmarks.rows import Row

MACHINE = Machine("a machine", "cpu", 2, fp32=Rate(100.0, "matmul"), bf16=Rate(200.0, "matmul"), bandwidth=10.0)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("speed", 2.0, least=1.6, aim=1.9), "aim"),
        (Row("speed", 1.7, least=1.6, aim=1.9), "least"),
        (Row("speed", 1.5, least=1.6, aim=1.9), "missed"),
        (Row("memory", 7.0, "GB", 12, 8, lower_is_better=True), "aim"),
        (Row("memory", 13.0, "GB", 12, 8, lower_is_better=True), "missed"),
        (Row("speed", None, least=1.6, aim=1.9), "not measured"),
        (Row("rate", 5.0), ""),
    ],
    ids=str,
)
def test_a_row_says_what_was_reached(row, verdict):
    assert row.verdict == verdict


def test_the_table_shows_figures_with_their_units_and_limits():
    rows = [Row("speed", 1.7, least=1.6, aim=1.9, possible=0.69, note="why"), Row("on a GPU", None, least=5, note="no GPU")]
    assert table(rows).splitlines()[2:] == [
        "| speed | 1.7x | 1.6x | 1.9x | least | 69% | why |",
        "| on a GPU |  | 5x |  | not measured |  | no GPU |",
    ]


def test_the_other_process_computes_and_says_why_it_failed():
    with Elsewhere(partial, operator.truediv) as divide:
        assert divide(6, 3) == 2
        with pytest.raises(RuntimeError, match="division by zero"):
            divide(1, 0)


def test_the_end_of_the_other_process_is_noticed():
    with Elsewhere(partial, os._exit) as leave, pytest.raises(RuntimeError, match="ended with 3"):
        leave(3)


def test_an_iteration_has_the_losses_of_the_reference_and_its_limit_is_counted(monkeypatch):
    monkeypatch.setattr(training, "measure_machine", lambda device: MACHINE)
    actual = training.measure("vgg19-compact", "32-true", 1, batch=6, crop=128, accelerator="cpu")
    assert actual["difference"] < 1e-4
    assert actual["possible"] == max(actual["flops"] / 100e9, actual["bytes"] / 10e9)
    assert min(actual["ours"], actual["theirs"]) > 0


def test_without_a_gpu_nothing_is_said_of_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training.gpu_row().verdict == "not measured"


def test_on_a_gpu_the_fastest_way_counts_and_the_others_are_said(monkeypatch):
    asked = []

    def measure(encoder, precision, iterations, batch, crop, *, accelerator, compile):
        asked.append((encoder, precision, batch, crop, accelerator, compile))
        ours = {False: 0.05, True: 0.04, "reduce-overhead": 0.03}[compile]
        return {"possible": 0.01, "rate": 600e12, "flops": 9e12, "bytes": 1e9, "ours": ours, "theirs": 0.27, "difference": 4e-3}

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(training, "measure", measure)
    row = training.gpu_row()
    assert asked == [("vgg19", "bf16-mixed", 16, 256, "gpu", compile) for compile in (False, True, "reduce-overhead")]
    assert (row.measured, row.verdict, row.possible) == (pytest.approx(9), "aim", pytest.approx(1 / 3))
    assert "compile reduce-overhead" in row.what
    assert "33.3 iterations/s of 30 aimed at; 300 TFLOP/s, a model FLOP utilization of 50%" in row.note
    assert "compile False 50.0 ms, compile True 40.0 ms" in row.note
