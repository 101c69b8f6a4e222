"""Mean and standard deviation in the first convolution's weights."""
from importlib import import_module

import numpy as np
import pytest
import torch
from mmpretrain.models.backbones.mlp_mixer import MlpMixer
from torch import nn

from mmconvmixer import get_model
from mmconvmixer.deploy import FORMATS, export
from mmconvmixer.deploy.formats import load_format
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.errors import BadConfig

fold_normalization = import_module('mmconvmixer.deploy.fold_normalization').fold_normalization


def pixels(count=3, channels=3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, 32, 32), generator=generator).float()


def normalized(model, images):
    return (images - model.data_preprocessor.mean) / model.data_preprocessor.std


@torch.no_grad()
def logits(model, images):
    return model.head(model.extract_feat(images))


@pytest.mark.parametrize('family', ['convmixer', 'mixer'])
def test_the_copy_takes_pixels_and_answers_the_same(request, family):
    model = request.getfixturevalue(family)().eval()
    expected = logits(model, normalized(model, pixels()))
    folded = fold_normalization(model).eval()
    torch.testing.assert_close(logits(folded, pixels()), expected, rtol=1e-4, atol=1e-4)
    assert folded.data_preprocessor.mean.unique().tolist() == [0]
    assert folded.data_preprocessor.std.unique().tolist() == [1]


def test_the_model_is_not_changed(convmixer):
    model = convmixer().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fold_normalization(model)
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert model.data_preprocessor.mean.abs().sum() > 0


def test_it_is_exact_up_to_the_last_digit_in_float64(convmixer):
    model = convmixer().double().eval()
    images = pixels().double()
    for name in ('mean', 'std'):  # the config's decimals, which float32 does not hold
        values = torch.tensor(getattr(preprocessing_of(model), name), dtype=torch.float64)
        setattr(model.data_preprocessor, name, values[:, None, None])
    torch.testing.assert_close(logits(fold_normalization(model), images),
                               logits(model, normalized(model, images)), rtol=1e-12, atol=1e-12)


def test_pixels_that_no_patch_covers_are_left_out_as_before(convmixer):
    """A ConvMixer's patches do not pad: of 34 pixels, patches of 4 take the first 32."""
    model = convmixer().eval()
    images = nn.functional.pad(pixels(), (0, 2, 0, 2), value=200.)
    torch.testing.assert_close(
        logits(fold_normalization(model, image_size=34), images),
        logits(model, normalized(model, images)), rtol=1e-4, atol=1e-4)


def test_a_convolution_without_a_bias_gets_one(convmixer):
    model = convmixer().eval()
    model.backbone.stem[0].bias = None
    torch.testing.assert_close(logits(fold_normalization(model), pixels()),
                               logits(model, normalized(model, pixels())), rtol=1e-4, atol=1e-4)


def test_a_model_without_normalization_stays_as_it_is(convmixer):
    model = convmixer().eval()
    model.data_preprocessor._enable_normalize = False
    torch.testing.assert_close(logits(fold_normalization(model), pixels() / 255),
                               logits(model, pixels() / 255))


def test_patches_that_pad_the_image_are_refused(mixer):
    model = mixer()
    model.backbone.patch_embed.projection.padding = (1, 1)
    with pytest.raises(BadConfig, match='32 x 32: the patch embedding of MlpMixer pads them'):
        fold_normalization(model)


def test_mmpretrains_mixer_is_refused_where_its_patches_do_not_divide_the_image(mixer):
    """It pads such an image at its border; this package's own does not accept it."""
    model = mixer()
    arch = dict(embed_dims=16, num_layers=1, tokens_mlp_dims=12, channels_mlp_dims=24)
    model.backbone = MlpMixer(arch, img_size=32, patch_size=8)
    fold_normalization(model)
    model.backbone = MlpMixer(arch, img_size=30, patch_size=8)
    with pytest.raises(BadConfig, match='30 x 30: the patch embedding of MlpMixer pads them'):
        fold_normalization(model, image_size=30)


def test_another_network_is_refused():
    model = get_model('convmixer-64-4_digits', backbone=dict(_delete_=True, type='LeNet5'))
    with pytest.raises(BadConfig, match='not into a LeNet5'):
        fold_normalization(model)


@pytest.mark.parametrize('format', FORMATS)
def test_an_exported_file_takes_pixels(convmixer, tmp_path, format):
    for package in FORMATS[format].packages:
        pytest.importorskip(package)
    model = convmixer().eval()
    out = tmp_path / f'net{load_format(format).SUFFIX}'
    record = export(model, format, out, fold_normalization=True)
    assert record['preprocessing']['mean'] == (0, 0, 0)
    assert record['preprocessing']['std'] == (1, 1, 1)
    assert record['folded_normalization'] == dict(
        mean=tuple(np.round(model.data_preprocessor.mean.flatten().tolist(), 4)),
        std=tuple(np.round(model.data_preprocessor.std.flatten().tolist(), 4)))
    images = pixels(1)
    found = load_format(format).reader(out)(images.numpy())
    np.testing.assert_allclose(found, logits(model, normalized(model, images)).numpy(),
                               rtol=1e-3, atol=1e-3)
