import pytest
import torch
from safetensors.torch import save_file

from ieast.config import EncoderConfig, TeacherConfig
from ieast.errors import WeightsError
from ieast.models.encoder_weights import build_encoder
from ieast.models.teacher import FULL_WIDTHS, build_teacher
from ieast.models.vgg19 import CONVOLUTIONS, STYLE_TAPS

NARROW = (16, 32, 64, 128, 128)


@pytest.fixture(scope="module")
def narrow_file(tmp_path_factory):
    """A quarter-width network in the layout of Collaborative Distillation, with random lifts."""
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained")).state_dict()
    names = {f"conv{layer}": f"conv{layer.replace('_', '')}" for layer in CONVOLUTIONS} | {"conv0": "conv0"}
    state = {f"{names[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in encoder.items()}
    for level, (narrow, full) in enumerate(zip(NARROW, FULL_WIDTHS, strict=True), 1):
        state[f"conv{level}1_aux.weight"] = torch.randn(full, narrow, 1, 1)
        state[f"conv{level}1_aux.bias"] = torch.randn(full)
    path = tmp_path_factory.mktemp("teacher") / "encoder5.safetensors"
    save_file(state, path)
    return path, state


def test_a_narrow_teacher_gives_its_taps_through_its_lifts(narrow_file):
    path, state = narrow_file
    picture = torch.rand(1, 3, 32, 48)
    taps = build_teacher(TeacherConfig(name="vgg19-compact", weights=str(path)))(picture)
    plain = build_encoder(EncoderConfig(name="vgg19-compact", weights="untrained"))(picture)
    for level, tap in enumerate(STYLE_TAPS, 1):
        weight, bias = state[f"conv{level}1_aux.weight"], state[f"conv{level}1_aux.bias"]
        expected = torch.einsum("oi,bihw->bohw", weight[:, :, 0, 0], plain[tap]) + bias[None, :, None, None]
        torch.testing.assert_close(taps[tap], expected, rtol=1e-4, atol=1e-4)


def test_normalized_taps_lift_to_what_they_were(narrow_file):
    teacher = build_teacher(TeacherConfig(name="vgg19-compact", weights=str(narrow_file[0])))
    pictures = torch.rand(3, 1, 3, 32, 32)
    before = teacher(pictures[0])
    teacher.normalize_taps(pictures)
    for tap in STYLE_TAPS:
        torch.testing.assert_close(teacher(pictures[0])[tap], before[tap], rtol=1e-3, atol=1e-3)
    means = torch.stack([torch.stack([teacher.encoder(p)[tap].mean() for p in pictures]).mean() for tap in STYLE_TAPS])
    torch.testing.assert_close(means, torch.ones(5), rtol=1e-3, atol=1e-3)


def test_a_narrow_teacher_without_lifts_is_refused(narrow_file, tmp_path):
    state = {name: value for name, value in narrow_file[1].items() if "41_aux" not in name}
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(WeightsError, match=r"cut.safetensors cannot be a teacher: it lacks a lift .*conv41_aux"):
        build_teacher(TeacherConfig(name="vgg19-compact", weights=str(tmp_path / "cut.safetensors")))
