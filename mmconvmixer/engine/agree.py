"""Decisions and errors that all processes of a run share."""
from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process

from mmconvmixer.errors import MMConvMixerError

Result = TypeVar('Result')


def by_first_process(function: Callable[[], Result]) -> Result:
    """Call a function in the first process; return its result, or raise its error, in all.

    Args:
        function: its result can be pickled.
    """
    answer: list[Any] = [None, None]
    if is_main_process():
        try:
            answer[0] = function()
        except MMConvMixerError as error:
            answer[1] = error
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def in_every_process(function: Callable[[], Result]) -> Result:
    """Call a function in every process; if it fails in one, raise its error in all.

    Otherwise the processes without an error would wait for the others.
    """
    answer: list[Result] = []
    error = None
    try:
        answer.append(function())
    except MMConvMixerError as caught:
        error = caught
    for rank, each in enumerate(all_gather_object(error)):
        if each is not None:
            raise type(each)(f'{each} (seen by process {rank})' if rank else str(each))
    return answer[0]
