"""How the dataset of a training differs from that of the champion."""

import io

import pandas as pd
from mlflow import MlflowClient
from mlflow.artifacts import load_text

from ieast.data.profile import compare_profiles
from ieast.errors import DataError
from ieast.registry.register import champion_version
from ieast.registry.store import explained

PROFILE = "data_profile.csv"
"""What the pictures of a run are like, among its artifacts."""


def compare_with_champion(name: str, profile: pd.DataFrame) -> pd.DataFrame | None:
    """`profile`, as of `profile_dataset`, beside that of the champion of `name`.

    Returns:
        As `compare_profiles`; None where there is no champion, or none whose run kept a profile.

    Raises:
        RegistryError: The registry cannot be reached.
    """
    champion = champion_version(name)
    if champion is None:
        return None
    with explained(f"reading what version {champion} of {name} was trained on"):
        client = MlflowClient()
        run_id = client.get_model_version(name, champion).run_id
        if not run_id or all(entry.path != PROFILE for entry in client.list_artifacts(run_id)):
            return None
        before = pd.read_csv(io.StringIO(load_text(f"runs:/{run_id}/{PROFILE}")))
    return compare_profiles(profile, before)


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
