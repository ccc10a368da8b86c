"""What a registered model consists of: its files with their digests, and the packages it runs on, as a CycloneDX inventory."""

from collections.abc import Sequence
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ieast.checkpoint import CONFIG, read_card
from ieast.installation import version as own_version
from ieast.io.files import sha256

INVENTORY = "sbom.json"
"""The inventory's name among the artifacts of the run that logged the model."""


def file_digests(folder: Path) -> dict[str, str]:
    """Hex SHA-256 of each file of the model in `folder`, its card included, by name."""
    names = [CONFIG, *sorted(read_card(folder).files)]
    return {name: sha256(folder / name) for name in names}


def inventory(folder: Path, requirements: Sequence[str]) -> str:
    """A software bill of materials (CycloneDX 1.6, JSON, https://cyclonedx.org/docs/1.6/json/) of a served model.

    Args:
        folder: The model.
        requirements: What it is served with, as `package==version`.
    """
    card = read_card(folder)
    kind = ComponentType.MACHINE_LEARNING_MODEL
    model = Component(name=card.method, type=kind, version=own_version(), bom_ref="model")
    files = []
    for name, digest in file_digests(folder).items():
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
        files.append(Component(name=name, type=ComponentType.FILE, bom_ref=f"file:{name}", hashes=hashes))
    packages = []
    for requirement in requirements:
        package, version = requirement.split("==")
        purl = PackageURL("pypi", name=package, version=version)
        packages.append(Component(name=package, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl)))
    bom = Bom(components=[*files, *packages])
    bom.metadata.component = model
    bom.register_dependency(model, [*files, *packages])
    return JsonV1Dot6(bom).output_as_string(indent=2)
