"""From a training checkpoint to a small file for others, with its own figures measured."""
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmconvmixer._support.atomic_write import check_writable
from mmconvmixer.apis.evaluation import evaluate
from mmconvmixer.checkpoints import read_checkpoint, state_dict_of, write_checkpoint
from mmconvmixer.checkpoints.convert import rounded
from mmconvmixer.checkpoints.write import write_published
from mmconvmixer.config.portable import portable
from mmconvmixer.datasets.build import build_dataset
from mmconvmixer.datasets.fingerprint import fingerprint
from mmconvmixer.engine.metrics import as_plain
from mmconvmixer.errors import BadConfig
from mmconvmixer.zoo import package_root
from mmconvmixer.zoo.config import config_path, load_config, require

# What a training checkpoint says of where it comes from.
ORIGIN = ('epoch', 'iter', 'seed', 'deterministic', 'processes', 'command', 'config_file', 'cfg',
          'environment', 'git_revision', 'data', 'mmengine_version', 'dataset_meta', 'converted')


def publish(checkpoint: str | Path, folder: str | Path, name: str, *,
            dtype: str = 'float32', config: str | None = None, data: str | None = None) -> Path:
    """Write the weights of a training run, with the figures that they reach.

    The rounded weights are evaluated on the config's test set, and the metrics
    go into the file with the fingerprint of that set: `verify` repeats it.

    Args:
        checkpoint: what the run wrote.
        folder: where the file goes.
        name: the beginning of its name; the first 8 of its sha256 follow.
        dtype: 'float32', 'float16' or 'bfloat16', of every weight that is no
            whole number.
        config: whose test set; None for the one that the checkpoint names.
        data: folder of the test data; None for the config's.

    Returns:
        The path written.

    Raises:
        MMConvMixerError: see `mmconvmixer.errors`.
    """
    source = read_checkpoint(checkpoint)
    weights = {key: rounded(key, value, dtype)
               for key, value in state_dict_of(source, str(checkpoint)).items()}
    meta = source['meta'] if isinstance(source.get('meta'), dict) else {}
    meta = {key: meta[key] for key in ORIGIN if key in meta}
    config = config_of(meta.get('config_file'), config, checkpoint)
    check_writable(folder)
    with TemporaryDirectory() as scratch:
        path = Path(scratch, 'rounded.pth')
        write_checkpoint(dict(state_dict=weights, meta=meta), path)
        metrics, test_data = measure(config, path, data)
    meta['published'] = dict(config_file=portable(config), metrics=metrics, data=test_data,
                             dtype=dtype)
    return write_published(dict(state_dict=weights, meta=meta), folder, name)


def measure(config: str | Path, checkpoint: Path, data: str | None) -> tuple[dict, dict]:
    """Return the metrics on a config's test set, and that set's fingerprint.

    Args:
        config: path or model name.
        checkpoint: weights.
        data: folder that replaces the test set's `data_root`.
    """
    cfg = load_config(config)
    require(cfg, 'test_dataloader')
    overrides = data_root_override(cfg, data) if data else {}
    cfg.merge_from_dict(overrides)
    # An open log file keeps Windows from removing the folder.
    with TemporaryDirectory(ignore_cleanup_errors=True) as logs:
        metrics = evaluate(config, checkpoint, work_dir=logs, overrides=overrides)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return as_plain(metrics), fingerprint(build_dataset(cfg.test_dataloader.dataset))


def data_root_override(cfg: Config, data: str) -> dict[str, str]:
    """Return the config change that makes `data` the folder of the test set."""
    key, dataset = 'test_dataloader.dataset', cfg.test_dataloader.dataset
    while 'dataset' in dataset:  # wrappers
        key, dataset = f'{key}.dataset', dataset.dataset
    if 'data_root' not in dataset:
        raise BadConfig(f'--data {data} was given, but the test set of {cfg.filename} '
                        f'({dataset.type}) is read from no folder; leave it out')
    return {f'{key}.data_root': data}


def config_of(recorded: object, given: str | None, checkpoint: str | Path) -> Path:
    """Return the config file that a checkpoint's figures belong to.

    To load a config is to run it, and a checkpoint may be a stranger's: of what
    it says, only the name of one of this package's own configs is used.

    Raises:
        BadConfig: the checkpoint names none of them.
    """
    if given is not None:
        return config_path(given)
    configs = (package_root() / 'configs').resolve()
    if isinstance(recorded, str):
        path = (package_root() / recorded).resolve()
        if path.is_file() and path.is_relative_to(configs):
            return path
    raise BadConfig(f'{checkpoint} names {recorded or "no config"}, which is none of this '
                    "package's configs; give --config PATH")
