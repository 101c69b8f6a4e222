"""An MLP-Mixer with dropout and stochastic depth: 2 steps, a stop, 2 more are 4 steps."""
import pytest

MIXER = '''
_base_ = ['{toy}']
model = dict(
    backbone=dict(
        _delete_=True, type='MlpMixer', img_size=8, patch_size=2, out_type='featmap',
        arch=dict(embed_dims=16, num_layers=2, tokens_mlp_dims=8, channels_mlp_dims=32),
        patch_cfg=dict(in_channels=1), drop_rate=0.1, drop_path_rate=0.1),
    head=dict(in_channels=16))
{optim_wrapper}
train_dataloader = dict(sampler=dict(type='InfiniteSampler', _delete_=True))
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=4, val_interval=9)
param_scheduler = dict(_delete_=True, type='ConstantLR', factor=1., by_epoch=False)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=2, max_keep_ckpts=9))
'''
PLAIN, SAM = '', "optim_wrapper = dict(type='SAMOptimWrapper', rho=0.15)"


@pytest.mark.parametrize('processes', [1, 2])
@pytest.mark.parametrize('optim_wrapper', [PLAIN, SAM], ids=['plain', 'SAM'])
def test_a_mixer_resumed_after_2_steps_ends_in_the_weights_of_an_uninterrupted_one(
        tmp_path, toy_config, train, in_two_processes, weights_of, same_weights, processes,
        optim_wrapper):
    config = tmp_path / 'mixer.py'
    config.write_text(MIXER.format(toy=toy_config, optim_wrapper=optim_wrapper))

    def train_in(folder, resume):
        options = dict(config=config, validate=False, resume=resume)
        if processes == 1:
            train(folder, **options)
        else:
            in_two_processes(train, folder, launcher='pytorch', **options)

    train_in(tmp_path / 'whole', resume=False)
    (tmp_path / 'cut').mkdir()
    (tmp_path / 'whole/iter_2.pth').rename(tmp_path / 'cut/iter_2.pth')
    train_in(tmp_path / 'cut', resume=True)
    assert same_weights(weights_of(tmp_path / 'whole/iter_4.pth'),
                        weights_of(tmp_path / 'cut/iter_4.pth'))
    assert not same_weights(weights_of(tmp_path / 'whole/iter_4.pth'),
                            weights_of(tmp_path / 'cut/iter_2.pth'))
