import pytest
import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch.testing import assert_close
from torchvision.transforms import functional as F

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.models import ConvMixer

# Digits have 8 x 8 pixels.
SMALL_FIRST = {
    'model.train_cfg': dict(_delete_=True, augments=dict(type='ResizeBatch', size=4)),
    'custom_hooks': [dict(type='SwitchRecipeHook', schedule=[
        dict(action_epoch=2, batch_augments=dict(augments=dict(type='ResizeBatch', size=6))),
        dict(action_epoch=3, batch_augments=None)])]}


@pytest.mark.parametrize('size', [5, 16, 40])
def test_images_are_those_of_torchvisions_resize_and_scores_stay(size):
    images, scores = torch.randn(3, 3, 32, 24), torch.eye(3)
    resized, same = BATCH_AUGMENTS.build(dict(type='ResizeBatch', size=size))(images, scores)
    assert same is scores
    assert_close(resized, F.resize(images, [size, size], antialias=True))


def test_a_run_sees_small_images_first_and_a_resumed_one_too(
        train, tmp_path, weights_of, same_weights, monkeypatch):
    sizes, forward = [], ConvMixer.forward

    def recorded(self, x):
        if self.training and x.shape[2:] not in sizes[-1:]:
            sizes.append(x.shape[2:])
        return forward(self, x)
    monkeypatch.setattr(ConvMixer, 'forward', recorded)
    run = {**SMALL_FIRST, 'randomness.seed': 0}
    train(tmp_path / 'whole', {**run, 'train_cfg.max_epochs': 3}, validate=False)
    assert sizes == [(4, 4), (6, 6), (8, 8)]
    sizes.clear()
    train(tmp_path / 'parts', {**run, 'train_cfg.max_epochs': 2}, validate=False)
    train(tmp_path / 'parts', {**run, 'train_cfg.max_epochs': 3}, validate=False, resume=True)
    assert sizes == [(4, 4), (6, 6), (8, 8)]
    assert same_weights(weights_of(tmp_path / 'parts/epoch_3.pth'),
                        weights_of(tmp_path / 'whole/epoch_3.pth'))
