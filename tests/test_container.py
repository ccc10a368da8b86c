"""The Dockerfile against what it copies, installs and starts; images themselves are made where a container engine is."""

import filecmp
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from typer.main import get_command

from ieast.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions(name):
    """The arguments of each instruction `name`, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def is_sent(path):
    """Whether .dockerignore lets a path through; the last pattern that matches it, or a folder that it is in, decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        places = [part.name if pattern.startswith("**/") else str(part) for part in (path, *path.parents)]
        if line and not line.startswith("#") and any(fnmatch(place, pattern.removeprefix("**/")) for place in places):
            sent = line.startswith("!")
    return sent


def test_what_is_copied_is_there_and_sent_and_nothing_else_is():
    copied = {word for line in instructions("COPY") if "--from" not in line for word in shlex.split(line)[:-1]}
    assert copied == {"pyproject.toml", "requirements.lock", "README.md", "LICENSE", "ieast", "configs"}
    assert all((ROOT / name).exists() and is_sent(Path(name)) for name in copied)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    sent = {path.split("/")[0] for path in tracked if is_sent(Path(path))}
    assert sent == copied
    assert is_sent(Path("ieast/pretrained/README.md"))
    assert not is_sent(Path("ieast/io/__pycache__/images.cpython-311.pyc"))
    assert not is_sent(Path(".dvc/config.local"))


def test_what_is_installed_is_declared():
    chosen = [*re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE), *re.findall(r"EXTRAS=([\w,]+)", README)]
    assert len(chosen) > 1
    declared = PROJECT["optional-dependencies"]
    assert {extra for line in chosen for extra in line.split(",")} <= set(declared)
    # What the package reads to be built has to be there before it.
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= set(shlex.split(instructions("COPY")[0]))


def test_it_starts_the_service_for_others_and_not_as_root():
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["ieast"]
    name, *words = json.loads(instructions("CMD")[0])
    command = get_command(app).commands[name]
    values = command.make_context(name, words).params
    assert values["host"] == "0.0.0.0"
    assert instructions("EXPOSE") == [str(values["port"])]
    assert instructions("USER") == ["10001"]  # by number, so that Kubernetes can see that it is not root
    last = DOCKERFILE.split("FROM ")[-1]
    assert last.index("USER") > last.index("RUN")


def test_both_stages_have_one_python_that_the_package_takes():
    images = {line.split()[0] for line in instructions("FROM")}
    assert len(images) == 1
    minor = re.fullmatch(r"python:3\.(\d+)-slim-\w+", images.pop())[1]
    assert int(minor) >= int(PROJECT["requires-python"].removeprefix(">=3."))


def test_what_is_installed_in_the_end_is_the_package_and_not_what_stood_in_for_it(tmp_path):
    """The first stage's commands, in their order, on files of a commit of long ago; without dependencies."""
    source, installed = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    install = f"{sys.executable} -m pip install --quiet --no-deps --no-build-isolation --target {installed} --upgrade"
    stage = re.sub(r"\\\n\s*", "", DOCKERFILE).split("FROM ")[1]
    for name, line in re.findall(r"^(COPY|RUN) (.*)$", stage, re.MULTILINE):
        if name == "COPY":
            *words, target = shlex.split(line)
            for word in words:
                copy_old(ROOT / word, source / target / ("" if (ROOT / word).is_dir() else word))
        elif "pip install" in line:
            line = re.sub(r"--constraint \S+|--no-cache-dir|--no-deps|--force-reinstall", "", line)
            line = line.replace("/opt/ieast/bin/pip install", install).replace("[${EXTRAS}]", "")
            subprocess.run(["bash", "-ec", line], cwd=source, check=True)
    wrong = filecmp.cmpfiles(
        ROOT / "ieast", installed / "ieast", [p.name for p in (ROOT / "ieast").glob("*.py")], shallow=False
    )
    assert wrong[1:] == ([], [])
    assert (installed / "ieast" / "pretrained" / "ieast" / "model.safetensors").exists()


def copy_old(path, target):
    """Copy as COPY does, which keeps the times of files."""
    for file in (
        [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file() and is_sent(one.relative_to(ROOT))]
    ):
        place = target if path.is_file() else target / file.relative_to(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
        os.utime(place, (1.6e9, 1.6e9))


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint")
def test_hadolint_has_nothing_to_say():
    done = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.stdout == ""
