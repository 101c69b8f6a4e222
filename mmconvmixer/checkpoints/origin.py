"""With which config a checkpoint was trained, for messages about what does not fit it."""
from collections.abc import Mapping
from pathlib import Path


def origin_of(checkpoint: Mapping, path: str | Path) -> str:
    """Return a sentence that names the config of a checkpoint's run, '' if it is not known.

    A run writes its config, with all changes made by options such as `--data`, into its work
    dir. The config's text in the checkpoint is not loaded: it could name any function.

    Args:
        checkpoint: what `read_checkpoint` returned.
        path: of its file.
    """
    meta = checkpoint.get('meta')
    if not isinstance(meta, Mapping):
        return ''
    recorded = meta.get('config_file')
    if not isinstance(recorded, str) or not recorded.endswith('.py'):
        return ''
    name = Path(recorded).name[-100:]
    beside = Path(path).parent / name
    if beside.is_file():
        return f'It was trained with {beside}; use that config'
    command = meta.get('command')
    if isinstance(command, str) and '--data' in command:
        return (f'It was trained on images of its own (--data); use the config that its run wrote '
                f'into its work dir, as in work_dirs/RUN/{name}')
    return f'It was trained with {recorded[-200:]}'
