"""Evaluate a model on its test set; `tools/test.py` calls this."""
import os
from pathlib import Path

import mmengine
from mmengine.config import Config
from mmengine.dataset import BaseDataset, Compose
from mmengine.dist import is_main_process
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS

from mmconvmixer._support.atomic_write import atomic_write, check_writable
from mmconvmixer.apis.prepare import join_processes, open_config, prepare
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.config.image_folders import class_names, use_for_testing
from mmconvmixer.config.test_set import augment_at_test_time, show_predictions
from mmconvmixer.datasets import check_folders, faster_pipeline
from mmconvmixer.engine import Runner
from mmconvmixer.engine.predictions import DumpPredictions
from mmconvmixer.engine.prepared import Start
from mmconvmixer.errors import BadConfig, OutputNotWritable, UnknownOption
from mmconvmixer.zoo import resolve_checkpoint
from mmconvmixer.zoo.config import config_path

# Importing Numba takes 0.6 s; then it saves 1.2 ms per image of ImageNet's size.
MANY_IMAGES = 500
# The formats that each `out_item` can be written in.
_SUFFIXES = dict(pred=('.json', '.pkl', '.pickle'),
                 metrics=('.json', '.pkl', '.pickle', '.yml', '.yaml'))


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
             launcher: str = 'none') -> dict[str, float | dict[str, float]]:
    """Return the metrics of a checkpoint on the test set of a config.

    Everything a user can get wrong is checked before the run makes its folder.

    Args:
        config: path of a config, or a model name.
        checkpoint: path, URL or model name; None for the zoo's weights.
        data: folder of images that replaces the config's test set; see
            `mmconvmixer.config.image_folders`.
        work_dir: folder for logs. Default: work_dirs/<name of the config>.
        out: file for the metrics or predictions; its suffix selects the format.
        out_item: what goes into `out`, 'metrics' or 'pred'.
        overrides: dotted config keys and their values.
        amp: mixed precision: float16 on a GPU, bfloat16 on a CPU.
        tta: test-time augmentation: average the scores of an image and its mirror
            image, or follow the config's `tta_model` and `tta_pipeline`.
        show: show images with their predictions in a window.
        show_dir: folder for images with their predictions.
        interval: show or write every `interval`-th image.
        wait_time: seconds that a window stays open.
        pin_memory: let the data loader pin memory.
        strict: False allows checkpoint and network to differ.
        backend: the runtime that computes, see `mmconvmixer.Predictor`. None: the PyTorch
            model, as in training.
        precision: see `mmconvmixer.Predictor`.
        calib: see `mmconvmixer.Predictor`.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        Metric names and values, e.g. `{'accuracy/top1': 98.3}`; accuracies are in percent.
        `accuracy/per_class` is a dict with the value of each class.

    Raises:
        UnknownOption: `out_item` or the combination of options does not exist.
        MMConvMixerError: see `mmconvmixer.errors`.
    """
    cfg = open_config(config, overrides, work_dir, 'model', 'test_dataloader', 'test_evaluator')
    _check_is_classifier(cfg, config)
    _check_backend(backend, precision, calib, amp or tta)
    if out:
        _check_out(out, out_item)
    for folder in filter(None, (cfg.work_dir, show_dir)):
        check_writable(folder)
    if not data:
        check_folders(cfg.test_dataloader.dataset)
    join_processes(cfg, launcher)

    if checkpoint is None and not os.path.isfile(config):
        checkpoint = config  # a name means config and weights
    path = resolve_checkpoint(checkpoint, config_path(config))
    start = Start.of(path, read_checkpoint(path), strict=strict)
    if data:
        use_for_testing(cfg, data, class_names(start.content))
    if tta:
        augment_at_test_time(cfg)
    if amp:
        cfg.test_cfg = {**(cfg.get('test_cfg') or {}), 'fp16': True}
    if show or show_dir:
        show_predictions(cfg, show, show_dir, interval, wait_time)
    fill_in(cfg, ['test_dataloader'], pin_memory)

    prepared = prepare(cfg, ['test_dataloader'], start)
    _speed_up(prepared.datasets['test_dataloader'], cfg.test_dataloader.dataset)

    runner = Runner.from_cfg(cfg, prepared)
    if backend is not None:  # importing it takes a second
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


def _speed_up(dataset: object, dataset_cfg: dict) -> None:
    """Let a dataset of many images use a faster pipeline, which makes the same images."""
    if isinstance(dataset, BaseDataset) and len(dataset) >= MANY_IMAGES:
        # TestTimeAug looks its own transforms up in the default scope.
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset.pipeline = Compose([TRANSFORMS.build(step) for step in
                                        faster_pipeline(dataset_cfg.get('pipeline', ()))])


def as_text(metrics: dict) -> str:
    """Return metrics as text: a line for each dict, then all single numbers in the last line."""
    single = [name for name, value in metrics.items() if not isinstance(value, dict)]
    lines = [f'{name}: ' + ', '.join(_with_value(*item) for item in values.items())
             for name, values in metrics.items() if name not in single]
    return '\n'.join([*lines, '  '.join(_with_value(name, metrics[name]) for name in single)])


def _with_value(name: str, value: object) -> str:
    return f'{name} {value:.2f}' if isinstance(value, float) else f'{name} {value}'


def _check_is_classifier(cfg: Config, config: str | Path) -> None:
    if cfg.model.get('type') == 'FeatureExtractor':
        raise BadConfig(f'{config} is a feature extractor, which predicts no classes; evaluate '
                        'the classifier (its name without -features)')


def _check_backend(backend: str | None, precision: str, calib: str | None,
                   amp_or_tta: bool) -> None:
    if backend is not None:
        if amp_or_tta:
            raise UnknownOption('backend goes with neither amp (see precision) nor tta')
        from mmconvmixer.deploy.backends import check_options
        check_options(backend, precision, calib)
    elif (precision, calib) != ('float32', None):
        raise UnknownOption('precision and calib are for a backend; for mixed precision of the '
                            'model itself, use amp (--amp)')


def _check_out(out: str, out_item: str) -> None:
    suffixes = _SUFFIXES.get(out_item)
    if suffixes is None:
        raise UnknownOption(f'out_item is {out_item!r}, expected one of {", ".join(_SUFFIXES)}')
    if not out.endswith(suffixes):
        raise OutputNotWritable(f'out (--out) is {out}, but {out_item} are written as '
                                f'{", ".join(suffixes)}; give a file with one of these suffixes')
    if os.path.isdir(out):
        raise OutputNotWritable(f'out (--out) is {out}, which is a folder; give a file')
    check_writable(Path(out).parent)
