import importlib
import importlib.util
import inspect
import sys
import threading

import pytest

from mmconvmixer._support.after_import import after_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module, in a package on sys.path, that is not imported yet."""
    package = tmp_path / f'toy_{tmp_path.name}'.replace('-', '_')
    package.mkdir()
    for name in ('__init__', 'part'):
        (package / f'{name}.py').write_text('import time\ntime.sleep(0.05)\nvalue = 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    yield f'{package.name}.part'
    for name in (package.name, f'{package.name}.part'):
        sys.modules.pop(name, None)


def test_the_action_follows_the_import_once_and_leaves_no_trace(module):
    finders, seen = list(sys.meta_path), []
    after_import(module, lambda module: seen.append(module.value))
    assert seen == [] and module.partition('.')[0] not in sys.modules
    imported = importlib.import_module(module)
    assert seen == [1]
    assert sys.meta_path == finders
    assert type(imported.__loader__).__module__.endswith('_frozen_importlib_external')
    assert imported.__spec__.loader is imported.__loader__
    assert 'value = 1' in inspect.getsource(imported)
    importlib.reload(imported)
    assert seen == [1]


def test_of_a_module_that_is_imported_it_follows_at_once(module):
    importlib.import_module(module)
    seen = []
    after_import(module, seen.append)
    assert seen == [sys.modules[module]]


def test_of_a_package_that_is_imported_it_imports_the_module(module):
    importlib.import_module(module.partition('.')[0])
    seen = []
    after_import(module, seen.append)
    assert seen == [sys.modules[module]]


def test_it_can_be_cancelled(module):
    finders, seen = list(sys.meta_path), []
    cancel = after_import(module, seen.append)
    assert cancel()
    importlib.import_module(module)
    assert seen == [] and sys.meta_path == finders
    assert not cancel()


def test_who_asks_for_the_spec_gets_one_that_works(module):
    seen = []
    after_import(module, seen.append)
    spec = importlib.util.find_spec(module)
    assert 'value = 1' in spec.loader.get_source(module)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    assert copy.value == 1 and seen == []  # a private copy is not the module
    imported = importlib.import_module(module)
    assert seen == [imported]


def test_an_import_that_fails_is_not_one(module, tmp_path):
    seen = []
    after_import(module, seen.append)
    path = tmp_path / (module.replace('.', '/') + '.py')
    good = path.read_text()
    path.write_text('raise ImportError("not today")')
    with pytest.raises(ImportError, match='not today'):
        importlib.import_module(module)
    assert seen == []
    path.write_text(good + '# a size of its own, for the cache of compiled files\n')
    importlib.import_module(module)
    assert len(seen) == 1


def test_an_error_of_the_action_is_not_hidden(module):
    def fail(module):
        raise ValueError('of the action')

    after_import(module, fail)
    with pytest.raises(ValueError, match='of the action'):
        importlib.import_module(module)


def test_a_module_that_is_not_there_is_an_import_error_as_always(module):
    after_import(f'{module}_missing', print)
    with pytest.raises(ModuleNotFoundError, match=f'{module}_missing'):
        importlib.import_module(f'{module}_missing')


def test_threads_that_import_and_ask_at_the_same_time_act_once_each(module):
    seen, barrier = [], threading.Barrier(8)

    def importer():
        barrier.wait()
        importlib.import_module(module)

    def asker():
        barrier.wait()
        after_import(module, seen.append)

    for _ in range(20):
        del seen[:]
        threads = [threading.Thread(target=target) for target in (importer, asker) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [sys.modules[module]] * 4
        for name in (module, module.partition('.')[0]):
            del sys.modules[name]
