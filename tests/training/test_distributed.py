import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers.datasets import PICTURES, draw_dataset

from ieast.checkpoint import load_model
from ieast.data.prepare import prepare_dataset
from ieast.errors import InterruptedTrainingError, TrainingError
from ieast.training.callbacks import AtomicCheckpointIO
from ieast.training.fit import CHECKPOINT, TrainingResult
from ieast.training.launch import TrainingJob, train
from ieast.training.worker import main

# Python runs this at the start of every process that finds it; in a worker, it writes down which pictures are drawn and what
# the weights are at the end, for each rank.
SPY = """
import hashlib, json, os, pathlib
if "RANK" in os.environ:
    import torch
    torch.set_num_threads(1)
    from ieast.data import batches
    from ieast.models.encoder import weights_digest
    from ieast.training.module import StyleTransferModule
    notes = pathlib.Path(os.environ["IEAST_TEST_NOTES"], "rank" + os.environ["RANK"] + ".jsonl")
    real = batches.PairBatches.paths_of
    def paths_of(self, side, iteration):
        paths = real(self, side, iteration)
        with notes.open("a") as file:
            file.write(json.dumps({"iteration": iteration, "side": side, "paths": [str(path) for path in paths]}) + "\\n")
        return paths
    batches.PairBatches.paths_of = paths_of
    learn = StyleTransferModule.training_step
    def training_step(self, *args):
        learn(self, *args)
        state = {name: value for name, value in self.state_dict().items()}
        with notes.open("a") as file:
            file.write(json.dumps({"iteration": self.finished, "digest": weights_digest(state)}) + "\\n")
    StyleTransferModule.training_step = training_step
"""


class Trained(NamedTuple):
    folder: Path
    stopped: InterruptedTrainingError
    stopped_at: int
    checkpoint_then: dict[str, Any]
    result: TrainingResult
    notes: tuple[list[dict], list[dict]]  # of both ranks


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_config, prepared) -> Trained:
    """A training on two processes that is stopped by SIGTERM, and then run again to end two iterations later."""
    folder, spy = tmp_path_factory.mktemp("distributed"), tmp_path_factory.mktemp("spy")
    (spy / "sitecustomize.py").write_text(SPY)
    settings = {"devices": 2, "reconstruction_iterations": 1, "picture_every": 3, "loader_workers": 1}

    def job(iterations: int) -> TrainingJob:
        weights = {"coherence": 1, "temporal": 1}  # which draw, each process for itself
        config = make_config(objective={"weights": weights}, training=settings | {"iterations": iterations})
        return TrainingJob(config=config, prepared=prepared, folder=folder, provenance={"who": "test"})

    def stop_after_a_picture() -> None:
        deadline = time.monotonic() + 120
        while not (folder / "pictures" / "iteration_0000003.jpg").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(spy))
        patch.setenv("IEAST_TEST_NOTES", str(spy))
        patch.setenv("OMP_NUM_THREADS", "1")
        handler = signal.getsignal(signal.SIGTERM)
        threading.Thread(target=stop_after_a_picture, daemon=True).start()
        with pytest.raises(InterruptedTrainingError) as caught:
            train(job(100_000))
        assert signal.getsignal(signal.SIGTERM) is handler
        checkpoint = AtomicCheckpointIO().load_checkpoint(folder / CHECKPOINT)
        stopped_at = int(checkpoint["state_dict"]["iteration"])
        result = train(job(stopped_at + 1))  # the stage of reconstruction adds one
    ranks = [[json.loads(line) for line in (spy / f"rank{rank}.jsonl").read_text().splitlines()] for rank in (0, 1)]
    return Trained(folder, caught.value, stopped_at, checkpoint, result, (ranks[0], ranks[1]))


def test_sigterm_stops_all_processes_and_says_how_to_go_on(trained):
    assert str(trained.stopped) == (
        f"training was asked to stop; {trained.folder / CHECKPOINT} holds what was done. Run the same command again to continue"
    )
    assert trained.stopped_at >= 3


