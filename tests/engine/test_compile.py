import shutil

import pytest
import torch
from torch import nn

from mmconvmixer.checkpoints import read_checkpoint


@pytest.mark.skipif(not shutil.which('g++'), reason='torch.compile on a CPU needs g++')
def test_compile_from_the_config_trains_the_same_network(train, trained, tmp_path, monkeypatch):
    compiled = []
    compile_module = nn.Module.compile
    monkeypatch.setattr(nn.Module, 'compile', lambda self, *args, **kwargs: (
        compiled.append(type(self).__name__), compile_module(self, *args, **kwargs)))
    train(tmp_path, {'compile': True}, validate=False)
    assert compiled == ['ConvMixer']
    compiled_weights, eager_weights = (read_checkpoint(path)['state_dict']
                                       for path in (tmp_path / 'epoch_1.pth', trained))
    assert compiled_weights.keys() == eager_weights.keys()
    for key, value in eager_weights.items():
        # 75 steps apart by rounding only.
        torch.testing.assert_close(compiled_weights[key], value, rtol=0.05, atol=5e-3)


def test_compile_options_reach_torch_and_false_compiles_nothing(train, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(nn.Module, 'compile', lambda self, **options: calls.append(options))
    train(tmp_path / 'a', {'compile': dict(backend='eager')}, validate=False)
    train(tmp_path / 'b', {'compile': False}, validate=False)
    assert calls == [dict(backend='eager')]
