"""What a wheel holds, and what is said of how to install more."""

import tomllib
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from setuptools import find_packages
from typer.testing import CliRunner

import ieast.installation as installation
from ieast.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
CLONE = '{"url": "file:///srv/me/a%20clone", "dir_info": {"editable": true}}'
WHEEL = '{"url": "file:///tmp/ieast-0.1.0-py3-none-any.whl", "archive_info": {}}'
FAR = '{"url": "https://host/team/ieast.git", "vcs_info": {"vcs": "git", "commit_id": "4f2a"}}'
TAGGED = FAR.replace('"commit_id"', '"requested_revision": "v1.2", "commit_id"')
INSIDE = TAGGED.replace('"vcs_info"', '"subdirectory": "painting/ieast", "vcs_info"')
NEAR = FAR.replace("https://host/team/ieast.git", "file:///srv/ieast.git")
ARCHIVE = '{"url": "https://host/ieast.tar.gz", "archive_info": {}}'


class Installed(Distribution):
    def __init__(self, origin):
        self.files_by_name = {"METADATA": "Name: ieast\nVersion: 1.2.3\nProvides-Extra: train\nProvides-Extra: dev\n"}
        if origin is not None:
            self.files_by_name["direct_url.json"] = origin

    def read_text(self, filename):
        return self.files_by_name.get(filename)

    def locate_file(self, path):
        return Path(path)


def test_a_wheel_holds_no_names_that_anyone_may_have():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert {name.split(".")[0] for name in find_packages(str(ROOT), **settings)} == {"ieast"}


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (CLONE, "pip install --editable '/srv/me/a clone[train]'"),
        (CLONE.replace("true", "false"), "pip install '/srv/me/a clone[train]'"),
        (WHEEL, "pip install '/tmp/ieast-0.1.0-py3-none-any.whl[train]'"),
        (FAR, "pip install 'ieast[train] @ git+https://host/team/ieast.git@4f2a'"),
        (TAGGED, "pip install 'ieast[train] @ git+https://host/team/ieast.git@v1.2'"),
        (INSIDE, "pip install 'ieast[train] @ git+https://host/team/ieast.git@v1.2#subdirectory=painting/ieast'"),
        (NEAR, "pip install 'ieast[train] @ git+file:///srv/ieast.git@4f2a'"),
        (ARCHIVE, "pip install 'ieast[train] @ https://host/ieast.tar.gz'"),
        (None, "pip install 'ieast[train]'"),
    ],
)
def test_more_is_installed_from_where_this_copy_came(monkeypatch, origin, command):
    monkeypatch.setattr(installation, "distribution", lambda name: Installed(origin))
    assert installation.install_with("train") == command
    assert installation.extras() == ["train"]


def test_a_source_tree_that_is_not_installed_says_so(monkeypatch):
    def missing(name):
        raise installation.PackageNotFoundError(name)

    monkeypatch.setattr(installation, "distribution", missing)
    assert installation.install_with("train") == f"pip install '{ROOT}[train]'"
    assert CliRunner().invoke(app, ["--version"]).output == f"ieast of {ROOT}, not installed\n"
    assert installation.extras() == []


def test_the_command_says_its_version(monkeypatch):
    monkeypatch.setattr(installation, "distribution", lambda name: Installed(None))
    assert CliRunner().invoke(app, ["--version"]).output == "ieast 1.2.3\n"
