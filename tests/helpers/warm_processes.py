"""Commands in processes of their own that have the libraries imported already: importing takes longer than most of them.

A process that imports and computes nothing is started once for each pytest worker; what it forks for a command then enters
that command where the shell's would.
"""

import atexit
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

STREAMS = ("stdout", "stderr")

# Not `zenml_cli`, which changes standard output when it is imported.
LIBRARIES = (
    "zenml.cli.cli",
    "zenml.zen_stores.sql_zen_store",
    "zenml.integrations.mlflow.experiment_trackers",
    "zenml.integrations.s3.artifact_stores",
    "mlflow.pyfunc",
    "dvc.repo",
    "ieast.cli.main",
    *(f"pipelines.{name}" for name in ("training", "ablation", "benchmark", "distillation", "stack")),
)

SETTINGS = {
    # Pipelines and their steps lie in the repository alone, and run from it.
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]),
    "ZENML_ANALYTICS_OPT_IN": "false",
    "AUTO_OPEN_DASHBOARD": "false",
    "DVC_NO_ANALYTICS": "1",
    "COLUMNS": "300",
    "ZENML_CONFIG_PATH": os.devnull,  # every command brings its own; importing must not need one
}


@dataclass(frozen=True)
class Ending:
    """When a process gets a signal: before a change of the files below its folder, or some time after it began.

    Attributes:
        number: Of the signal.
        change: Which change, from 1: opening a file to write to it, renaming, removing, making a folder.
        seconds: After how long, where `change` is None.
    """

    number: int
    change: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a process.

    Attributes:
        status: Its exit status, negative for a signal.
        stdout: What it printed.
        stderr: The same of errors.
        changes: How many changes of files below its folder there were; 0 of one that was killed.
        seconds: How long it took.
        hung: Whether it had to be killed because it had not ended in time.
    """

    status: int
    stdout: str
    stderr: str
    changes: int
    seconds: float
    hung: bool


def run_warm(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Like `subprocess.run` of `zenml`, `ieast`, or Python with `-m` or `-c`; output is text, captured."""
    if sys.platform != "linux":  # others' libraries do not outlive a fork
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    (outcome,) = run_warm_together([command], folder, environment)
    return subprocess.CompletedProcess(command, outcome.status, outcome.stdout, outcome.stderr)


def run_warm_together(
    commands: Sequence[Sequence[str]],
    folder: Path,
    environment: Mapping[str, str],
    ending: Ending | None = None,
    limit: float = 600,
) -> list[Outcome]:
    """Run commands at the same time.

    Args:
        commands: As `run_warm` takes them.
        folder: In which they run.
        environment: All of their variables.
        ending: A signal that they get.
        limit: Seconds after which one that has not ended is killed.
    """
    with TemporaryDirectory() as outputs:
        jobs = [
            {
                "command": list(command),
                "folder": str(folder),
                "environment": dict(environment),
                "outputs": str(Path(outputs, str(place))),
                "ending": asdict(ending) if ending else None,
            }
            for place, command in enumerate(commands)
        ]
        for job in jobs:
            Path(str(job["outputs"])).mkdir()
        parent = _parent()
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(f"{json.dumps({'jobs': jobs, 'limit': limit})}\n")
        parent.stdin.flush()
        answer = parent.stdout.readline()
        assert answer, "the process with the imports has ended"
        return [_outcome(Path(str(job["outputs"])), *ended) for job, ended in zip(jobs, json.loads(answer), strict=True)]


def _outcome(outputs: Path, status: int, seconds: float, hung: bool) -> Outcome:
    stdout, stderr = ((outputs / name).read_text(errors="replace") for name in STREAMS)
    changes = outputs / "changes"
    return Outcome(status, stdout, stderr, int(changes.read_text()) if changes.exists() else 0, seconds, hung)


@functools.cache
def _parent() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | SETTINGS
    )
    atexit.register(process.terminate)
    return process


