"""Commands in processes of their own that have the libraries imported already: importing takes longer than most of them.

A process that imports and computes nothing is started once for each pytest worker; what it forks for a command then enters
that command where the shell's would.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

# Not `zenml_cli`, which changes standard output when it is imported.
LIBRARIES = (
    "zenml.cli.cli",
    "zenml.zen_stores.sql_zen_store",
    "zenml.integrations.mlflow.experiment_trackers",
    "mlflow.pyfunc",
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


def run_warm(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Like `subprocess.run` of `zenml`, `ieast`, or Python with `-m` or `-c`; output is text, captured."""
    if sys.platform != "linux":  # others' libraries do not outlive a fork
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    with TemporaryDirectory() as outputs:
        streams = [str(Path(outputs, name)) for name in ("stdout", "stderr")]
        request = {"command": list(command), "folder": str(folder), "environment": dict(environment), "streams": streams}
        parent = _parent()
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(f"{json.dumps(request)}\n")
        parent.stdin.flush()
        answer = parent.stdout.readline()
        assert answer, "the process with the imports has ended"
        stdout, stderr = (Path(stream).read_text() for stream in streams)
    return subprocess.CompletedProcess(command, json.loads(answer), stdout, stderr)


@functools.cache
def _parent() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | SETTINGS
    )
    atexit.register(process.terminate)
    return process


def serve() -> None:
    """Fork for each line of standard input, and answer with the exit status."""
    import importlib
    import threading

    for name in LIBRARIES:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads cannot be forked safely"
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            be(**json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def be(command: list[str], folder: str, environment: dict[str, str], streams: list[str]) -> None:
    """Become `command`, whose process this is, and end with it."""
    for number, stream in enumerate(streams, 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    status = 1
    try:
        enter(command)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):  # ZenML puts others in their places
            assert stream is not None
            stream.flush()
        os._exit(status)


def enter(command: list[str]) -> None:
    """What an interpreter started with `command` does first."""
    import runpy

    program, *arguments = command
    if program != sys.executable:
        (entry,) = {found.value: found for found in entry_points(group="console_scripts", name=program)}.values()
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
