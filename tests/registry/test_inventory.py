"""What a registered model consists of, against the files themselves."""

import hashlib
import json

import mlflow
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from helpers.registries import Registry

from ieast.models.pretrained import MODELS
from ieast.registry.inventory import INVENTORY, inventory
from ieast.registry.register import register_folder

FILES = ("config.json", "model.safetensors")


def digest(name):
    return hashlib.sha256((MODELS["sanet"] / name).read_bytes()).hexdigest()


def test_an_inventory_names_files_by_digest_and_packages_by_version():
    text = inventory(MODELS["sanet"], ["torch==2.13.0", "pillow==12.0.0"])
    document = json.loads(text)
    components = {component["name"]: component for component in document["components"]}
    assert set(components) == {*FILES, "torch", "pillow"}
    for name in FILES:
        assert components[name]["hashes"] == [{"alg": "SHA-256", "content": digest(name)}]
    assert components["torch"]["purl"] == "pkg:pypi/torch@2.13.0"
    assert document["metadata"]["component"]["type"] == "machine-learning-model"
    (model,) = [each for each in document["dependencies"] if each["ref"] == "model"]
    assert len(model["dependsOn"]) == 4


def test_an_inventory_is_valid_by_the_standards_own_schema():
    pytest.importorskip("jsonschema")
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    try:
        fault = validator.validate_str(inventory(MODELS["sanet"], ["torch==2.13.0"]))
    except Exception as error:  # what the validator itself lacks
        pytest.skip(f"the validator is not complete here: {error}")
    assert fault is None


def test_a_version_has_the_digests_of_its_files_and_its_run_the_inventory(tmp_path):
    before = mlflow.get_tracking_uri()
    registry = Registry(tmp_path)
    try:
        number = register_folder(MODELS["sanet"], "listed")
        version = registry.client.get_model_version("listed", number)
        assert {name: version.tags[f"sha256.{name}"] for name in FILES} == {name: digest(name) for name in FILES}
        document = json.loads(mlflow.artifacts.load_text(f"runs:/{version.run_id}/{INVENTORY}"))
        packages = {each["name"] for each in document["components"] if each["type"] == "library"}
        assert {"mlflow", "torch", "safetensors"} <= packages
    finally:
        mlflow.set_tracking_uri(before)
