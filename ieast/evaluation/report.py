"""An evaluation as one self-contained HTML page."""

import base64
import html
import io
import math

import pandas as pd

from ieast.checkpoint import ModelCard
from ieast.evaluation.evaluate import Evaluation

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
  body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222 }}
  table {{ border-collapse: collapse; margin: 0 0 2rem }}
  td, th {{ border-bottom: 1px solid #ddd; padding: .25rem .8rem; text-align: right }}
  td:first-child, th:first-child {{ text-align: left }}
  img {{ max-width: 100% }}
</style>
<h1>{title}</h1>
<p>{origin}</p>
{note}
<h2>Scores</h2>
{scores}
<h2>Stylizations</h2>
<p>Styles along the top, contents down the left side.</p>
<img alt="grid of stylizations" src="data:image/jpeg;base64,{grid}">
<h2>Clips</h2>
{clips}
<h2>Pairs</h2>
{pairs}
"""


def html_report(evaluation: Evaluation, card: ModelCard) -> str:
    """Scores, the grid, and the tables of clips and pairs; nothing is loaded from elsewhere."""
    provenance = card.provenance
    iterations, code = (provenance.get(key, "?") for key in ("iterations", "code"))
    origin = f"{card.method} on {card.encoder.name}, {iterations} iterations, code {code}"
    if "data" in provenance:
        origin += f", data {provenance['data']['md5']}"
    buffer = io.BytesIO()
    evaluation.grid.save(buffer, "JPEG", quality=90)
    scores = pd.DataFrame(evaluation.metrics.items(), columns=["metric", "value"])
    scores["95 % interval"] = [_interval(*evaluation.intervals.get(name, (math.nan, math.nan))) for name in scores["metric"]]
    for name, means in evaluation.reference_metrics.items():  # no models, but what a model's scores are to be seen beside
        scores[name] = scores["metric"].map(means).map("{:.4f}".format).replace("nan", "")
    return _PAGE.format(
        title=f"Evaluation of {html.escape(card.method)}",
        origin=html.escape(origin),
        note=f"<p><strong>{html.escape(evaluation.skipped)}</strong></p>" if evaluation.skipped else "",
        scores=_table(scores),
        grid=base64.b64encode(buffer.getvalue()).decode(),
        clips=_table(evaluation.clips) if len(evaluation.clips) else "<p>none</p>",
        pairs=_table(evaluation.pairs),
    )


def _interval(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}" if math.isfinite(low) and math.isfinite(high) else ""


def _table(frame: pd.DataFrame) -> str:
    return frame.to_html(index=False, border=0, float_format="{:.4f}".format)  # pandas escapes the cells
