"""What the gate decides on: scores of candidate and champion on the same pictures by the same encoder, and its record.

The verdict itself is `ieast.registry.promotion.decide`.
"""

import getpass
import json
import logging
import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ieast.checkpoint import ModelCard, load_model
from ieast.config import Threshold
from ieast.data.prepare import PreparedDataset
from ieast.errors import IeastError
from ieast.evaluation.evaluate import evaluate
from ieast.experiment import ExperimentConfig
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.registry.promotion import Decision, decide
from ieast.registry.register import champion_version, fetch_model
from ieast.training.provenance import learnt_from

log = logging.getLogger(__name__)

SCORE, CHAMPION_SCORE = "gate.score.", "gate.champion_score."
"""Prefixes of tags."""


@dataclass(frozen=True)
class Verdict:
    """A decision on one version and what it rests on."""

    name: str
    version: str
    champion: str | None  # the version it was compared with
    decision: Decision
    scores: Mapping[str, float]
    champion_scores: Mapping[str, float] | None
    thresholds: tuple[Threshold, ...]
    data_md5: str
    data_revision: str
    encoder: str  # name and digest of the one that scored both
    run: str  # MLflow run or command that asked
    at: str
    by: str

    @property
    def outcome(self) -> str:
        """`promoted` or `kept`."""
        return "promoted" if self.decision.promote else "kept"

    def tags(self) -> dict[str, str]:
        """The verdict as tags of the model version."""
        facts = {
            "gate.reasons": "\n".join(self.decision.reasons),
            "gate.compared_with": self.champion or "none",
            "gate.thresholds": json.dumps([threshold.model_dump(exclude_none=True) for threshold in self.thresholds]),
            "gate.data.md5": self.data_md5,
            "gate.data.revision": self.data_revision,
            "gate.encoder": self.encoder,
            "gate.run": self.run,
            "gate.at": self.at,
            "gate.by": self.by,
        }
        facts |= {f"{SCORE}{metric}": f"{value:.6g}" for metric, value in self.scores.items()}
        facts |= {f"{CHAMPION_SCORE}{metric}": f"{value:.6g}" for metric, value in (self.champion_scores or {}).items()}
        return facts | {"gate.decision": self.outcome}

    def table(self) -> pd.DataFrame:
        """A row a score: the candidate's value, and the champion's, where there is one."""
        others = self.champion_scores or {}
        names = [*self.scores, *(name for name in others if name not in self.scores)]
        columns = {"score": names, "candidate": [self.scores.get(name) for name in names]}
        if self.champion is not None:
            columns["champion"] = [others.get(name) for name in names]
        return pd.DataFrame(columns)

    def metadata(self) -> dict[str, Any]:
        """The same as plain values; numbers that JSON lacks are text."""
        return {
            "promoted": self.decision.promote,
            "reasons": list(self.decision.reasons),
            "compared_with": self.champion or "none",
            "scores": plain(self.scores),
            "champion_scores": plain(self.champion_scores or {}),
            "thresholds": [threshold.model_dump(exclude_none=True) for threshold in self.thresholds],
            "data": {"md5": self.data_md5, "revision": self.data_revision},
            "encoder": self.encoder,
            "run": self.run,
            "at": self.at,
            "by": self.by,
        }


def waiting(verdict: Verdict) -> Verdict:
    """`verdict`, which promotes, left to a person's word."""
    reason = f"a person has to agree: `ieast promote {verdict.name} {verdict.version} -c CONFIG` asks"
    return _changed(verdict, promote=False, reason=reason)


def answered(verdict: Verdict, *, agrees: bool, why: str) -> Verdict:
    """`verdict`, which promotes, after whoever gave the command agreed or not, and said why."""
    return _changed(verdict, promote=agrees, reason=f"{whoami()} {'agrees' if agrees else 'refuses'}: {why}")


