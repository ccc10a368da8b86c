"""What `benchmarks/gpu.sh` does on a bare GPU machine: equality with the CPU, and trainings in the time that there is."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.subjects import draw_batch, draw_stylizer, drive
from ieast.data.prepare import folder_digest, prepare_dataset
from ieast.errors import InterruptedTrainingError
from ieast.experiment import ExperimentConfig
from ieast.models.encoder_weights import build_encoder
from ieast.training.callbacks import AtomicCheckpointIO
from ieast.training.fit import CHECKPOINT, fit
from ieast.training.loop import checkpoint_iterations, chosen_precision
from ieast.training.module import StyleTransferModule

app = typer.Typer(no_args_is_help=True, help=__doc__)

LARGEST_CHECKPOINTS = 45_000_000
"""Bytes of all together; the checkpoints of the paper's discriminators are larger, and only models come back then."""

LARGEST_FILE = 15_000_000
"""Bytes; larger results are cut into parts of this size, which `cat` joins again."""


@app.command()
def equality(
    iterations: Annotated[int, typer.Option(help="How many are compared.")] = 3,
    device: Annotated[str, typer.Option(help="What is compared with the CPU.")] = "cuda",
    largest: Annotated[float, typer.Option(help="Relative difference that is still equal.")] = 2e-3,
) -> None:
    """The loss terms of the first iterations on both devices, in fp32; fails if they differ."""
    torch.backends.cudnn.allow_tf32 = False
    terms = {name: _first_terms(name, iterations) for name in ("cpu", device)}
    worst = 0.0
    for number, (here, there) in enumerate(zip(terms["cpu"], terms[device], strict=True), 1):
        differences = {name: abs(there[name] - value) / max(abs(value), 1e-3) for name, value in here.items()}
        name = max(differences, key=lambda term: differences[term])
        worst = float(np.max([worst, *differences.values()]))  # which lets no NaN go by
        typer.echo(f"iteration {number}: terms on {device} and CPU differ by at most {differences[name]:.1e} ({name})")
    if not worst <= largest:
        typer.echo(f"not equal: {largest:.0e} are allowed", err=True)
        raise typer.Exit(1)


def _first_terms(device: str, iterations: int) -> list[dict[str, float]]:
    config = ExperimentConfig.parse({"preset": "official", "training": {"crop": 128, "batch_size": 8}})
    torch.manual_seed(0)
    module = StyleTransferModule(draw_stylizer("vgg19-compact", config), config).to(device, memory_format=torch.channels_last)
    step = drive(module)
    batches = [draw_batch(8, 128, device, number) for number in range(iterations)]
    return [{name: float(value) for name, value in step(batch).items()} for batch in batches]


@app.command()
def rates(
    config: Annotated[Path, typer.Option(help="A YAML file as in configs/.")],
    iterations: Annotated[int, typer.Option(help="Timed iterations of each way.")] = 30,
    device: Annotated[str, typer.Option()] = "cuda",
) -> None:
    """Milliseconds of an iteration of `config` by each optimizer, as it comes, compiled, and with CUDA graphs."""
    settings = ExperimentConfig.load(config)
    training = settings.training
    for optimizer, compile in (("adam", False), ("soap", False), ("adam", True), ("adam", "reduce-overhead")):
        torch.compiler.reset()
        chosen = _with(settings, {"optimizer": optimizer, "compile": compile})
        judge = chosen.objective.loss_network
        network = None if judge is None else build_encoder(judge)
        module = StyleTransferModule(draw_stylizer("vgg19-compact", chosen), chosen, network)
        module.to(device, memory_format=torch.channels_last)
        module.compile_networks()
        torch.backends.cudnn.benchmark = True
        started = time.perf_counter()
        precision = chosen_precision(training.precision, "gpu" if torch.device(device).type == "cuda" else "cpu")
        step, batch = drive(module, precision), draw_batch(training.batch_size, training.crop, device)
        for _ in range(12):
            step(batch)
        _wait(device)
        warm = time.perf_counter()
        for _ in range(iterations):
            step(batch)
        _wait(device)
        each = 1000 * (time.perf_counter() - warm) / iterations
        typer.echo(
            f"{optimizer}, compile {compile}: {each:.1f} ms an iteration; {warm - started:.0f} s before the first one timed"
        )


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


