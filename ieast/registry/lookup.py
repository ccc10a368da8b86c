"""Which version a registry's address means at the moment."""

import re
from dataclasses import dataclass

from mlflow import MlflowClient

from ieast.errors import RegistryError
from ieast.registry.store import explained

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases of versions."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model.

    Attributes:
        name: The registered model's.
        version: Its number.
        aliases: What points at it.
        tags: What registration and the gate wrote.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    tags: dict[str, str]

    @property
    def uri(self) -> str:
        """The address of this version, wherever aliases move."""
        return f"models:/{self.name}/{self.version}"


def look_up(uri: str) -> RegisteredVersion:
    """The version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` means now.

    Raises:
        RegistryError: It is no such address, there is no such version or alias, or the registry cannot be reached.
    """
    match = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/([0-9]+))", uri)
    if match is None:
        raise RegistryError(f"{uri} is not the address of a registered model; write models:/NAME@ALIAS or models:/NAME/VERSION")
    name, alias, number = match.groups()
    client = MlflowClient()
    with explained(f"looking for {uri}"):
        version = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
        every = client.get_registered_model(name).aliases.items()
    number = str(version.version)  # SQLite stores give integers
    aliases = sorted(other for other, pointed in every if str(pointed) == number)
    return RegisteredVersion(name, number, tuple(aliases), dict(version.tags))
