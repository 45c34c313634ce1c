"""Networks: shapes, sizes of any kind, weights from their own seed, MONAI only where asked for."""

import sys

import pytest
from MedUnlearnableLib.engine import networks
from MedUnlearnableLib.engine.errors import MedUnlearnableError, UsageError

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(48, 48), (33, 50), (7, 5), (17, 20, 9)])
def test_logits_have_the_size_of_the_image_whatever_it_is(shape):
    network = networks.build_network("unet", 2, 3, shape, width=2)
    assert network(torch.zeros(2, 2, *shape)).shape == (2, 3, *shape)


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES[1:])
@pytest.mark.parametrize("shape", [(20, 33), (16, 20, 17)])
def test_networks_of_monai_take_the_same_images(architecture, shape):
    pytest.importorskip("monai")
    pytest.importorskip("einops")
    network = networks.build_network(architecture, 1, 2, shape, width=4).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *shape)).shape == (1, 2, *shape)


def test_width_and_depth_are_parameters():
    narrow, wide = (networks.parameter_count(networks.unet(2, 1, 2, width)) for width in (4, 8))
    assert 3.5 < wide / narrow < 4.1
    assert networks.parameter_count(networks.unet(2, 1, 2, 4, depth=2)) < narrow / 4


def test_every_weight_of_the_unet_gets_a_gradient():
    network = networks.build_network("unet", 1, 2, (32, 32), width=2)
    network(torch.randn(2, 1, 32, 32)).square().sum().backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in network.parameters())


def test_weights_depend_on_the_seed_alone_and_leave_the_global_stream():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = networks.seeded_network(1, "unet", 1, 2, (16, 16), 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    again, other = (networks.seeded_network(seed, "unet", 1, 2, (16, 16), 2) for seed in (1, 2))
    pairs = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_padding_adds_nothing_where_none_is_needed():
    network = networks.build_network("unet", 1, 2, (32, 32), width=2).eval()
    image = torch.randn(1, 1, 32, 32)
    assert torch.equal(network(image), network.network(image))


def test_what_cannot_be_built_is_refused_in_a_sentence(monkeypatch):
    with pytest.raises(UsageError, match="unknown architecture 'vgg'; known are unet, "):
        networks.build_network("vgg", 1, 2, (8, 8))
    with pytest.raises(UsageError, match="2 or 3 dimensions, not 1"):
        networks.build_network("unet", 1, 2, (8,))
    monkeypatch.setitem(sys.modules, "monai", None)
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    with pytest.raises(MedUnlearnableError, match=r"needs MONAI .* not installed; install it with"):
        networks.build_network("segresnet", 1, 2, (16, 16))
