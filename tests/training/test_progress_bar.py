import csv
import math
import re

import pytest

from ieast.io import progress
from ieast.training.fit import fit


def test_the_bar_shows_the_loss_and_the_speed(prepared, make_config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "refresh_seconds", lambda: 0)
    fit(make_config(training={"iterations": 2, "reconstruction_iterations": 2, "log_every": 1}), prepared, tmp_path)
    shown = [line for line in capsys.readouterr().err.split("\r") if "loss" in line]
    assert "training: 100%" in shown[-1]
    loss, speed = re.search(r"loss (\S+), (\S+) images/s", shown[-1]).groups()
    assert math.isfinite(float(loss))
    assert float(speed) > 0


def test_the_loss_of_the_reconstruction_stage_is_what_is_minimized(prepared, make_config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "refresh_seconds", lambda: 0)
    fit(make_config(training={"iterations": 1, "reconstruction_iterations": 2, "log_every": 1}), prepared, tmp_path)
    shown = next(line for line in capsys.readouterr().err.split("\r") if "training:" in line and " 1/3 " in line)
    with next(tmp_path.glob("curves/*/metrics.csv")).open() as file:
        logged = next(float(row["train/reconstruction"]) for row in csv.DictReader(file) if row["train/reconstruction"])
    assert float(re.search(r"loss ([^,\s]+)", shown)[1]) == pytest.approx(logged, rel=1e-3)
