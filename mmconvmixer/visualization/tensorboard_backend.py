"""TensorBoard where it is installed."""
import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.visualization import TensorboardVisBackend as MMEngineTensorboardVisBackend

from mmconvmixer.errors import MissingPackage


class TensorboardVisBackend(MMEngineTensorboardVisBackend):
    """mmengine's, that can do without the package.

    It also writes nothing before the first figure or image, so that tests leave
    no empty event files, shows each figure at once rather than after two
    minutes, and does not load TensorFlow, which TensorBoard would where it is
    installed: seconds and hundreds of MB to write a file.

    Args:
        save_dir: for the event files.
        required: False writes nothing, and says nothing, without tensorboard.

    Raises:
        MissingPackage: it is required and not installed.
    """

    def __init__(self, save_dir: str, required: bool = True):
        super().__init__(save_dir)
        self._config: Config | None = None
        self._off = importlib.util.find_spec('tensorboard') is None
        self._required = required
        if self._off and required:
            raise MissingPackage(
                'TensorboardVisBackend needs tensorboard, which is not installed: pip install '
                'tensorboard, or give the backend required=False to go without')

    def _init_env(self) -> None:
        if self._off:
            return
        try:
            _leave_out_tensorflow()
            super()._init_env()
        except Exception as error:
            if self._required:
                raise
            # A package that nobody asked for and that is broken is no reason to end a run.
            print_log(f'tensorboard is installed but can not be used: {type(error).__name__}: '
                      f'{error}', 'current', logging.WARNING)
            self._off = True
            return
        if self._config is not None:
            # Indented, Markdown shows it as it is.
            self._tensorboard.add_text('config', '    ' + self._config.pretty_text.replace(
                '\n', '\n    '))

    def _ready(self) -> bool:
        if not self._env_initialized:
            self._init_env()
            self._env_initialized = True
        return not self._off

    def add_config(self, config: Config) -> None:
        self._config = config

    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        if self._ready():
            super().add_image(name, image, step)

    def add_scalar(self, name: str, value: Any, step: int = 0) -> None:
        if self._ready():
            super().add_scalar(name, value, step)

    def add_scalars(self, scalar_dict: dict, step: int = 0,
                    file_path: str | None = None) -> None:
        if self._ready():
            super().add_scalars(scalar_dict, step, file_path)
            self._tensorboard.flush()


def _leave_out_tensorflow() -> None:
    if 'tensorflow' not in sys.modules:
        # tensorboard's own switch: with this module it uses its stub of TensorFlow.
        name = 'tensorboard.compat.notf'
        sys.modules.setdefault(name, ModuleType(name))