def test_two_processes_train_one_model_and_go_on_where_they_were_stopped(trained):
    folder, result, last = trained.folder, trained.result, trained.stopped_at + 2
    assert (result.started_at, result.iterations) == (trained.stopped_at, last)
    assert (result.model_folder, result.checkpoint) == (str(folder / "model"), str(folder / CHECKPOINT))
    assert {path.name for path in folder.iterdir()} >= {"result.json", "model", "pictures", "curves", CHECKPOINT}
    assert list(folder.glob("job*")) == []  # it may hold a password
    _, card = load_model(result.model_folder)
    assert (card.provenance["who"], card.provenance["iterations"]) == ("test", last)
    assert int(AtomicCheckpointIO().load_checkpoint(folder / CHECKPOINT)["state_dict"]["iteration"]) == last


def test_one_process_logs_and_its_losses_are_finite(trained):
    path = trained.folder / "curves" / "version_1" / "metrics.csv"
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    totals = {
        int(row[header.index("step")]): float(row[header.index("train/total")])
        for row in rows
        if row[header.index("train/total")]
    }
    assert list(totals) == [trained.stopped_at + 1, trained.stopped_at + 2]
    assert all(0 < total < 1e6 for total in totals.values())
    assert len(list(trained.folder.glob("curves/*"))) == 2  # one a start


def test_processes_finish_the_same_iterations_and_hold_the_same_weights_after_each(trained):
    digests = [[(note["iteration"], note["digest"]) for note in notes if "digest" in note] for notes in trained.notes]
    assert digests[0] == digests[1]
    assert [iteration for iteration, _ in digests[0]] == list(range(1, trained.stopped_at + 3))
    assert len({digest for _, digest in digests[0]}) == len(digests[0])


def test_processes_draw_disjoint_pictures_in_every_iteration(make_config, trained, prepared):
    # The loaders' workers draw, and inherit the spy.
    drawn = [{(n["iteration"], n["side"]): n["paths"] for n in notes if "side" in n} for notes in trained.notes]
    for iteration in range(trained.stopped_at + 2):
        for side in (0, 1):
            assert len({*drawn[0][iteration, side], *drawn[1][iteration, side]}) == 6


def few_pictures(folder: Path, make_config, devices: int) -> TrainingJob:
    config = make_config(training={"devices": devices})
    prepared = prepare_dataset(draw_dataset(folder / "source", 5, PICTURES), folder / "work", config.prepare, "few")
    return TrainingJob(config=config, prepared=prepared, folder=folder / "training")


def test_a_worker_says_what_failed_and_leaves_no_result(make_config, tmp_path, monkeypatch, capsys):
    job = few_pictures(tmp_path, make_config, devices=1)
    job = job.model_copy(update={"config": make_config(training={"batch_size": 12})})
    (tmp_path / "job.json").write_text(job.model_dump_json())
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path / "job.json"), str(tmp_path / "result.json")])
    assert main() == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "5 usable content pictures, but an iteration draws 6 different ones (batch_size / 2, times the devices): "
        "add pictures or lower training.batch_size"
    )
    assert not (tmp_path / "result.json").exists()


def test_failing_workers_are_an_error_that_points_at_their_messages(make_config, tmp_path, monkeypatch):
    job = few_pictures(tmp_path, make_config, devices=2)
    job.folder.mkdir()
    (job.folder / "result.json").write_text("an earlier training's")
    monkeypatch.setattr(sys, "executable", "/bin/false")  # in the place of torchrun
    with pytest.raises(
        TrainingError, match=r"^training on 2 devices failed with exit code 1; the reason stands above$"
    ) as caught:
        train(job)
    assert not isinstance(caught.value, InterruptedTrainingError)


def test_a_worker_writes_its_result_when_it_is_the_first(make_config, prepared, tmp_path, monkeypatch):
    config = make_config(training={"reconstruction_iterations": 0, "iterations": 1})
    job = TrainingJob(config=config, prepared=prepared, folder=tmp_path / "training")
    (tmp_path / "job.json").write_text(job.model_dump_json())
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path / "job.json"), str(tmp_path / "result.json")])
    assert main() == 0
    result = TrainingResult.model_validate_json((tmp_path / "result.json").read_text())
    assert (result.iterations, result.model_folder) == (1, str(tmp_path / "training" / "model"))
