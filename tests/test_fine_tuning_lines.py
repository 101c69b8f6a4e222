"""Every line of the table "One line each" of docs/fine_tuning.md, pasted and run."""
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmconvmixer.checkpoints import read_checkpoint

DOCS = Path(__file__).resolve().parents[1] / 'docs/fine_tuning.md'
TABLE = DOCS.read_text().partition('## One line each')[2] if DOCS.is_file() else ''
LINES = dict(re.findall(r'^\| ([^|]+) \| `([a-z_]+ = [^`]+)` \|$', TABLE, re.MULTILINE))

HEAD = """
head=dict(type='LinearClsHead', num_classes=2, in_channels=8,
          loss=dict(type='CrossEntropyLoss', loss_weight=1.0))"""
MODELS = {
    'ConvMixer': f"""
model = dict(type='ImageClassifier', backbone=dict(type='ConvMixer', arch='8/3-p2-k3'),
             neck=dict(type='GlobalAveragePooling'), {HEAD})
""",
    'MlpMixer': f"""
model = dict(type='ImageClassifier', neck=dict(type='GlobalAveragePooling', dim=1), {HEAD},
             backbone=dict(type='MlpMixer', img_size=8, patch_size=4, arch=dict(
                 embed_dims=8, num_layers=3, tokens_mlp_dims=4, channels_mlp_dims=16)))
"""}

# Two iterations of the recipe that the fine-tuning configs have.
RECIPE = """
_base_ = ['{repo}/configs/_base_/datasets/image_folder.py',
          '{repo}/configs/_base_/schedules/fine_tune.py',
          '{repo}/configs/_base_/runtime_small.py']
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
train_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(pipeline=pipeline))
val_dataloader = dict(num_workers=0, dataset=dict(pipeline=pipeline))
param_scheduler = dict(epochs=1)
train_cfg = dict(max_epochs=1)
randomness = dict(seed=0)
"""


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    generator = np.random.default_rng(0)
    for name in ('dark', 'light'):
        (folder / name).mkdir()
        for number in range(9):
            values = generator.integers(0, 128, (8, 8, 3)) + 127 * (name == 'light')
            Image.fromarray(values.astype(np.uint8)).save(folder / name / f'{number}.png')
    return folder


@pytest.fixture
def run(repo, images, train, tmp_path):
    """Train two iterations with a line pasted; the run is in tmp_path/work."""
    def call(line='', model='ConvMixer', **options):
        config = tmp_path / 'config.py'
        # A second `model = dict(...)` in one file would replace the first.
        base = tmp_path / 'base.py'
        base.write_text(RECIPE.format(repo=repo) + MODELS[model])
        config.write_text(f"_base_ = ['base.py']\n{line}\n")
        train(tmp_path / 'work', config=config, data=str(images), **options)
    return call


@pytest.fixture
def checkpoint(tmp_path):
    return lambda: read_checkpoint(tmp_path / 'work/epoch_1.pth')


BOTH = pytest.mark.parametrize('model', MODELS)


def test_the_table_was_found():
    assert len(LINES) == 9, LINES


@BOTH
@pytest.mark.parametrize('wanted', LINES)
def test_a_line_is_pasted_and_runs(run, checkpoint, wanted, model):
    run(LINES[wanted], model)
    saved = checkpoint()
    assert saved['meta']['iter'] == 2
    assert saved['meta']['dataset_meta']['classes'] == ('dark', 'light')
    assert all(torch.isfinite(value).all() for value in saved['state_dict'].values())


@BOTH
@pytest.mark.parametrize('freeze, moving', [
    ('head', r'head\..*'),
    ('last-2', r'head\..*|backbone\.(stages|layers)\.[12]\..*|backbone\.ln1\..*')])
def test_frozen_weights_stay_bit_for_bit_and_the_others_change(
        run, tmp_path, weights_of, freeze, moving, model):
    run(model=model)
    begin = tmp_path / 'begin.pth'
    (tmp_path / 'work/epoch_1.pth').rename(begin)
    before = weights_of(begin)
    run(f"freeze = '{freeze}'", model, overrides=dict(load_from=str(begin), new_head=False))
    after = weights_of(tmp_path / 'work/epoch_1.pth')
    for name in before:
        same = torch.equal(before[name], after[name])
        assert same != bool(re.fullmatch(moving, name)), name


def test_the_average_is_saved_and_training_continues_with_the_plain_weights(run, checkpoint):
    run(LINES['average of the weights (EMA)'])
    name = 'head.fc.weight'
    assert not torch.equal(checkpoint()['state_dict'][name],
                           checkpoint()['ema_state_dict'][f'module.{name}'])


def test_layer_decay_reaches_the_optimizer(run, checkpoint):
    run(LINES["each layer learns at 0.75 of the next one's rate"])
    scales = {round(group['lr_scale'], 6) for group in checkpoint()['optimizer']['param_groups']}
    assert scales == {round(0.75 ** power, 6) for power in range(5)}


def test_a_run_stops_early_when_nothing_improves(run, tmp_path):
    line = LINES['stop when top-1 has not risen for 3 validations']
    run(line + "\ntrain_cfg = dict(max_epochs=50)\noptim_wrapper = dict(optimizer=dict(lr=0.))")
    epochs = [int(path.stem.split('_')[1]) for path in (tmp_path / 'work').glob('epoch_*.pth')]
    assert max(epochs) == 4


def test_the_best_epoch_is_kept(run, tmp_path):
    run(LINES['keep the best epoch, too'])
    assert list((tmp_path / 'work').glob('best_accuracy_top1_epoch_1.pth'))


def test_a_frozen_run_resumes_to_the_weights_of_an_uninterrupted_one(
        run, tmp_path, weights_of, same_weights):
    line = "freeze = 'last-2'\nparam_scheduler = dict(epochs=2)\n"
    run(line + 'train_cfg = dict(max_epochs=2)')
    whole = weights_of(tmp_path / 'work/epoch_2.pth')
    (tmp_path / 'work/epoch_2.pth').unlink()
    run(line + 'train_cfg = dict(max_epochs=2)', resume=True)
    assert same_weights(weights_of(tmp_path / 'work/epoch_2.pth'), whole)
