"""Finished runs and registered versions put side by side: whose tables of scores they left, and whether those can be paired."""

import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mlflow
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from ieast.errors import DataError, RegistryError
from ieast.evaluation.comparison import UNITS, Report, Scored, compare_scored
from ieast.evaluation.figures import difference_figures
from ieast.registry.lookup import look_up
from ieast.registry.store import explained

SCORED_BY = "evaluation.encoder"
"""The tag by which a run names the encoder that scored its model, with its digest."""
SCORER = "evaluation.scorer"
"""The tag with the digest of the scorer that gave a run its preference scores, if one did."""
COMPARED_BY = "comparison.by."
"""With the id of a pipeline's run behind it, the tag of a cell's run which that pipeline reports on: as what variant."""
_SAME = ("size", "pairs", "max_frames", "warping_intervals", "steady", "seed")
"""Settings of the evaluation that decide what scores are of."""


@dataclass(frozen=True)
class Compared:
    """A run, and the name of the row it belongs to."""

    label: str
    run: Run

    @property
    def seed(self) -> int:
        """Of its training; runs of one row and several seeds are averaged."""
        return int(self.run.data.tags.get("seed", 0))


def compare_runs(names: Sequence[str], baseline: str | None = None) -> Report:
    """A report on the runs and versions that `names` mean, on the pairs and clips they were all scored on.

    Args:
        names: MLflow runs' ids, one of an ablation or benchmark for all its variants, or registered versions as NAME/VERSION,
            NAME@ALIAS or a models:/ address.
        baseline: The row that others are compared with; by default the first.

    Raises:
        RegistryError: There is no such run or version, or the store cannot be reached.
        DataError: They were scored on other data or otherwise, one was not scored, or there is no such baseline.
    """
    with explained("reading the runs to compare"):
        compared = _labelled([each for name in names for each in _resolve(name)])
        _refuse_other_data(compared)
        scored = [scored_of(each.run, each.label) for each in compared]
        judged = [each.run for each, tables in zip(compared, scored, strict=True) if "preference" in tables.pairs]
        unlike = _unlike_scorers(judged)
        scored = _shared([_without_preference(each) for each in scored] if unlike else scored)
    labels = list(dict.fromkeys(each.label for each in compared))
    if len(labels) < 2:
        raise DataError(f"there is only {labels[0]} to compare; name another run or version")
    chosen = baseline or labels[0]
    if chosen not in labels:
        raise DataError(f"there is no {chosen} to compare with; there are {', '.join(labels)}")
    comparison = compare_scored(scored, chosen)
    tags = compared[0].run.data.tags
    return Report(
        title=f"{' and '.join(labels) if len(labels) == 2 else f'{len(labels)} models'} compared",
        facts={
            "data": f"{tags['data.md5']} (revision {tags.get('data.revision', '')})",
            "code": ", ".join(sorted({each.code for each in scored})),
        },
        comparison=comparison,
        baseline=chosen,
        runs=runs_table([each.run for each in compared]),
        figures=difference_figures(comparison, chosen),
        warnings=[*_warnings([each.run for each in compared]), *([unlike] if unlike else [])],
    )


def scored_of(run: Run, label: str | None = None) -> Scored:
    """The tables of scores of `run`, which finished, as of the row `label`, by default its variant.

    Raises:
        DataError: It left none.
    """
    tags = run.data.tags
    try:
        pairs, clips, references = (read_table(run, f"evaluation/{name}.csv") for name in ("pairs", "clips", "references"))
    except (MlflowException, OSError) as error:
        raise DataError(
            f"run {run.info.run_id} ({run.info.run_name}) left no tables of scores: it did not score a model"
        ) from error
    variant = label or tags.get("variant", run.info.run_name)
    return Scored(variant, int(tags.get("seed", 0)), run.info.run_id, tags.get("code", ""), pairs, clips, references)


def read_table(run: Run, name: str) -> pd.DataFrame:
    """The CSV artifact `name` of `run`; an empty one is an empty table."""
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{name}")
    return pd.read_csv(io.StringIO(text)) if text.strip() else pd.DataFrame()


def runs_table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run, for the report."""
    rows = []
    for run in runs:
        minutes = ((run.info.end_time or run.info.start_time) - run.info.start_time) / 60_000
        rows.append(
            {
                "variant": run.data.tags.get("variant", run.info.run_name),
                "seed": run.data.tags.get("seed", ""),
                "status": run.info.status.lower(),
                "minutes": f"{minutes:.1f}",
                "code": run.data.tags.get("code", ""),
                "MLflow run": run.info.run_id,
            }
        )
    return pd.DataFrame(rows, columns=["variant", "seed", "status", "minutes", "code", "MLflow run"])


def runs_below(parent: Run) -> list[Run]:
    """The runs that the pipeline of `parent` compares, the oldest first, with its own names for their variants.

    Another pipeline may have taken them since, and call them otherwise.
    """
    own = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"  # earlier versions set nothing else
    tag, found = f"{COMPARED_BY}{parent.info.run_id}", {}
    for query in (own, compared_by(parent)):
        for run in MlflowClient().search_runs([parent.info.experiment_id], query):
            run.data.tags["variant"] = run.data.tags.get(tag) or run.data.tags.get("variant", "")
            found[run.info.run_id] = run
    return sorted((run for run in found.values() if run.data.tags["variant"]), key=lambda run: run.info.start_time)


def compared_by(parent: Run) -> str:
    """MLflow's query for the runs that the pipeline of `parent` compares."""
    return f"tags.`{COMPARED_BY}{parent.info.run_id}` LIKE '%'"


