import pytest

from ieast.models.pretrained import MODELS
from ieast.models.references import is_uri, released_or_folder


def test_a_name_is_a_released_model_and_a_path_a_folder():
    assert released_or_folder("sanet") == MODELS["sanet"]
    assert released_or_folder("./sanet").as_posix() == "sanet"


@pytest.mark.parametrize("model", ["models:/ieast@champion", "models:/ieast/3", "runs:/0a1b/model", "s3://bucket/model"])
def test_an_address_is_no_folder(model):
    assert is_uri(model)


@pytest.mark.parametrize("model", ["ieast", "./ieast", "folder/models", "/srv/models/ieast", "models"])
def test_a_name_or_folder_is_no_address(model):
    assert not is_uri(model)
