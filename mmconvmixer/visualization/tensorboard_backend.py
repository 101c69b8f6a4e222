"""TensorBoard, if it is installed."""
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
    """mmengine's backend, but it also works without the package.

    It writes nothing before the first figure or image, so that test runs leave no empty
    event files, and it flushes each figure at once instead of after two minutes. It does
    not load TensorFlow, which TensorBoard does where TensorFlow is installed, and which
    takes seconds and hundreds of MB.

    Args:
        save_dir: folder for the event files.
        required: if False, a missing tensorboard is ignored silently.

    Raises:
        MissingPackage: tensorboard is required and not installed.
    """

    def __init__(self, save_dir: str, required: bool = True) -> None:
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
            _avoid_tensorflow()
            super()._init_env()
        except Exception as error:
            if self._required:
                raise
            # A broken package must not end a run that did not ask for it.
            print_log(f'tensorboard is installed but cannot be used: {type(error).__name__}: '
                      f'{error}', 'current', logging.WARNING)
            self._off = True
            return
        if self._config is not None:
            # Markdown shows indented text verbatim.
            self._tensorboard.add_text('config', '    ' + self._config.pretty_text.replace(
                '\n', '\n    '))

    def _ready(self) -> bool:
        if not self._env_initialized:
            self._init_env()
            self._env_initialized = True
        return not self._off

    def add_config(self, config: Config) -> None:
        """Keep the config for the first event file."""
        self._config = config

    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        """Write an image (H, W, 3)."""
        if self._ready():
            super().add_image(name, image, step)

    def add_scalar(self, name: str, value: Any, step: int = 0) -> None:
        """Write one figure."""
        if self._ready():
            super().add_scalar(name, value, step)

    def add_scalars(self, scalar_dict: dict, step: int = 0,
                    file_path: str | None = None) -> None:
        """Write figures by name."""
        if self._ready():
            super().add_scalars(scalar_dict, step, file_path)
            self._tensorboard.flush()


def _avoid_tensorflow() -> None:
    if 'tensorflow' not in sys.modules:
        # tensorboard's own switch: if this module exists, it uses its stub of TensorFlow.
        name = 'tensorboard.compat.notf'
        sys.modules.setdefault(name, ModuleType(name))
