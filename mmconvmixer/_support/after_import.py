"""Call a function as soon as a module is imported, without importing it."""
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def after_import(name: str, action: Callable[[ModuleType], None]) -> Callable[[], bool]:
    """Call `action(module)` right after the module is imported, or now if it already is.

    The action is called once; reloading the module does not call it again.

    Args:
        name: of a module in a package, such as 'mmpretrain.registry'. If its
            package is already imported, the module is imported now.
        action: called before the statement that imports the module returns.

    Returns:
        A function that cancels the action, and returns whether the action was still pending.
    """
    finder = _Finder(name, action)
    sys.meta_path.insert(0, finder)
    # Another thread may be importing the package. Either it has not looked for the
    # module yet and will find it by the finder, or the next line waits for it.
    if sys.modules.get(name.partition('.')[0]) is not None:  # None blocks an import
        finder.act(import_module(name))
    return finder.cancel


class _Finder(MetaPathFinder):
    """Finds one module through the other finders, and wraps its loader."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]) -> None:
        self.name = name
        self.action = action

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        finders = list(sys.meta_path)
        if fullname != self.name or self not in finders:
            return None
        for finder in finders[finders.index(self) + 1:]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    def act(self, module: ModuleType) -> None:
        """Remove this finder and call its action, unless another thread already did."""
        if self.cancel():
            self.action(module)

    def cancel(self) -> bool:
        """Remove this finder; return whether its action was still pending."""
        try:
            sys.meta_path.remove(self)
        except ValueError:
            return False
        return True


class _Loader(Loader):
    """Wraps a loader; calls the action and restores the loader once the module is executed."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        # Tools that inspect the spec use get_source, get_code and is_package.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        # A private copy of the module, not in sys.modules, does not count as the import.
        if sys.modules.get(self._finder.name) is module:
            self._finder.act(module)
