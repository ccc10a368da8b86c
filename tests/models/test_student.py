import pytest
import torch

from ieast.models.student import Student
from ieast.models.vgg19 import STYLE_TAPS


@pytest.fixture
def student():
    torch.manual_seed(0)
    student = Student()
    with torch.no_grad():
        for _ in range(5):  # running statistics of their own, and affine parameters that are not the initial ones
            student(torch.rand(2, 3, 48, 48))
        for norm in student.norms.values():
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.2, 0.8)
    return student


def test_the_folded_encoder_computes_what_the_student_does(student):
    picture = torch.rand(1, 3, 50, 37)
    student.eval()
    with torch.no_grad():
        expected, got = student(picture), student.fold()(picture)
    for tap in STYLE_TAPS:
        assert expected[tap].std() > 0
        torch.testing.assert_close(got[tap], expected[tap], rtol=1e-4, atol=1e-4)


def test_apart_changes_no_value_but_keeps_gradients_in_their_own_layers(student):
    picture = torch.rand(2, 3, 48, 48)
    student.eval()
    together, apart = student(picture), student(picture, apart=True)
    for tap in STYLE_TAPS:
        assert torch.equal(together[tap], apart[tap])
    apart["relu3_1"].sum().backward()
    learning = {name for name, layer in student.convolutions.items() if layer.weight.grad is not None}
    assert learning == {"2_2", "3_1"}
    student.zero_grad()
    together["relu3_1"].sum().backward()
    assert {name for name, layer in student.convolutions.items() if layer.weight.grad is not None} == {
        "1_1",
        "1_2",
        "2_1",
        "2_2",
        "3_1",
    }


def test_the_input_normalization_never_learns(student):
    assert not any(parameter.requires_grad for parameter in student.conv0.parameters())
    assert all(parameter.requires_grad for parameter in student.convolutions.parameters())
