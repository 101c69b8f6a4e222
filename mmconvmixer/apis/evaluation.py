"""Evaluate a model on its test set; `tools/test.py` calls this."""
import os
from pathlib import Path

import mmengine
from mmengine.config import Config
from mmengine.dataset import BaseDataset, Compose
from mmengine.dist import is_main_process
from mmengine.model import BaseTTAModel
from mmengine.registry import DefaultScope
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.registry import TRANSFORMS
from torch import nn

from mmconvmixer._support.atomic_write import atomic_write, check_writable
from mmconvmixer.apis.prepare import join_processes, open_config, prepare
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.checkpoints.new_head import class_count
from mmconvmixer.config.data_loaders import fill_in
from mmconvmixer.config.image_folders import class_names, use_for_testing
from mmconvmixer.config.precision import without_missing_bfloat16
from mmconvmixer.config.test_set import augment_at_test_time, show_predictions
from mmconvmixer.config.types import check_types
from mmconvmixer.datasets import check_folders, faster_pipeline
from mmconvmixer.datasets.same_classes import other_classes
from mmconvmixer.engine import Runner
from mmconvmixer.engine.metrics import as_plain, as_text
from mmconvmixer.engine.predictions import DumpPredictions
from mmconvmixer.engine.prepared import Start
from mmconvmixer.engine.resources import exhaustion_named
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
             launcher: str = 'none',
             same_classes: bool = False,
             verbose: bool = False) -> dict[str, float | dict[str, float]]:
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
        amp: mixed precision: float16 on a GPU, bfloat16 on a CPU that has it.
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
        same_classes: refuse a test set whose classes are not the checkpoint's; otherwise the
            log has a warning.
        verbose: print the environment, config and hooks, which are in the log file in any case.

    Returns:
        Metric names and values, e.g. `{'accuracy/top1': 98.3}`; accuracies are in percent.
        `accuracy/per_class` is a dict with the value of each class.

    Raises:
        UnknownOption: `out_item` or the combination of options does not exist.
        BadConfig: `same_classes`, and the classes differ.
        MMConvMixerError: see `mmconvmixer.errors`.
    """
    cfg = open_config(config, overrides, work_dir, 'model', 'test_dataloader', 'test_evaluator')
    check_types(cfg, 'test_cfg', 'test_evaluator')
    _check_is_classifier(cfg, config)
    _check_backend(backend, precision, calib, amp or tta)
    if out:
        _check_out(out, out_item)
    for folder in filter(None, (cfg.work_dir, show_dir)):
        check_writable(folder)
    if not data:
        check_folders(cfg.test_dataloader.dataset)
    if checkpoint is None and 'load_from' in (overrides or {}):
        raise BadConfig('load_from (--cfg-options) is for training; give the weights to evaluate '
                        'as CHECKPOINT')
    join_processes(cfg, launcher)

    if checkpoint is None and not os.path.isfile(config):
        checkpoint = config  # a name means config and weights
    path = resolve_checkpoint(checkpoint, config_path(config))
    start = Start.of(path, read_checkpoint(path), strict=strict)
    if data:
        use_for_testing(cfg, data, class_names(start.content), class_count(start.weights))
    if tta:
        augment_at_test_time(cfg)
    if amp:
        cfg.test_cfg = {**(cfg.get('test_cfg') or {}), 'fp16': True}
    without_missing_bfloat16(cfg, 'test_cfg')
    if show or show_dir:
        show_predictions(cfg, show, show_dir, interval, wait_time)
    fill_in(cfg, ['test_dataloader'], pin_memory)

    prepared = prepare(cfg, ['test_dataloader'], start, verbose)
    dataset, head = prepared.datasets['test_dataloader'], _head_of(prepared.model)
    strange = other_classes(class_names(start.content), getattr(head, 'num_classes', None), dataset)
    if strange:
        strange = (f'the classes of the test set are not those of {path}: {strange}. '
                   f'{start.weights.origin or "Use the config of its run"}')
        if same_classes:
            raise BadConfig(strange)
    _speed_up(dataset, cfg.test_dataloader.dataset)

    runner = Runner.from_cfg(cfg, prepared)
    if strange:
        runner.logger.warning(f'{strange}. The metrics compare labels of different meaning.')
    if backend is not None:  # importing it takes a second
        from mmconvmixer.deploy.backend_classifier import BackendHook
        runner.register_hook(BackendHook(backend, precision, calib))
    predictions = None
    if out and out_item == 'pred':
        classes = runner.test_dataloader.dataset.metainfo.get('classes')
        predictions = DumpPredictions(out, classes, isinstance(head, MultiLabelClsHead))
        runner.test_evaluator.metrics.append(predictions)
    with exhaustion_named():
        metrics = runner.test()
    if out and is_main_process():
        try:
            predictions.write() if predictions else _write_metrics(metrics, out)
        except Exception:  # a full disk must not take the figures with it
            runner.logger.error(f'{out} was not written; the metrics are\n{as_text(metrics)}')
            raise
    return metrics


def _write_metrics(metrics: dict, out: str) -> None:
    """Write metrics to a file, in any other format than pickle as plain numbers and lists."""
    if not out.endswith(('.pkl', '.pickle')):
        metrics = as_plain(metrics)
    with atomic_write(out) as part:
        mmengine.dump(metrics, str(part))


def _head_of(model: nn.Module) -> nn.Module | None:
    """Return the head of a classifier, also if the model is for test-time augmentation."""
    return getattr(model.module if isinstance(model, BaseTTAModel) else model, 'head', None)


def _speed_up(dataset: object, dataset_cfg: dict) -> None:
    """Let a dataset of many images use a faster pipeline, which makes the same images."""
    if isinstance(dataset, BaseDataset) and len(dataset) >= MANY_IMAGES:
        # TestTimeAug looks its own transforms up in the default scope.
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset.pipeline = Compose([TRANSFORMS.build(step) for step in
                                        faster_pipeline(dataset_cfg.get('pipeline', ()))])


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
