"""Every method is a model file and is served like any other."""

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException
from PIL import Image

from ieast.checkpoint import load_model, read_card, save_model
from ieast.config import EncoderConfig
from ieast.io.images import encode_png
from ieast.methods import build, find, names
from ieast.models.encoder_weights import build_encoder
from ieast.registry.pyfunc import StylizerModel

ANY_STYLE = [name for name in names() if find(name).any_style]
OPTIONS = {"gatys": {"iterations": 2}}
PARAMETERS = {"alpha": 1.0, "style_size": 64, "preserve_colour": "none"}


def noise(width, height, seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture(scope="module", params=ANY_STYLE)
def model(request, tmp_path_factory):
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))
    folder = tmp_path_factory.mktemp("served") / request.param
    stylizer = build(request.param, encoder, OPTIONS.get(request.param))
    save_model(stylizer, folder, method=request.param, encoder_source="untrained", provenance={})
    return stylizer.eval(), folder


def served(folder, **parameters):
    server = StylizerModel()
    server.load_context(SimpleNamespace(artifacts={"model": str(folder)}))
    row = {"content": encode_png(noise(50, 40, 0)), "style": encode_png(noise(70, 64, 1))}
    answer = server.predict(None, pd.DataFrame([row]), PARAMETERS | parameters)
    return Image.open(io.BytesIO(answer["stylized"][0]))


def test_a_model_is_read_back_as_the_method_that_it_is(model):
    stylizer, folder = model
    again, card = load_model(folder)
    assert (card.network, type(again)) == (stylizer.name, type(stylizer))
    assert read_card(folder).options == stylizer.options.model_dump(mode="json")
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), stylizer.state_dict().values(), strict=True))


def test_it_is_served(model):
    picture = served(model[1])
    assert (picture.format, picture.size) == ("PNG", (50, 40))


def test_an_alpha_that_the_method_does_not_have_is_refused_by_the_server(model):
    stylizer, folder = model
    if stylizer.has_alpha:
        assert served(folder, alpha=0.5).size == (50, 40)
    else:
        with pytest.raises(MlflowException, match=f"{stylizer.name} has no alpha"):
            served(folder, alpha=0.5)
