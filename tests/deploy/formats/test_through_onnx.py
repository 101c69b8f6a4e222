"""The formats that other projects' converters make of an ONNX file, in their own runtimes."""
import pytest

from mmconvmixer.deploy import FORMATS, export
from mmconvmixer.deploy.formats import load_format


@pytest.mark.parametrize('features', [False, True])
@pytest.mark.parametrize('network', ['GELU', 'ReLU', 'mixer'])
@pytest.mark.parametrize('format', ['mnn', 'ncnn'])
def test_the_runtime_computes_what_torch_computes(
        convmixer, mixer, tmp_path, format, network, features):
    for package in FORMATS[format].packages:
        pytest.importorskip(package)
    model = mixer() if network == 'mixer' else convmixer(network, depth=2)
    out = tmp_path / f'net{load_format(format).SUFFIX}'
    check = export(model, format, out, features=features)['check']
    assert check['images'] == 8
    assert check['max_difference'] < 1e-5 * check['largest']
