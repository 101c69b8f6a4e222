"""`--cfg-options` keys: what is read is accepted, what nothing reads is refused by name."""
import copy
import inspect
import os
import re
from functools import cache
from pathlib import Path

import mmengine.runner
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo import load_config
from mmconvmixer.zoo.overrides import _top_keys, check_runner

DIGITS = 'convmixer-64-4_digits'


@pytest.fixture(autouse=True)
def read_once(monkeypatch):
    """Read the digits' config once: executing it takes longer than the checks."""
    read = Config.fromfile
    monkeypatch.setattr(Config, 'fromfile', lambda path, *args, **options: copy.deepcopy(
        _digits(path, read) if Path(path).stem == DIGITS else read(path, *args, **options)))


@cache
def _digits(path, read):
    return read(path)


def refusal(overrides, config=DIGITS):
    with pytest.raises(BadConfig) as caught:
        load_config(config, overrides)
    return str(caught.value)


@pytest.mark.parametrize('key, near', [
    ('optimizer.lr', 'optim_wrapper.optimizer.lr'), ('lr', 'optim_wrapper.optimizer.lr'),
    ('batch_size', 'train_dataloader.batch_size, val_dataloader.batch_size'),
    ('max_epochs', 'train_cfg.max_epochs'), ('on_unreadabel', 'on_unreadable'),
    ('train_cfg.max_epoch', 'train_cfg.max_epochs'),
    ('train_dataloader.bach_size', 'train_dataloader.batch_size'),
    ('optim_wrapper.optimizer.lrr', 'optim_wrapper.optimizer.lr'),
    ('optim_wrapper.optimiser.lr', 'optim_wrapper.optimizer'),
    ('optim_wrapper.paramwise_cfg.norm_decay_mul', 'optim_wrapper.paramwise_cfg.norm_decay_mult'),
    ('model.bakbone.arch', 'model.backbone'), ('model.backbone.archh', 'model.backbone.arch'),
    ('env_cfg.cudnn_bench', 'env_cfg.cudnn_benchmark'),
    ('auto_scale_lr.enabled', 'auto_scale_lr.enable'),
    ('default_hooks.check.interval', 'default_hooks.checkpoint'),
    ('default_hooks.logger.intervall', 'default_hooks.logger.interval'),
    ('randomness.sed', 'randomness.seed'), ('param_scheduler.end', 'param_scheduler.epochs'),
    ('test_evaluator.0.topp', 'test_evaluator.0.topk'),
    ('train_dataloader.sampler.shufle', 'train_dataloader.sampler.shuffle'),
    ('tta_pipelin', 'tta_pipeline'),
    ('train_dataloader.dataset.pipeline.0.color', 'dataset.pipeline.0.color_type')])
def test_a_key_that_nothing_reads_is_answered_with_the_nearest(key, near):
    said = refusal({key: 1})
    assert said.startswith(f'{key} (--cfg-options) is read by nothing; nearest: ')
    assert near in said.partition('nearest: ')[2]


@pytest.mark.parametrize('key, value', [
    ('optim_wrapper.optimizer.lr', 1), ('train_dataloader.num_workers', 2),
    ('train_dataloader.prefetch_factor', 4), ('train_dataloader.num_batch_per_epoch', 4),
    ('model.backbone.out_indices', 1), ('model.head.cal_acc', True),
    ('optim_wrapper.dtype', 'bfloat16'), ('optim_wrapper.clip_grad.max_norm', 1),
    ('optim_wrapper.accumulative_counts', 2),
    ('default_hooks.mine', dict(type='EMAHook')), ('default_hooks.checkpoint.interval', 2),
    ('default_hooks.timer', None), ('custom_hooks', [dict(type='EMAHook', momentum=.1)]),
    ('compile', True), ('sync_bn', 'torch'), ('find_unused_parameters', True),
    ('activation_checkpointing', ['backbone']), ('model_wrapper_cfg.type', 'X'),
    ('on_unreadable', 'raise'), ('freeze', 'stem'), ('new_head', True), ('log_level', 'INFO'),
    ('tta_model', dict(type='AverageClsScoreTTA')), ('tta_pipeline', []), ('resume', True),
    ('load_from', 'x.pth'), ('experiment_name', 'x'), ('randomness.deterministic', True),
    ('env_cfg.mp_cfg.opencv_num_threads', 1), ('test_cfg.fp16', True),
    ('visualizer.vis_backends.0.type', 'CSVVisBackend'), ('param_scheduler.epochs', [0, 1]),
    ('test_evaluator.0.topk', [1, 3]), ('train_dataloader.dataset.pipeline', []),
    ('data_preprocessor.to_rgb', True), ('model.data_preprocessor.to_rgb', True)])