@app.command()
def row(iterations: Annotated[int, typer.Option(help="Timed iterations of each way.")] = 20) -> None:
    """The GPU's line of docs/performance.md: the paper's full training step beside the released order of computation."""
    from benchmarks.training import gpu_row

    typer.echo(gpu_row(iterations))


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for what comes back.")],
    config: Annotated[list[Path], typer.Option(help="A YAML file as in configs/; several train side by side.")],
    seconds: Annotated[float, typer.Option(help="How long all of it may take.")],
    work: Annotated[Path, typer.Option(help="Folder for what stays.")] = Path(".work/gpu"),
    probe: Annotated[int, typer.Option(help="Iterations that show how fast it is.")] = 150,
    iterations: Annotated[int, typer.Option(help="Of the objective; 0: as many as there is time for.")] = 0,
) -> None:
    """Train every configuration for as long as there is time, and pack models, curves, pictures and checkpoints."""
    deadline = time.monotonic() + seconds
    output.mkdir(parents=True, exist_ok=True)
    if len({path.stem for path in config}) < len(config):
        raise typer.BadParameter("configurations of one name would train in one folder; rename one")
    for path in config:  # whatever is wrong is said before anything starts, and nothing is prepared twice
        settings = ExperimentConfig.load(path)
        prepare_dataset(data, work, settings.prepare, folder_digest(data))
    chosen = iterations
    if not chosen:
        rates = _run_all(data, work, config, probe, deadline, name="probe")
        slowest = min(rates.values())
        before = max(ExperimentConfig.load(path).training.reconstruction_iterations for path in config)
        left = deadline - time.monotonic() - 45  # processes start, decode every picture once, and pack
        done = max(checkpoint_iterations(work / "training" / path.stem) for path in config)
        chosen = max(1, int(left * slowest + done - before))
        there = f"{before} + {chosen}, {done} of them done before"
        typer.echo(f"{slowest:.1f} iterations/s each in {len(config)} trainings: {there}, in {left:.0f} s")
    rates = _run_all(data, work, config, chosen, deadline, name="training")
    (output / "rates.json").write_text(json.dumps({str(path): rate for path, rate in rates.items()} | {"iterations": chosen}))
    _pack(work / "training", list(rates), output)
    if len(rates) < len(config):
        raise typer.Exit(1)


def _run_all(data: Path, work: Path, configs: list[Path], iterations: int, deadline: float, name: str) -> dict[Path, float]:
    """Train all side by side, for at most `iterations` of the objective; iterations per second of each."""
    running = {}
    for path in configs:
        folder = work / name / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.gpu", "one", str(data), str(path), str(folder), str(iterations)]
        running[path] = subprocess.Popen([*command, "--work", str(work), *(["--probe"] if name == "probe" else [])])
    for process in running.values():
        try:
            process.wait(max(1.0, deadline - 15 - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # it saves, and exports what it has
    done = [path for path, process in running.items() if process.wait() == 0]
    for path in configs:
        if path not in done:
            typer.echo(f"{path} failed in {name}; the reason stands above", err=True)
    if not done:
        raise typer.Exit(1)
    return {path: float((work / name / path.stem / "rate").read_text()) for path in done}


@app.command(hidden=True)
def one(
    data: Path,
    config: Path,
    folder: Path,
    iterations: int,
    work: Annotated[Path, typer.Option()],
    probe: Annotated[bool, typer.Option("--probe")] = False,
) -> None:
    """One training in this process, which SIGTERM ends in good order."""
    settings = ExperimentConfig.load(config)
    changed = {"iterations": iterations, "checkpoint_every": 10**9} | ({"reconstruction_iterations": 0} if probe else {})
    settings = _with(settings, changed)
    prepared = prepare_dataset(data, work, settings.prepare, folder_digest(data))
    # Side by side with others, a process that takes all cores for the little that the CPU does only gets in their way.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 8))
    try:
        fit(settings, prepared, folder)
    except InterruptedTrainingError as error:
        typer.echo(f"{config.stem}: {error}")
        finished = int(AtomicCheckpointIO().load_checkpoint(folder / CHECKPOINT)["state_dict"]["iteration"])
        enough = finished - settings.training.reconstruction_iterations
        if enough > 0:
            fit(_with(settings, {"iterations": enough}), prepared, folder)  # which finds it done, and exports it
        else:
            typer.echo(f"{config.stem}: it has yet to learn to stylize, so there is a checkpoint and no model")
    (folder / "rate").write_text(str(_rate(folder, settings)))


def _with(settings: ExperimentConfig, training: dict[str, Any]) -> ExperimentConfig:
    values = settings.model_dump(mode="json")
    return ExperimentConfig.parse(values | {"training": values["training"] | training})


def _rate(folder: Path, settings: ExperimentConfig) -> float:
    """Iterations per second, from the curves; the first value, in which everything starts, does not count."""
    import pandas as pd

    curves = pd.concat(pd.read_csv(path) for path in sorted(folder.glob("curves/**/metrics.csv")))
    images = curves["train/images_per_second"].dropna()
    return float(images.iloc[1:].median() if len(images) > 1 else images.iloc[-1]) / settings.training.batch_size


def _pack(folder: Path, configs: list[Path], output: Path) -> None:
    """Results as a tar file, and checkpoints as another in parts that are small enough."""
    with tarfile.open(output / "results.tar.gz", "w:gz") as results:
        for path in configs:
            trained = folder / path.stem
            pictures = sorted((trained / "pictures").glob("*.jpg"))[-2:]
            models = [trained / "model"] if (trained / "model").exists() else []
            for part in [*models, *trained.glob("curves/**/metrics.csv"), *pictures]:
                results.add(part, part.relative_to(folder))
    files = [folder / path.stem / CHECKPOINT for path in configs]
    if (size := sum(file.stat().st_size for file in files)) > LARGEST_CHECKPOINTS:
        typer.echo(f"checkpoints of {size / 1e6:.0f} MB stay in {folder}: {LARGEST_CHECKPOINTS / 1e6:.0f} MB would be packed")
        return
    whole = folder / "checkpoints.tar"
    with tarfile.open(whole, "w") as checkpoints:
        for file in files:
            checkpoints.add(file, file.relative_to(folder))
    with whole.open("rb") as packed:
        number = 0
        while data := packed.read(LARGEST_FILE):
            (output / f"checkpoints.tar.{number:02d}").write_bytes(data)
            number += 1
    whole.unlink()


if __name__ == "__main__":
    app()
