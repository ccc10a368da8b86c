"""The documents speak of what is there: commands, targets, files and settings."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from ieast.cli.main import app
from ieast.config import BatchConfig, DistillationConfig
from ieast.experiment import AblationConfig, BenchmarkConfig, ExperimentConfig

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "ieast" / "pretrained" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def commands(document):
    for block in re.findall(r"```(?:bash|console|sh)\n(.*?)```", document.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.split(" #")[0].strip()
            if line and not line.startswith("#"):
                yield line


COMMANDS = [(document.name, line) for document in DOCUMENTS for line in commands(document)]


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_is_valid(config):
    sections = yaml.safe_load(config.read_text())["parameters"]["config"]
    kinds = {"settings": BatchConfig, "teacher": DistillationConfig, "methods": BenchmarkConfig, "experiment": AblationConfig}
    kind = next((kind for section, kind in kinds.items() if section in sections), ExperimentConfig)
    assert kind.load(config)


@pytest.mark.parametrize(("document", "line"), COMMANDS)
def test_every_documented_command_exists(document, line):
    words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if words[0] == "make":
        assert set(words[1:]) <= TARGETS | {word for word in words if "=" in word}, line
    elif words[0] == "ieast":
        check_ieast(words[1:], line)
    elif words[:2] == ["zenml", "pipeline"]:
        module, _, name = words[3].rpartition(".")
        source = ROOT / Path(*module.split(".")).with_suffix(".py")
        assert re.search(rf"^def {name}\(", source.read_text(), re.MULTILINE), line
        assert (ROOT / words[words.index("-c") + 1]).is_file(), line
    else:
        assert words[0] in {"git", "dvc", "mlflow", "python", "pip", "curl", "export", "cd", "docker", "mkdir", "zenml"}, (
            f"{document}: {line}"
        )


def check_ieast(words, line):
    command = get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_linked_or_named_file_exists(document):
    text = document.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:ieast|steps|pipelines|configs|tests|docs)/[\w./-]*)`", text)
    for name in links:
        assert (document.parent / name).exists(), name
    for name in named:
        assert (ROOT / name).exists(), name


def test_every_command_line_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    command = get_command(app)
    for name, sub in command.commands.items():
        names = [f"{name} {inner}" for inner in sub.commands] if hasattr(sub, "commands") else [name]
        for full in names:
            assert f"ieast {full}" in readme, full


def test_no_file_names_a_package_index_or_a_private_path():
    import subprocess

    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    forbidden = re.compile(r"--(extra-)?index-url|find-links|/home/[a-z]|/work/[a-z]")
    for name in filter(None, files):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".lock", ".txt", ""} and path.is_file() and "datastore" not in name:
            match = forbidden.search(path.read_text(errors="ignore"))
            assert match is None or name == "tests/test_docs.py", f"{name}: {match and match.group()}"
