"""Errors in a config that show only when a part of the run is built from it."""
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from mmengine.runner import Runner

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


def _reported(what: str, method: Callable) -> Callable:
    """Return a method whose errors name the part of the config that it builds."""
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with building(what):
            return method(*args, **kwargs)
    return call


class BuildingRunner(Runner):
    """mmengine's Runner, whose errors name the part of the config that it fails to build."""

    build_train_loop = _reported('train_cfg or train_dataloader', Runner.build_train_loop)
    build_val_loop = _reported('val_cfg, val_dataloader or val_evaluator', Runner.build_val_loop)
    build_test_loop = _reported('test_cfg, test_dataloader or test_evaluator',
                                Runner.build_test_loop)
    build_optim_wrapper = _reported('optim_wrapper', Runner.build_optim_wrapper)
    build_param_scheduler = _reported('param_scheduler', Runner.build_param_scheduler)
    build_log_processor = _reported('log_processor', Runner.build_log_processor)
    build_visualizer = _reported('visualizer', Runner.build_visualizer)
    register_default_hooks = _reported('default_hooks', Runner.register_default_hooks)
    register_custom_hooks = _reported('custom_hooks', Runner.register_custom_hooks)


def _is_ours(traceback: TracebackType | None) -> bool:
    """Whether an error comes from the packages that a config is for, not from a user's code."""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get('__name__', '')
        if name.split('.')[0] not in _PACKAGES:
            return False
        traceback = traceback.tb_next
    return True
