"""An evaluation as one self-contained HTML page."""

import math

import pandas as pd

from ieast.checkpoint import ModelCard
from ieast.evaluation.evaluate import Evaluation
from ieast.evaluation.pages import data_uri, page
from ieast.metrics import with_arrow


def html_report(evaluation: Evaluation, card: ModelCard, changes: pd.DataFrame | None = None) -> str:
    """Scores, the grid, and the tables of clips and pairs; nothing is loaded from elsewhere.

    Args:
        evaluation: The scores.
        card: Of the scored model.
        changes: How the data differ from the champion's, as `compare_profiles` says; where nothing is known, nothing is shown.
    """
    provenance = card.provenance
    iterations, code = (provenance.get(key, "?") for key in ("iterations", "code"))
    origin = f"{card.method} on {card.encoder.name}, {iterations} iterations, code {code}"
    if "data" in provenance:
        origin += f", data {provenance['data']['md5']}"
    scores = pd.DataFrame(evaluation.metrics.items(), columns=["metric", "value"])
    scores["95 % interval"] = [_interval(*evaluation.intervals.get(name, (math.nan, math.nan))) for name in scores["metric"]]
    for name, means in evaluation.reference_metrics.items():  # no models, but what a model's scores are to be seen beside
        scores[name] = scores["metric"].map(means).map(_shown).replace("nan", "")
    scores["metric"] = scores["metric"].map(with_arrow)
    return page(
        "evaluation.html",
        title=f"Evaluation of {card.method}",
        origin=origin,
        skipped=evaluation.skipped,
        scores=scores.map(_shown),
        grid=data_uri(evaluation.grid),
        clips=evaluation.clips.map(_shown) if len(evaluation.clips) else None,
        pairs=evaluation.pairs.map(_shown),
        changes=changes.map(_shown) if changes is not None and len(changes) else None,
    )


def _interval(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}" if math.isfinite(low) and math.isfinite(high) else ""


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
