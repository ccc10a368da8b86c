"""What ZenML, MLflow and DVC add to the quickstart: `python -m benchmarks.overhead`.

`make demo` in a fresh clone of what is committed here, against the same work called from the library in one plain process that
imports none of the three: prepare, train, score, write the report. Each runs once; the plain one first, so that PyTorch's files
are in memory for both. The commands of the demo are timed one by one, and training on its own in both, so that one sees where
the difference arises and how much of it is the machine's unrest.

A training run of 10 minutes has the same fixed overhead once, and what logging adds every `log_every` iterations for 10 minutes
instead of the demo's few seconds. The second figure is both together as a share of the 10 minutes, at the demo's seconds an
iteration; MLflow's part of logging is what its logger takes more than the plain one, on the run's own store.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = "configs/quickstart.yaml"
LONG_RUN = 600.0
"""Seconds of the training run that the overhead is compared with."""

INSIDE = ("training", "logging", "cpu")
"""What is known of the demo besides its commands."""

SERVICES = ("zenml", "mlflow", "dvc")
_LOGGED = 30
"""Times that logging is timed."""


def rows() -> list[Row]:
    """The overhead of the whole demo in seconds, and its share of a 10-minute training run in %."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)  # noqa: S607  PATH's git is meant
        return rows_of(*_measure(clone))


def rows_of(stages: Mapping[str, float], plain: Mapping[str, float]) -> list[Row]:
    """The two lines, from seconds.

    Args:
        stages: Of each command of the demo; as `training` and `logging` those inside it, of the training alone and of
            MLflow's logger at one logged iteration; and as `cpu` what all commands computed.
        plain: `total` of the plain process, and likewise `training`, `logging` and `cpu`; `iterations` and `log_every`.
    """
    commands = {name: seconds for name, seconds in stages.items() if name not in INSIDE}
    overhead = sum(commands.values()) - plain["total"]
    logged = LONG_RUN / (plain["training"] / plain["iterations"]) / plain["log_every"]
    for_logging = logged * (stages["logging"] - plain["logging"])
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in commands.items())
    note = (
        f"demo {sum(commands.values()):.1f} s ({parts}), plain {plain['total']:.1f} s; "
        f"training alone {stages['training']:.1f} s and {plain['training']:.1f} s; "
        f"CPU {stages['cpu']:.1f} s and {plain['cpu']:.1f} s"
    )
    share_note = (
        f"{overhead:.1f} s fixed and {for_logging:.1f} s for {logged:.0f} logged iterations "
        f"({1000 * stages['logging']:.1f} ms each by MLflow, {1000 * plain['logging']:.1f} ms plain)"
    )
    share = 100 * (overhead + for_logging) / LONG_RUN
    return [
        Row("ZenML + MLflow + DVC, the whole demo", overhead, "s", 40, 20, lower_is_better=True, note=note),
        Row("the same of a 10-minute training run", share, "%", 10, lower_is_better=True, note=share_note),
    ]


