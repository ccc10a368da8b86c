"""A batch of stylizations as one self-contained HTML page."""

from collections.abc import Mapping

from PIL import Image

from ieast.evaluation.pages import data_uri, page
from ieast.stylization.batch import SHEET, Batch

_ROWS = 200
_COLUMNS = ["content", "style", "result", "seconds"]


def batch_page(batch: Batch, facts: Mapping[str, str]) -> str:
    """Facts, failures, the contact sheet and the beginning of the manifest; nothing is loaded from elsewhere."""
    manifest = batch.manifest
    failures = manifest.loc[manifest["error"].notna(), ["content", "style", "error"]]
    with Image.open(batch.folder / SHEET) as sheet:
        picture = data_uri(sheet)
    counts = f"{batch.made} made, {batch.kept} kept from before, {batch.failed} failed"
    return page(
        "batch.html",
        title="Stylizations",
        facts={"results": counts, "folder": str(batch.folder), **facts},
        failures=failures if len(failures) else None,
        sheet=picture,
        manifest=manifest.loc[manifest["error"].isna(), _COLUMNS].head(_ROWS).fillna(""),
        left_out=max(0, int(manifest["error"].isna().sum()) - _ROWS),
    )
