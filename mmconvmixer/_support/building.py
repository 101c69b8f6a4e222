"""Errors in a config that show only when a part of the run is built from it."""
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from mmconvmixer.errors import BadConfig, MMConvMixerError

_PACKAGES = {'mmengine', 'mmpretrain', 'mmcv', 'mmconvmixer', 'torch', 'torchvision', 'numpy',
             *sys.stdlib_module_names}


@contextmanager
def building(what: str) -> Iterator[None]:
    """Turn the error of a constructor that a config's value or key causes into BadConfig.

    Errors in a user's own code keep their traceback.

    Args:
        what: the part of the config that is built, for the message.
    """
    try:
        yield
    except MMConvMixerError:
        raise
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, AssertionError,
            NotImplementedError) as error:
        if not _is_ours(error.__traceback__):
            raise
        reason = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise BadConfig(f'{what} of the config cannot be built: {type(error).__name__}: '
                        f'{str(reason)[:400]}') from error


def _is_ours(traceback: TracebackType | None) -> bool:
    """Whether an error comes from the packages that a config is for, not from a user's code."""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get('__name__', '')
        if name.split('.')[0] not in _PACKAGES:
            return False
        traceback = traceback.tb_next
    return True