def test_what_mmengine_mmpretrain_and_this_package_read_is_accepted(key, value):
    load_config(DIGITS, {key: value})


def test_everything_that_mmengine_s_runner_reads_is_a_known_key():
    read = set(re.findall(r"self\.cfg\.get\(\s*'(\w+)'", inspect.getsource(mmengine.runner.Runner)))
    assert {'sync_bn', 'activation_checkpointing', 'compile'} <= read <= _top_keys()


@pytest.fixture
def own_config(repo, tmp_path):
    def write(text):
        path = tmp_path / 'own.py'
        path.write_text(f"_base_ = ['{repo}/configs/convmixer/{DIGITS}.py']\n{text}")
        return path
    return write


def test_a_variable_of_the_config_comes_too_late(own_config):
    config = own_config('epochs = 7\nrate = 0.5\ntrain_cfg = dict(max_epochs=epochs)\n'
                        'optim_wrapper = dict(optimizer=dict(lr=rate))\n')
    assert 'only a variable of' in (said := refusal({'epochs': 9}, config))
    assert 'set train_cfg.max_epochs instead' in said
    assert 'set optim_wrapper.optimizer.lr instead' in refusal({'rate': 1}, config)


def test_a_variable_of_a_dumped_config_is_one_still(own_config, tmp_path):
    config = own_config("steps = [dict(type='LoadImage'), dict(type='PackInputs')]\n"
                        'train_dataloader = dict(dataset=dict(pipeline=steps))\n')
    Config.fromfile(config).dump(tmp_path / 'dumped.py')
    assert 'set train_dataloader.dataset.pipeline instead' in refusal(
        {'steps': []}, tmp_path / 'dumped.py')


def test_a_key_that_the_config_has_for_another_reader_is_accepted(own_config):
    config = own_config('my_flag = 1\nmy_section = dict(rate=1)\n')
    cfg = load_config(config, {'my_flag': 2, 'my_section.rate': 3})
    assert (cfg.my_flag, cfg.my_section.rate) == (2, 3)


class ReadsTheConfig(Hook):
    def before_train(self, runner):
        self.flag = runner.cfg.get('flag_of_a_hook') or runner.cfg['other_flag_of_a_hook']
        self.size = runner.train_dataloader.batch_size


def test_a_key_that_a_registered_class_reads_is_accepted():
    HOOKS.register_module(module=ReadsTheConfig)
    try:
        load_config(DIGITS, {'flag_of_a_hook': 2, 'other_flag_of_a_hook.rate': 1})
        assert 'read by nothing' in refusal({'batch_size': 2})
    finally:
        HOOKS.module_dict.pop('ReadsTheConfig')


def test_a_key_that_a_custom_import_reads_is_accepted(own_config, tmp_path, monkeypatch):
    (tmp_path / 'own_reader.py').write_text('def flag(config):\n    return config.flag_of_module\n')
    monkeypatch.syspath_prepend(tmp_path)
    config = own_config("custom_imports = dict(imports=['mmconvmixer', 'own_reader'])\n")
    load_config(config, {'flag_of_module': 2})
    assert 'read by nothing' in refusal({'flag_of_modul': 2}, config)


def test_custom_imports_on_the_command_line_are_imported(tmp_path, monkeypatch):
    (tmp_path / 'imported_late.py').write_text('import os\nos.environ["IMPORTED_LATE"] = "yes"\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv('IMPORTED_LATE', raising=False)
    load_config(DIGITS, {'custom_imports.imports': ['mmconvmixer', 'imported_late']})
    assert os.environ['IMPORTED_LATE'] == 'yes'


@pytest.mark.parametrize('overrides', [
    {'runner_type': 'FlexibleRunner'}, {'strategy.type': 'FSDPStrategy'},
    {'runner_type': 'FlexibleRunner', 'strategy': dict(type='DeepSpeedStrategy')}])
def test_another_runner_is_refused(overrides):
    assert "which mmengine's FlexibleRunner reads" in refusal(overrides)


def test_a_config_for_another_runner_can_be_loaded_but_not_trained(own_config):
    cfg = load_config(own_config("runner_type = 'FlexibleRunner'\n"))
    with pytest.raises(BadConfig, match="runner_type is 'FlexibleRunner'"):
        check_runner(cfg)


def test_the_launcher_has_an_option_of_its_own():
    assert 'give --launcher' in refusal({'launcher': 'pytorch'})


@pytest.mark.parametrize('overrides', [
    {'train_cfg.max_epochs.x': 1}, {'model.head.type.x': 1}])
def test_a_key_that_does_not_fit_the_config_is_named(overrides):
    said = refusal(overrides)
    assert f'{next(iter(overrides))}=1 (--cfg-options) does not fit' in said
