"""Which version this is, and how to add to it what it was installed without."""

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

_SOURCE = Path(__file__).resolve().parents[1]


def version() -> str:
    """The installed version, or that this is a source tree which nobody has installed."""
    installed = _distribution()
    return f"of {_SOURCE}, not installed" if installed is None else installed.version


def extras() -> list[str]:
    """What can be installed with the package, but for what its developers need."""
    installed = _distribution()
    names = (installed.metadata.get_all("Provides-Extra") or []) if installed else []
    return sorted(set(names) - {"dev"})


def install_with(extra: str) -> str:
    """The command that adds `extra` from where this copy came; pip keeps that with every package."""
    installed = _distribution()
    if installed is None:
        return f"pip install '{_SOURCE}[{extra}]'"
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin:
        return f"pip install 'ieast[{extra}]'"  # from an index, which will have it, too
    place = origin["url"]
    if vcs := origin.get("vcs_info"):  # PEP 610 keeps apart what pip takes as one
        place = f"{vcs['vcs']}+{place}@{vcs.get('requested_revision') or vcs['commit_id']}"
    url = urlparse(place)
    if url.scheme != "file":
        inside = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        return f"pip install 'ieast[{extra}] @ {place}{inside}'"
    flag = "--editable " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {flag}'{unquote(url.path)}[{extra}]'"


def _distribution() -> Distribution | None:
    try:
        return distribution("ieast")
    except PackageNotFoundError:
        return None
