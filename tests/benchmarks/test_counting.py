import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.counting import Work, count, possible
from benchmarks.machine import Machine, Rate
from benchmarks.subjects import ReferenceModel, draw_batch, draw_stylizer, drive
from ieast.experiment import ExperimentConfig
from ieast.training.module import StyleTransferModule

FLOAT = 4


def test_a_matrix_product_takes_a_multiplication_and_an_addition_a_term():
    a, b = torch.rand(3, 5), torch.rand(5, 7)
    assert count(lambda: a @ b) == Work(2 * 3 * 5 * 7, FLOAT * (3 * 5 + 5 * 7 + 3 * 7))


@pytest.mark.parametrize("inference", [False, True])
def test_a_convolution_takes_as_many_operations_as_its_sum_has_terms(inference):
    images, weight = torch.rand(2, 3, 8, 10), torch.rand(4, 3, 3, 3)
    with torch.inference_mode(inference):
        work = count(lambda: F.conv2d(images, weight, padding=1))
    assert work == Work(2 * 2 * 80 * 4 * 3 * 9, FLOAT * (2 * 3 * 80 + 4 * 3 * 9 + 2 * 4 * 80))


@pytest.mark.parametrize(
    ("of_images", "of_weight", "of_both_passes"), [(True, True, 3), (True, False, 2), (False, True, 2), (False, False, 1)]
)
def test_gradients_that_nobody_asks_for_are_not_counted(of_images, of_weight, of_both_passes):
    images = torch.rand(2, 3, 8, 10, requires_grad=of_images)
    weight = torch.rand(4, 3, 3, 3, requires_grad=of_weight)
    given = torch.rand(2, 4, 8, 10)

    def both_passes():
        actual = F.conv2d(images, weight, padding=1)
        if actual.requires_grad:
            actual.backward(given)

    of_maps, of_kernel, of_result = FLOAT * 2 * 3 * 80, FLOAT * 4 * 3 * 9, FLOAT * 2 * 4 * 80
    expected = of_maps + of_kernel + of_result  # forward
    if of_images or of_weight:
        expected += of_result
    if of_images:
        expected += of_kernel + of_maps  # reads one, writes the other
    if of_weight:
        expected += of_maps + of_kernel
    assert count(both_passes) == Work(of_both_passes * 2 * 2 * 80 * 4 * 3 * 9, expected)


def test_attention_is_two_matrix_products_and_five_backwards():
    n, m, d = 24, 40, 8
    query, key, value = (torch.rand(2, 1, length, d, requires_grad=True) for length in (n, m, m))
    forward = count(lambda: F.scaled_dot_product_attention(query.detach(), key.detach(), value.detach(), scale=1.0))
    assert forward.flops == 2 * (4 * n * m * d)
    assert forward.bytes == FLOAT * 2 * (2 * n * d + 2 * m * d + n)  # with the logarithm of each row's sum
    given = torch.rand(2, 1, n, d)
    both = count(lambda: F.scaled_dot_product_attention(query, key, value, scale=1.0).backward(given))
    assert both.flops == 2 * (4 + 10) * n * m * d


def test_bytes_are_what_is_read_and_written():
    a = torch.rand(100, 10)
    assert count(a.relu).bytes == 2 * a.nbytes
    assert count(a.bfloat16).bytes == 1.5 * a.nbytes
    assert count(lambda: a + a).bytes == 2 * a.nbytes, "the same tensor twice is read once"
    assert count(lambda: a + torch.ones(())).bytes == 2 * a.nbytes + 2 * FLOAT  # ones writes what is read
    assert count(lambda: torch.cat(a.split(50))).bytes == 2 * a.nbytes, "halves are not the whole each"
    assert count(lambda: a[:10] + a[10:20]).bytes == 3 * a.nbytes / 10
    assert count(lambda: a[:, :1].expand(-1, 10).clone()).bytes == a.nbytes / 10 + a.nbytes


def test_what_is_changed_in_place_is_read_and_written_and_what_is_overwritten_is_not_read():
    a, b = torch.rand(100), torch.rand(100)
    assert count(a.relu_).bytes == 2 * a.nbytes
    assert count(lambda: a.add_(b)).bytes == 3 * a.nbytes
    assert count(a.zero_).bytes == a.nbytes
    assert count(lambda: a.copy_(b)).bytes == 2 * a.nbytes
    assert count(lambda: torch.mul(b, b, out=a)).bytes == 2 * a.nbytes
    assert count(lambda: torch._foreach_add_([a, b], 1.0)).bytes == 4 * a.nbytes


def test_views_and_memory_that_is_only_asked_for_take_nothing():
    a = torch.rand(4, 6, requires_grad=True)
    assert count(lambda: a.view(2, 12)[1:].transpose(0, 1).detach()) == Work(0, 0)
    assert count(lambda: a.reshape(24).unsqueeze(0).expand(3, 24)) == Work(0, 0)
    assert count(lambda: torch.empty_like(a)) == Work(0, 0)


def test_the_longer_of_the_two_times_is_what_is_possible():
    machine = Machine("some", "cpu", 1, fp32=Rate(100.0, "matmul"), bf16=None, bandwidth=10.0)
    assert possible(Work(flops=10**11, bytes=10**9), machine, "fp32") == pytest.approx(1.0)
    assert possible(Work(flops=10**11, bytes=2 * 10**10), machine, "fp32") == pytest.approx(2.0)
    with pytest.raises(ValueError, match="'bf16' was measured on some"):
        possible(Work(1, 1), machine, "bf16")


def test_a_stylization_takes_what_its_convolutions_and_its_attention_take():
    stylizer = draw_stylizer("vgg19-compact").eval()
    reference = ReferenceModel.like(stylizer)
    content, style = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 64)
    terms = []

    def note(layer, _, result):
        _, inputs, height, width = layer.weight.shape
        terms.append(2 * inputs * height * width * result.numel())

    for part in (reference.vgg, reference.transform, reference.decoder):
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(note)
    expected = count(lambda: reference.stylize(content, style)).flops
    channels = stylizer.encoder.widths[3]
    attention = 4 * channels * ((8 * 12) * (8 * 8) + (4 * 6) * (4 * 4))
    merge = 2 * 9 * channels**2 * (8 * 12)  # the one convolution that is not called as a layer
    assert expected == sum(terms) + merge + attention
    assert count(lambda: stylizer.stylize(content, style)).flops == expected


def test_of_a_training_step_the_frozen_encoder_has_no_gradient():
    config = ExperimentConfig()
    module = StyleTransferModule(draw_stylizer("vgg19-compact"), config)
    step, batch = drive(module), draw_batch(6, 128)
    frozen = count(lambda: step(batch))
    module.stylizer.encoder.requires_grad_(True)
    assert frozen.flops < count(lambda: step(batch)).flops


def test_a_step_is_driven_in_the_precisions_it_knows_only():
    module = StyleTransferModule(draw_stylizer("vgg19-compact"), ExperimentConfig())
    with pytest.raises(ValueError, match="not in '16-mixed'"):
        drive(module, "16-mixed")
