"""Who is champion: promotions by the gate or by force, and the way back.

MLflow's alias `champion` is the authority. What else is recorded is written before the alias moves, in such a way that after an
interruption the same command does the whole again: tags of the version say why and by whom, and the tag `HISTORY` of the
registered model lists the champions in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from ieast.checkpoint import load_model
from ieast.errors import RegistryError
from ieast.registry.gate import Verdict, now, whoami
from ieast.registry.listing import versions_of
from ieast.registry.promotion import Decision
from ieast.registry.register import CHALLENGER, CHAMPION, champion_version, fetch_model
from ieast.registry.store import explained, in_turn

HISTORY, PREVIOUS = "gate.champions", "gate.previous_champion"


@in_turn()
def settle(verdict: Verdict) -> Verdict:
    """Record `verdict` on its version and, if it promotes, make that version champion.

    Returns:
        The verdict as it was recorded: one that was found against another champion than there is now keeps that champion. If
        the version itself is champion by now, nothing is recorded.

    Raises:
        RegistryError: The registry cannot be reached.
    """
    champion = champion_version(verdict.name)
    if champion == verdict.version:
        reason = "it was made champion while it was scored, and stays so by what is on record"
        return replace(verdict, decision=Decision(promote=False, reasons=(*verdict.decision.reasons, reason)))
    if verdict.decision.promote and champion != verdict.champion:
        reason = (
            f"the champion changed from {verdict.champion or 'none'} to {champion or 'none'} while this version was scored, so "
            f"the comparison is void; type `ieast promote {verdict.name} {verdict.version} -c CONFIG` to make it again"
        )
        decision = verdict.decision.model_copy(update={"promote": False, "reasons": (*verdict.decision.reasons, reason)})
        verdict = replace(verdict, decision=decision)
    with explained(f"recording the decision on version {verdict.version} of {verdict.name}"):
        if verdict.decision.promote:
            _crown(verdict.name, verdict.version, verdict.tags())
        else:
            _record(verdict.name, verdict.version, verdict.tags())
    return verdict


def force(name: str, version: str, reason: str) -> str | None:
    """Make `version` champion without the gate, and record who did so and why.

    Returns:
        The champion it replaced, if there was one.

    Raises:
        RegistryError: There is no such version, it is champion already, or it cannot be fetched.
        WeightsError: It cannot be loaded.
    """
    check_candidate(name, version)
    load_model(fetch_model(f"models:/{name}/{version}"))
    with in_turn(), explained(f"promoting version {version} of {name}"):
        before = champion_version(name)
        facts = {"gate.reasons": reason, "gate.at": now(), "gate.by": whoami()}
        _crown(name, version, facts | {"gate.decision": "forced"})
    return before


@in_turn()
def roll_back(name: str, to: str | None = None, reason: str | None = None) -> tuple[str, str]:
    """Make the previous champion champion again; called again, the one before it, and so on.

    Args:
        name: The registered model.
        to: Another earlier champion than the previous one.
        reason: For the record.

    Returns:
        The champion before and the champion now.

    Raises:
        RegistryError: There is no champion, no earlier one, `to` is not an earlier one, or it cannot be fetched.
        WeightsError: It cannot be loaded.
    """
    with explained(f"reading the champions of {name}"):
        existing = _versions(name)
        champion = champion_version(name)
        past = [] if champion is None else _past(name, champion)
    if champion is None:
        raise RegistryError(f"{name} has no champion to roll back from; `ieast models {name}` lists its versions")
    if to == champion:
        raise RegistryError(f"version {to} of {name} is champion already")
    earlier = [version for version in past if version in existing and version != champion]
    if to is None and not earlier:
        raise RegistryError(
            f"version {champion} of {name} is champion, and none was before it. Promote another version: "
            f"`ieast promote {name} VERSION -c CONFIG`; `ieast models {name}` lists them"
        )
    if to is not None and to not in earlier:
        raise RegistryError(
            f"version {to} of {name} was not champion before version {champion}; {', '.join(earlier) or 'none'} was. Promote "
            f"it instead: `ieast promote {name} {to} -c CONFIG`"
        )
    target = earlier[-1] if to is None else to
    load_model(fetch_model(f"models:/{name}/{target}"))
    with explained(f"rolling {name} back to version {target}"):
        client = MlflowClient()
        facts = {"rollback.to": target, "rollback.by": whoami(), "rollback.reason": reason or "", "rollback.at": now()}
        for key, value in facts.items():
            client.set_model_version_tag(name, champion, key, value)
        _set_history(name, up_to(past, target))
        client.set_registered_model_alias(name, CHAMPION, target)
    return champion, target


@in_turn()
def supersede(name: str, runs: Sequence[str], version: str) -> None:
    """Record that `version` came in the place of what `runs`, which were killed, had registered and left undecided.

    Raises:
        RegistryError: The registry cannot be reached.
    """
    with explained(f"recording what version {version} of {name} is in the place of"):
        for other in versions_of(name):
            if other.run_id in runs and "gate.decision" not in other.tags:
                reason = f"its run was killed before the gate decided; version {version} is of the run that continued it"
                facts = {"gate.reasons": reason, "gate.at": now(), "gate.by": whoami()}
                _record(name, str(other.version), facts | {"gate.decision": "superseded"})


def check_candidate(name: str, version: str) -> None:
    """Raise unless `version` exists and is not champion.

    Raises:
        RegistryError: Says which versions or models there are.
    """
    with explained(f"looking for version {version} of {name}"):
        versions = _versions(name)
    if version not in versions:
        raise RegistryError(f"{name} has no version {version}; it has {', '.join(versions) or 'none'}")
    if champion_version(name) == version:
        raise RegistryError(f"version {version} of {name} is champion already")


def up_to(history: Sequence[str], champion: str) -> list[str]:
    """The champions until `champion` reigned last; it is the last of them also if the history does not know it.

    The alias may have been moved by hand, or an interruption come between the history and the alias.
    """
    for place in range(len(history) - 1, -1, -1):
        if history[place] == champion:
            return list(history[: place + 1])
    return [*history, champion]


def _crown(name: str, version: str, tags: Mapping[str, str]) -> None:
    client = MlflowClient()
    model = client.get_registered_model(name)
    before = champion_version(name)
    # An alias that was deleted by hand leaves who was champion before.
    history = model.tags.get(HISTORY, "").split() if before is None else _past(name, before)
    _record(name, version, {**({} if before is None else {PREVIOUS: before}), **tags}, keep=())
    _set_history(name, [*history, version])
    if str(model.aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(name, CHALLENGER)
    client.set_registered_model_alias(name, CHAMPION, version)


def _record(name: str, version: str, tags: Mapping[str, str], keep: Sequence[str] = (PREVIOUS,)) -> None:
    """Put `tags` in the place of an earlier decision's."""
    client = MlflowClient()
    for key in client.get_model_version(name, version).tags:
        if key.startswith("gate.") and key not in tags and key not in keep:
            client.delete_model_version_tag(name, version, key)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)


def _past(name: str, champion: str) -> list[str]:
    """The champions in order, until `champion`."""
    tags = MlflowClient().get_registered_model(name).tags
    return up_to(tags[HISTORY].split() if HISTORY in tags else _chain(name, champion), champion)


def _chain(name: str, champion: str) -> list[str]:
    """The same by what each version says of its predecessor, for registries without a history."""
    chain, version = [champion], champion
    while True:
        try:
            previous = MlflowClient().get_model_version(name, version).tags.get(PREVIOUS)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return chain  # the version was deleted, and with it what was before
        if previous is None or previous in chain:
            return chain
        chain.insert(0, previous)
        version = previous


def _set_history(name: str, history: Sequence[str]) -> None:
    MlflowClient().set_registered_model_tag(name, HISTORY, " ".join(history))


def _versions(name: str) -> list[str]:
    return sorted((str(version.version) for version in versions_of(name)), key=int)
