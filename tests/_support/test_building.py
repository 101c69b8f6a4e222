import pytest
import torch
from mmengine.registry import Registry

from mmconvmixer._support.building import building
from mmconvmixer.errors import BadConfig, DatasetNotFound


def test_an_option_that_a_class_lacks_is_one_line():
    registry = Registry('toys')
    registry.register_module(module=torch.nn.Linear)
    said = 'the toy of the config cannot be built: TypeError: .*biased'
    with pytest.raises(BadConfig, match=said), building('the toy'):
        registry.build(dict(type='Linear', in_features=1, out_features=1, biased=False))


def test_a_value_that_a_package_refuses_is_one_line():
    said = 'optim_wrapper of the config cannot be built: TypeError'
    with pytest.raises(BadConfig, match=said), building('optim_wrapper'):
        torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], betas=3)




@pytest.fixture(autouse=True)
def tests_are_mmengine(monkeypatch):
    """The call of a test stands for mmengine's."""
    monkeypatch.setitem(globals(), '__name__', 'mmengine.test')
    yield


def test_the_traceback_of_a_user_s_own_code_is_kept(monkeypatch):
    code = 'class Own:\n    def __init__(self):\n        self.value = None + 1\n'
    module = dict(__name__='their_package')
    exec(code, module)
    with pytest.raises(TypeError, match='NoneType'), building('custom_hooks'):
        module['Own']()


def test_errors_with_a_message_of_their_own_keep_it():
    with pytest.raises(DatasetNotFound, match='^gone$'), building('x'):
        raise DatasetNotFound('gone')
