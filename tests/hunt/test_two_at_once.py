"""Two people, or a person and a timer, who give commands at the same time in the same place."""

import json
import random
import shutil
import signal
import socket
import sys
from pathlib import Path

import mlflow
import pytest
from helpers.datasets import draw_picture
from helpers.dvc_repositories import Origin, files_under, git, write
from helpers.hunting import LIMIT, SEED, Tally, assert_same, digests, environment_of, hidden, in_time, trials
from helpers.registries import Registry
from helpers.warm_processes import Ending, Outcome, run_warm_together
from helpers.zenml_projects import TrainingProject
from mlflow import MlflowClient

from ieast.registry.champions import HISTORY


def together(tally: Tally, commands: list[list[str]], folder: Path, **variables: str) -> list[Outcome]:
    outcomes = run_warm_together(commands, folder, environment_of(folder) | variables, limit=LIMIT)
    return [tally.see(outcome) for outcome in outcomes]


@pytest.fixture
def pictures(tmp_path) -> Path:
    for side, count in (("photos", 4), ("paintings", 2), ("others", 2)):
        (tmp_path / side).mkdir()
        for number in range(count):
            draw_picture(number + 10 * len(side), 40 + number, 32).save(tmp_path / side / f"{side}{number}.png")
    return tmp_path


@pytest.mark.timeout(900)
def test_the_same_folder_twice_makes_what_one_makes(pictures):
    tally = Tally("two at once: one folder into one output")
    command = ["ieast", "stylize", str(pictures / "photos"), str(pictures / "paintings"), "-o"]
    (whole,) = together(tally, [[*command, "whole"]], pictures)
    assert whole.status == 0, whole.stderr
    for number in in_time(range(trials(1))):
        with tally.trial(number):
            outcomes = together(tally, [[*command, f"out{number}"]] * 2, pictures)
            assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
            assert_same(digests(pictures / f"out{number}", "**/*"), digests(pictures / "whole", "**/*"))
            assert hidden(pictures / f"out{number}") == []
    tally.conclude()


@pytest.mark.timeout(900)
def test_two_folders_into_one_output_are_both_noted_there(pictures):
    tally = Tally("two at once: two folders into one output")
    for number in in_time(range(trials(1))):
        with tally.trial(number):
            output = pictures / f"out{number}"
            commands = [
                ["ieast", "stylize", str(pictures / side), str(pictures / "paintings"), "-o", str(output)]
                for side in ("photos", "others")
            ]
            outcomes = together(tally, commands, pictures)
            assert [outcome.status for outcome in outcomes] == [0, 0], outcomes
            noted = json.loads((output / "stylization.json").read_text())
            assert len(noted["contents"]) == 6
            assert len(list(output.glob("*/*.png"))) == 12
    tally.conclude()


@pytest.mark.timeout(900)
def test_of_two_settings_in_one_output_one_is_refused(pictures):
    tally = Tally("two at once: two settings in one output")
    for number in in_time(range(trials(2))):
        with tally.trial(number):
            output = pictures / f"out{number}"
            command = ["ieast", "stylize", str(pictures / "photos"), str(pictures / "paintings"), "-o", str(output), "--alpha"]
            outcomes = together(tally, [[*command, "1"], [*command, "0.25"]], pictures)
            assert sorted(outcome.status for outcome in outcomes) == [0, 2], outcomes
            winner = next(place for place, outcome in enumerate(outcomes) if outcome.status == 0)
            assert "holds results of another stylization: alpha changed since" in outcomes[1 - winner].stderr
            (alone,) = together(tally, [[*command[:4], "-o", f"alone{number}", "--alpha", ("1", "0.25")[winner]]], pictures)
            assert alone.status == 0
            assert_same(digests(output, "**/*"), digests(pictures / f"alone{number}", "**/*"))
    tally.conclude()


@pytest.mark.timeout(900)
def test_data_is_added_by_one_at_a_time(environment, tmp_path):
    tally = Tally("two at once: `ieast data add`")
    origin = Origin(tmp_path / "origin")
    for owner in ("ann", "bob"):
        for side in ("photographs", "paintings"):
            write(tmp_path / owner / side, *(f"{owner}{number}.jpg" for number in range(30)))
    for number in in_time(range(trials(2))):
        with tally.trial(number):
            repository = Path(shutil.copytree(origin.folder, tmp_path / f"repository{number}", symlinks=True))
            add = ["ieast", "data", "add", "--repository", str(repository), "--content"]
            commands = [
                [*add, str(tmp_path / owner / "photographs"), "--style", str(tmp_path / owner / "paintings")]
                for owner in ("ann", "bob")
            ]
            outcomes = together(tally, commands, tmp_path)
            refused = [outcome for outcome in outcomes if outcome.status]
            assert len(refused) <= 1, outcomes
            for outcome in refused:
                assert outcome.status == 2
                assert "another process is adding a dataset" in outcome.stderr
            # Whoever came last and was not refused.
            names = {path.split("/")[-1][:3] for path in files_under(repository / "data")}
            assert len(names) == 1
            assert len(files_under(repository / "data")) == 60
            assert tally.see(status_of(repository, tmp_path)).stdout.strip() == "{}"
            assert git(repository, "status", "--porcelain") == "M data.dvc"
            assert hidden(repository) == []
    tally.conclude()


