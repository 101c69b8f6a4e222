import pytest
from mmengine.config import Config

from mmconvmixer.config.values import check_values
from mmconvmixer.errors import BadConfig


@pytest.mark.parametrize('key, value, said', [
    ('train_dataloader.batch_size', 0, 'is 0, expected a whole number, 1 or more'),
    ('test_dataloader.batch_size', 2.5, 'is 2.5'),
    ('val_dataloader.batch_size', 'abc', "is 'abc'"),
    ('train_dataloader.num_workers', -1, 'is -1, expected a whole number, 0 or more'),
    ('train_cfg.max_epochs', 'abc', "is 'abc'"), ('train_cfg.max_epochs', 0, 'is 0'),
    ('train_cfg.max_iters', True, 'is True'), ('train_cfg.val_interval', 0, 'is 0'),
    ('optim_wrapper.optimizer.lr', [0, 1], 'is [0, 1], expected a number, 0 or more. A decimal '
     'point is a point: 0.1'),
    ('optim_wrapper.optimizer.lr', 'fast', "is 'fast'"),
    ('optim_wrapper.optimizer.lr', float('nan'), 'is nan'),
    ('optim_wrapper.optimizer.weight_decay', -1, 'is -1'),
    ('default_hooks.checkpoint.interval', 0, 'is 0, expected a number above 0'),
    ('default_hooks.logger.interval', 0, 'is 0'), ('randomness.seed', 'abc', "is 'abc'"),
    ('test_cfg.fp16', 'maybe', "is 'maybe', expected True or False")])
def test_a_value_of_the_wrong_type_or_range_is_one_line(key, value, said):
    cfg = Config()
    cfg.merge_from_dict({key: value})
    with pytest.raises(BadConfig) as caught:
        check_values(cfg)
    assert str(caught.value).startswith(f'{key} is ') and said in str(caught.value)


@pytest.mark.parametrize('key, value', [
    ('train_dataloader.batch_size', 1), ('train_dataloader.batch_size', None),
    ('train_cfg.max_epochs', 3), ('optim_wrapper.optimizer.lr', 1), ('train_cfg', None),
    ('optim_wrapper.optimizer.lr', 0.), ('default_hooks.checkpoint.interval', -1),
    ('default_hooks.logger', None), ('randomness.seed', None), ('test_cfg.fp16', True),
    ('optim_wrapper.generator.optimizer.lr', 'x'), ('default_hooks.checkpoint.max_keep_ckpts', -1)])
def test_values_that_mmengine_takes_are_accepted(key, value):
    cfg = Config()
    cfg.merge_from_dict({key: value})
    check_values(cfg)