def serve() -> None:
    """Fork for each job of a line of standard input, and answer with what became of them."""
    import gc
    import importlib
    import importlib.metadata
    import threading

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries say when they are imported, as of fonts found for the first time, is no answer
    for name in LIBRARIES:
        importlib.import_module(name)
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from helpers.databases import copy_what_mlflow_makes
    from mlflow.utils.requirements_utils import _init_modules_to_packages_map

    copy_what_mlflow_makes()
    importlib.import_module("ieast.training.fit").SHOWN = 1  # as in the tests' own process
    # Both ask every file of every package which modules are in it, in seconds.
    _init_modules_to_packages_map()
    importlib.metadata.packages_distributions = functools.cache(importlib.metadata.packages_distributions)
    importlib.metadata.packages_distributions()
    gc.collect()
    gc.freeze()  # or else each process looks through all the libraries again and again
    assert threading.active_count() == 1, "a process with threads cannot be forked safely"
    for line in sys.stdin:
        request = json.loads(line)
        children = []
        for job in request["jobs"]:
            child = os.fork()
            if child == 0:
                be(**job)
            children.append((child, (job["ending"] or {}).get("seconds"), (job["ending"] or {}).get("number")))
        answers.write(f"{json.dumps(wait(children, request['limit']))}\n")
        answers.flush()


def wait(children: list[tuple[int, float | None, int | None]], limit: float) -> list[tuple[int, float, bool]]:
    """Exit status, seconds, and whether it had to be killed of each process; some get a signal after some seconds."""
    began = time.monotonic()
    ended: dict[int, tuple[int, float, bool]] = {}
    signalled: set[int] = set()
    hung: set[int] = set()
    while len(ended) < len(children):
        for child, seconds, number in children:
            if child in ended:
                continue
            passed = time.monotonic() - began
            if seconds is not None and number is not None and passed >= seconds and child not in signalled:
                signalled.add(child)
                os.kill(child, number)
            if passed > limit and child not in hung:
                hung.add(child)
                os.kill(child, signal.SIGKILL)
            reaped, status = os.waitpid(child, os.WNOHANG)
            if reaped:
                ended[child] = (os.waitstatus_to_exitcode(status), passed, child in hung)
        time.sleep(0.002)
    return [ended[child] for child, *_ in children]


def be(command: list[str], folder: str, environment: dict[str, str], outputs: str, ending: dict[str, Any] | None) -> None:
    """Become `command`, whose process this is, and end with it."""
    for number, stream in enumerate(STREAMS, 1):
        os.dup2(os.open(Path(outputs, stream), os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    changes = count_changes(folder, Ending(**ending) if ending else None)
    status = 1
    try:
        enter(command)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):  # ZenML puts others in their places
            with suppress(OSError, ValueError):
                stream.flush()  # type: ignore[union-attr]
        Path(outputs, "changes").write_text(str(next(changes) - 1))
        os._exit(status)


def count_changes(folder: str, ending: Ending | None) -> Iterator[int]:
    """Count each change of files below `folder` before it is made, and send this process its signal before the one meant."""
    counter = itertools.count(1)
    below = os.path.realpath(folder) + os.sep

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(arguments[2], int) or not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.fsdecode(path)
        if name.startswith(os.sep) and not name.startswith(below):
            return
        if next(counter) == (ending.change if ending else None):
            os.kill(os.getpid(), ending.number)

    sys.addaudithook(see)
    return counter


def enter(command: list[str]) -> None:
    """What an interpreter started with `command` does first."""
    import runpy

    program, *arguments = command
    if program != sys.executable:
        (entry,) = {actual.value: actual for actual in entry_points(group="console_scripts", name=program)}.values()
        sys.argv = command
        sys.exit(entry.load()())
    flag, code, *arguments = arguments
    sys.path.insert(0, "")
    sys.argv = [flag, *arguments]
    if flag == "-m":
        sys.modules.pop(code, None)  # or else `runpy` warns that it was imported before
        runpy.run_module(code, run_name="__main__", alter_sys=True)
    else:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    serve()
