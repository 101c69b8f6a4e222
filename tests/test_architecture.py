"""The package keeps the shape that CONTRIBUTING.md draws: imports run down, never up or around."""
import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'mmconvmixer'

# From the top to the bottom. Rooms of one level do not import each other.
LEVELS = [('__main__',), ('cli',), ('__init__',), ('registry',), ('apis',),
          ('deploy', 'visualization'), ('engine',), ('config',), ('datasets',), ('zoo',),
          ('checkpoints',), ('models',), ('ops',), ('_support',), ('errors', 'version')]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FILES = {'__init__.py', '__main__.py', 'errors.py', 'version.py', 'registry.py', 'py.typed',
         'GIT_REVISION'}  # a build writes the last


class Arrow(NamedTuple):
    """An import of one module of the package by another."""
    source: str
    target: str
    where: str

    @property
    def levels(self) -> tuple[int, int]:
        return LEVEL_OF.get(room_of(self.source), -1), LEVEL_OF.get(room_of(self.target), -1)

    def __str__(self) -> str:
        return f'{self.source} imports {self.target} ({self.where})'


def room_of(module: str) -> str:
    return f'{module}.__init__'.split('.')[1]


def arrows_of(package: Path) -> list[Arrow]:
    """Read every import, also those inside functions, which `where` calls lazy."""
    paths = {'.'.join(path.relative_to(package.parent).with_suffix('').parts)
             .removesuffix('.__init__'): path for path in sorted(package.rglob('*.py'))}
    arrows = []
    for module, path in paths.items():
        tree = ast.parse(path.read_text())
        lazy = {id(node) for function in ast.walk(tree)
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
                for node in ast.walk(function)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                # One dot is the package of the module, which for an __init__ is itself.
                dots = node.level - (path.name == '__init__.py')
                base = module.split('.')[:-dots or None] if node.level else []
                source = '.'.join([*base, *filter(None, [node.module])])
                names = [f'{source}.{alias.name}' for alias in node.names]
            else:
                continue
            for name in names:
                while name and name not in paths:  # a function or class lies in its module
                    name = name.rpartition('.')[0]
                if name:
                    arrows.append(Arrow(module, name, f'line {node.lineno}'
                                        + ', lazy' * (id(node) in lazy)))
    return arrows


def arrows_up(package: Path) -> list[str]:
    return [str(arrow) for arrow in arrows_of(package)
            if room_of(arrow.source) != room_of(arrow.target)
            and arrow.levels[0] >= arrow.levels[1]]


def circle(package: Path) -> list[str]:
    """The modules of one circle, or none."""
    graph: dict[str, set[str]] = {}
    for arrow in arrows_of(package):
        graph.setdefault(arrow.source, set()).add(arrow.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def loose_modules(package: Path) -> list[str]:
    """What lies in the package's folder and is neither a room nor one of the known files."""
    return sorted(path.name for path in package.iterdir()
                  if path.name not in {'__pycache__', '.mim'}
                  and path.name not in (LEVEL_OF if path.is_dir() else FILES))


@pytest.mark.parametrize('fault', [arrows_up, circle, loose_modules])
def test_the_package_has_no(fault):
    found = fault(PACKAGE)
    assert not found, '\n'.join(found)


SMALL_PACKAGE = {
    '__init__.py': 'from .zoo import index', 'errors.py': '',
    'zoo/__init__.py': 'from .index import find', 'zoo/index.py': 'from ..errors import Bad',
    'models/__init__.py': ''}


@pytest.fixture
def small_package(tmp_path):
    """Write a small package: `SMALL_PACKAGE` with some other files."""
    def build(files: dict[str, str]) -> Path:
        for name, text in {**SMALL_PACKAGE, **files}.items():
            path = tmp_path / 'mmconvmixer' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / 'mmconvmixer'
    return build


def test_a_sound_package_has_no_faults(small_package):
    package = small_package({})
    assert [(arrow.source, arrow.target) for arrow in arrows_of(package)] == [
        ('mmconvmixer', 'mmconvmixer.zoo.index'), ('mmconvmixer.zoo', 'mmconvmixer.zoo.index'),
        ('mmconvmixer.zoo.index', 'mmconvmixer.errors')]
    assert not arrows_up(package) and not circle(package) and not loose_modules(package)


@pytest.mark.parametrize(('code', 'target', 'where'), [
    ('import mmconvmixer.zoo.index', 'mmconvmixer.zoo.index', 'line 1'),
    ('from mmconvmixer.zoo.index import find', 'mmconvmixer.zoo.index', 'line 1'),
    ('from mmconvmixer import zoo', 'mmconvmixer.zoo', 'line 1'),
    ('from mmconvmixer import get_model', 'mmconvmixer', 'line 1'),
    ('from ..zoo import index', 'mmconvmixer.zoo.index', 'line 1'),
    ('def build():\n    from mmconvmixer import zoo', 'mmconvmixer.zoo', 'line 2, lazy')])
def test_an_arrow_up_is_found(small_package, code, target, where):
    assert arrows_up(small_package({'models/net.py': code})) == [
        f'mmconvmixer.models.net imports {target} ({where})']


def test_an_arrow_within_a_level_is_found(small_package):
    package = small_package({'deploy/a.py': 'import mmconvmixer.visualization.b',
                             'visualization/b.py': ''})
    assert len(arrows_up(package)) == 1


@pytest.mark.parametrize('code', ['import mmconvmixer.zoo', 'from mmconvmixer.zoo import get',
                                  'def f():\n    from mmconvmixer.zoo import find'])
def test_a_circle_is_found(small_package, code):
    found = circle(small_package({'zoo/index.py': code}))
    assert set(found) == {'mmconvmixer.zoo', 'mmconvmixer.zoo.index'}


@pytest.mark.parametrize('name', ['helpers.py', 'utils/__init__.py'])
def test_a_loose_module_is_found(small_package, name):
    assert loose_modules(small_package({name: ''})) == [name.split('/')[0]]
