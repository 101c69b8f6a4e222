import importlib
import subprocess
import sys
import threading

import mmpretrain
import mmpretrain.registry
import pytest
from mmpretrain.apis.model import ModelHub
from mmpretrain.models.backbones.convmixer import ConvMixer as PlainConvMixer
from mmpretrain.registry import MODELS

import mmconvmixer
from mmconvmixer import list_models
from mmconvmixer import registry as registration
from mmconvmixer.models import ConvMixer
from mmconvmixer.registry import ENTRIES, register, unregister


@pytest.fixture
def plain_mmpretrain():
    """Undo the registration for a test."""
    unregister()
    yield
    register()


def registered():
    return {(registry, name): getattr(mmpretrain.registry, registry).module_dict.get(name)
            for registry, name, _ in ENTRIES}


def test_every_class_of_the_table_is_found_in_its_registry():
    assert len(registered()) == len(ENTRIES)
    for registry, name, module in ENTRIES:
        cls = getattr(importlib.import_module(module), name)
        assert getattr(mmpretrain.registry, registry).get(name) is cls
        assert cls.__module__.startswith('mmconvmixer.') and cls.__name__ == name


def test_every_registry_that_gets_a_name_registers_before_its_first_lookup():
    for name, *_ in ENTRIES:
        watch = vars(getattr(mmpretrain.registry, name))['import_from_location']
        assert watch.func.__module__ == 'mmconvmixer.registry'


def test_registration_can_be_undone():
    MODELS.get('ConvMixer')
    package_classes, names = registered(), list_models()
    unregister()
    try:
        assert MODELS.get('ConvMixer') is PlainConvMixer
        assert 'convmixer-64-4_digits' not in mmpretrain.list_models()
        plain = registered()
        assert all(plain[key] is not cls for key, cls in package_classes.items())
        assert 'import_from_location' not in vars(MODELS)
    finally:
        register()
    assert MODELS.get('ConvMixer') is ConvMixer
    assert list_models() == names and 'convmixer-64-4_digits' in names
    assert registered() == package_classes


def test_what_was_not_there_before_is_not_there_afterwards(plain_mmpretrain):
    assert registered()['DATASETS', 'Digits'] is None
    assert registered()['MODELS', 'MlpMixer'].__module__.startswith('mmpretrain.')


def test_registering_twice_and_reloading_change_nothing():
    MODELS.get('ConvMixer')
    before, read, finders = registered(), ModelHub._register_mmpretrain_models, list(sys.meta_path)
    register()
    importlib.reload(mmconvmixer)
    assert registered() == before
    assert ModelHub._register_mmpretrain_models == read
    assert sys.meta_path == finders


def test_no_finder_is_left_behind(plain_mmpretrain):
    finders = list(sys.meta_path)
    register()
    assert sys.meta_path == finders


MODEL = 'print(type({}.get_model("convmixer-64-4_digits").backbone).__module__)'
CONFIG = '''
from mmengine.config import Config
cfg = Config.fromfile("config.py")
from mmpretrain.registry import MODELS
print(type(MODELS.build(cfg.model)).__module__)
'''
THREADS = '''
import threading
from importlib import import_module
threads = [threading.Thread(target=import_module, args=[name])
           for name in ("mmpretrain", "mmconvmixer", "mmpretrain.registry", "mmconvmixer")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
import mmpretrain
''' + MODEL.format('mmpretrain')


@pytest.mark.parametrize('code', [
    'import mmconvmixer, mmpretrain;' + MODEL.format('mmpretrain'),
    'import mmpretrain, mmconvmixer;' + MODEL.format('mmpretrain'),
    'import mmconvmixer;' + MODEL.format('mmconvmixer'),
    'import mmconvmixer; from mmpretrain import registry; '
    'print(registry.MODELS.get("ConvMixer").__module__)',
    'from mmpretrain.registry import MODELS; MODELS.get("ConvMixer"); import mmconvmixer; '
    'print(MODELS.module_dict["ConvMixer"].__module__)',
    'import mmconvmixer; from mmengine.registry import MODELS; '
    'print(MODELS.get("mmpretrain.ConvMixer").__module__)',
    'import mmconvmixer.models, mmpretrain;' + MODEL.format('mmpretrain'),
    CONFIG,
    THREADS,
], ids=['package first', 'mmpretrain first', 'package alone', 'registry only', 'after a lookup',
        'mmengine', 'submodule', 'custom_imports', 'threads'])
def test_the_order_of_imports_does_not_matter(code, tmp_path, torch_python):
    (tmp_path / 'config.py').write_text(
        'custom_imports = dict(imports=["mmconvmixer"])\n'
        'model = dict(type="ConvMixer", arch="768/32")\n')
    code += ('\nimport sys; print([finder for finder in sys.meta_path '
             'if "mmconvmixer" in type(finder).__module__])')
    run = subprocess.run([torch_python, '-W', 'ignore', '-c', code], cwd=tmp_path,
                         capture_output=True, text=True)
    assert run.stdout.splitlines()[-2:] == ['mmconvmixer.models.convmixer', '[]'], run.stderr


def test_pythons_own_ways_to_ask_for_a_module_still_work(torch_python):
    """`find_spec`, the source of a module and its loader, before and after the import."""
    code = '''
import importlib, importlib.util, inspect, sys, mmconvmixer
import mmengine.registry
spec = importlib.util.find_spec("mmpretrain.registry")
assert "mmpretrain.apis.model" in sys.modules and "mmpretrain.registry" in sys.modules
import mmpretrain.registry as registry
assert spec.loader.get_source(spec.name) == inspect.getsource(registry)
assert type(registry.__spec__.loader) is type(registry.__loader__) is type(spec.loader)
assert importlib.reload(mmconvmixer) is mmconvmixer
'''
    subprocess.run([torch_python, '-W', 'ignore', '-c', code], check=True)


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match='mmconvmixer.* no attribute .*get_modle'):
        mmconvmixer.get_modle  # noqa: B018
    assert {'get_model', 'Predictor', 'deploy', '__version__'} <= set(dir(mmconvmixer))
    assert all(getattr(mmconvmixer, name) for name in mmconvmixer.__all__)


def test_a_lookup_in_another_thread_waits_for_a_registration_to_end(
        plain_mmpretrain, monkeypatch):
    real, found, threads = MODELS.register_module, [], []

    def while_another_looks_up(*args, **options):
        if not threads:
            threads.append(threading.Thread(target=lambda: found.append(MODELS.get('ConvMixer'))))
            threads[0].start()
            threads[0].join(1)
        return real(*args, **options)
    monkeypatch.setattr(MODELS, 'register_module', while_another_looks_up)
    register()
    threads[0].join()
    assert found == [ConvMixer]


def test_an_interrupted_registration_is_not_taken_for_a_complete_one(
        plain_mmpretrain, monkeypatch):
    def fails(*args, **options):
        raise MemoryError
    with monkeypatch.context() as patch:
        patch.setattr(MODELS, 'register_module', fails)
        with pytest.raises(MemoryError):
            register()
    register()
    assert MODELS.get('ConvMixer') is ConvMixer


def test_a_failed_import_of_the_package_can_be_repeated(plain_mmpretrain, monkeypatch):
    def fails(*args):
        raise ImportError
    with monkeypatch.context() as patch:
        patch.setattr(registration, 'after_import', fails)
        with pytest.raises(ImportError):
            register()
    register()
    assert MODELS.get('ConvMixer') is ConvMixer
