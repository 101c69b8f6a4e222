"""Same seed, same machine: same weights, to the last bit."""
import pytest
import torch

from mmconvmixer.checkpoints import read_checkpoint


def final(folder):
    return read_checkpoint(folder / 'epoch_1.pth')


@pytest.mark.parametrize('overrides', [
    {}, {'custom_hooks': [dict(type='EMAHook', momentum=0.1)]},
    {'model.head.loss': dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
     'model.train_cfg': None},
], ids=['as it is', 'EMA', 'label smoothing'])
def test_two_deterministic_runs_end_in_the_same_weights(
        train, tmp_path, same_weights, overrides):
    overrides = {'randomness': dict(seed=3, deterministic=True), **overrides}
    try:
        for name in ('a', 'b'):
            train(tmp_path / name, overrides, validate=False)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert same_weights(final(tmp_path / 'a')['state_dict'], final(tmp_path / 'b')['state_dict'])


def test_another_seed_ends_in_other_weights(train, trained, tmp_path, same_weights):
    train(tmp_path, {'randomness': dict(seed=3)}, validate=False)
    assert not same_weights(final(tmp_path)['state_dict'],
                            read_checkpoint(trained)['state_dict'])


def test_ema_by_one_config_line_saves_the_averaged_weights(train, tmp_path):
    """mmengine's momentum is the share of the new weights."""
    train(tmp_path, {'custom_hooks': [dict(type='EMAHook', momentum=0.1)]})
    checkpoint = final(tmp_path)
    averaged, last = (checkpoint[name] for name in ('state_dict', 'ema_state_dict'))
    key = 'backbone.stages.0.1.weight'
    assert not torch.equal(averaged[key], last[f'module.{key}'])
    distance = (averaged[key] - last[f'module.{key}']).norm() / averaged[key].norm()
    assert distance < 0.5
