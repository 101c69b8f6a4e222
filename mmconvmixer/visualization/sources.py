"""Find the config and the weights of what a user names: a model, a run or a checkpoint."""
import os
from pathlib import Path

from mmconvmixer.checkpoints import is_checkpoint
from mmconvmixer.checkpoints.latest import LAST, latest_checkpoint
from mmconvmixer.checkpoints.run_record import RECORD
from mmconvmixer.errors import BadConfig, CheckpointNotFound
from mmconvmixer.zoo import find_by_checkpoint


def source_of(model: str, checkpoint: str | None = None) -> tuple[str, str | None]:
    """Return a config (a path or a name) and a checkpoint, None for the zoo's weights of both.

    Args:
        model: a model name, the path of a `.py` config, the work dir of a run, whose newest
            checkpoint counts, or a checkpoint in a work dir. A copy of published weights
            belongs to the model that they were published for.
        checkpoint: path, URL or model name of other weights.

    Raises:
        BadConfig: a folder or a checkpoint has no config beside it.
        CheckpointNotFound: a run has no checkpoint yet.
    """
    path = Path(model)
    if os.path.isdir(path) and not is_checkpoint(path):
        config = _config_in(path)
        if config is None:
            raise BadConfig(f'{model} is a folder without the config of a run; give the work dir '
                            'of a run, a model name, or a config and --checkpoint')
        latest = checkpoint or latest_checkpoint(path)
        if latest is None:
            raise CheckpointNotFound(f'{model} has no complete checkpoint yet; give one with '
                                     '--checkpoint')
        return str(config), str(latest)
    if checkpoint is None and path.suffix != '.py' and is_checkpoint(path):
        if config := _config_in(path.absolute().parent):
            return str(config), model
        entry = find_by_checkpoint(model, path)
        if entry is None:
            raise BadConfig(f'{model} is a checkpoint without the config of its run beside it; '
                            'give the config, and this file with --checkpoint')
        return entry.name, model
    return model, checkpoint


def _config_in(folder: Path) -> Path | None:
    """Return the config of the run in a folder; None if that is not the folder of a run.

    A config is a program: no other file is taken for one because it lies there alone.
    """
    is_run = any(Path(folder, name).is_file() for name in (RECORD, LAST))
    configs = sorted(folder.glob('*.py')) if is_run else []
    return configs[0] if len(configs) == 1 else None
