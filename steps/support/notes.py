"""What a person reads first of a run or a version: a note with the result and the pictures, and links between the two UIs."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from zenml.metadata.metadata_types import Uri

from ieast.metrics import headline, with_arrow
from ieast.registry.addresses import report_address, run_address, save_view, version_address, view_keys
from ieast.registry.comparing import compared_by
from ieast.registry.gate import Verdict
from ieast.registry.register import REGISTERED
from ieast.registry.scores import scores_of_run

NOTE, COLOUR = "mlflow.note.content", "mlflow.runColor"
PICTURES = ("pairs", "stylizations")
"""Keys of the pictures that runs have by step: of single pairs, and of grids as training went on."""

# Told apart by most people with colour-vision deficiencies (Okabe & Ito 2008), without its black; lighter for later seeds.
_HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
_LIGHTER = 0.28


def note_run(run: Run, sentence: str, report: str, pictures: Sequence[str]) -> None:
    """Give a run its note.

    Args:
        run: Of any experiment.
        sentence: The result.
        report: The artifact with all there is to know.
        pictures: Artifacts to show.
    """
    store, experiment, run_id = mlflow.get_tracking_uri(), run.info.experiment_id, run.info.run_id
    lines = [sentence, "", f"[Report]({report_address(store, experiment, run_id, report)})"]
    lines += [f"\n![{path}](get-artifact?path={quote(path, safe='')}&run_uuid={run_id})" for path in pictures]
    MlflowClient().set_tag(run_id, NOTE, "\n".join(lines))


def note_score(run: Run) -> None:
    """Give the run of a scored model its note: the scores that matter, and the grid of pictures."""
    scores = scores_of_run(run)
    said = ", ".join(f"{with_arrow(name)} {scores[name]:.4g}" for name in headline(scores))
    data = run.data.tags.get("data.revision", "")
    note_run(run, f"**{run.info.run_name}** on {data}: {said}.", "evaluation/report.html", ["evaluation/grid.png"])


def note_gate(verdict: Verdict, scores: Mapping[str, float]) -> None:
    """Give the active run of a training, and the version that came of it, a note with what the gate said."""
    active = mlflow.active_run()
    assert active is not None
    run = MlflowClient().get_run(active.info.run_id)
    version = version_address(mlflow.get_tracking_uri(), verdict.name, verdict.version)
    said = ", ".join(f"{with_arrow(name)} {scores[name]:.4g}" for name in headline(scores))
    against = f" against version {verdict.champion}" if verdict.champion else ""
    reasons = "\n".join(f"- {reason}" for reason in verdict.decision.reasons)
    sentence = f"[{verdict.name} version {verdict.version}]({version}), **{verdict.outcome}**{against}: {said}.\n\n{reasons}"
    note_run(run, sentence, "evaluation/report.html", ["evaluation/grid.png"])


def link_version(run: Run, name: str, number: str, scores: Mapping[str, float]) -> None:
    """Let a registered version and the run that made it name each other."""
    MlflowClient().set_tag(run.info.run_id, REGISTERED, f"{name} {number}")
    store, experiment, run_id = mlflow.get_tracking_uri(), run.info.experiment_id, run.info.run_id
    said = ", ".join(f"{with_arrow(metric)} {scores[metric]:.4g}" for metric in headline(scores))
    description = (
        f"{said}.\n\n[Run {run.info.run_name}]({run_address(store, experiment, run_id)}) · "
        f"[report]({report_address(store, experiment, run_id, 'evaluation/report.html')})"
    )
    MlflowClient().update_model_version(name, number, description)


def linked_run(experiment: str, run_id: str) -> Uri:
    """The run's page in MLflow, for ZenML's metadata."""
    return Uri(run_address(mlflow.get_tracking_uri(), experiment, run_id))


def linked_version(name: str, number: str) -> Uri:
    """The version's page in MLflow, for ZenML's metadata."""
    return Uri(version_address(mlflow.get_tracking_uri(), name, number))


def colour_runs(runs: Sequence[Run], order: Sequence[str]) -> None:
    """Give each variant of `order` a colour in MLflow's charts, and its later seeds lighter ones; no two runs share one."""
    for variant in order:
        seeds = sorted((run for run in runs if run.data.tags["variant"] == variant), key=lambda run: int(run.data.tags["seed"]))
        for place, run in enumerate(seeds):
            MlflowClient().set_tag(run.info.run_id, COLOUR, run_colour(order.index(variant), place))


def run_colour(variant: int, seed: int) -> str:
    """The colour of the variant and seed in these places, as #RRGGBB."""
    hue = _HUES[variant % len(_HUES)]
    round_trips = variant // len(_HUES)
    share = 1 - (1 - _LIGHTER) ** (seed + round_trips / 2)
    parts = (int(hue[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02X}" for part in parts)


def save_views(parent: Run, scores: Sequence[str]) -> None:
    """Keep views of the runs below `parent` with the experiment, by `view_keys`."""
    table, pictures = view_keys(parent.info.run_id)
    query = compared_by(parent)
    save_view(parent.info.experiment_id, table, query, scores, group="variant")
    save_view(parent.info.experiment_id, pictures, query, scores, images=PICTURES)
