"""A class's map says what each place adds to its score: its mean is the logit."""
import numpy as np
import pytest
import torch

from mmconvmixer import get_model
from mmconvmixer.deploy.formats import onnx_self_contained
from mmconvmixer.deploy.job import Job
from mmconvmixer.deploy.preprocessing import preprocessing_of
from mmconvmixer.deploy.sample_images import sample_images
from mmconvmixer.deploy.web.activation_maps import add_maps, grid_of

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')


def run_with_maps(job, image):
    """Return the scores, labels and maps of an image, and the grid."""
    grid = grid_of(job)
    model = onnx_self_contained.with_images(job, onnx_self_contained.network_of(job))
    add_maps(model, job, grid)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return *session.run(['scores', 'labels', 'maps'], dict(image=image)), grid


@pytest.mark.parametrize(('family', 'expected'), [('convmixer', (8, 8)), ('mixer', (4, 4))])
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_the_mean_of_a_map_is_the_logit_without_its_bias(request, family, expected, dtype):
    model = request.getfixturevalue(family)()
    job = Job(model, preprocessing_of(model), dtype=dtype, topk=3)
    scores, labels, maps, grid = run_with_maps(job, sample_images(1)[0])
    assert grid == expected
    assert maps.shape == (3, *grid)
    logits = maps.mean((1, 2)) + model.head.fc.bias.detach().numpy()[labels]
    # Softmax keeps differences between logits.
    np.testing.assert_allclose(logits - logits[0], np.log(scores / scores[0]),
                               atol=1e-4 if dtype == 'float32' else 0.02)


@torch.no_grad()
def test_a_map_has_rows_and_columns_as_the_image_has():
    model = get_model('convmixer-64-4_digits', True)
    job = Job(model, preprocessing_of(model), topk=10)
    # Of the network's own size, so that nothing is resized.
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8).repeat(3, 2)
    _, labels, maps, _ = run_with_maps(job, image)
    gray = torch.from_numpy(image[None, :, :, 0].astype(np.float32))[None]
    mean, std = job.preprocessing.mean[0], job.preprocessing.std[0]
    features = model.eval().extract_feat((gray - mean) / std, stage='backbone')[-1]
    expected = torch.einsum('kc,nchw->khw', model.head.fc.weight, features)
    np.testing.assert_allclose(maps, expected.numpy()[labels], atol=1e-3)


def test_there_is_no_map_without_a_linear_head():
    model = get_model('convmixer-64-4_digits', head=dict(
        type='StackedLinearClsHead', num_classes=10, in_channels=64, mid_channels=[16],
        _delete_=True))
    assert grid_of(Job(model, preprocessing_of(model))) is None
