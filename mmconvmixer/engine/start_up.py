"""What mmengine does at the start of every run, done once or only when it is needed."""
import numpy as np
from mmengine.config import Config
from mmpretrain.visualization import UniversalVisualizer


class FormattedOnce(Config):
    """A config that keeps its formatted text until it changes.

    mmengine asks for the text four times, and yapf takes a tenth of a second each time.
    """

    @classmethod
    def of(cls, cfg: Config) -> 'FormattedOnce':
        """Return a config of this class with the contents of another; they are not copied."""
        made = cls.__new__(cls)
        made.__setstate__(cfg.__getstate__())
        return made

    @property
    def pretty_text(self) -> str:
        """The config as formatted Python code."""
        content = repr(self._cfg_dict)
        if self.__dict__.get('_formatted', ('', ''))[0] != content:
            self.__dict__['_formatted'] = content, super().pretty_text
        return self.__dict__['_formatted'][1]


class LazyVisualizer(UniversalVisualizer):
    """mmpretrain's visualizer, which imports Matplotlib when it gets an image to draw on."""

    def _initialize_fig(self, _fig_cfg: dict) -> tuple:
        """Create the figure only in `set_image`."""
        return None, _NoFigure, None

    def set_image(self, image: np.ndarray) -> None:
        """Set the image (H, W, 3), RGB uint8, to draw on."""
        if self.fig_save is _NoFigure:
            self.fig_save_canvas, self.fig_save, self.ax_save = super()._initialize_fig(
                self.fig_save_cfg)
            self.dpi = self.fig_save.get_dpi()
        super().set_image(image)


class _NoFigure:
    """Stands in for a figure until there is one."""

    @staticmethod
    def get_dpi() -> None:
        """Return nothing; `Visualizer.__init__` asks for it."""
