"""Folding BatchNorm gives the same outputs, at the border too."""
import pytest
import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn
from torch.nn import functional as F

from mmconvmixer.deploy import fuse
from mmconvmixer.deploy.fuse import InferenceConvMixer
from mmconvmixer.models import ConvMixer
from mmconvmixer.models.convmixer import Residual
from mmconvmixer.ops import affine_of

TINY = dict(embed_dims=12, depth=3, patch_size=2, kernel_size=5)


def with_statistics(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.5, 0.5, generator=generator)
            norm.running_var.uniform_(0.2, 2, generator=generator)
            with torch.no_grad():
                norm.weight.uniform_(0.5, 1.5, generator=generator)
                norm.bias.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def largest_difference(one, other) -> float:
    return max(float((a - b).abs().max() / b.abs().max())
               for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize('act', ['ReLU', 'GELU'])
@pytest.mark.parametrize('kernel_size', [4, 5])
@torch.no_grad()
def test_every_feature_map_equals_the_originals(act, kernel_size):
    model = with_statistics(ConvMixer(dict(TINY, kernel_size=kernel_size),
                                      act_cfg=dict(type=act), out_indices=(0, 2)))
    images = torch.randn(2, 3, 14, 18)
    expected = model(images)
    assert largest_difference(fuse(model)(images), expected) <= 1e-5
    exact = fuse(model.double())(images.double())
    assert largest_difference(exact, model(images.double())) <= 1e-13


class Doubled(Residual):
    def forward(self, x):
        return 2 * super().forward(x)


def wrapped(module):
    forward = type(module).forward
    module.forward = lambda x: 2 * forward(module, x)


CHANGES = {
    'subclass of the residual': lambda block: block.__setitem__(0, Doubled(block[0].fn)),
    'no residual': lambda block: block.__setitem__(0, nn.Identity()),
    'another module for drop path': lambda block: setattr(block[0], 'drop_path', nn.Tanh()),
    'longer branch': lambda block: block[0].fn.append(nn.Tanh()),
    'shorter branch': lambda block: block[0].fn.__delitem__(2),
    'another activation in space': lambda block: block[0].fn.__setitem__(1, nn.Tanh()),
    'no bias in channels': lambda block: block[1].register_parameter('bias', None),
    'wrapped pointwise convolution': lambda block: wrapped(block[1]),
    'wrapped norm': lambda block: wrapped(block[3]),
}


@pytest.mark.parametrize('change', CHANGES)
@torch.no_grad()
def test_a_changed_block_is_left_as_it_is(change):
    model = with_statistics(ConvMixer(TINY))
    CHANGES[change](model.stages[1])
    images = torch.randn(2, 3, 14, 18)
    with torch.enable_grad():
        expected = model(images)
    assert largest_difference(fuse(model)(images), [each.detach() for each in expected]) <= 1e-5


@torch.no_grad()
def test_the_published_sizes_differ_by_rounding_only():
    model = with_statistics(ConvMixer('768/32'))
    images = torch.randn(1, 3, 56, 56)
    assert largest_difference(fuse(model)(images), model(images)) <= 1e-5


@torch.no_grad()
def test_mmcvs_fuse_conv_bn_gives_another_network():
    model = with_statistics(ConvMixer(TINY))
    images = torch.randn(1, 3, 16, 16)
    expected = model(images)
    assert largest_difference(fuse_conv_bn(with_statistics(ConvMixer(TINY)))(images),
                              expected) > 0.1


@torch.no_grad()
def test_a_norm_folded_into_the_next_depthwise_convolution_is_wrong_at_the_border_only():
    """This is why `fuse` keeps a multiply-add for each block's last norm."""
    model = with_statistics(ConvMixer(dict(TINY, depth=2, kernel_size=3)))
    first, second = model.stages
    depthwise, norm = second[0].fn[0], first[3]
    images = torch.randn(1, 3, 16, 16)
    unnormed = first[2](first[1](first[0](model.stem(images))))
    expected = depthwise(norm(unnormed))

    scale, shift = affine_of(norm)
    naive = F.conv2d(unnormed, depthwise.weight * scale[:, None, None, None],
                     depthwise.bias + shift * depthwise.weight.sum((1, 2, 3)),
                     padding=1, groups=len(scale))
    wrong = (naive - expected).abs().amax((0, 1)) > 1e-4
    border = torch.ones_like(wrong)
    border[1:-1, 1:-1] = False
    assert torch.equal(wrong, border)

    # The border pixels of the folded network are those of the original.
    difference = (fuse(model)(images)[0] - model(images)[0]).abs().amax((0, 1))
    assert difference[border].max() <= 1e-5


@torch.no_grad()
def test_the_original_is_not_changed_and_the_copy_cannot_be_trained():
    model = with_statistics(ConvMixer(TINY)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fused = fuse(model)
    fused(torch.randn(2, 3, 16, 16))
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in fused.parameters())


@torch.no_grad()
def test_neither_inputs_nor_returned_features_are_overwritten():
    fused = fuse(with_statistics(ConvMixer(TINY, out_indices=(0, 1, 2))))
    images = torch.randn(1, 3, 16, 16)
    kept = images.clone()
    first = [each.clone() for each in fused(images)]
    assert torch.equal(images, kept)
    assert largest_difference(fused(images), first) == 0


def test_gradients_for_the_image_still_flow():
    model = with_statistics(ConvMixer(TINY))
    images = torch.randn(1, 3, 16, 16, requires_grad=True)
    expected, = torch.autograd.grad(model(images)[0].square().sum(), images)
    found, = torch.autograd.grad(fuse(model)(images)[0].square().sum(), images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_other_norms_and_other_networks_are_only_copied(mixer):
    model = ConvMixer(TINY, norm_cfg=dict(type='GN', num_groups=4)).eval()
    images = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(fuse(model)(images), model(images), rtol=0, atol=0)
    classifier = mixer().eval()
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(fuse(classifier)(images), classifier(images), rtol=0, atol=0)


@torch.no_grad()
def test_a_folded_classifier_keeps_its_methods(convmixer):
    classifier = convmixer()
    fused = fuse(classifier)
    assert isinstance(fused.backbone, InferenceConvMixer)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(fused.extract_feat(images), classifier.extract_feat(images))
    torch.testing.assert_close(fused.predict(images)[1].pred_score,
                               classifier.predict(images)[1].pred_score)


@torch.no_grad()
def test_the_compiled_copy_gives_the_same_outputs(convmixer):
    classifier = convmixer(depth=1)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(fuse(classifier, compile=True)(images), classifier(images),
                               rtol=1e-4, atol=1e-5)


def test_autocast_applies(convmixer):
    fused = fuse(convmixer())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected, = fused.extract_feat(images)
        with torch.autocast('cpu', torch.bfloat16):
            outputs, = fused.extract_feat(images)
    difference = (outputs - expected).abs().max() / expected.abs().max()
    assert 1e-4 < difference < 0.1
