"""The page that `make ui` opens on: comparisons, trainings and champions, with links into MLflow's views and ZenML's dashboard.

MLflow's own first page shows its view of traces, which no setting changes; an address does.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from ieast.evaluation.pages import page
from ieast.metrics import headline, with_arrow
from ieast.registry import addresses
from ieast.registry.lookup import CHAMPION
from ieast.registry.scores import scores_of_run

SHOWN = 20
"""Runs of each kind, the newest first."""

_NEWEST_FIRST = ["attributes.start_time DESC"]


def landing_page(store: str, mlflow_ui: str, zenml_ui: str) -> str:
    """The page, of what is in `store` now."""
    mlflow.set_tracking_uri(store)
    client = MlflowClient()
    kept = {experiment.experiment_id: set(experiment.tags) for experiment in client.search_experiments()}
    experiments = list(kept)
    compared = [
        run
        for kind in ("ablation", "benchmark")
        for run in client.search_runs(experiments, f"tags.kind = '{kind}'", max_results=SHOWN, order_by=_NEWEST_FIRST)
    ]
    trained = client.search_runs(experiments, "tags.gate LIKE '%'", max_results=SHOWN, order_by=_NEWEST_FIRST)
    return page(
        "landing.html",
        mlflow_ui=mlflow_ui,
        zenml_ui=zenml_ui,
        comparisons=[_row(store, run) | _views(store, run, kept[run.info.experiment_id]) for run in compared],
        trainings=[_row(store, run) | {"gate": run.data.tags["gate"], "scores": _scores(run)} for run in trained],
        champions=_champions(store, client),
    )


def serve_landing(address: tuple[str, int], make: Callable[[], str]) -> ThreadingHTTPServer:
    """Serve what `make` returns, made anew for each visit, at `/` in a thread of its own; `shutdown` stops it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = make().encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Visits are not worth a line."""

    server = ThreadingHTTPServer(address, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _row(store: str, run: Run) -> dict[str, str]:
    at = datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    link = addresses.run_address(store, run.info.experiment_id, run.info.run_id)
    return {"name": run.info.run_name, "at": at, "status": run.info.status.lower(), "link": link} | _report(store, run)


def _report(store: str, run: Run) -> dict[str, str]:
    artifact = "report.html" if "kind" in run.data.tags else "evaluation/report.html"
    return {"report": addresses.report_address(store, run.info.experiment_id, run.info.run_id, artifact)}


def _views(store: str, run: Run, tags: set[str]) -> dict[str, str]:
    """Links to the saved views that `tags` of the experiment have; there are none where nothing was scored."""
    experiment = run.info.experiment_id
    table, pictures = addresses.view_keys(run.info.run_id)
    kind = {"kind": run.data.tags["kind"]}
    if addresses.SAVED_VIEW + table not in tags:
        return kind
    return kind | {
        "table": addresses.runs_address(store, experiment, table),
        "curves": addresses.runs_address(store, experiment, table, charts=True),
        "pictures": addresses.runs_address(store, experiment, pictures, charts=True),
        "models": addresses.models_address(store, experiment),
    }


def _scores(run: Run) -> str:
    scores = scores_of_run(run)
    return ", ".join(f"{with_arrow(name)} {scores[name]:.4g}" for name in headline(scores, 3))


def _champions(store: str, client: MlflowClient) -> list[dict[str, str]]:
    rows = []
    for model in client.search_registered_models():
        if (number := model.aliases.get(CHAMPION)) is None:
            continue
        version = client.get_model_version(model.name, str(number))
        rows.append(
            {
                "name": f"{model.name} version {number}",
                "link": addresses.version_address(store, model.name, str(number)),
                "decision": version.tags.get("gate.decision", ""),
                "by": version.tags.get("gate.by", ""),
                "at": version.tags.get("gate.at", "").replace("T", " ").removesuffix("+00:00"),
            }
        )
    return rows
