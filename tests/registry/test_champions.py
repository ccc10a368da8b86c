"""Promotions, forced ones and the way back, on a real MLflow."""

import json
from dataclasses import replace

import mlflow
import pytest
from helpers.registries import Registry
from mlflow import MlflowClient

from ieast.config import PromotionConfig
from ieast.errors import RegistryError
from ieast.models.pretrained import MODELS
from ieast.registry import champions
from ieast.registry.champions import force, roll_back, settle, up_to
from ieast.registry.gate import Verdict
from ieast.registry.promotion import Decision


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    before = mlflow.get_tracking_uri()
    yield Registry(tmp_path_factory.mktemp("registry"))
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def source(registry):
    return registry.log(MODELS["ieast"], "shipped")


@pytest.fixture
def name(registry, source, request):
    """A model with versions 1 to 4 and no champion."""
    name = request.node.name[:200].replace("/", " ").replace("'", " ")
    assert registry.add(name, *[source] * 4) == ["1", "2", "3", "4"]
    return name


def verdict(name, version, champion, promote=True, **changes):
    found = Verdict(
        name=name,
        version=version,
        champion=champion,
        decision=Decision(promote=promote, reasons=("first reason", "second")),
        scores={"style_distance": 0.5, "content_distance": float("nan")},
        champion_scores=None if champion is None else {"style_distance": 1 / 3},
        thresholds=PromotionConfig().thresholds,
        data_md5="f00.dir",
        data_revision="data-v1",
        encoder="vgg19-compact 0123",
        run="a-run",
        at="2026-01-02T03:04:05+00:00",
        by="someone@somewhere",
    )
    return replace(found, **changes)


def promote(name, *versions):
    for version in versions:
        settle(verdict(name, version, champions.champion_version(name)))


def test_the_first_model_becomes_champion_and_all_is_recorded(registry, name):
    settle(verdict(name, "4", None))
    assert registry.aliases(name) == {"champion": "4"}
    tags = registry.tags(name, "4")
    assert json.loads(tags.pop("gate.thresholds")) == [
        {"metric": "style_mismatch", "better": "lower", "relative_to_champion": 1.0},
        {"metric": "content_distance", "better": "lower", "relative_to_champion": 1.1},
    ]
    assert tags == {
        "gate.decision": "promoted",
        "gate.reasons": "first reason\nsecond",
        "gate.compared_with": "none",
        "gate.score.style_distance": "0.5",
        "gate.score.content_distance": "nan",
        "gate.data.md5": "f00.dir",
        "gate.data.revision": "data-v1",
        "gate.encoder": "vgg19-compact 0123",
        "gate.run": "a-run",
        "gate.at": "2026-01-02T03:04:05+00:00",
        "gate.by": "someone@somewhere",
    }


def test_a_later_promotion_remembers_the_champion_it_replaced_and_leaves_other_challengers(registry, name):
    promote(name, "1", "2")
    assert registry.aliases(name) == {"champion": "2", "challenger": "4"}
    tags = registry.tags(name, "2")
    assert tags["gate.previous_champion"] == tags["gate.compared_with"] == "1"
    assert tags["gate.champion_score.style_distance"] == "0.333333"


def test_a_kept_challenger_leaves_the_champion_and_says_why(registry, name):
    promote(name, "1")
    settle(verdict(name, "4", "1", promote=False))
    assert registry.aliases(name) == {"champion": "1", "challenger": "4"}
    tags = registry.tags(name, "4")
    assert (tags["gate.decision"], tags["gate.reasons"]) == ("kept", "first reason\nsecond")
    assert "gate.previous_champion" not in tags


def test_a_new_decision_replaces_the_record_of_the_old_one(registry, name):
    promote(name, "1", "2", "3")
    settle(verdict(name, "2", "3", promote=False, scores={"other": 1.0}))
    tags = registry.tags(name, "2")
    assert {key for key in tags if "score" in key} == {"gate.score.other", "gate.champion_score.style_distance"}
    assert tags["gate.previous_champion"] == "1"  # it was champion once, whatever the gate says now
    force(name, "2", "a reason")
    tags = registry.tags(name, "2")
    assert {key for key in tags if "score" in key} == set()
    assert tags["gate.previous_champion"] == "3"


@pytest.mark.parametrize("before", [None, "1"])
def test_a_comparison_with_one_who_is_champion_no_more_is_void(registry, name, before):
    promote(name, *([before] if before else []))
    stale = verdict(name, "4", before)
    promote(name, "2")
    settled = settle(stale)
    assert (settled.outcome, registry.champion(name)) == ("kept", "2")
    assert settled.decision.reasons[-1].startswith(
        f"the champion changed from {before or 'none'} to 2 while this version was scored"
    )
    assert registry.tags(name, "4")["gate.reasons"].splitlines()[-1] == settled.decision.reasons[-1]


