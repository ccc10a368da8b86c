import errno
import json
import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ieast import checkpoint
from ieast.checkpoint import ModelCard, export_compact, import_published, load_model, note_styles, read_card, save_model
from ieast.config import EncoderConfig, ModelConfig
from ieast.errors import WeightsError
from ieast.io.files import DiskFullError, sha256
from ieast.methods import new_model
from ieast.methods.sanet import Sanet
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.stylizer.novelty import StyleRange
from reference import plain as reference

PROVENANCE = {"seed": 3, "data": {"revision": "abc"}, "versions": ["torch 2"]}


def make_stylizer(seed=0):
    return reference.draw(Sanet(Encoder("vgg19-compact")), seed)


def save(folder, seed=0):
    stylizer = make_stylizer(seed)
    card = save_model(stylizer, folder, method="ieast", encoder_source="drawn", provenance=PROVENANCE)
    return stylizer, card


@pytest.fixture
def model(tmp_path):
    save(tmp_path / "model")
    return tmp_path / "model"


def change_card(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | changes))


# -- saving and loading -----------------------------------------------------------------------------------------------------


def test_round_trip_is_exact(tmp_path):
    stylizer, saved = save(tmp_path / "deep" / "model")
    again, card = load_model(tmp_path / "deep" / "model")
    assert again.state_dict().keys() == stylizer.state_dict().keys()
    assert all(torch.equal(value, stylizer.state_dict()[name]) for name, value in again.state_dict().items())
    assert not again.training
    assert not any(p.requires_grad for p in again.encoder.parameters())
    assert card == saved
    content, style = torch.rand(2, 1, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.stylize(content, style), stylizer.eval().stylize(content, style))


def test_folder_holds_three_files_that_anyone_may_read(model):
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "encoder.safetensors", "model.safetensors"]
    assert stat.S_IMODE(model.stat().st_mode) & 0o055 == 0o055
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_card_says_what_the_model_is(model):
    card = read_card(model)
    assert (card.format, card.method) == (3, "ieast")
    assert (card.encoder.name, card.encoder.source) == ("vgg19-compact", "drawn")
    assert card.encoder.digest == make_stylizer().encoder.digest()
    assert card.provenance == PROVENANCE
    assert card.files == {name: sha256(model / name) for name in ("model.safetensors", "encoder.safetensors")}
    assert card.styles is None
    assert json.loads((model / "config.json").read_text()) == card.model_dump(exclude={"styles"})


def test_model_file_holds_no_encoder(model):
    names = {name.split(".")[0] for name in load_file(model / "model.safetensors")}
    assert names == {"transform", "decoder"}


def test_same_model_makes_the_same_files(tmp_path):
    assert save(tmp_path / "a")[1] == save(tmp_path / "b")[1]


