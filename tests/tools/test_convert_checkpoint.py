import numpy as np
import pytest
import torch
from mmengine import Config
from safetensors.torch import load_file

from mmconvmixer import get_model, inference_model
from mmconvmixer.apis.training import train
from mmconvmixer.checkpoints.convert import convert
from mmconvmixer.zoo import find

OTHERS = [('timm', '.pth'), ('timm', '.safetensors'), ('official', '.pth.tar'),
          ('safetensors', '.npz')]


def test_the_options_are_these_and_no_others(tools):
    args = tools('convert_checkpoint').parse_args(['in.pth', 'out.pth'])
    assert vars(args) == dict(source='in.pth', target='out.pth', to='mmpretrain', dtype=None,
                              ema=None, strip_head=False, act=None)


def test_it_prints_what_it_found_and_wrote(trained, tool, tmp_path):
    run = tool('convert_checkpoint', trained, tmp_path / 'net.safetensors', '--to', 'timm',
               '--dtype', 'float16', '--strip-head', experiment=False)
    assert run.code == 0, run.err
    assert run.out == (
        'found: ConvMixer-8/2, patch 1, kernel 3, 1 input channel, 10 classes; mmpretrain names; '
        "GELU (from the paper's default; no model of the zoo has these sizes)\n"
        f'{tmp_path / "net.safetensors"}\n')
    weights = load_file(tmp_path / 'net.safetensors')
    assert weights['stem.0.weight'].dtype == torch.float16 and 'head.weight' not in weights


def test_a_model_name_is_a_source_too(tool, tmp_path):
    run = tool('convert_checkpoint', 'convmixer-64-4_digits', tmp_path / 'digits.pth.tar', '--to',
               'official', experiment=False)
    assert run.code == 0, run.err
    assert 'ConvMixer-64/4' in run.out and "GELU (from the zoo's 64/4" in run.out
    assert '0.weight' in torch.load(tmp_path / 'digits.pth.tar', weights_only=True)


@pytest.mark.parametrize('arguments, said', [
    (['gone.pth', 'out.pth'], 'gone.pth is neither a file nor a model'),
    (['convmixer-64-4_digits', 'out.npz', '--to', 'flax'], 'ConvMixer has no flax format'),
    (['convmixer-64-4_digits', 'out.npz', '--dtype', 'bfloat16'], 'numpy has no bfloat16'),
    (['convmixer-64-4_digits', 'out.pth', '--ema'], 'no averaged weights'),
])
def test_an_impossible_conversion_is_a_one_line_error(bad_input, arguments, said):
    assert said in bad_input('convert_checkpoint', *arguments, experiment=False)


@pytest.mark.parametrize('to, suffix', OTHERS)
def test_testing_and_training_read_other_libraries_files(
        trained, evaluate, train, weights_of, same_weights, tmp_path, to, suffix):
    other = convert(trained, tmp_path / f'net{suffix}', to).path
    assert evaluate(other, tmp_path / 'other') == evaluate(trained, tmp_path / 'own')
    train(tmp_path / 'run', dict(load_from=str(other), **{
        'train_cfg.max_epochs': 1, 'optim_wrapper.optimizer.lr': 0.}), validate=False)
    started = weights_of(tmp_path / 'run' / 'epoch_1.pth')
    assert torch.equal(started['backbone.stem.0.weight'],
                       weights_of(trained)['backbone.stem.0.weight'])


@pytest.mark.parametrize('to, suffix', OTHERS)
def test_mmengines_averaged_weights_start_from_other_libraries_files_too(
        trained, evaluate, tmp_path, to, suffix):
    other = convert(trained, tmp_path / f'net{suffix}', to).path
    average = dict(custom_hooks=[dict(type='EMAHook')])
    assert evaluate(other, tmp_path / 'other', average) == evaluate(trained, tmp_path / 'own')


def test_a_run_keeps_the_numerics_of_the_weights_it_started_from(repo, tmp_path):
    """An MLP-Mixer from flax still has flax's GELU and LayerNorm after training."""
    backbone = dict(type='MlpMixer', img_size=8, patch_size=4, arch=dict(
        embed_dims=8, num_layers=1, tokens_mlp_dims=4, channels_mlp_dims=8), patch_cfg=dict(
            in_channels=1))
    config = Config.fromfile(repo / 'configs/convmixer/convmixer-64-4_digits.py')
    config.merge_from_dict(dict(
        model=dict(backbone=dict(_delete_=True, **backbone), neck=dict(dim=1),
                   head=dict(in_channels=8)),
        train_cfg=dict(max_epochs=1), default_hooks=dict(checkpoint=dict(interval=1))))
    config.dump(tmp_path / 'mixer.py')
    model = get_model(str(tmp_path / 'mixer.py'))
    torch.save(model.state_dict(), tmp_path / 'random.pth')
    flax = convert(tmp_path / 'random.pth', tmp_path / 'net.npz', 'flax').path
    train(tmp_path / 'mixer.py', work_dir=str(tmp_path / 'run'), validate=False,
          overrides=dict(load_from=str(flax), experiment_name='numerics'))
    trained_on = get_model(str(tmp_path / 'mixer.py'),
                           pretrained=str(tmp_path / 'run' / 'epoch_1.pth'))
    assert trained_on.backbone.norm1.eps == 1e-6
    assert trained_on.backbone.layers[0].token_mix.layers[0][1].approximate == 'tanh'
    assert model.backbone.norm1.eps != 1e-6


@pytest.mark.parametrize('to, suffix', OTHERS)
def test_an_image_is_classified_with_other_libraries_files(tmp_path, to, suffix):
    image = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    other = convert(find('convmixer-64-4_digits').weights, tmp_path / f'net{suffix}', to).path
    got, expected = (inference_model('convmixer-64-4_digits', image, pretrained=each)
                     for each in (str(other), True))
    np.testing.assert_array_equal(got['pred_scores'], expected['pred_scores'])