def test_one_that_was_made_champion_while_it_was_scored_keeps_the_record_of_that(registry, name):
    promote(name, "1")
    force(name, "2", "by hand")
    before = registry.tags(name, "2")
    decision = settle(verdict(name, "2", "1")).decision
    assert (decision.promote, decision.reasons[-1][:22]) == (False, "it was made champion w")
    assert (registry.champion(name), registry.tags(name, "2")) == ("2", before)


def test_what_killed_runs_registered_is_superseded_unless_it_was_decided_on(registry, source, name):
    runs = [registry.client.create_run("0").info.run_id for _ in range(3)]
    numbers = [str(registry.client.create_model_version(name, source, run_id=run).version) for run in runs]
    settle(verdict(name, numbers[0], None))
    champions.supersede(name, runs, "9")
    assert [registry.tags(name, number)["gate.decision"] for number in numbers] == ["promoted", "superseded", "superseded"]
    assert registry.tags(name, numbers[1])["gate.reasons"].endswith("version 9 is of the run that continued it")
    assert registry.champion(name) == numbers[0]
    assert "gate.decision" not in registry.tags(name, "4")


def test_force_promotes_and_records_who_and_why(registry, name, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    monkeypatch.setattr("socket.gethostname", lambda: "engine")
    assert force(name, "1", "a demonstration") is None
    assert force(name, "4", "the first one is late") == "1"
    assert registry.aliases(name) == {"champion": "4"}
    tags = registry.tags(name, "4")
    assert tags.pop("gate.at").endswith("+00:00")
    assert tags == {
        "gate.decision": "forced",
        "gate.reasons": "the first one is late",
        "gate.by": "ada@engine",
        "gate.previous_champion": "1",
    }


def test_what_cannot_be_promoted_is_refused_with_what_there_is(registry, name):
    force(name, "1", "a reason")
    with pytest.raises(RegistryError, match=r"^version 1 of .* is champion already$"):
        force(name, "1", "again")
    with pytest.raises(RegistryError, match=r" has no version 9; it has 1, 2, 3, 4$"):
        force(name, "9", "a reason")
    with pytest.raises(RegistryError, match=r"^there is no registered model nobody; there are .*MLFLOW_TRACKING_URI"):
        force("nobody", "1", "a reason")
    registry.add(name, (registry.folder / "gone").as_uri())
    with pytest.raises(RegistryError, match="cannot be fetched"):
        force(name, "5", "a reason")
    assert registry.champion(name) == "1"
    assert "gate.decision" not in registry.tags(name, "5")


def test_repeated_rollbacks_go_further_back_until_there_is_none(registry, name):
    promote(name, "1", "2", "3")
    assert roll_back(name, reason="flicker") == ("3", "2")
    tags = registry.tags(name, "3")
    assert (tags["rollback.to"], tags["rollback.reason"]) == ("2", "flicker")
    assert tags["rollback.at"].endswith("+00:00")
    assert "@" in tags["rollback.by"]
    assert roll_back(name) == ("2", "1")
    with pytest.raises(RegistryError, match=r"^version 1 of .* is champion, and none was before it\. Promote another"):
        roll_back(name)
    assert registry.champion(name) == "1"


def test_after_a_rollback_a_promotion_goes_on_from_there(registry, name):
    promote(name, "1", "2", "3")
    roll_back(name)
    promote(name, "4")
    assert registry.tags(name, "4")["gate.previous_champion"] == "2"
    assert [roll_back(name), roll_back(name)] == [("4", "2"), ("2", "1")]


def test_a_model_that_was_champion_twice_does_not_make_rollbacks_oscillate(registry, name):
    promote(name, "1", "2", "1", "3")
    assert [roll_back(name), roll_back(name), roll_back(name)] == [("3", "1"), ("1", "2"), ("2", "1")]
    with pytest.raises(RegistryError, match="none was before it"):
        roll_back(name)


def test_rolling_back_to_an_earlier_champion_and_on_from_there(registry, name):
    promote(name, "1", "2", "3", "4")
    assert roll_back(name, to="2") == ("4", "2")
    assert roll_back(name) == ("2", "1")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("4", "version 4 of .* was not champion before version 2; 1 was. Promote it instead: `ieast promote .* 4 -c CONFIG`"),
        ("2", "version 2 of .* is champion already"),
        ("9", "version 9 of .* was not champion"),
    ],
)
def test_rolling_back_to_one_who_was_not_champion_is_refused(registry, name, to, message):
    promote(name, "1", "2")
    with pytest.raises(RegistryError, match=message):
        roll_back(name, to=to)
    assert registry.champion(name) == "2"