def test_a_model_that_was_there_is_replaced(model):
    (model / "extra.txt").touch()
    save(model, seed=1)
    again, _ = load_model(model)
    assert torch.equal(again.transform.merge_conv.weight, make_stylizer(1).transform.merge_conv.weight)
    assert not (model / "extra.txt").exists()
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_options_are_kept_and_can_be_others_where_training_goes_on(tmp_path):
    stylizer = reference.draw(Sanet(Encoder("vgg19-compact"), Sanet.Options(match_statistics=True)), 0)
    save_model(stylizer, tmp_path / "model", method="sanet", encoder_source="drawn", provenance={})
    kept, changed = load_model(tmp_path / "model")[0], load_model(tmp_path / "model", options={"match_statistics": False})[0]
    assert (kept.options.match_statistics, changed.options.match_statistics) == (True, False)
    content, style = (stylizer.encoder(picture) for picture in torch.rand(2, 1, 3, 32, 32))
    torch.testing.assert_close(kept.transform(content, style), stylizer.transform(content, style), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(changed.transform(content, style), stylizer.transform(content, style), rtol=1e-4, atol=1e-4)


def test_loading_takes_the_path_as_text(model):
    assert load_model(str(model))[1] == read_card(str(model))


def test_weights_in_another_memory_format_are_saved(tmp_path):
    stylizer = make_stylizer().to(memory_format=torch.channels_last)
    save_model(stylizer, tmp_path / "model", method="ieast", encoder_source="drawn", provenance={})
    again, _ = load_model(tmp_path / "model")
    assert all(torch.equal(value, stylizer.state_dict()[name]) for name, value in again.state_dict().items())


# -- encoders ---------------------------------------------------------------------------------------------------------------


def test_the_same_encoder_from_elsewhere_is_accepted(model):
    again, _ = load_model(model, encoder=make_stylizer().encoder)
    assert again.encoder.digest() == make_stylizer().encoder.digest()


@pytest.mark.parametrize("other", ["weights", "width"])
def test_another_encoder_is_refused_with_both_names(model, other):
    encoder = Encoder("vgg19") if other == "width" else reference.draw(Encoder("vgg19-compact"), seed=9)
    with pytest.raises(WeightsError) as caught:
        load_model(model, encoder=encoder)
    message = str(caught.value)
    assert f"was trained on the encoder vgg19-compact {make_stylizer().encoder.digest()[:12]}" in message
    assert f"not on {encoder.digest()[:12]}" in message
    assert "Use the encoder it was saved with" in message


def test_an_encoder_put_in_place_with_a_matching_file_digest_is_refused(model):
    save_file(reference.draw(Encoder("vgg19-compact"), seed=9).state_dict(), model / "encoder.safetensors")
    files = {name: sha256(model / name) for name in ("model.safetensors", "encoder.safetensors")}
    change_card(model, files=files)
    with pytest.raises(WeightsError, match="was trained on the encoder vgg19-compact"):
        load_model(model)


def test_unit_mean_taps_make_another_encoder(model):
    encoder = make_stylizer().encoder
    encoder.normalize_taps([torch.rand(1, 3, 32, 32)])
    with pytest.raises(WeightsError, match="was trained on the encoder"):
        load_model(model, encoder=encoder)


# -- damage -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "encoder.safetensors"])
@pytest.mark.parametrize("place", [0, 2000, -1])
def test_a_changed_byte_is_noticed(model, name, place):
    data = bytearray((model / name).read_bytes())
    data[place] ^= 1
    (model / name).write_bytes(data)
    with pytest.raises(WeightsError, match=rf"{name} is not the file that was saved \(its SHA-256 differs from config\.json\)"):
        load_model(model)


@pytest.mark.parametrize("name", ["model.safetensors", "encoder.safetensors"])
def test_a_missing_file_is_named(model, name):
    (model / name).unlink()
    with pytest.raises(WeightsError, match=rf"lacks its file {name}; copy the whole folder again"):
        load_model(model)


@pytest.mark.parametrize("files", [{}, {"encoder.safetensors": None}], ids=["none", "encoder only"])
def test_a_card_that_vouches_for_no_model_file_is_refused(model, files):
    change_card(model, files={name: sha256(model / name) for name in files})
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(data)
    with pytest.raises(WeightsError):
        load_model(model)


def test_model_file_of_another_network_is_refused(model):
    save_file({"transform.x": torch.zeros(1)}, model / "model.safetensors")
    files = {name: sha256(model / name) for name in ("model.safetensors", "encoder.safetensors")}
    change_card(model, files=files)
    with pytest.raises(WeightsError, match="does not hold a ieast model on vgg19-compact"):
        load_model(model)


@pytest.mark.parametrize("name", ["model.safetensors", "encoder.safetensors"])
def test_damage_that_was_there_when_saved_is_reported(model, name):
    (model / name).write_bytes(b"damaged")
    change_card(model, files={name: sha256(model / name) for name in ("model.safetensors", "encoder.safetensors")})
    with pytest.raises(WeightsError, match=rf"{name} cannot be read"):
        load_model(model)


def test_no_model(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere holds no model: there is no config\.json in it"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="file holds no model"):
        read_card(tmp_path / "file")


@pytest.mark.parametrize("data", [b"", b'{"format": 1,', b"\xff\xfe\x00"], ids=["empty", "cut", "not text"])
def test_damaged_json(model, data):
    (model / "config.json").write_bytes(data)
    with pytest.raises(WeightsError, match=r"config\.json is damaged \(.*\); copy the model again"):
        load_model(model)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"text"', "{}"])
def test_json_that_is_no_card(model, text):
    (model / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"config\.json is not a valid configuration"):
        load_model(model)


def test_newer_format(model):
    # What a newer format adds must not be reported as a misspelt key.
    change_card(model, format=4, quantized=True)
    with pytest.raises(WeightsError, match=r"config\.json is of format 4; this version reads up to 3: update ieast"):
        load_model(model)


@pytest.mark.parametrize("value", ["two", None, [1], {}], ids=str)
def test_format_that_is_no_number(model, value):
    change_card(model, format=value)
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_model(model)


def test_unknown_key(model):
    change_card(model, licence="MIT")
    with pytest.raises(WeightsError, match=r"licence: unknown key"):
        load_model(model)


def test_unknown_key_of_the_encoder(model):
    encoder = json.loads((model / "config.json").read_text())["encoder"]
    change_card(model, encoder=encoder | {"width": 4})
    with pytest.raises(WeightsError, match=r"encoder\.width: unknown key"):
        load_model(model)


def test_unknown_encoder(model):
    encoder = json.loads((model / "config.json").read_text())["encoder"]
    change_card(model, encoder=encoder | {"name": "resnet"})
    with pytest.raises(WeightsError, match=r"names the encoder 'resnet'; known are vgg19, vgg19-normalised, vgg19-compact"):
        load_model(model)


# -- interruption -----------------------------------------------------------------------------------------------------------


def raise_at_call(function, number, error):
    calls = []

    def wrapper(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            raise error
        return function(*args, **kwargs)

    return wrapper


def assert_untouched(folder):
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    again, card = load_model(folder)
    assert card.provenance == PROVENANCE
    assert torch.equal(again.transform.merge_conv.weight, make_stylizer(0).transform.merge_conv.weight)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["disk", "interrupt"])
@pytest.mark.parametrize(("name", "call"), [("save", 1), ("save", 2), ("sha256", 1), ("sha256", 2)])
def test_interrupted_save_leaves_the_old_model_and_nothing_else(model, monkeypatch, name, call, error):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, name, raise_at_call(getattr(checkpoint, name), call, error))
        with pytest.raises(type(error)):
            save(model, seed=1)
    assert_untouched(model)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["disk", "interrupt"])