def _measure(clone: Path) -> tuple[dict[str, float], dict[str, float]]:
    """`rows_of`'s arguments, from the commands of `make demo` in `clone` and a plain process between them."""
    # As a new shell has it, but for the code: an installed `ieast` may be of another checkout.
    inherited = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "PYTHONPATH")}
    environment = inherited | {
        "PYTHONPATH": str(clone),
        "ZENML_CONFIG_PATH": str(clone / ".zen-config"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "AUTO_OPEN_DASHBOARD": "false",
        "DVC_NO_ANALYTICS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    stages: dict[str, float] = {}
    cpu: dict[str, float] = {}

    def run(name: str, *command: str) -> str:
        start, computed = time.perf_counter(), _computing()
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
        stages[name], cpu[name] = time.perf_counter() - start, _computing() - computed
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def child(name: str, *arguments: str) -> dict[str, float]:
        times = json.loads(run(name, sys.executable, "-m", "benchmarks.overhead", *arguments).splitlines()[-1])
        return times | {"total": stages.pop(name), "cpu": cpu.pop(name)}

    store = run("stack", sys.executable, "-m", "pipelines.stack").splitlines()[-1]
    run("dvc pull", "dvc", "pull", "--quiet")
    plain = child("plain", "--plain")
    run("pipeline", "zenml", "pipeline", "run", "pipelines.training.training_pipeline", "-c", QUICKSTART)
    run("last-run", "ieast", "last-run")
    inside = child("inside", "--inside", store)
    return stages | {name: inside[name] for name in INSIDE[:2]} | {"cpu": sum(cpu.values())}, plain


def _computing() -> float:
    """Seconds that the ended processes below this one have computed so far; unlike those on the wall, others' work adds few."""
    used = os.times()
    return used.children_user + used.children_system


def work_plainly(config_file: Path, data: Path, work: Path) -> dict[str, float]:
    """What the pipeline does to `data`, without the three; results go to `work`.

    Returns:
        `training` and `logging` in seconds, `iterations` and `log_every`.
    """
    from lightning.pytorch.loggers import CSVLogger

    from ieast.checkpoint import load_model
    from ieast.data.prepare import folder_digest, prepare_dataset
    from ieast.evaluation.evaluate import evaluate
    from ieast.evaluation.heatmaps import plot_flicker
    from ieast.evaluation.report import html_report
    from ieast.experiment import ExperimentConfig
    from ieast.io.images import write_image
    from ieast.training.fit import fit

    config = ExperimentConfig.load(config_file)
    prepared = prepare_dataset(data, work, config.prepare, folder_digest(data))
    trained = fit(config, prepared, work / "trained")
    stylizer, card = load_model(Path(trained.model_folder))
    evaluation = evaluate(stylizer, prepared, config.evaluation)
    write_image(evaluation.grid, work / "grid.png")
    for name in ("pairs", "clips", "flicker"):
        getattr(evaluation, name).to_csv(work / f"{name}.csv", index=False)
    if len(evaluation.flicker):
        plot_flicker({"stylized": evaluation.flicker}).savefig(work / "flicker.png")
    for clip, picture in evaluation.heatmaps.items():
        write_image(picture, work / f"{clip}.png")
    (work / "report.html").write_text(html_report(evaluation, card))
    logger = CSVLogger(work, name="timed", flush_logs_every_n_steps=1)
    return {
        "training": trained.seconds,
        "logging": seconds_of_logging(logger.log_metrics),
        "iterations": config.training.iterations,
        "log_every": config.training.log_every,
    }


def seconds_of_logging(log_metrics: Callable[..., Any]) -> float:
    """Median seconds of what a logged iteration logs: losses and rates together, then the speed."""
    terms = {f"train/term{number}": float(number) for number in range(16)}
    times = []
    for step in range(1, _LOGGED + 1):
        start = time.perf_counter()
        log_metrics(terms, step)
        log_metrics({"train/images_per_second": 1.0}, step)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _look_inside(store: str) -> dict[str, float]:
    """Seconds that training and logging took in the pipeline whose runs are in `store`."""
    import mlflow
    from zenml.client import Client

    from ieast.training.tracking import PatientMLFlowLogger

    mlflow.set_tracking_uri(store)
    run_id = mlflow.start_run(run_name="timed").info.run_id
    logger = PatientMLFlowLogger(tracking_uri=store, run_id=run_id)
    seconds: Any = Client().get_artifact_version("model").run_metadata["seconds"]
    return {"training": float(seconds), "logging": seconds_of_logging(logger.log_metrics)}


def main() -> None:
    """Print the lines, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--inside", metavar="STORE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        with tempfile.TemporaryDirectory() as work:
            times = work_plainly(Path(QUICKSTART), Path("data"), Path(work))
        if used := [name for name in SERVICES if name in sys.modules]:
            raise RuntimeError(f"the plain process imported {', '.join(used)}, whose cost it is to be compared with")
        sys.stdout.write(f"\n{json.dumps(times)}\n")
    elif arguments.inside:
        sys.stdout.write(f"\n{json.dumps(_look_inside(arguments.inside))}\n")
    else:
        for row in rows():
            sys.stdout.write(f"{row.what}: {row.measured:.1f} {row.unit} ({row.verdict}); {row.note}\n")


if __name__ == "__main__":
    main()
