"""What a checkpoint holds of mmengine's log histories."""
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import HistoryBuffer

from mmconvmixer.checkpoints.readers.torch_file import STATISTICS


@contextmanager
def only_own_statistics() -> Iterator[None]:
    """Keep statistics that others registered in `HistoryBuffer` out of what is pickled.

    Each buffer's pickle names them all, and a reader that runs no code refuses functions
    that it does not know: the run could not be resumed. They are registered there anyway.
    """
    registered = HistoryBuffer()._statistics_methods
    HistoryBuffer._statistics_methods = {name: registered[name] for name in STATISTICS}
    try:
        yield
    finally:
        HistoryBuffer._statistics_methods = registered
