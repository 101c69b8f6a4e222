"""mmengine's Runner with errors that name the part of a config they are in."""
import functools
from collections.abc import Callable
from typing import Any

from mmengine.runner import Runner

from mmconvmixer._support.building import building


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
    build_logger = _reported('log_level', Runner.build_logger)
    build_log_processor = _reported('log_processor', Runner.build_log_processor)
    build_visualizer = _reported('visualizer', Runner.build_visualizer)
    register_default_hooks = _reported('default_hooks', Runner.register_default_hooks)
    register_custom_hooks = _reported('custom_hooks', Runner.register_custom_hooks)
