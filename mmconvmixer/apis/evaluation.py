"""Evaluate a model on its test set: what `tools/test.py` runs."""
from copy import deepcopy
from pathlib import Path

import mmengine
from mmengine.config import ConfigDict
from mmengine.dist import is_main_process

from mmconvmixer._support.atomic_write import atomic_write, check_writable
from mmconvmixer.checkpoints import build_model, load_weights, read_checkpoint, state_dict_of
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.config.image_folders import class_names, use_for_testing
from mmconvmixer.datasets import build_ahead, check_folders, faster_pipeline
from mmconvmixer.engine import Runner, start_process_group
from mmconvmixer.engine.predictions import DumpPredictions
from mmconvmixer.errors import BadConfig, OutputNotWritable, UnknownOption
from mmconvmixer.zoo import resolve_checkpoint
from mmconvmixer.zoo.config import config_path, load_config, require, run_name


def evaluate(config: str | Path,
             checkpoint: str | Path | None = None,
             *,
             data: str | None = None,
             work_dir: str | None = None,
             out: str | None = None,
             out_item: str = 'pred',
             overrides: dict | None = None,
             amp: bool = False,
             tta: bool = False,
             show: bool = False,
             show_dir: str | None = None,
             interval: int = 1,
             wait_time: float = 2.,
             pin_memory: bool = True,
             strict: bool = True,
             backend: str | None = None,
             precision: str = 'float32',
             calib: str | None = None,
             launcher: str = 'none') -> dict[str, float]:
    """Return the metrics of a checkpoint on the test set of a config.

    Everything a user can get wrong is checked before the run makes its folder.

    Args:
        config: path of a config, or a model name.
        checkpoint: path, URL or model name; None for the zoo's weights.
        data: folder of images to test on instead of the config's: see
            `mmconvmixer.config.image_folders`.
        work_dir: for logs. Default: work_dirs/<name of the config>.
        out: file for the metrics or predictions; its ending picks the format.
        out_item: 'metrics' or 'pred'.
        overrides: dotted config keys and their values.
        amp: mixed precision: float16 on a GPU, bfloat16 on a CPU.
        tta: average the scores of an image and its mirror image, or what
            the config's `tta_model` and `tta_pipeline` say.
        show, show_dir, interval, wait_time: images with their predictions.
        pin_memory: of the data loader.
        strict: False lets checkpoint and network differ.
        backend, precision, calib: what computes, see `mmconvmixer.Predictor`;
            backend None is the model itself, as in training.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        Metric names and values, e.g. `{'accuracy/top1': 98.3}`, in percent.

    Raises:
        MMConvMixerError: see `mmconvmixer.errors`.
    """
    cfg = load_config(config, overrides)
    require(cfg, 'model', 'test_dataloader', 'test_evaluator')
    if cfg.model.get('type') == 'FeatureExtractor':
        raise BadConfig(f'{config} is a feature extractor, which names no classes; test the '
                        'classifier (its name without -features)')
    if backend is None and (precision, calib) != ('float32', None):
        raise UnknownOption('--precision and --calib are for a --backend; for mixed precision of '
                            'the model itself there is --amp')
    if backend is not None:
        if amp or tta:
            raise UnknownOption('--backend goes with neither --amp (see --precision) nor --tta')
        from mmconvmixer.deploy.backends import check_options
        check_options(backend, precision)
    name = config_path(config).stem
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{name}'
    cfg.setdefault('experiment_name', run_name(name))
    if out:
        _check_out(out, out_item)
    for folder in filter(None, (cfg.work_dir, show_dir)):
        check_writable(folder)
    if not data:
        check_folders(cfg.test_dataloader.dataset)
    cfg.launcher = launcher
    start_process_group(launcher, cfg.get('env_cfg', {}).get('dist_cfg', {}))

    if checkpoint is None and not Path(config).is_file():
        checkpoint = config  # a name means config and weights
    path = resolve_checkpoint(checkpoint, config_path(config))
    read = read_checkpoint(path)
    if data:
        use_for_testing(cfg, data, class_names(read))
    weights = state_dict_of(read, str(path))
    model = build_model(cfg.model)
    if strict:
        load_weights(model, weights, str(path))
    cfg.load_from = str(path)
    cfg.strict_load = strict
    cfg.test_cfg = {**(cfg.get('test_cfg') or {}), **(dict(fp16=True) if amp else {})}
    if show or show_dir:
        _visualize(cfg, show, show_dir, interval, wait_time)
    if 'pipeline' in cfg.test_dataloader.dataset:
        cfg.test_dataloader.dataset.pipeline = faster_pipeline(
            cfg.test_dataloader.dataset.pipeline)
    if tta:
        _augment_at_test_time(cfg)
    fill_in(cfg, ['test_dataloader'], pin_memory)
    build_ahead(cfg.test_dataloader.dataset)

    runner = Runner.from_cfg(cfg)
    if backend is not None:
        from mmconvmixer.deploy.backend_classifier import BackendHook
        runner.register_hook(BackendHook(backend, precision, calib))
    if out and out_item == 'pred':
        classes = runner.test_dataloader.dataset.metainfo.get('classes')
        runner.test_evaluator.metrics.append(DumpPredictions(out, classes))
    metrics = runner.test()
    if out and out_item == 'metrics' and is_main_process():
        with atomic_write(out) as part:
            mmengine.dump(metrics, str(part))
    return metrics


def as_text(metrics: dict) -> str:
    """Return metrics in lines to read, those that are one number in the last."""
    single = [name for name, value in metrics.items() if not isinstance(value, dict)]
    lines = [f'{name}: ' + ', '.join(_with_value(*item) for item in values.items())
             for name, values in metrics.items() if name not in single]
    return '\n'.join([*lines, '  '.join(_with_value(name, metrics[name]) for name in single)])


def _with_value(name: str, value: object) -> str:
    return f'{name} {value:.2f}' if isinstance(value, float) else f'{name} {value}'


def _check_out(out: str, out_item: str) -> None:
    endings = dict(pred=('.json', '.pkl', '.pickle'),
                   metrics=('.json', '.pkl', '.pickle', '.yml', '.yaml'))[out_item]
    if not out.endswith(endings):
        raise OutputNotWritable(f'--out {out}: {out_item} are written as '
                                f'{", ".join(endings)}; give a file with such an ending')
    if Path(out).is_dir():
        raise OutputNotWritable(f'--out {out} is a folder; give a file')
    check_writable(Path(out).parent)


def _visualize(cfg, show: bool, show_dir: str | None, interval: int, wait_time: float) -> None:
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    hooks.visualization = dict(type='ShowHook', enable=True, show=show,
                               out_dir=show_dir, interval=interval, wait_time=wait_time)


def _augment_at_test_time(cfg) -> None:
    if 'tta_model' not in cfg:
        cfg.tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
    if 'tta_pipeline' not in cfg:
        *transforms, pack = cfg.test_dataloader.dataset.pipeline
        flips = [dict(type='RandomFlip', prob=1.), dict(type='RandomFlip', prob=0.)]
        cfg.tta_pipeline = [*deepcopy(transforms),
                            dict(type='TestTimeAug', transforms=[flips, [pack]])]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
