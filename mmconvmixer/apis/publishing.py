"""Publish a training checkpoint: a small file that holds the weights and their metrics."""
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.registry import DefaultScope

from mmconvmixer._support.atomic_write import check_writable
from mmconvmixer.apis.evaluation import evaluate
from mmconvmixer.checkpoints import read_checkpoint, state_dict_of, write_checkpoint
from mmconvmixer.checkpoints.convert import rounded
from mmconvmixer.checkpoints.write import write_published
from mmconvmixer.config.portable import portable
from mmconvmixer.config.test_set import data_root_override
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.fingerprint import fingerprint
from mmconvmixer.engine.metrics import as_plain
from mmconvmixer.errors import BadConfig, CheckpointMismatch
from mmconvmixer.zoo import package_root
from mmconvmixer.zoo.config import config_path, load_config, require

# The keys of a training checkpoint's meta that say where it comes from.
ORIGIN = ('epoch', 'iter', 'seed', 'deterministic', 'processes', 'command', 'config_file', 'cfg',
          'environment', 'git_revision', 'data', 'mmengine_version', 'dataset_meta', 'converted')


def publish(checkpoint: str | Path, folder: str | Path, name: str, *,
            dtype: str = 'float32', config: str | None = None, data: str | None = None) -> Path:
    """Write the weights of a training run to a new file, with the metrics they reach.

    The rounded weights are evaluated on the config's test set. The file records the
    metrics and the fingerprint of the test set, so that `verify` can repeat this.

    Args:
        checkpoint: path of a training checkpoint.
        folder: folder for the file.
        name: start of the file's name; the first 8 digits of its sha256 follow.
        dtype: 'float32', 'float16' or 'bfloat16', for all floating-point weights.
        config: config with the test set; None for the one that the checkpoint names.
        data: folder of the test data; None for the config's.

    Returns:
        The path of the new file.

    Raises:
        MMConvMixerError: see `mmconvmixer.errors`.
    """
    source = read_checkpoint(checkpoint)
    trained = state_dict_of(source, str(checkpoint))
    weights = {key: rounded(key, value, dtype) for key, value in trained.items()}
    meta = source['meta'] if isinstance(source.get('meta'), dict) else {}
    meta = {key: meta[key] for key in ORIGIN if key in meta}
    test_config = config_of(meta.get('config_file'), config, checkpoint)
    check_writable(folder)
    with TemporaryDirectory() as scratch:
        path = Path(scratch, 'rounded.pth')
        # Messages about the file in this folder would name the wrong config.
        described = {key: value for key, value in meta.items() if key != 'config_file'}
        write_checkpoint(dict(state_dict=weights, meta=described), path)
        try:
            metrics, test_data = measure(test_config, path, data, same_classes=True)
        except (BadConfig, CheckpointMismatch) as error:
            text = getattr(error, 'without_option', str(error)).replace(str(path), str(checkpoint))
            if str(path) not in str(error):  # it is about something else
                raise
            raise type(error)(f'{text} (--config PATH). {trained.origin}') from error
    meta['published'] = dict(config_file=portable(test_config), metrics=metrics, data=test_data,
                             dtype=dtype)
    return write_published(dict(state_dict=weights, meta=meta), folder, name)


def measure(config: str | Path, checkpoint: Path, data: str | None,
            same_classes: bool = False) -> tuple[dict, dict]:
    """Return the metrics on a config's test set, and that set's fingerprint.

    Args:
        config: path of a config, or a model name.
        checkpoint: path of the weights.
        data: folder that replaces the test set's `data_root`.
        same_classes: see `evaluate`.

    Raises:
        MMConvMixerError: see `evaluate`.
    """
    cfg = load_config(config)
    require(cfg, 'test_dataloader')
    overrides = data_root_override(cfg, data) if data else {}
    cfg.merge_from_dict(overrides)
    # Windows cannot remove a folder with an open log file.
    with TemporaryDirectory(ignore_cleanup_errors=True) as logs:
        metrics = evaluate(config, checkpoint, work_dir=logs, overrides=overrides,
                           same_classes=same_classes)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return as_plain(metrics), fingerprint(build_dataset(cfg.test_dataloader.dataset))


def config_of(recorded: object, given: str | None, checkpoint: str | Path) -> Path:
    """Return the path of the config that a checkpoint's metrics belong to.

    Loading a config runs it, and checkpoints may come from strangers: only a path of one
    of this package's own configs is accepted from a checkpoint.

    Args:
        recorded: the path of a config that the checkpoint names.
        given: path or model name that the user gave; it takes precedence.
        checkpoint: name of the checkpoint, for messages.

    Raises:
        BadConfig: the checkpoint names no config of this package.
    """
    if given is not None:
        return config_path(given)
    configs = (package_root() / 'configs').resolve()
    if isinstance(recorded, str):
        path = package_root() / recorded
        # os.path takes names that are too long for a file for missing ones; Path fails.
        if os.path.isfile(path) and path.resolve().is_relative_to(configs):
            return path.resolve()
    raise BadConfig(f'{checkpoint} names {recorded or "no config"}, which is not one of this '
                    "package's configs; give config (--config PATH)")