@pytest.mark.parametrize("call", [1, 2])
def test_save_interrupted_while_folders_change_places_leaves_the_old_model(model, monkeypatch, call, error):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", raise_at_call(Path.rename, call, error))
        with pytest.raises(type(error)):
            save(model, seed=1)
    assert_untouched(model)


def test_interrupted_first_save_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "save", raise_at_call(checkpoint.save, 2, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_provenance_that_is_no_json_leaves_the_old_model(model):
    with pytest.raises(Exception, match="serialize"):
        save_model(make_stylizer(1), model, method="ieast", encoder_source="drawn", provenance={"x": object()})
    assert_untouched(model)


# -- published files --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    """The three published networks with random weights, and their files."""
    networks = {
        "vgg_normalised.pth": reference.draw(reference.published_vgg(), seed=1, bias=0.01),
        "transformer_iter_160000.pth": reference.draw(reference.PublishedTransform(), seed=2, bias=0.01),
        "decoder_iter_160000.pth": reference.draw(reference.published_decoder(), seed=3, bias=0.01),
    }
    with torch.no_grad():
        transform = networks["transformer_iter_160000.pth"]
        for block in (transform.sanet4_1, transform.sanet5_1):  # scores of a few units, so that the softmax is not an argmax
            block.f.weight.mul_(0.1)
        last = networks["decoder_iter_160000.pth"][-1]
        last.weight.mul_(0.02)
        last.bias.fill_(0.5)
    with tempfile.TemporaryDirectory() as folder:  # the files are large, and pytest would keep those of three runs
        for name, network in networks.items():
            torch.save(network.state_dict(), Path(folder, name))
        yield list(networks.values()), [Path(folder, name) for name in networks]


@pytest.fixture
def three_files(published, tmp_path):
    """The three files under `tmp_path`, any of which a test may replace."""
    names = []
    for path in published[1]:
        (tmp_path / path.name).symlink_to(path)
        names.append(tmp_path / path.name)
    return names


@torch.no_grad()
def test_imported_model_makes_the_published_networks_pictures(published, three_files, tmp_path):
    (vgg, transform, decoder), _ = published
    card = import_published(*three_files, tmp_path / "model")
    stylizer, loaded = load_model(tmp_path / "model")
    assert card == loaded
    assert (card.method, card.encoder.name, card.encoder.source) == ("ieast", "vgg19-normalised", "vgg_normalised.pth")
    assert card.provenance == {"imported_from": {path.name: sha256(path) for path in three_files}}
    generator = torch.Generator().manual_seed(4)
    content, style = torch.rand(1, 3, 32, 48, generator=generator), torch.rand(1, 3, 48, 36, generator=generator)
    features = transform(reference.published_taps(vgg, content), reference.published_taps(vgg, style))
    expected = decoder(features).clamp(0, 1)
    assert 0.1 < expected.std() < 0.4  # a picture that is neither grey nor cut off everywhere
    torch.testing.assert_close(stylizer.stylize(content, style), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_import_of_a_missing_file_names_it(three_files, tmp_path, which):
    three_files[which].unlink()
    with pytest.raises(WeightsError, match=f"there is no weights file .*{three_files[which].name}"):
        import_published(*three_files, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("which", "given"), [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)])
def test_import_of_files_in_the_wrong_order_is_refused(three_files, tmp_path, which, given):
    files = list(three_files)
    files[which] = three_files[given]
    with pytest.raises(WeightsError, match=files[which].name):
        import_published(*files, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("which", "network", "message"),
    [
        (0, lambda: reference.published_vgg((4, 5, 6, 7, 8)), "does not fit the published layout of the Encoder"),
        (1, lambda: reference.PublishedTransform(8), "does not fit the published layout of the StyleAttentionTransform"),
        (2, lambda: reference.published_decoder((4, 5, 6, 7)), "does not fit the published layout of the Decoder"),
        (2, lambda: reference.published_decoder((4, 5, 6, 7))[:20], r"is not a published decoder: it has no '21\.weight'"),
    ],
)
def test_import_of_files_of_another_width_is_refused(three_files, tmp_path, which, network, message):
    three_files[which].unlink()
    torch.save(network().state_dict(), three_files[which])
    with pytest.raises(WeightsError, match=rf"{three_files[which].name} {message}"):
        import_published(*three_files, tmp_path / "model")
    assert not (tmp_path / "model").exists()


class Harmful:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_import_of_a_file_with_code_is_refused_and_not_run(three_files, tmp_path, which):
    three_files[which].unlink()
    torch.save({"0.weight": Harmful(tmp_path / "it-ran")}, three_files[which])
    with pytest.raises(WeightsError, match="refused, because loading it could run code"):
        import_published(*three_files, tmp_path / "model")
    assert not (tmp_path / "it-ran").exists()


def test_card_is_immutable(model):
    card = read_card(model)
    assert isinstance(card, ModelCard)
    with pytest.raises(ValueError, match="frozen"):
        card.method = "other"


def test_full_disk_while_exporting_keeps_the_old_model(tmp_path, monkeypatch):
    stylizer = new_model("ieast", build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained")), ModelConfig())
    arguments = {"method": "ieast", "encoder_source": "untrained", "provenance": {}}
    save_model(stylizer, tmp_path / "model", **arguments)
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=r"the disk is full: .*model was not written"):
        save_model(stylizer, tmp_path / "model", **arguments)
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def drawn_styles(seed=0):
    random = np.random.default_rng(seed)
    return StyleRange.of(random.normal(size=(5, 736)))


def test_where_training_styles_lie_is_kept_through_saving_and_exporting(tmp_path):
    styles = drawn_styles()
    save_model(make_stylizer(), tmp_path / "a", method="ieast", encoder_source="drawn", provenance=PROVENANCE, styles=styles)
    assert read_card(tmp_path / "a").styles == styles
    assert export_compact(tmp_path / "a", tmp_path / "b").styles == styles
    assert load_model(tmp_path / "b")[1].styles == styles
    lines = (tmp_path / "b" / "config.json").read_text().splitlines()
    assert len(lines) < 60  # a number a line would be thousands


def test_a_model_of_before_loads_without_it_and_can_be_told(model):
    change_card(model, format=2)
    before, old = load_model(model)
    assert (old.format, old.styles) == (2, None)
    noted = note_styles(model, drawn_styles())
    again, card = load_model(model)
    assert card == noted
    assert (card.format, card.styles) == (3, drawn_styles())
    assert card.model_copy(update={"format": 2, "styles": None}) == old
    assert torch.equal(again.transform.merge_conv.weight, before.transform.merge_conv.weight)


def test_styles_seen_by_another_encoder_are_not_noted(model):
    other = StyleRange.of(np.random.default_rng(0).normal(size=(3, 2 * (64 + 128 + 256 + 512 + 512))))
    with pytest.raises(WeightsError, match="is on the encoder vgg19-compact, which did not see these styles"):
        note_styles(model, other)
    assert read_card(model).styles is None