def status_of(repository: Path, folder: Path) -> Outcome:
    """What DVC says differs from data.dvc."""
    code = f"from dvc.repo import Repo; print(Repo({str(repository)!r}).status())"
    (outcome,) = run_warm_together([[sys.executable, "-c", code]], folder, environment_of(folder))
    return outcome


@pytest.mark.timeout(900)
def test_two_studies_on_one_port(study, benchmark_folder, tmp_path):
    """The second says so. The first is asked to stop once both had time to begin."""
    tally = Tally("two at once: studies on one port")
    for number in in_time(range(trials(1))):
        with tally.trial(number):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = str(probe.getsockname()[1])
            command = ["ieast", "study", "serve", str(study), "--port", port]
            outcomes = run_warm_together(
                [command, command], tmp_path, environment_of(tmp_path), Ending(signal.SIGTERM, seconds=6), LIMIT
            )
            outcomes = [tally.see(outcome) for outcome in outcomes]
            refused = [outcome for outcome in outcomes if outcome.status == 2]
            assert len(refused) == 1, outcomes
            assert f"cannot listen on 127.0.0.1, port {port}" in refused[0].stderr
    tally.conclude()


MOVE = """
import random, sys
import mlflow
from ieast.config import PromotionConfig
from ieast.errors import RegistryError
from ieast.registry import champions
from ieast.registry.gate import Verdict
from ieast.registry.promotion import Decision

uri, name, seed = sys.argv[1:]
mlflow.set_tracking_uri(uri)
draw = random.Random(seed)
champions.load_model = champions.fetch_model = lambda model: model  # that models load is tested elsewhere, and takes long
for _ in range(5):
    version, champion = str(draw.randint(1, 6)), champions.champion_version(name)
    try:
        if draw.random() < 0.4:
            champions.roll_back(name)
        elif draw.random() < 0.3:
            champions.force(name, version, "by hand")
        else:
            verdict = Verdict(name, version, champion, Decision(promote=True, reasons=("r",)), {"content_ssim": 1.0}, None,
                PromotionConfig().thresholds, "md5", "v1", "e", "run", "now", "me")
            champions.settle(verdict)
    except RegistryError as error:
        if not any(word in str(error) for word in ("none was before it", "is champion already", "no champion to roll back")):
            raise
"""


@pytest.mark.timeout(900)
def test_promotions_against_rollbacks(tmp_path):
    """However they fall, the history ends with the champion."""
    tally = Tally("two at once: promotions, forced ones and rollbacks, by three processes")
    before = mlflow.get_tracking_uri()
    draw = random.Random(SEED)
    try:
        registry = Registry(tmp_path)
        source = (tmp_path / "nowhere").as_uri()
        for number in in_time(range(trials(1))):
            with tally.trial(number):
                name = f"model {number}"
                registry.add(name, *[source] * 6)
                commands = [[sys.executable, "-c", MOVE, registry.uri, name, str(draw.random())] for _ in range(3)]
                outcomes = together(tally, commands, tmp_path)
                assert [outcome.status for outcome in outcomes] == [0, 0, 0], [outcome.stderr for outcome in outcomes]
                model = registry.client.get_registered_model(name)
                history = model.tags[HISTORY].split()
                champion = registry.champion(name)
                assert history[-1] == champion
    finally:
        mlflow.set_tracking_uri(before)
    tally.conclude()


@pytest.mark.timeout(3600)
def test_two_training_pipelines_in_one_checkout(tmp_path):
    """Of two of the same training, one trains and the other says so; two different ones both end."""
    count = trials(0)
    if not count:
        pytest.skip("takes minutes; `make hunt` has it")
    tally = Tally("two at once: training pipelines in one checkout")
    for number in in_time(range(min(count, 3))):
        with tally.trial(number):
            project = TrainingProject(tmp_path / f"project{number}")
            environment = {n: v for n, v in project.environment.items() if n != "MLFLOW_TRACKING_URI"} | {
                "OMP_NUM_THREADS": "1"
            }
            first = project.command("first", training={"seed": 1})
            shutil.copy(project.folder / "config.yaml", project.folder / "first.yaml")
            first[-1] = str(project.folder / "first.yaml")
            second = project.command("second", training={"seed": 1 if number % 2 else 2})
            outcomes = run_warm_together([first, second], project.folder, environment, limit=LIMIT)
            same = bool(number % 2)
            ended = sorted(outcome.status for outcome in outcomes)
            if same and ended != [0, 0]:  # or else one was through before the other came to it
                refused = next(outcome for outcome in outcomes if outcome.status)
                assert "another process is training in" in refused.stdout + refused.stderr, refused.stdout[-3000:]
                assert ended[0] == 0
            else:
                assert ended == [0, 0], [outcome.stdout[-3000:] + outcome.stderr[-3000:] for outcome in outcomes]
            client = MlflowClient(project.store)
            model = client.get_registered_model("ieast")
            versions = {str(version.version) for version in client.search_model_versions("name = 'ieast'")}
            assert str(model.aliases["champion"]) in versions
            assert model.tags[HISTORY].split()[-1] == str(model.aliases["champion"])
            experiment = client.get_experiment_by_name("training_pipeline")
            runs = client.search_runs([experiment.experiment_id])
            assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
            assert sum(run.info.status == "FINISHED" for run in runs) == sum(outcome.status == 0 for outcome in outcomes)
    tally.conclude()
