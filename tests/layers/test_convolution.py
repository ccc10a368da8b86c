import pytest
import torch
import torch.nn.functional as F

from ieast.config import StylizeOptions
from ieast.errors import ConfigError
from ieast.layers.convolution import ReflectedConvolution, mirrored


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (9, 1), (1, 1)])
def test_a_map_is_mirrored_at_its_borders(kernel, stride):
    torch.manual_seed(0)
    convolution = ReflectedConvolution(2, 4, kernel, stride)
    plain = torch.nn.Conv2d(2, 4, kernel, stride, kernel // 2, padding_mode="reflect")
    plain.load_state_dict(convolution.state_dict())
    features = torch.rand(2, 2, 12, 10)
    torch.testing.assert_close(convolution(features), plain(features))


def test_under_autocast_borders_stay_in_their_precision():
    features = torch.rand(1, 2, 6, 6).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        actual = mirrored(features, 1)
    assert actual.dtype == torch.bfloat16
    assert torch.equal(actual, F.pad(features, (1, 1, 1, 1), mode="reflect"))


def test_an_unknown_precision_is_refused_by_name():
    with pytest.raises(ConfigError, match="precision is 'int8'; it must be one of fp32, bf16"):
        StylizeOptions(precision="int8").check(1)
