"""Weights in the folders of Orbax."""
import shutil
import sys

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as orbax
import pytest
import torch

from mmconvmixer.checkpoints import read_checkpoint, state_dict_of
from mmconvmixer.errors import BadCheckpoint


def save(path, tree, **options):
    checkpointer = orbax.Checkpointer(orbax.PyTreeCheckpointHandler(**options))
    checkpointer.save(path, args=orbax.args.PyTreeSave(tree))
    return path


@pytest.mark.parametrize('use_ocdbt', [True, False], ids=['database', 'a folder for each array'])
def test_a_state_of_training_gives_its_network(mixer_weights, flax_tree, tmp_path, use_ocdbt):
    path = save(tmp_path / 'state', dict(step=3, params=flax_tree, opt_state=[dict(mu=flax_tree)]),
                use_ocdbt=use_ocdbt)
    got = state_dict_of(read_checkpoint(path))
    assert got.layout == 'flax'
    assert all(torch.equal(got[name], value) for name, value in mixer_weights.items())


def test_the_last_step_of_a_manager_is_read(flax_tree, tmp_path):
    with orbax.CheckpointManager(tmp_path / 'run') as manager:
        for step in (9, 10):
            manager.save(step, args=orbax.args.StandardSave(
                dict(flax_tree, head=dict(flax_tree['head'], bias=np.full(3, step, np.float32)))))
    assert (state_dict_of(read_checkpoint(tmp_path / 'run'))['head.fc.bias'] == 10).all()


def test_bfloat16_which_numpy_lacks(tmp_path):
    path = save(tmp_path / 'half', dict(weight=jnp.asarray([1.5, -2], jnp.bfloat16)))
    assert torch.equal(read_checkpoint(path)['state_dict']['weight'],
                       torch.tensor([1.5, -2]).bfloat16())


def test_a_damaged_folder_is_named(flax_tree, tmp_path):
    path = save(tmp_path / 'net', flax_tree)
    shutil.rmtree(path / 'd')
    shutil.rmtree(path / 'ocdbt.process_0')
    with pytest.raises(BadCheckpoint, match='a checkpoint of Orbax, but damaged'):
        read_checkpoint(path)


def test_without_orbax_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'orbax.checkpoint', None)
    tmp_path.joinpath('_METADATA').write_text('{}')
    with pytest.raises(BadCheckpoint, match=r"pip install 'mmconvmixer\[flax\]'"):
        read_checkpoint(tmp_path)