def test_without_a_champion_or_a_model_there_is_nothing_to_roll_back(registry, name):
    with pytest.raises(RegistryError, match="has no champion to roll back from"):
        roll_back(name)
    with pytest.raises(RegistryError, match="there is no registered model nobody"):
        roll_back("nobody")


def test_a_deleted_version_is_passed_over(registry, name):
    promote(name, "1", "2", "3")
    registry.client.delete_model_version(name, "2")
    assert roll_back(name) == ("3", "1")


def test_a_previous_champion_that_cannot_be_loaded_is_not_returned_to(registry, name):
    (lost,) = registry.add(name, (registry.folder / "gone").as_uri())
    promote(name, "1", lost, "2")
    with pytest.raises(RegistryError, match="cannot be fetched"):
        roll_back(name)
    assert registry.champion(name) == "2"
    assert "rollback.to" not in registry.tags(name, "2")
    assert roll_back(name, to="1") == ("2", "1")


def test_a_registry_without_a_history_is_followed_by_what_versions_say_of_their_predecessors(registry, name):
    promote(name, "1", "2", "3")
    registry.client.delete_registered_model_tag(name, champions.HISTORY)
    assert [roll_back(name), roll_back(name)] == [("3", "2"), ("2", "1")]


def test_predecessors_that_point_at_each_other_end(registry, name):
    registry.client.set_registered_model_alias(name, "champion", "1")
    for version, previous in (("1", "2"), ("2", "1")):
        registry.client.set_model_version_tag(name, version, champions.PREVIOUS, previous)
    assert roll_back(name) == ("1", "2")
    with pytest.raises(RegistryError, match="none was before it"):
        roll_back(name)


def test_an_alias_moved_by_hand_can_be_rolled_back(registry, name):
    promote(name, "1", "2")
    registry.client.set_registered_model_alias(name, "champion", "4")
    assert roll_back(name) == ("4", "2")


WRITES = [
    "set_model_version_tag",
    "delete_model_version_tag",
    "set_registered_model_tag",
    "delete_registered_model_alias",
    "set_registered_model_alias",
]


def count_writes(patch, stop_before=None):
    """Count what is written to the registry, and stop the process, as it were, before one of the writes."""
    written = []

    def counted(write):
        def method(self, *arguments):
            if len(written) == stop_before:
                raise KeyboardInterrupt
            written.append(arguments)
            return write(self, *arguments)

        return method

    for write in WRITES:
        patch.setattr(MlflowClient, write, counted(getattr(MlflowClient, write)))
    return written


COMMANDS = {
    "promote": lambda name: settle(verdict(name, "4", "3")),
    "force": lambda name: force(name, "4", "a reason"),
    "roll back": roll_back,
}


@pytest.mark.parametrize("act", COMMANDS)
def test_an_interruption_leaves_the_champion_and_the_same_command_completes(registry, source, act, monkeypatch):
    now = "2" if act == "roll back" else "4"

    def fresh(name):
        registry.add(name, *[source] * 4)
        registry.client.set_registered_model_tag(name, champions.HISTORY, "1 2 3")
        registry.client.set_registered_model_alias(name, "champion", "3")
        return name

    with monkeypatch.context() as patch:
        written = count_writes(patch)
        name = fresh(act)
        written.clear()
        COMMANDS[act](name)
    total = len(written)
    assert total > 4
    for stop in (0, 2, total - 3, total - 2, total - 1):
        name = fresh(f"{act} {stop}")
        with monkeypatch.context() as patch:
            count_writes(patch, stop)
            with pytest.raises(KeyboardInterrupt):
                COMMANDS[act](name)
        assert registry.champion(name) == "3"
        COMMANDS[act](name)
        assert registry.champion(name) == now
        assert registry.client.get_registered_model(name).tags[champions.HISTORY] == ("1 2" if now == "2" else "1 2 3 4")


@pytest.mark.parametrize(
    ("history", "champion", "expected"),
    [
        ([], "1", ["1"]),
        (["1", "2", "3"], "3", ["1", "2", "3"]),
        (["1", "2", "3"], "2", ["1", "2"]),
        (["1", "2", "1", "3"], "1", ["1", "2", "1"]),
        (["1", "2"], "7", ["1", "2", "7"]),
    ],
)
def test_the_history_ends_with_the_champion(history, champion, expected):
    assert up_to(history, champion) == expected
