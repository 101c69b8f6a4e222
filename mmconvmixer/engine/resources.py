"""One line for a run that the system has no memory or file handles for."""
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from mmconvmixer._support.resources import exhausted, out_of
from mmconvmixer.errors import MMConvMixerError


@contextmanager
def exhaustion_named() -> Iterator[None]:
    """Turn an error for want of resources into one line that says what to do.

    Raises:
        OutOfResources: the block failed for that reason.
    """
    try:
        yield
    except MMConvMixerError:
        raise
    except Exception as error:
        what = exhausted(error)
        if what is None:
            raise
        _forget_incomplete_loaders(error)
        raise out_of(what, error) from error


def _forget_incomplete_loaders(error: BaseException) -> None:
    """Keep iterators that could not be made from failing again when they are taken down."""
    traceback = error.__traceback__
    while traceback is not None:
        own = traceback.tb_frame.f_locals.get('self')
        if isinstance(own, _MultiProcessingDataLoaderIter) and not hasattr(own, '_workers_status'):
            own._shutdown = True
        traceback = traceback.tb_next
