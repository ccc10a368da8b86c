"""The batch pipeline as ZenML deploys it, by the README's commands; minutes, so that it is a part of `make hunt`."""

import json
import os
import re
import shlex
import socket
import urllib.request

import pytest
import yaml
from helpers.zenml_projects import ROOT, Project

pytestmark = pytest.mark.skipif("HUNT_TRIALS" not in os.environ, reason="takes minutes: make hunt")

README = (ROOT / "README.md").read_text()
COMMANDS = re.search(r"(zenml deployer register.*?)```", README, re.DOTALL)[1].strip().splitlines()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_a_deployed_pipeline_answers_with_the_folder_of_the_results(project, tmp_path):
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 8000)) == 0:
            pytest.skip("port 8000, which the README's command names, is taken")
    document = yaml.safe_load((ROOT / "configs" / "stylization.yaml").read_text())
    document["parameters"]["config"]["data"]["repository"] = str(ROOT)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "stylization.yaml").write_text(yaml.safe_dump(document))
    register, update, deploy, post, delete = (shlex.split(command) for command in COMMANDS)
    for command in (register, update, deploy):
        project.run(*command)
    try:
        body = json.loads(post[post.index("-d") + 1])
        body["parameters"]["config"] |= {
            "data": {"repository": str(ROOT)},
            "most_contents": 1,
            "most_styles": 1,
            "clips": False,
            "settings": {"style_size": 64},
            "output": str(tmp_path / "results"),
        }
        request = urllib.request.Request(post[1], json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as response:
            answer = json.load(response)
        assert answer["success"], answer
        (folder,) = answer["outputs"].values()
        assert (tmp_path / "results") in (tmp_path / folder).parents
        assert list((tmp_path / folder).rglob("*.png"))
    finally:
        project.run(*delete, "--yes", check=False)
