"""`--cfg-options` keys with the number of an item: refused where there is no such item."""
import pytest

from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo import load_config

TEXT = """
model = dict(head=dict(topk=(1, 5), classes=[3, 4], layers=[[dict(type='A')]], at={'3': 1}))
visualizer = dict(vis_backends=[dict(type='CSVVisBackend'), dict(type='LocalVisBackend')])
val_evaluator = dict(type='Accuracy')
test_evaluator = [dict(type='CalibrationError'), dict(type='Accuracy')]
default_hooks = dict(timer=dict(type='IterTimerHook'))
custom_hooks = None
"""
# A key, the reason and the way out in its refusal.
REFUSED = [
    ('custom_hooks.0.type', 'custom_hooks is None and not a list', 'default_hooks.NAME.type'),
    ('default_hooks.0.type', 'default_hooks is a dict and not a list', 'default_hooks.NAME.type'),
    ('param_scheduler.0.eta_min', 'no list param_scheduler', 'set param_scheduler.eta_min'),
    ('tta_model.parts.1.2.type', 'no list tta_model.parts', 'write a config'),
    ('visualizer.vis_backends.2.type', 'is a list of 2, numbered from 0, and has no 2',
     'write a config'),
    ('visualizer.vis_backends.-1.type', 'is a list of 2', 'set visualizer.vis_backends.N.-1.type'),
    ('val_evaluator.0.topk', 'val_evaluator is a dict and not a list', 'set val_evaluator.topk'),
    ('default_hooks.timer.0', 'default_hooks.timer is a dict and not', 'default_hooks.timer.KEY'),
    ('visualizer.0.type', 'visualizer is a dict and not a list', 'set visualizer.type'),
    ('val_evaluator.type.0', "val_evaluator.type is 'Accuracy' and not", 'set val_evaluator.type'),
    ('test_evaluator.topk', 'test_evaluator is a list of 2', 'set test_evaluator.1.topk'),
    ('test_evaluator.2.topk', 'is a list of 2, numbered from 0, and has no 2', 'write a config'),
    ('test_evaluator.0', 'item 0 of test_evaluator cannot be replaced', 'test_evaluator.0.type'),
    ('model.head.topk.0', 'the items of model.head.topk ((1, 5))', 'model.head.topk="[...]"'),
    ('model.head.classes.1', 'the items of model.head.classes ([3, 4])', 'classes="[...]"'),
    ('model.head.layers.0.1.type', 'model.head.layers.0 is a list of 1', 'write a config'),
    ('train_cfg.val_interval.0', 'no list train_cfg.val_interval', 'interval="[...]"'),
    ('model.head.classes.2', 'is a list of 2, numbered from 0, and has no 2', 'classes="[...]"'),
]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'lists.py'
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(('key', 'reason', 'way_out'), REFUSED)
def test_a_key_that_leads_to_no_item_is_refused_with_the_key_that_does(
        config, key, reason, way_out):
    with pytest.raises(BadConfig) as caught:
        load_config(config, {key: 1})
    said = str(caught.value)
    assert said.startswith(f'{key} (--cfg-options) does not fit {config}, where ')
    assert reason in said and way_out in said.partition(reason)[2]


def test_an_item_that_is_there_can_be_set(config):
    cfg = load_config(config, {
        'test_evaluator.1.topk': 3, 'visualizer.vis_backends.1.type': 'TensorboardVisBackend',
        'model.head.layers.0.0.type': 'B', 'model.head.at.4': 2, 'model.head.classes': [5]})
    assert cfg.test_evaluator[1].topk == 3
    assert cfg.visualizer.vis_backends[1].type == 'TensorboardVisBackend'
    assert cfg.model.head.layers[0][0].type == 'B'
    assert cfg.model.head.at == {'3': 1, '4': 2}


@pytest.mark.parametrize('replacement', [dict(type='Accuracy'), dict(type='Accuracy', topk=3)])
def test_a_dict_may_replace_a_list(config, replacement):
    keys = {f'test_evaluator.{key}': value for key, value in replacement.items()}
    cfg = load_config(config, {**keys, 'test_evaluator._delete_': True})
    assert cfg.test_evaluator == replacement
    with pytest.raises(BadConfig, match='no item|not a list; set test_evaluator.type'):
        load_config(config, {'test_evaluator._delete_': True, 'test_evaluator.0.type': 'Accuracy'})


def test_a_hook_in_a_list_that_is_not_there_leaves_no_folder(train, tmp_path):
    with pytest.raises(BadConfig, match=r'no list custom_hooks; .* default_hooks\.NAME\.type'):
        train(tmp_path / 'run', {'custom_hooks.0.type': 'EMAHook'})
    assert not (tmp_path / 'run').exists()
