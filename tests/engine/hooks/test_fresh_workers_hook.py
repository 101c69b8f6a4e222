import pytest
from mmcv.transforms import Compose
from mmengine import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

SMALL = [dict(type='LoadImage', color_type='grayscale'), dict(type='Resize', scale=(6, 6)),
         dict(type='PackInputs')]
SEEN: dict[int, set[int]] = {}


@HOOKS.register_module(force=True)
class WatchSizes(Hook):
    """Keep the image sizes of each epoch in SEEN."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        SEEN.setdefault(runner.epoch + 1, set()).add(data_batch['inputs'][0].shape[-1])


@HOOKS.register_module(force=True)
class Assign(Hook):
    """Exchange the pipeline in the way that a user's hook would, before epoch 2."""

    def __init__(self, way):
        self.way = way

    def before_train_epoch(self, runner):
        dataset = runner.train_dataloader.dataset
        if runner.epoch != 1:
            return
        if self.way == 'pipeline':
            dataset.pipeline = Compose(SMALL)
        elif self.way == 'below':
            dataset.dataset.pipeline = Compose(SMALL)
        else:
            dataset.pipeline.transforms[:] = Compose(SMALL).transforms


def sizes(train, folder, hook, workers=0, epochs=2, **options):
    SEEN.clear()
    train(folder, {
        'custom_hooks': [hook, dict(type='WatchSizes')], 'train_cfg.max_epochs': epochs,
        'train_dataloader.num_workers': workers, 'train_dataloader.batch_size': 400},
        validate=False, **options)
    return SEEN


SWITCH = dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=2, train_pipeline=SMALL)])


@pytest.mark.parametrize('way, workers', [('pipeline', 0), ('below', 1), ('transforms', 1)])
def test_whatever_a_hook_assigns_reaches_the_samples(train, tmp_path, way, workers):
    assert sizes(train, tmp_path, dict(type='Assign', way=way), workers) == {1: {8}, 2: {6}}


def test_mmpretrains_hook_exchanges_the_pipeline_also_after_resuming(train, tmp_path):
    assert sizes(train, tmp_path, SWITCH, 1) == {1: {8}, 2: {6}}
    assert sizes(train, tmp_path, SWITCH, 1, epochs=3, resume=True) == {3: {6}}


def test_the_parts_of_a_repeated_dataset_are_reached(train, tmp_path, toy_config):
    dataset = Config.fromfile(toy_config).train_dataloader.dataset.to_dict()
    repeated = dict(_delete_=True, type='RepeatDataset', times=1, dataset=dict(
        type='ConcatDataset', datasets=[dataset]))
    path = tmp_path / 'repeated.py'
    path.write_text(f'_base_ = {str(toy_config)!r}\ntrain_dataloader = dict(dataset={repeated})\n')
    assert sizes(train, tmp_path / 'run', SWITCH, config=path) == {1: {8}, 2: {6}}


def test_images_in_memory_are_prepared_by_the_new_pipeline(train, tmp_path, toy_config):
    dataset = Config.fromfile(toy_config).train_dataloader.dataset.to_dict()
    path = tmp_path / 'memory.py'
    path.write_text(f'_base_ = {str(toy_config)!r}\ntrain_dataloader = dict(dataset=dict('
                    f"_delete_=True, type='InMemory', dataset={dataset}))\n")
    assert sizes(train, tmp_path / 'run', SWITCH, config=path) == {1: {8}, 2: {6}}