def _resolve(name: str) -> list[Compared]:
    if not re.fullmatch("[0-9a-f]{32}", name):
        version = look_up(name if name.startswith("models:/") else f"models:/{name}")
        run_id = MlflowClient().get_model_version(version.name, version.version).run_id
        if not run_id:
            raise DataError(f"version {version.version} of {version.name} names no run, so that its scores are not at hand")
        return [Compared(f"{version.name} {version.version}", _run(run_id))]
    run = _run(name)
    below = [each for each in runs_below(run) if each.info.status == "FINISHED"]
    if "variant" not in run.data.tags and below:
        order = [name for key in ("variants", "methods") for name in run.data.tags.get(key, "").split(", ")]
        # A comparison that was stopped before its report does not say their order.
        place = {label: number for number, label in enumerate(order)}
        below.sort(key=lambda each: (place.get(each.data.tags["variant"], len(place)), int(each.data.tags["seed"])))
        return [Compared(each.data.tags["variant"], each) for each in below]
    return [Compared(run.info.run_name, run)]


def _run(run_id: str) -> Run:
    try:
        return MlflowClient().get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise RegistryError(f"there is no run {run_id}; the last words of a pipeline name its runs") from None
        raise


def _labelled(compared: Sequence[Compared]) -> list[Compared]:
    """Each run once; two of one row and one seed, as of two days, are told apart by their ids."""
    once = list({each.run.info.run_id: each for each in compared}.values())
    counts = Counter((each.label, each.seed) for each in once)
    twice = {label for (label, _), count in counts.items() if count > 1}
    return [replace(each, label=f"{each.label} {each.run.info.run_id[:8]}") if each.label in twice else each for each in once]


def _refuse_other_data(compared: Sequence[Compared]) -> None:
    first, *others = compared
    scored_by = _evaluation(first.run)
    for each in others:
        mine, theirs = (one.run.data.tags.get("data.md5") for one in (each, first))
        if mine != theirs:
            raise DataError(
                f"{each.label} was scored on the dataset {mine}, {first.label} on {theirs}: score both on the same, as "
                "`ieast promote` and a benchmark row `model:` do"
            )
        settings = _evaluation(each.run)
        for name in _SAME:
            if settings.get(name) != scored_by.get(name):
                raise DataError(
                    f"{each.label} was scored with evaluation.{name} {settings.get(name)}, {first.label} with "
                    f"{scored_by.get(name)}: only scores made alike can be compared"
                )


def _evaluation(run: Run) -> dict[str, object]:
    """The settings a run was scored by; earlier versions kept them as JSON, which is YAML as well."""
    for name in ("config.yaml", "config.json"):
        if any(entry.path == name for entry in MlflowClient().list_artifacts(run.info.run_id)):
            values = yaml.safe_load(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{name}"))
            # Runs from before there was `steady` had each frame of a clip by itself.
            return {"steady": False, **(values.get("evaluation") or {})}
    return {}


def _unlike_scorers(runs: Sequence[Run]) -> str | None:
    """Why the preferences of `runs` cannot be compared, if they cannot; where a scorer was not noted, its path tells it."""
    noted = {run.data.tags[SCORER] for run in runs if SCORER in run.data.tags}
    older = {_evaluation(run).get("preference") for run in runs if SCORER not in run.data.tags}
    if max(len(noted), len(older)) > 1:
        return f"Preference is left out, because {max(len(noted), len(older))} different scorers gave it."
    if noted and older:
        return "Preference is left out: that of older runs is on record without its scorer, which may have been another."
    return None


def _without_preference(scored: Scored) -> Scored:
    tables = {kind: getattr(scored, kind) for kind in (*UNITS, "references")}
    return replace(scored, **{kind: table.drop(columns="preference", errors="ignore") for kind, table in tables.items()})


def _warnings(runs: Sequence[Run]) -> list[str]:
    """What keeps scores of `runs` from being comparable, if anything does."""
    encoders = _encoders(runs)
    prepared = sorted({run.data.tags["prepared.key"] for run in runs if "prepared.key" in run.data.tags})
    messages = []
    if len(encoders) > 1:
        messages.append(
            f"Scored by features of different encoders, so that distances are not comparable: {', '.join(encoders)}"
        )
    if len(prepared) > 1:
        messages.append(
            "Scored on pictures that were prepared differently, so that scores are not comparable: prepared.key "
            f"{', '.join(prepared)}; `prepare` in each run's config.yaml says how"
        )
    return messages


def _encoders(runs: Sequence[Run]) -> list[str]:
    """The encoders that scored `runs`; runs from before that was noted are told apart by the name alone."""
    noted = {run.data.tags[SCORED_BY] for run in runs if SCORED_BY in run.data.tags}
    older = {_trained_on(run) for run in runs if SCORED_BY not in run.data.tags}
    if older and len(noted) < 2:
        return sorted(older | {each.split()[0] for each in noted})
    return sorted(f"{name} {digest[:12]}" for name, digest in map(str.split, noted))


def _trained_on(run: Run) -> str:
    """The name of the encoder that the model of `run` was trained on."""
    return str(run.data.params.get("encoder") or run.data.params.get("encoder.name") or run.data.tags.get("encoder", "unknown"))


def _shared(scored: Sequence[Scored]) -> list[Scored]:
    """With the columns that all tables have: a score that only some got says nothing of the others."""
    kept = list(scored)
    for kind in (*UNITS, "references"):
        tables = [getattr(each, kind) for each in kept]
        columns = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
        kept = [replace(each, **{kind: table[columns]}) for each, table in zip(kept, tables, strict=True)]
    return kept
