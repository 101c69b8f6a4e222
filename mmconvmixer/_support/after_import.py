"""Call a function as soon as a module is imported, without importing it."""
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def after_import(name: str, action: Callable[[ModuleType], None]) -> Callable[[], bool]:
    """Call `action(module)` right after the module's import, or now if that is past.

    The action is called once: a module that is reloaded later is left alone.

    Args:
        name: of a module in a package, such as 'mmpretrain.registry'. The module counts
            as imported if the package is: it is imported then.
        action: called before the statement that imports the module returns.

    Returns:
        A function that cancels the action, and returns whether it was still waiting.
    """
    finder = _Finder(name, action)
    sys.meta_path.insert(0, finder)
    # Another thread may be importing the package. Either it has not looked for the
    # module yet and will find it by the finder, or the next line waits for it.
    if sys.modules.get(name.partition('.')[0]) is not None:  # None blocks an import
        finder.act(import_module(name))
    return finder.cancel


class _Finder(MetaPathFinder):
    """Finds one module as the other finders do, and learns when it has been executed."""

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
        """Take this finder away and call its action, unless another thread has."""
        if self.cancel():
            self.action(module)

    def cancel(self) -> bool:
        """Take this finder away; return whether it was still waiting."""
        try:
            sys.meta_path.remove(self)
        except ValueError:
            return False
        return True


class _Loader(Loader):
    """Stands for another loader until the module is executed, then leaves no trace."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        # For those who only ask for the spec: get_source, get_code, is_package.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        # Somebody may execute a private copy; what counts is what others import.
        if sys.modules.get(self._finder.name) is module:
            self._finder.act(module)