def compare(
    name: str,
    version: str,
    model: Path,
    prepared: PreparedDataset,
    config: ExperimentConfig,
    run: str,
    own_scores: Mapping[str, float] | None = None,
) -> Verdict:
    """Score version `version` of `name` and its champion on `prepared` and decide; nothing is recorded or changed.

    Both are scored by `promotion.encoder`. A model is trained against its own encoder's features and does best by them, so
    neither side's is used: with the candidate's, a bad encoder would be judge in its own case.

    Args:
        name: The registered model.
        version: The candidate.
        model: The candidate's folder.
        prepared: What both are scored on, made at `config.data.revision`.
        config: Of `evaluation` and `promotion`.
        run: Who asks, for the record: an MLflow run's id, or a command.
        own_scores: What `evaluate` has said of the candidate on `prepared`, by its own encoder; not computed again if that is
            the one that decides.

    Raises:
        WeightsError: The candidate or the encoder cannot be loaded, or the distance's weights are not at hand.
        RegistryError: The registry cannot be reached.
    """
    champion = champion_version(name)
    encoder = build_encoder(config.promotion.encoder)
    digest = encoder.digest()
    stylizer, card = load_model(model)
    if own_scores is not None and card.encoder.digest == digest:
        scores = dict(own_scores)
    else:
        scores = evaluate(stylizer, prepared, config.evaluation, encoder).metrics
    champion_scores, unusable = None, None
    if (seen := _seen(card, prepared)) is not None:
        unusable = f"version {version} {seen}, so its scores say nothing. {_way_out(card, prepared)}"
    if champion is not None:
        try:
            champion_scores = _score_champion(name, champion, prepared, config, encoder)
        # PyTorch says RuntimeError of most that it cannot compute. The candidate has just been scored in the same way.
        except (IeastError, RuntimeError, ValueError, OSError) as error:
            own = isinstance(error, IeastError)  # says all there is to say
            log.error("the champion, version %s of %s, cannot be scored: %s", champion, name, error, exc_info=not own)
            unusable = unusable or (
                f"the champion, version {champion}, cannot be scored, so it stays: {error}. Once it can, type `ieast promote "
                f"{name} {version} -c CONFIG`; to go on without it, `ieast promote {name} {version} --force --reason TEXT`"
            )
    return Verdict(
        name=name,
        version=version,
        champion=champion,
        decision=decide(scores, champion_scores, config.promotion.thresholds, unusable),
        scores=scores,
        champion_scores=champion_scores,
        thresholds=config.promotion.thresholds,
        data_md5=prepared.data_digest,
        data_revision=config.data.revision,
        encoder=f"{encoder.name} {digest[:12]}",
        run=run,
        at=now(),
        by=whoami(),
    )


def _score_champion(
    name: str, champion: str, prepared: PreparedDataset, config: ExperimentConfig, encoder: Encoder
) -> dict[str, float]:
    stylizer, card = load_model(fetch_model(f"models:/{name}/{champion}"))
    if (seen := _seen(card, prepared)) is not None:
        log.warning("the champion, version %s, %s: it is the harder to beat", champion, seen)
    return evaluate(stylizer, prepared, config.evaluation, encoder).metrics


def _seen(card: ModelCard, prepared: PreparedDataset) -> str | None:
    """That the model of `card`, or one that it started from, was trained on pictures which `prepared` holds out, in words.

    None if it was not. A larger share that is held out contains the smaller ones, so shares of the same data can be compared.
    """
    smallest = _smallest_share(card, prepared)
    if smallest is None or smallest >= prepared.held_out:
        return None
    return (
        f"was trained on pictures that it would be scored on (prepare.held_out was {smallest}, here it is {prepared.held_out})"
    )


def _smallest_share(card: ModelCard, prepared: PreparedDataset) -> float | None:
    """Of the data of `prepared`, what was held out of all that the model of `card` learnt from; None if it was other data."""
    shares = [each.get("held_out", 0) for each in learnt_from(card) if each.get("data_digest") == prepared.data_digest]
    return min(shares, default=None)


def _way_out(card: ModelCard, prepared: PreparedDataset) -> str:
    if share := _smallest_share(card, prepared):
        return f"Set prepare.held_out to {share}, or promote it with --force --reason TEXT"
    return f"Train it anew with prepare.held_out at {prepared.held_out}, or promote it with --force --reason TEXT"


def _changed(verdict: Verdict, *, promote: bool, reason: str) -> Verdict:
    reasons = (*verdict.decision.reasons, reason)
    return replace(verdict, decision=verdict.decision.model_copy(update={"promote": promote, "reasons": reasons}))


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def whoami() -> str:
    """User and machine, as records say who did something."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # containers run as users without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def plain(scores: Mapping[str, float]) -> dict[str, Any]:
    """`scores` for JSON, which knows neither infinity nor NaN: a ZenML server refuses metadata with them. They become words."""
    return {name: value if math.isfinite(value) else str(value) for name, value in scores.items()}
