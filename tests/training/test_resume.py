import errno
import functools
import hashlib
import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainings import checkpoint, curves
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file

import ieast.training.fit
from ieast.checkpoint import load_model
from ieast.config import FREE_SETTINGS, EncoderConfig
from ieast.errors import ConfigError, InterruptedTrainingError, WeightsError
from ieast.experiment import ExperimentConfig
from ieast.io.files import DiskFullError
from ieast.models.encoder_weights import build_encoder
from ieast.training.fit import CHECKPOINT, TrainingResult, fit
from ieast.training.folders import DECISIVE, LATER_TERMS, retire, take_up, training_folder, training_key
from ieast.training.launch import TrainingJob, train
from ieast.training.module import StyleTransferModule, annealing

TOTAL = 10
STAGES = {"reconstruction_iterations": 4, "iterations": 6}
# All that a fresh process runs: it trains as each job file says.
TRAIN_JOBS = """
import sys
from pathlib import Path
import torch
from ieast.training.launch import read_job, train
torch.set_num_threads(1)
for job in sys.argv[1:]:
    train(read_job(Path(job)))
"""


class Before(Callback):
    """Does `action` in iteration `iteration`, after its batch was drawn and before anything is learnt from it."""

    def __init__(self, iteration: int, action: Callable[[], None]):
        self.iteration, self.action = iteration, action

    def on_train_batch_start(self, _trainer: Any, module: StyleTransferModule, *_: Any) -> None:
        if module.finished + 1 == self.iteration:
            self.action()


def fit_with(callback: Callback, *args: Any) -> TrainingResult:
    ours = ieast.training.fit._callbacks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ieast.training.fit, "_callbacks", lambda *given: [callback, *ours(*given)])
        return fit(*args)


