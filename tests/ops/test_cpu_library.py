"""The kernels for a CPU are compiled once, and what is missing for that is said."""
import stat
import subprocess

import pytest
import torch

from mmconvmixer.errors import FusedKernelsUnavailable, OutputNotWritable
from mmconvmixer.models import ConvMixer
from mmconvmixer.ops import kernels, reference
from mmconvmixer.ops.fused.cpu_kernels import call, library

SIZES = dict(embed_dims=8, depth=1, patch_size=1, kernel_size=3)


@pytest.fixture(autouse=True)
def not_loaded_yet(monkeypatch, tmp_path):
    """Begin without a library, and with an empty cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    library.library.cache_clear()
    kernels.missing_cpp.cache_clear()
    yield
    library.library.cache_clear()
    kernels.missing_cpp.cache_clear()


def compiler(path, script):
    """A program in the place of a C++ compiler."""
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


def test_a_second_process_takes_what_the_first_has_compiled(tmp_path, capfd):
    library.library()
    assert capfd.readouterr().err == 'compiling the kernels for this processor, once\n'
    assert [path.suffix for path in (tmp_path / 'cache/mmconvmixer').iterdir()] == ['.so']
    library.library.cache_clear()
    library.library()
    assert capfd.readouterr().err == ''


def test_another_compiler_or_processor_gets_a_file_of_its_own(tmp_path, monkeypatch):
    first = library._key('c++')
    monkeypatch.setattr(library, '_processor', lambda: 'flags: none')
    assert library._key('c++') != first
    monkeypatch.undo()
    assert library._key(compiler(tmp_path / 'mine', 'echo version 1')) != first


def test_without_a_compiler_plain_pytorch_trains(monkeypatch):
    monkeypatch.delenv('CXX', raising=False)
    monkeypatch.setenv('PATH', '')
    assert kernels.missing(torch.device('cpu')) == \
        'a C++ compiler (g++ or clang++, or the one in $CXX)'
    said = []
    monkeypatch.setattr('mmconvmixer.models.convmixer._log', said.append)
    model = ConvMixer(SIZES)
    model(torch.randn(2, 3, 32, 32))[0].sum().backward()
    assert model.stem[0].weight.grad.isfinite().all()
    assert said == ['ConvMixer trains in plain PyTorch; to train faster, it needs a C++ compiler '
                    '(g++ or clang++, or the one in $CXX)']
    with pytest.raises(FusedKernelsUnavailable, match=r"needs a C\+\+ compiler.*impl='auto'"):
        ConvMixer(SIZES, impl='fused')(torch.randn(2, 3, 32, 32))


def test_what_a_failing_compiler_says_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv('CXX', compiler(tmp_path / 'cxx', 'echo "error: no -fopenmp" >&2; exit 1'))
    assert 'what ' + str(tmp_path / 'cxx') + ' said: error: no -fopenmp' in \
        kernels.missing(torch.device('cpu'))
    assert list((tmp_path / 'cache').rglob('*.so')) == []


def test_where_no_cache_folder_can_be_made_each_process_compiles(tmp_path):
    (tmp_path / 'cache').write_text('a file')
    assert library.library().group_channels() == 64


def test_a_user_without_a_home_folder_has_no_cache_folder(monkeypatch):
    """As in a container with the number of a user that it does not know."""
    def fails():
        raise RuntimeError('Could not determine home directory.')
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setattr(library.Path, 'home', fails)
    with pytest.raises(OutputNotWritable, match='there is no cache folder'):
        library._cache_folder()


@pytest.mark.parametrize('lanes', [4, 16])
def test_vectors_of_other_processors_give_the_same_results(lanes, monkeypatch):
    """Wider or narrower vectors than this processor's are made of several or of a part."""
    torch.manual_seed(0)
    x = torch.randn(3, 70, 6, 11, requires_grad=True)
    weights = [torch.randn(shape, requires_grad=True) for shape in (
        (70, 1, 5, 5), 70, 70, 70, (70, 70, 1, 1), 70, 70, 70)]

    def results():
        from mmconvmixer.ops import fused
        out = fused.block(x, reference.BlockWeights(*weights),
                          reference.BlockOptions(1e-5, 1e-5, 'gelu')).out
        return [out, *torch.autograd.grad(out, [x, *weights], torch.ones_like(out))]
    own = results()
    monkeypatch.setattr(library, '_FLAGS', [*library._FLAGS, f'-DLANES={lanes}'])
    library.library.cache_clear()
    for other, expected in zip(results(), own, strict=True):
        assert (other - expected).abs().max() <= 1e-4 * (1 + expected.abs().max())


@pytest.mark.parametrize('tensor', [torch.zeros(4, dtype=torch.float64), torch.zeros(8)[::2]])
def test_only_contiguous_float32_reaches_the_kernels(tensor):
    with pytest.raises(TypeError, match='contiguous tensors in float32'):
        call.call('moments', tensor)


SUMS = '''
import torch
from mmconvmixer.ops import fused
x, kernel = torch.randn(5, 70, 9, 9, requires_grad=True), torch.randn(70, 1, 5, 5).requires_grad_()
vector, grad = torch.randn(70), torch.randn(5, 70, 9, 9)
for threads in 1, 2, 3:
    torch.set_num_threads(threads)
    y = fused.depthwise_conv(x, kernel, vector)
    out = fused.act_norm(y, vector, vector, 1e-5, 'gelu')[0]
    results = out, *torch.autograd.grad(out, [x, kernel], grad)
    print(*(each.double().sum().item().hex() for each in results))
'''


def test_results_do_not_depend_on_the_number_of_threads(torch_python):
    """Sums are taken over parts of a fixed size, and joined in a fixed order."""
    done = subprocess.run([torch_python, '-c', SUMS], check=True, capture_output=True, text=True)
    with_1, with_2, with_3 = done.stdout.splitlines()
    assert with_1 == with_2 == with_3
