"""ConvMixers of flaim 0.0.5.

    pip install '.[test]' && pip install --no-deps flaim==0.0.5
    pytest -m slow -rP tests/checkpoints/peers_far/test_flaim.py
"""
import pickle

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.mark.parametrize('kernel_size', [5, 8])
def test_a_pickle_of_flaims_variables(kernel_size, crops, tmp_path, monkeypatch, same_outputs):
    jax = pytest.importorskip('jax', reason='JAX is not installed')
    # flaim names this class, which JAX no longer has, as the type of an argument.
    monkeypatch.setattr(jax.random, 'KeyArray', jax.Array, raising=False)
    pytest.importorskip('flaim', reason='flaim is not installed')
    from flaim.models.convmixer import ConvMixer
    network = ConvMixer(depth=11, dim=24, patch_size=4, kernel_size=kernel_size, n_classes=7)
    images = crops.permute(0, 2, 3, 1).numpy()
    made = jax.eval_shape(lambda: network.init(
        jax.random.PRNGKey(0), np.zeros((1, 64, 64, 3), np.float32), training=False))
    generator = np.random.default_rng(0)

    def random(path, like):
        if path[-1].key == 'var':
            return jax.numpy.asarray(generator.uniform(0.2, 0.5, like.shape), np.float32)
        spread = np.prod(like.shape[:-1])**-0.5 if len(like.shape) > 1 else 0.3
        return jax.numpy.asarray(generator.normal(
            0 if len(like.shape) > 1 else 0.3, spread, like.shape), np.float32)
    variables = {name: jax.tree_util.tree_map_with_path(random, dict(made[name]))
                 for name in ('params', 'batch_stats')}
    path = tmp_path / 'convmixer.pickle'
    path.write_bytes(pickle.dumps(variables))
    jax.config.update('jax_enable_x64', True)
    exact = jax.tree.map(lambda each: np.asarray(each, np.float64), variables)
    expected = network.apply(exact, images, training=False)
    same_outputs(path, crops, torch.from_numpy(np.array(expected)))
