"""A class that is not registered is named before a run makes its folder."""
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, Registry

from mmconvmixer.config.types import check_types
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo import load_config

Registry('hook', parent=HOOKS, scope='elsewhere').register_module('HookElsewhere', module=Hook)
TRAINING = ('train_cfg', 'optim_wrapper', 'param_scheduler', 'val_cfg', 'val_evaluator')


@pytest.mark.parametrize(('change', 'key', 'near'), [
    (dict(default_hooks=dict(ema=dict(type='EMAHok'))), 'default_hooks.ema.type', 'EMAHook'),
    (dict(custom_hooks=[dict(type='EMAHook'), dict(type='EarlyStopHook')]), 'custom_hooks.1.type',
     'EarlyStoppingHook'),
    (dict(visualizer=dict(vis_backends=[dict(type='WandbBackend')])),
     'visualizer.vis_backends.0.type', 'WandbVisBackend'),
    (dict(log_processor=dict(type='LogProcesor')), 'log_processor.type', 'LogProcessor'),
    (dict(optim_wrapper=dict(optimizer=dict(type='Adamw'))), 'optim_wrapper.optimizer.type',
     'AdamW'),
    (dict(param_scheduler=[dict(type='CosineLR')]), 'param_scheduler.0.type',
     'CosineAnnealingLR'),
    (dict(val_evaluator=dict(type='Acuracy')), 'val_evaluator.type', 'Accuracy'),
    (dict(val_evaluator=dict(type='Evaluater', metrics=[])), 'val_evaluator.type', 'Evaluator'),
    (dict(train_cfg=dict(type='EpochLoop')), 'train_cfg.type', 'EpochBasedTrainLoop'),
    (dict(custom_hooks=[dict(type='no.such.Hook')]), 'custom_hooks.0.type', '')])
def test_a_class_that_is_not_registered_is_named_with_the_nearest(change, key, near):
    with pytest.raises(BadConfig) as caught:
        check_types(Config(dict(change, default_scope='mmpretrain')), *TRAINING)
    assert str(caught.value).startswith(f'{key} is ') and 'not registered' in str(caught.value)
    assert near in str(caught.value)


@pytest.mark.parametrize(('change', 'said'), [
    (dict(custom_hooks=['EMAHook']), "custom_hooks.0 is 'EMAHook', expected a dict with the key "
     'type; to add a hook, set default_hooks.NAME.type'),
    (dict(custom_hooks=dict(type='EMAHook')), 'custom_hooks is a dict, expected a list of dicts'),
    (dict(default_hooks=dict(type='EMAHook')), "default_hooks.type is 'EMAHook', expected a dict"),
    (dict(default_hooks=3), 'default_hooks is 3, expected a dict'),
    (dict(visualizer=dict(vis_backends=['CSVVisBackend'])), "vis_backends.0 is 'CSVVisBackend'"),
    (dict(param_scheduler=[1]), 'param_scheduler.0 is 1, expected a dict'),
    (dict(test_evaluator='Accuracy'), "test_evaluator is 'Accuracy', expected a dict with the "
     'key type; set test_evaluator.type')])
def test_a_value_where_a_dict_belongs_is_named(change, said):
    with pytest.raises(BadConfig) as caught:
        check_types(Config(dict(change, default_scope='mmpretrain')))
    assert said in str(caught.value)


@pytest.mark.parametrize('change', [
    dict(default_hooks=dict(timer=None, logger=dict(interval=1))), dict(custom_hooks=None),
    dict(custom_hooks=[dict(type=Hook), dict(type='mmengine.EMAHook')]),
    dict(custom_hooks=[dict(type='mmengine.hooks.EMAHook')]),
    dict(custom_hooks=[dict(type='EMAHook', metrics=['loss'], optimizer='SGD')]),
    dict(val_evaluator=[dict(type='Accuracy', metrics=['top1'])]),
    dict(val_evaluator=dict(type='Evaluator', metrics=[dict(type='Accuracy')])),
    dict(optim_wrapper=dict(constructor='Mine', optimizer=dict(type='Mine'))),
    dict(custom_hooks=[dict(_scope_='elsewhere', type='HookElsewhere')]),
    dict(custom_hooks=[Hook()], test_cfg={}, param_scheduler=[])])
def test_classes_that_exist_pass(change):
    check_types(Config(dict(change, default_scope='mmpretrain')), *TRAINING)


@pytest.mark.parametrize('name', ['convmixer-64-4_digits', 'convmixer-768-32_3rdparty_in1k',
                                  'resnet50_8xb32_in1k'])
def test_the_classes_of_the_zoo_s_configs_pass(name):
    check_types(load_config(name), *TRAINING, 'test_cfg', 'test_evaluator')


def test_what_a_run_does_not_build_is_not_looked_at():
    check_types(Config(dict(default_scope='mmpretrain', val_evaluator=dict(type='Missing'))))


def test_a_run_with_an_unknown_hook_leaves_no_folder(train, evaluate, trained, tmp_path):
    change = {'default_hooks.ema.type': 'EMAHok'}
    with pytest.raises(BadConfig, match='nearest: EMAHook'):
        train(tmp_path / 'run', change)
    with pytest.raises(BadConfig, match='nearest: EMAHook'):
        evaluate(trained, tmp_path / 'run', change)
    assert not (tmp_path / 'run').exists()