def write_encoder(path: Path, seed: int) -> None:
    save_file(build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"), seed).state_dict(), path)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def equal(a: Any, b: Any) -> bool:
    """Whether two nests of tensors and values are equal bit by bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def fresh_process(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAIN_JOBS, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE, **options)


@pytest.fixture(scope="module")
def config(make_config) -> ExperimentConfig:
    return make_config(training=STAGES)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, config, prepared) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    fit(config, prepared, folder)
    return folder


INTERRUPTIONS = {
    "sigterm in reconstruction": (signal.SIGTERM, 2),
    "sigterm at the end of reconstruction": (signal.SIGTERM, 4),
    "sigint later": (signal.SIGINT, 7),
    "sigterm in the last iteration": (signal.SIGTERM, TOTAL),
}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, config, prepared) -> dict[str, tuple[Path, InterruptedTrainingError, dict[str, Any]]]:
    """By kind of interruption: the folder after a fresh process resumed in it, the error, and the checkpoint before."""
    stopped, jobs = {}, []
    for name, (number, iteration) in INTERRUPTIONS.items():
        folder = tmp_path_factory.mktemp("interrupted")
        handlers = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
        with pytest.raises(InterruptedTrainingError) as caught:
            fit_with(Before(iteration, functools.partial(send, number)), config, prepared, folder)
        assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)] == handlers
        assert not (folder / "model").exists()
        stopped[name] = (folder, caught.value, checkpoint(folder))
        jobs.append(folder / "job.json")
        jobs[-1].write_text(TrainingJob(config=config, prepared=prepared, folder=folder).model_dump_json())
    process = fresh_process(*jobs)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return stopped


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_an_interruption_says_what_to_do_and_saves_after_the_iteration_at_hand(interrupted, name):
    folder, error, saved = interrupted[name]
    iteration = INTERRUPTIONS[name][1]
    assert str(error) == (
        f"training was asked to stop after {iteration} of {TOTAL} iterations; last.ckpt in {folder} holds everything. "
        "Run the same command again to continue"
    )
    assert int(saved["state_dict"]["iteration"]) == iteration
    assert "loops" not in saved


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_a_fresh_process_goes_on_to_exactly_the_losses_of_a_training_that_was_not_interrupted(uninterrupted, interrupted, name):
    folder = interrupted[name][0]
    assert curves(folder) == curves(uninterrupted)


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_a_fresh_process_goes_on_to_bit_identical_weights_and_optimizer_states(uninterrupted, interrupted, name):
    folder = interrupted[name][0]
    resumed, straight = checkpoint(folder), checkpoint(uninterrupted)
    assert int(resumed["state_dict"]["iteration"]) == TOTAL
    assert equal(resumed["state_dict"], straight["state_dict"])
    assert equal(resumed["optimizer_states"], straight["optimizer_states"])
    for name in ("model.safetensors", "encoder.safetensors"):
        assert (folder / "model" / name).read_bytes() == (uninterrupted / "model" / name).read_bytes()


def test_soap_goes_on_bit_identically_too(make_config, prepared, tmp_path):
    # Its preconditioners are renewed in the tenth of its steps, its eigenbases with them.
    config = make_config(training=STAGES | {"iterations": 14, "optimizer": "soap"})
    fit(config, prepared, tmp_path / "straight")
    for iteration in (3, 12):
        with pytest.raises(InterruptedTrainingError):
            fit_with(Before(iteration, functools.partial(send, signal.SIGTERM)), config, prepared, tmp_path / "resumed")
    fit(config, prepared, tmp_path / "resumed")
    straight, resumed = (checkpoint(tmp_path / name) for name in ("straight", "resumed"))
    assert equal(resumed["state_dict"], straight["state_dict"])
    assert equal(resumed["optimizer_states"], straight["optimizer_states"])
    assert any("Q" in state for state in straight["optimizer_states"][0]["state"].values())


def test_a_signal_to_the_whole_process_group_stops_in_good_order_though_it_reaches_the_loaders_workers_too(
    make_config, prepared, tmp_path
):
    """Ctrl-C in a terminal does that, and SIGTERM from batch systems and service managers."""
    config = make_config(training=STAGES | {"loader_workers": 2, "iterations": 100_000, "picture_every": 3})
    processes = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        folder = tmp_path / number.name
        folder.mkdir()
        job = folder / "job.json"
        job.write_text(TrainingJob(config=config, prepared=prepared, folder=folder).model_dump_json())
        processes[number] = folder, fresh_process(job, start_new_session=True)
    deadline = time.monotonic() + 90
    for number, (folder, process) in processes.items():
        while not (folder / "pictures" / "iteration_0000003.jpg").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, number)
    for folder, process in processes.values():
        _, errors = process.communicate(timeout=60)
        iteration = int(checkpoint(folder)["state_dict"]["iteration"])
        assert f"InterruptedTrainingError: training was asked to stop after {iteration} of 100004 iterations; " in errors
        assert iteration >= 3


def test_a_second_ctrl_c_stops_at_once_without_a_checkpoint(config, prepared, tmp_path):
    def twice() -> None:
        send(signal.SIGINT)
        send(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit_with(Before(2, twice), config, prepared, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / CHECKPOINT).exists()


def test_handlers_of_the_surrounding_program_do_not_disturb_the_iteration_at_hand(config, prepared, tmp_path):
    """ZenML's raise in the step's main thread."""

    def raises(*_: Any) -> None:
        raise RuntimeError("the surrounding program's handler")

    before = {number: signal.signal(number, raises) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with pytest.raises(InterruptedTrainingError):
            fit_with(Before(2, functools.partial(send, signal.SIGTERM)), config, prepared, tmp_path)
        assert signal.getsignal(signal.SIGTERM) is raises
        assert signal.getsignal(signal.SIGINT) is raises
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert int(checkpoint(tmp_path)["state_dict"]["iteration"]) == 2


def test_any_other_error_leaves_the_last_interval_checkpoint(make_config, prepared, tmp_path):
    def fail() -> None:
        raise RuntimeError("boom")

    config = make_config(training=STAGES | {"checkpoint_every": 3})
    with pytest.raises(RuntimeError, match=r"^boom$"):
        fit_with(Before(6, fail), config, prepared, tmp_path)
    assert int(checkpoint(tmp_path)["state_dict"]["iteration"]) == 3


def test_a_finished_training_does_not_train_again_but_exports_again(uninterrupted, config, prepared, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes((uninterrupted / CHECKPOINT).read_bytes())
    result = train(TrainingJob(config=config, prepared=prepared, folder=tmp_path, provenance={"again": True}))
    assert (result.iterations, result.started_at) == (TOTAL, TOTAL)
    assert curves(tmp_path) == {}
    assert (tmp_path / CHECKPOINT).read_bytes() == (uninterrupted / CHECKPOINT).read_bytes()
    _, card = load_model(result.model_folder)
    _, before = load_model(uninterrupted / "model")
    assert card.files == before.files
    assert (card.provenance["again"], card.provenance["iterations"]) == (True, TOTAL)


# -- another length ---------------------------------------------------------------------------------------------------------

LONGER = STAGES | {"iterations": 11}


@pytest.fixture(scope="module")
def longer(tmp_path_factory, make_config, prepared) -> Path:
    """A training of 11 iterations in one go."""
    folder = tmp_path_factory.mktemp("longer")
    fit(make_config(training=LONGER), prepared, folder)
    return folder


def test_a_finished_training_made_longer_is_one_of_that_length_from_the_start(
    uninterrupted, longer, make_config, prepared, tmp_path, caplog
):
    (tmp_path / CHECKPOINT).write_bytes((uninterrupted / CHECKPOINT).read_bytes())
    with caplog.at_level(logging.INFO, "ieast.training.loop"):
        result = fit(make_config(training=LONGER), prepared, tmp_path)
    assert (result.started_at, result.iterations) == (TOTAL, TOTAL + 5)
    assert [record.message for record in caplog.records if record.name == "ieast.training.loop"] == [
        f"continuing from iteration 10 ({tmp_path / CHECKPOINT})",
        "training.iterations was 6 and is 11 now: from here on all follows the schedule of the new length",
    ]
    # Without annealing rates do not depend on the length: bit by bit what one go gives.
    assert equal(checkpoint(tmp_path)["state_dict"], checkpoint(longer)["state_dict"])
    went_on = {key: value for key, value in curves(longer).items() if key[1] > TOTAL}
    assert curves(tmp_path) == went_on
    _, card = load_model(result.model_folder)
    assert card.provenance["iterations"] == TOTAL + 5
    assert card.provenance["schedules"] == [{"from": 0, "iterations": 6}, {"from": 10, "iterations": 11}]
    assert "schedules" not in load_model(longer / "model")[1].provenance


def test_a_longer_training_that_is_interrupted_still_knows_its_schedules(uninterrupted, make_config, prepared, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes((uninterrupted / CHECKPOINT).read_bytes())
    config = make_config(training=LONGER)
    with pytest.raises(InterruptedTrainingError):
        fit_with(Before(TOTAL + 2, functools.partial(send, signal.SIGTERM)), config, prepared, tmp_path)
    _, card = load_model(fit(config, prepared, tmp_path).model_folder)
    assert card.provenance["schedules"] == [{"from": 0, "iterations": 6}, {"from": 10, "iterations": 11}]


def test_rates_follow_the_schedule_of_the_new_length(make_config, prepared, tmp_path):
    training = {"reconstruction_iterations": 0, "anneal": 0.5, "learning_rate": 1e-3, "learning_rate_decay": 0}
    for iterations in (4, 8):
        fit(make_config(training=training | {"iterations": iterations}), prepared, tmp_path)
    rates = {step: float(value) for (name, step), value in curves(tmp_path).items() if name == "train_learning_rate/decoder"}
    # Logged after the iteration whose rate it was.
    of_four = [1e-3 * annealing(done, 4, 0.5) for done in range(4)]
    of_eight = [1e-3 * annealing(done, 8, 0.5) for done in range(4, 8)]
    assert [rates[step] for step in range(1, 9)] == pytest.approx([*of_four, *of_eight])
    assert rates[4] < rates[5]  # fallen for the end, and up again


def test_fewer_iterations_than_are_done_are_refused(uninterrupted, make_config, prepared, tmp_path):
    path = tmp_path / CHECKPOINT
    path.write_bytes((uninterrupted / CHECKPOINT).read_bytes())
    message = (
        f"{path} has 10 iterations behind it, more than the 9 that are asked for now: set training.iterations to 6 or more, or "
        "give another folder"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        fit(make_config(training=STAGES | {"iterations": 5}), prepared, tmp_path)
    assert path.read_bytes() == (uninterrupted / CHECKPOINT).read_bytes()


def test_a_checkpoint_of_before_schedules_were_kept_goes_on(uninterrupted, make_config, prepared, tmp_path):
    old = checkpoint(uninterrupted)
    del old["ieast_schedules"]
    torch.save(old, tmp_path / CHECKPOINT)
    _, card = load_model(fit(make_config(training=LONGER), prepared, tmp_path).model_folder)
    assert card.provenance["schedules"] == [{"from": 0, "iterations": 6}, {"from": 10, "iterations": 11}]


def test_a_checkpoint_of_before_some_terms_were_there_goes_on(uninterrupted, make_config, prepared, tmp_path):
    old = checkpoint(uninterrupted)
    saved = json.loads(old["ieast_config"])
    for term, settings in LATER_TERMS.items():
        del saved["objective"]["weights"][term], saved["objective"][settings]
    old["ieast_config"] = json.dumps(saved)
    torch.save(old, tmp_path / CHECKPOINT)
    result = fit(make_config(training=LONGER), prepared, tmp_path)
    assert (result.started_at, result.iterations) == (10, 15)


@pytest.mark.parametrize(
    ("sections", "key", "before", "now"),
    [
        ({"training": {"learning_rate": 0.5}}, "training.learning_rate", 5e-05, 0.5),
        ({"training": {"batch_size": 8}}, "training.batch_size", 6, 8),
        ({"training": {"seed": 3}}, "training.seed", 0, 3),
        ({"training": {"reconstruction_iterations": 5}}, "training.reconstruction_iterations", 4, 5),
        ({"objective": {"external_learning": False}}, "objective.external_learning", True, False),
        ({"objective": {"weights": {"style": 9}}}, "objective.weights.style", 3.0, 9.0),
        ({"objective": {"weights": {"temporal": 9}}}, "objective.weights.temporal", 0.0, 9.0),
        ({"model": {"style_head": [8, 8]}}, "model.style_head", [16, 8], [8, 8]),
        ({"encoder": {"unit_mean_taps": False}}, "encoder.unit_mean_taps", True, False),
    ],
)
def test_a_changed_setting_is_refused_by_name(uninterrupted, make_config, prepared, tmp_path, sections, key, before, now):
    path = tmp_path / CHECKPOINT
    path.write_bytes((uninterrupted / CHECKPOINT).read_bytes())
    changed = {"training": STAGES | sections.get("training", {})} | {k: v for k, v in sections.items() if k != "training"}
    message = (
        f"{path} was made with {key} = {before!r}, now it is {now!r}: that would be another training. "
        "Restore the setting, or give another folder"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        fit(make_config(**changed), prepared, tmp_path)
    assert path.read_bytes() == (uninterrupted / CHECKPOINT).read_bytes()


class Malicious:
    """Pickles to a call that makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("network", ["encoder", "loss_network"])
def test_a_training_does_not_go_on_with_weights_that_have_been_replaced(make_config, prepared, tmp_path, network):
    file = tmp_path / "network.safetensors"
    write_encoder(file, seed=1)
    named = {"name": "vgg19-compact", "weights": str(file)}
    sections = {"encoder": named} if network == "encoder" else {"objective": {"loss_network": named}}

    def config(iterations: int) -> ExperimentConfig:
        return make_config(**sections, training={"reconstruction_iterations": 1, "iterations": iterations})

    fit(config(1), prepared, tmp_path / "training")
    before = (tmp_path / "training" / CHECKPOINT).read_bytes()
    fit(config(2), prepared, tmp_path / "training")  # the same file: it goes on
    (tmp_path / "training" / CHECKPOINT).write_bytes(before)
    write_encoder(file, seed=2)
    setting = "encoder" if network == "encoder" else "objective.loss_network"
    with pytest.raises(ConfigError, match=rf"was made with other weights of {setting} than are read now") as error:
        fit(config(2), prepared, tmp_path / "training")
    assert f"move {tmp_path / 'training'} away to train anew" in str(error.value)
    assert (tmp_path / "training" / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize("how", ["torch.save", "pickle"])
def test_a_checkpoint_that_would_run_code_is_refused_and_not_executed(config, prepared, tmp_path, how):
    path, executed = tmp_path / CHECKPOINT, tmp_path / "executed"
    with path.open("wb") as file:
        {"torch.save": torch.save, "pickle": pickle.dump}[how]({"state_dict": Malicious(executed)}, file)
    message = (
        f"{path} holds more than tensors and plain values, or is damaged; refused, because loading it could run code. "
        "Move it away to start afresh"
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
        fit(config, prepared, tmp_path)
    assert not executed.exists()


def damaged(content: bytes) -> dict[str, bytes]:
    return {
        "half": content[: len(content) // 2],
        "lacks its last byte": content[:-1],
        "empty": b"",
        "text": b"<html>not found</html>",
    }


@pytest.mark.parametrize("how", damaged(b""))
def test_a_damaged_checkpoint_is_an_error_that_names_it(uninterrupted, config, prepared, tmp_path, how):
    path = tmp_path / CHECKPOINT
    content = damaged((uninterrupted / CHECKPOINT).read_bytes())[how]
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        fit(config, prepared, tmp_path)
    assert str(caught.value).startswith(f"{path} ")
    assert re.search(r"[Mm]ove it away to start afresh$", str(caught.value))
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [1, 2], torch.zeros(2), {"ieast_config": "{}", "state_dict": 3}])
def test_a_file_that_is_no_checkpoint_of_ours_is_refused(config, prepared, tmp_path, content):
    torch.save(content, tmp_path / CHECKPOINT)
    message = rf"^{re.escape(str(tmp_path / CHECKPOINT))} is not a usable training checkpoint \("
    with pytest.raises(WeightsError, match=message):
        fit(config, prepared, tmp_path)


def fail_on_sync(monkeypatch, number: int) -> None:
    """The second checkpoint cannot be flushed to the disk."""
    real, seen = os.fsync, []

    def fsync(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink().suffix == ".ckpt":
            seen.append(1)
            if len(seen) == 2:
                raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)


def fail_on_write(monkeypatch, _number: int) -> None:
    """The second checkpoint is written to a device that is always full."""
    real, seen = Path.open, []

    def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if path.suffix == ".ckpt" and mode == "wb":
            seen.append(1)
            if len(seen) == 2:
                return real(Path("/dev/full"), mode, *args, **kwargs)
        return real(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", opened)


@pytest.mark.parametrize(
    ("fail", "number"), [(fail_on_sync, errno.ENOSPC), (fail_on_sync, errno.EDQUOT), (fail_on_write, errno.ENOSPC)]
)
def test_a_full_disk_is_said_and_leaves_the_previous_checkpoint(make_config, prepared, tmp_path, monkeypatch, fail, number):
    if not Path("/dev/full").exists():
        pytest.skip("needs Linux")
    config = make_config(training=STAGES | {"checkpoint_every": 3})
    fail(monkeypatch, number)
    path = tmp_path / CHECKPOINT
    message = (
        f"the disk is full: {path} was not written, and what was there before is unchanged. "
        f"Free some space on {tmp_path} and run the same command again."
    )
    with pytest.raises(DiskFullError, match=f"^{re.escape(message)}$"):
        fit(config, prepared, tmp_path)
    assert int(checkpoint(tmp_path)["state_dict"]["iteration"]) == 3
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".ckpt") == [CHECKPOINT]
    monkeypatch.undo()
    result = fit(config, prepared, tmp_path)
    assert (result.started_at, result.iterations) == (3, TOTAL)


def test_a_checkpoint_is_never_seen_half_written(make_config, prepared, tmp_path, monkeypatch):
    """A process killed at any moment leaves the old checkpoint or the new one."""
    real, sizes = torch.save, []

    def save(content: Any, file: Any) -> None:
        real(content, file)
        file.flush()
        path = tmp_path / CHECKPOINT
        sizes.append(checkpoint(tmp_path)["state_dict"]["iteration"].item() if path.exists() else None)

    monkeypatch.setattr(torch, "save", save)
    fit(make_config(training=STAGES | {"checkpoint_every": 4}), prepared, tmp_path)
    assert sizes == [None, 4, 8]


def test_the_training_folder_changes_with_what_decides_the_outcome_and_with_nothing_else(make_config, tmp_path):
    def folder(key: str = "data", **sections: Any) -> Path:
        return training_folder(tmp_path, make_config(**sections), key)

    same = [
        folder(),
        folder(promotion={"thresholds": []}),
        folder(evaluation={"pairs": 9}),
        folder(registry={"name": "other"}),
        folder(training={"iterations": 99}),
    ]
    others = [
        folder("other data"),
        folder(training={"seed": 1}),
        folder(objective={"external_learning": False}),
        folder(model={"style_head": [8, 8]}),
        folder(encoder={"unit_mean_taps": False}),
    ]
    assert len(set(same)) == 1
    assert len({same[0], *others}) == 6


def test_a_term_without_weight_leaves_the_folders_name_as_it_was_before_there_was_such_a_term(make_config, tmp_path):
    def name(**objective: Any) -> str:
        return training_folder(tmp_path, make_config(objective=objective), "data").name

    config = make_config()
    settings = config.model_dump(mode="json", include=set(DECISIVE), exclude={"training": {*FREE_SETTINGS, "iterations"}})
    for term, its_settings in {"coherence": "coherence", "temporal": "motion"}.items():
        del settings["objective"]["weights"][term], settings["objective"][its_settings]
    identity = json.dumps({"prepared": "data", "held_out": config.prepare.held_out, **settings}, sort_keys=True)
    assert name() == hashlib.sha256(identity.encode()).hexdigest()[:16]
    assert name(coherence={"anchors": 3}, motion={"shift": 3}) == name()
    changed = [name(weights={"coherence": 1}), name(weights={"temporal": 1})]
    changed += [name(weights={"coherence": 1}, coherence={"anchors": 3}), name(weights={"temporal": 1}, motion={"shift": 3})]
    assert len({name(), *changed}) == 5


def test_a_retired_training_is_moved_aside_whole(make_config, tmp_path):
    folder = training_folder(tmp_path, make_config(), "data")
    folder.mkdir(parents=True)
    (folder / CHECKPOINT).write_bytes(b"x")
    target = retire(folder, "run1", 4)
    assert target == tmp_path / "trained" / "run1"
    assert (target / CHECKPOINT).read_bytes() == b"x"
    assert not folder.exists()


def test_the_key_of_a_training_changes_with_its_length(make_config):
    keys = {training_key(make_config(training={"iterations": iterations}), "data") for iterations in (4, 4, 5)}
    assert len(keys) == 2


def test_a_folder_that_was_named_with_the_iterations_is_found_again(make_config, tmp_path):
    config = make_config()
    earlier = tmp_path / "training" / training_key(config, "data")
    earlier.mkdir(parents=True)
    assert training_folder(tmp_path, config, "data") == earlier
    assert training_folder(tmp_path, make_config(training={"iterations": 99}), "data") != earlier


@pytest.mark.parametrize(("iterations", "kept"), [(4, None), (5, "4"), (9, "8"), (99, "8")])
def test_a_longer_training_begins_with_the_longest_retired_one_before_it(make_config, tmp_path, iterations, kept):
    folder = training_folder(tmp_path, make_config(), "data")
    for length in (4, 8):
        folder.mkdir(parents=True)
        (folder / CHECKPOINT).write_text(str(length))
        retire(folder, f"run{length}", length)
    other = training_folder(tmp_path, make_config(training={"seed": 5}), "data")
    other.mkdir(parents=True)
    (other / CHECKPOINT).write_text("other")
    retire(other, "other", 3)
    take_up(folder, iterations)
    assert ((folder / CHECKPOINT).read_text() if kept else None) == kept
    assert not kept or (tmp_path / "trained" / f"run{kept}" / CHECKPOINT).read_text() == kept


def test_what_is_at_work_is_not_replaced_by_a_retired_training(make_config, tmp_path):
    folder = training_folder(tmp_path, make_config(), "data")
    for content in ("retired", "at work"):
        folder.mkdir(parents=True)
        (folder / CHECKPOINT).write_text(content)
        if content == "retired":
            retire(folder, "run", 4)
    take_up(folder, 9)
    assert (folder / CHECKPOINT).read_text() == "at work"


def test_training_outside_the_main_thread_works_without_signals(make_config, prepared, tmp_path):
    config = make_config(training={"reconstruction_iterations": 0, "iterations": 1})
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fit, config, prepared, tmp_path).result().iterations == 1
