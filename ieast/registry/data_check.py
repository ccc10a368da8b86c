"""How the dataset of a training differs from that of the champion."""

import io
import logging

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import load_text

from ieast.data.profile import compare_profiles
from ieast.errors import DataError
from ieast.registry.register import champion_version
from ieast.registry.store import explained

log = logging.getLogger(__name__)

PROFILE = "data_profile.csv"
"""What the pictures of a run are like, among its artifacts."""


def compare_with_champion(name: str, profile: pd.DataFrame, limit: float | None = None) -> pd.DataFrame | None:
    """`profile`, as of `profile_dataset`, beside that of the champion of `name`.

    Args:
        name: The registered model.
        profile: Of the dataset that is to be trained on.
        limit: What `refuse_shift` will hold the differences to, in deviations; none: they are only reported.

    Returns:
        As `compare_profiles`; None where there is no champion, or, without a limit, none whose run kept a profile.

    Raises:
        DataError: There is a limit, and the champion's run kept no profile, as that of `ieast register` does not.
        RegistryError: The registry cannot be reached.
    """
    champion = champion_version(name)
    if champion is None:
        return None
    with explained(f"reading what version {champion} of {name} was trained on"):
        before = _profile_of(name, champion)
    if before is not None:
        return compare_profiles(profile, before)
    lacking = f"version {champion} of {name}, the champion, kept no profile of its pictures"
    if limit is not None:
        raise DataError(
            f"data.max_shift is {limit:g}, but {lacking}, which the training pipeline alone makes. Leave data.max_shift out "
            "for this run, or promote a version that the training pipeline trained"
        )
    log.info("%s: there is nothing to compare with", lacking)
    return None


def refuse_shift(changes: pd.DataFrame, limit: float) -> None:
    """Raise if anything in `changes`, as of `compare_profiles`, has moved by more than `limit` deviations.

    Raises:
        DataError: Says what, from where to where.
    """
    moved = changes[changes["shift"].abs() > limit]
    if len(moved):
        facts = "; ".join(
            f"{row['fact']} of {row['side']} from {row['before']:.4g} to {row['now']:.4g}, {row['shift']:+.2f} deviations"
            for row in moved.to_dict("records")
        )
        raise DataError(
            f"the pictures are not like the champion's (data.max_shift is {limit:g}): {facts}. If that is meant, raise "
            "data.max_shift or leave it out"
        )


def _profile_of(name: str, version: str) -> pd.DataFrame | None:
    """What the run of a version kept, or None."""
    client = MlflowClient()
    run_id = client.get_model_version(name, version).run_id
    if not run_id or all(entry.path != PROFILE for entry in client.list_artifacts(run_id)):
        return None
    return pd.read_csv(io.StringIO(load_text(f"runs:/{run_id}/{PROFILE}")))
