"""Download weights from the Hugging Face hub."""
import logging
from pathlib import Path

from mmengine.logging import print_log

from mmconvmixer.checkpoints.hub_config import FILE as CONFIG
from mmconvmixer.checkpoints.read import HUB_FILES
from mmconvmixer.errors import CheckpointNotFound, DownloadError

# timm accepts both.
PREFIXES = ('hf-hub:', 'hf_hub:')


def fetch_from_hub(name: str) -> Path:
    """Return the local copy of a repository's weights; huggingface_hub downloads it.

    The repository's `config.json` is put beside it.

    Args:
        name: for example `hf-hub:timm/convmixer_768_32.in1k`, optionally with `@REVISION`.

    Raises:
        CheckpointNotFound: huggingface_hub is not installed, or the repository does not
            exist or has no weights.
        DownloadError: the hub can't be reached.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError as error:
        raise CheckpointNotFound(f'{name} needs huggingface_hub: pip install huggingface_hub, or '
                                 'give the path of a copy') from error
    repository, _, revision = name.split(':', 1)[1].partition('@')
    for file in HUB_FILES:
        try:
            path = Path(hf_hub_download(repository, file, revision=revision or None))
            break
        except LocalEntryNotFoundError as error:  # a subclass of EntryNotFoundError
            raise DownloadError(f'{name} could not be downloaded: {_line(error)}') from error
        except EntryNotFoundError:
            continue
        except (RepositoryNotFoundError, ValueError) as error:
            raise CheckpointNotFound(f'{name} is not on the hub: {_line(error)}') from error
        except Exception as error:  # of huggingface_hub or its HTTP library
            raise DownloadError(f'{name} could not be downloaded: {_line(error)}') from error
    else:
        raise CheckpointNotFound(f'{name} has no weights: expected {" or ".join(HUB_FILES)} in it')
    try:  # `read_checkpoint` looks for it beside the weights
        hf_hub_download(repository, CONFIG, revision=revision or None)
    except Exception as error:  # as above
        # timm writes one, but not everybody does.
        if isinstance(error, LocalEntryNotFoundError) or not isinstance(
                error, EntryNotFoundError | RepositoryNotFoundError):
            print_log(f'{name}: {CONFIG}, which says how images are prepared, could not be '
                      f'downloaded ({_line(error)}); they are prepared as in the model\'s own '
                      'config', 'current', logging.WARNING)
    return path


def _line(error: Exception) -> str:
    return ' '.join(str(error).split())[:200]
