"""Exports: each file computes in its own runtime what PyTorch computes, or is not written."""
import json
import os
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from PIL import Image

from mmconvmixer import Predictor, get_model
from mmconvmixer.checkpoints.hashes import sha256_of
from mmconvmixer.deploy import FORMATS, export
from mmconvmixer.deploy.formats import (
    load_format,
    onnx_self_contained,
    openvino_ir,
    torch_program,
)
from mmconvmixer.deploy.sample_images import sample_images
from mmconvmixer.errors import BadConfig, ExportMismatch, OutputNotWritable, UnknownOption

PLAIN = ['onnx', 'openvino', 'torch']


fuse = import_module('mmconvmixer.deploy.fuse')


@pytest.fixture(autouse=True)
def installed(request):
    wanted = request.node.callspec.params.get('format') if hasattr(
        request.node, 'callspec') else None
    for package in FORMATS[wanted].packages if wanted in FORMATS else ():
        pytest.importorskip(package)


def exported(model, format, folder, **options):
    """Export into `folder`; return the file and its record."""
    out = folder / f'net{load_format(format).SUFFIX}'
    return out, export(model, format, out, **options)


def random_images(count, size=32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, size, size)).astype(np.float32)


@pytest.mark.parametrize('family', ['convmixer', 'mixer'])
@pytest.mark.parametrize('format', PLAIN)
def test_any_number_of_images_has_the_same_logits(request, tmp_path, format, family):
    model = request.getfixturevalue(family)().eval()
    out, record = exported(model, format, tmp_path, dynamic_batch=True)
    assert record['check']['max_difference'] <= 1e-4 * record['check']['largest']
    assert record['check']['top1_agreement'] == 1
    run = load_format(format).reader(out)
    for count in (1, 3):
        images = random_images(count)
        with torch.no_grad():
            expected = model.head(model.extract_feat(torch.from_numpy(images))).numpy()
        np.testing.assert_allclose(run(images), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('format', PLAIN)
def test_features_are_pooled(convmixer, tmp_path, format):
    model = convmixer()
    out, record = exported(model, format, tmp_path, features=True)
    images = random_images(1)
    with torch.no_grad():
        expected, = model.extract_feat(torch.from_numpy(images))
    np.testing.assert_allclose(load_format(format).reader(out)(images), expected.numpy(),
                               rtol=1e-3, atol=1e-4)
    assert record['outputs']['features']['shape'][1] == 16
    assert 'top1_agreement' not in record['check']


@pytest.mark.parametrize('format', [*PLAIN, 'savedmodel'])
def test_a_feature_extractor_is_exported_without_the_option_features(tmp_path, format):
    torch.manual_seed(0)
    model = get_model('rishit-dagli/convmixer-768-32-fe/1',
                      backbone=dict(type='ConvMixer', arch='16/2-p32-k3'))
    out, record = exported(model, format, tmp_path)
    assert 'top1_agreement' not in record['check'] and not record.get('classes')
    images = random_images(1, 224)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(load_format(format).reader(out)(images), expected, rtol=1e-3,
                               atol=1e-5)


@pytest.mark.parametrize(('format', 'dtype'), [
    ('onnx', 'float16'), ('openvino', 'float16'), ('torch', 'float16'), ('torch', 'bfloat16')])
def test_smaller_weights_make_a_smaller_file(convmixer, tmp_path, format, dtype):
    model = convmixer()
    out, record = exported(model, format, tmp_path, dtype=dtype)
    assert 0 < record['check']['max_difference'] < 0.25 * record['check']['largest']
    assert list(record['inputs'].values())[0]['dtype'] == 'float32'
    whole, _ = exported(model, format, tmp_path / 'whole')
    weights = '.bin' if format == 'openvino' else out.suffix
    saved = whole.with_suffix(weights).stat().st_size - out.with_suffix(weights).stat().st_size
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert saved > 1.5 * parameters  # each is two bytes smaller


def test_an_onnx_file_is_checked_static_and_has_its_norms_folded(convmixer, tmp_path):
    onnx = pytest.importorskip('onnx')
    out, _ = exported(convmixer(), 'onnx', tmp_path)
    model = onnx.load(out)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {'BatchNormalization', 'If', 'Loop', 'Scan'}
    assert model.opset_import[0].version >= 17
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_a_static_file_takes_one_image(convmixer, tmp_path):
    out, record = exported(convmixer(), 'torch', tmp_path, dynamic_batch=False)
    assert record['inputs']['images']['shape'] == [1, 3, 32, 32]
    with pytest.raises(AssertionError, match='Guard failed'):
        torch_program.reader(out)(random_images(2))


@pytest.mark.parametrize('format', ['onnx', 'openvino'])
def test_a_self_contained_file_names_what_the_predictor_names(tmp_path, format):
    model = get_model('convmixer-64-4_digits', True)
    out, record = exported(model, format, tmp_path, self_contained=True, topk=3)
    assert record['check']['top1_agreement'] == 1
    run = load_format(format, self_contained=True).reader(out)
    predict = Predictor(model)
    for image in sample_images(3):
        names, scores = run(image)
        expected = predict(np.ascontiguousarray(image[..., ::-1]), topk=3)['pred_topk']
        assert names == [each['pred_class'] for each in expected]
        np.testing.assert_allclose(scores, [each['pred_score'] for each in expected], atol=1e-4)


@pytest.mark.parametrize('format', ['onnx', 'openvino'])
@pytest.mark.parametrize('resize', [
    dict(type='ResizeEdge', scale=36, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='ResizeEdge', scale=35, edge='short', backend='pillow'),
    dict(type='ResizeEdge', scale=36, edge='short', interpolation='bicubic'),
    dict(type='Resize', scale=(40, 36), interpolation='bilinear'),
    dict(type='Resize', scale=(40, 36), interpolation='area'),
])
def test_a_self_contained_file_resizes_and_crops_as_the_pipeline_does(
        convmixer, tmp_path, format, resize):
    model = convmixer()
    load, _, pack = model._config.test_dataloader.dataset.pipeline
    model._config.test_dataloader.dataset.pipeline = [
        load, resize, dict(type='CenterCrop', crop_size=32), pack]
    out, _ = exported(model, format, tmp_path, self_contained=True)
    run = load_format(format, self_contained=True).reader(out)
    predict = Predictor(model)
    for image in (*sample_images(3), sample_images(1)[0].transpose(1, 0, 2)):
        _, scores = run(np.ascontiguousarray(image))
        expected = predict(np.ascontiguousarray(image[..., ::-1]))
        assert scores[0] == pytest.approx(expected['pred_score'], abs=0.02)


def test_the_record_beside_the_file(tmp_path):
    out = tmp_path / 'net.pt2'
    record = export('convmixer-64-4_digits', 'torch', out)
    noted = json.loads(Path(f'{out}.json').read_text())
    assert noted == json.loads(json.dumps(record))
    assert noted['model'] == 'convmixer-64-4_digits'
    assert noted['weights'] == 'published'
    assert noted['inputs'] == {'images': dict(shape=['batch', 1, 8, 8], dtype='float32')}
    assert noted['outputs'] == {'logits': dict(shape=['batch', 10], dtype='float32')}
    assert noted['classes'] == [str(digit) for digit in range(10)]
    assert noted['preprocessing']['mean'] == [78.1]
    assert noted['preprocessing']['channels'] == 'GRAY'
    assert noted['files'] == {'net.pt2': sha256_of(out)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ['net.pt2', 'net.pt2.json']


def test_another_image_size(tmp_path):
    record = export('convmixer-64-4_digits', 'torch', tmp_path / 'net.pt2', image_size=12)
    assert record['inputs']['images']['shape'][2:] == [12, 12]


def test_a_difference_over_tolerance_keeps_the_old_files(convmixer, tmp_path, monkeypatch):
    out = tmp_path / 'net.pt2'
    out.write_bytes(b'the last one')
    reader = torch_program.reader
    monkeypatch.setattr(torch_program, 'reader',
                        lambda path: lambda images: 1.01 * reader(path)(images))
    with pytest.raises(ExportMismatch, match='outputs differ by up to'):
        export(convmixer(), 'torch', out)
    assert [path.name for path in tmp_path.iterdir()] == ['net.pt2']
    assert out.read_bytes() == b'the last one'


def test_a_fault_in_folding_is_detected(convmixer, tmp_path, monkeypatch):
    """The comparison is with the classifier itself, not with the folded network."""
    folded = fuse._affine_of
    monkeypatch.setattr(fuse, '_affine_of', lambda norm: [1.5 * part for part in folded(norm)])
    with pytest.raises(ExportMismatch):
        export(convmixer(), 'torch', tmp_path / 'net.pt2')


@pytest.mark.parametrize(('constant', 'wrong'), [
    ('_CHANNELS', {**onnx_self_contained._CHANNELS, 'RGB': onnx_self_contained._CHANNELS['BGR']}),
    ('_numbers', lambda values: '{7.0, 7.0, 7.0}')])
def test_a_fault_in_preparing_images_is_detected(
        convmixer, tmp_path, monkeypatch, constant, wrong):
    pytest.importorskip('onnxruntime')
    monkeypatch.setattr(onnx_self_contained, constant, wrong)
    with pytest.raises(ExportMismatch, match='raw images'):
        export(convmixer(), 'onnx', tmp_path / 'net.onnx', self_contained=True)


def test_a_self_contained_file_for_another_size(convmixer, tmp_path):
    pytest.importorskip('onnxruntime')
    record = export(convmixer(), 'onnx', tmp_path / 'net.onnx', self_contained=True,
                    image_size=40)
    assert record['preprocessing']['image_size'] == (40, 40)


@pytest.mark.parametrize('made', ['other head', 'no resize'])
def test_what_a_self_contained_file_cannot_express_is_refused(tmp_path, made):
    pytest.importorskip('onnxruntime')
    head = dict(type='MultiLabelLinearClsHead', num_classes=10, in_channels=64, _delete_=True)
    model = get_model('convmixer-64-4_digits', **(dict(head=head) if made == 'other head' else {}))
    if made == 'no resize':
        model._config.test_dataloader.dataset.pipeline[1] = dict(type='CenterCrop', crop_size=8)
    with pytest.raises(UnknownOption, match='self_contained'):
        export(model, 'onnx', tmp_path / 'net.onnx', self_contained=True)


def test_a_model_in_training_mode_is_not_changed(convmixer, tmp_path):
    model = convmixer().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    export(model, 'torch', tmp_path / 'net.pt2')
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_options_for_a_built_model_are_refused(convmixer, tmp_path):
    for options in (dict(dynamic_bach=False), dict(checkpoint='mine.pth')):
        with pytest.raises(TypeError, match='cannot be given with a built model'):
            export(convmixer(), 'torch', tmp_path / 'net.pt2', **options)


def test_an_interrupted_move_keeps_the_old_files(convmixer, tmp_path, monkeypatch):
    out = tmp_path / 'net.pt2'
    export(convmixer(), 'torch', out)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = os.replace

    def fail_at_last(source, target):
        if Path(target) == out and 'before' not in str(source):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, 'replace', fail_at_last)
    with pytest.raises(KeyboardInterrupt):
        export(convmixer(act='ReLU'), 'torch', out)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize('image_size', [0, 3])
def test_impossible_image_sizes_are_errors(convmixer, tmp_path, image_size):
    with pytest.raises((BadConfig, UnknownOption), match='image_size is 0|images of'):
        export(convmixer(), 'torch', tmp_path / 'net.pt2', image_size=image_size)


def test_values_that_are_not_numbers_are_a_difference(convmixer, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_program, 'reader',
                        lambda path: lambda images: np.full((len(images), 10), np.nan))
    with pytest.raises(ExportMismatch):
        export(convmixer(), 'torch', tmp_path / 'net.pt2')


def test_values_that_are_not_numbers_in_a_batch_alone_are_a_difference(
        convmixer, tmp_path, monkeypatch):
    reader = torch_program.reader

    def wrong_in_batches(path):
        run = reader(path)
        return lambda images: run(images) if len(images) == 1 else np.full_like(
            run(images), np.nan)
    monkeypatch.setattr(torch_program, 'reader', wrong_in_batches)
    with pytest.raises(ExportMismatch):
        export(convmixer(), 'torch', tmp_path / 'net.pt2')


def test_a_file_is_replaced_by_one_that_passes(convmixer, tmp_path):
    out = tmp_path / 'net.pt2'
    out.write_bytes(b'the last one')
    export(convmixer(), 'torch', out)
    assert torch_program.reader(out)(random_images(1)).shape == (1, 10)


@pytest.mark.parametrize(('options', 'said'), [
    (dict(format='tensorrt'), "'tensorrt' is not known; these are: onnx, openvino"),
    (dict(format='torch', dtype='int4'), "no dtype 'int4'; it has float32, float16, bfloat16"),
    (dict(format='torch', self_contained=True), 'these have: onnx, openvino'),
    (dict(format='onnx', self_contained=True, features=True), 'names classes'),
])
def test_unknown_options_are_errors(tmp_path, options, said):
    with pytest.raises(UnknownOption, match=said):
        export('convmixer-64-4_digits', out=tmp_path / 'net.pt2', **options)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr('mmconvmixer.deploy.packages.find_spec', lambda module: None)
    with pytest.raises(ImportError, match=r"needs openvino: pip install 'mmconvmixer\[deploy\]'"):
        export('convmixer-64-4_digits', 'openvino', tmp_path / 'net.xml')


def test_the_suffix_must_be_that_of_the_format(tmp_path):
    with pytest.raises(OutputNotWritable, match='does not end in .pt2'):
        export('convmixer-64-4_digits', 'torch', tmp_path / 'net.onnx')


@pytest.mark.parametrize('format', ['openvino', 'ncnn'])
def test_the_weights_of_another_file_are_kept(convmixer, tmp_path, format):
    """OpenVINO and ncnn both write net.bin; with another network's graph it would be wrong."""
    out = tmp_path / f'net{load_format(format).SUFFIX}'
    (tmp_path / 'net.bin').write_bytes(b'of another network')
    with pytest.raises(OutputNotWritable, match='net.bin would be written, too'):
        export(convmixer(), format, out)
    assert [path.name for path in tmp_path.iterdir()] == ['net.bin']
    assert (tmp_path / 'net.bin').read_bytes() == b'of another network'


@pytest.mark.parametrize('format', ['openvino', 'ncnn'])
def test_a_pair_of_files_is_replaced(convmixer, tmp_path, format):
    out, first = exported(convmixer(), format, tmp_path)
    _, second = exported(convmixer(depth=2), format, tmp_path)
    assert first['files'].keys() == second['files'].keys()
    assert second['files']['net.bin'] != first['files']['net.bin']
    assert second['files']['net.bin'] == sha256_of(tmp_path / 'net.bin')


@pytest.mark.parametrize('format', ['onnx', 'openvino'])
def test_a_fault_in_folding_the_normalization_of_raw_images_is_detected(
        convmixer, tmp_path, monkeypatch, format):
    """The comparison is with the original, also where the file itself normalizes."""
    folding = import_module('mmconvmixer.deploy.fold_normalization')
    whole = folding.fold_normalization

    def wrong(model, image_size):
        folded = whole(model, image_size)
        folded.backbone.stem[0].weight.mul_(3)
        return folded
    monkeypatch.setattr(folding, 'fold_normalization', torch.no_grad()(wrong))
    with pytest.raises(ExportMismatch, match='raw images'):
        export(convmixer(), format, tmp_path / f'net{load_format(format).SUFFIX}',
               self_contained=True, fold_normalization=True)


def test_a_pipeline_that_no_file_can_express_is_an_error(convmixer, tmp_path):
    model = convmixer()
    model._config.test_dataloader.dataset.pipeline.insert(1, dict(type='RandomFlip', prob=0.5))
    with pytest.raises(BadConfig, match='RandomFlip'):
        export(model, 'torch', tmp_path / 'net.pt2')


def test_a_mixer_takes_the_size_it_was_built_for(mixer, tmp_path):
    with pytest.raises(BadConfig, match='built for images of 32 x 32.*would get 64 x 64'):
        export(mixer(), 'torch', tmp_path / 'net.pt2', image_size=64)


def test_every_format_has_what_the_exporter_calls():
    for name, format in FORMATS.items():
        module = import_module(f'mmconvmixer.deploy.formats.{format.module}')
        assert {'SUFFIX', 'DTYPES', 'write', 'reader'} <= set(vars(module)), name


def test_openvino_stays_in_float32_for_the_comparison(convmixer, tmp_path):
    # By default, OpenVINO computes in bfloat16 if the processor has it.
    pytest.importorskip('openvino')
    _, record = exported(convmixer(), 'openvino', tmp_path)
    assert record['check']['max_difference'] <= 1e-5 * record['check']['largest']
    assert openvino_ir.SUFFIX == '.xml'


@pytest.mark.parametrize('family', ['convmixer', 'mixer'])
@pytest.mark.parametrize('format', ['savedmodel', 'litert'])
def test_tensorflows_formats_are_compared_too(request, tmp_path, format, family):
    out, record = exported(request.getfixturevalue(family)(), format, tmp_path)
    assert out.exists()
    assert record['check']['max_difference'] <= 1e-4 * record['check']['largest']
    described = record.get('signatures', dict(serving_default=record))['serving_default']
    assert described['inputs']['images']['shape'][1:] == [32, 32, 3]
    assert set(record['files']) == {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*')
        if path.is_file() and path.suffix != '.json'}


def test_a_savedmodel_is_replaced_and_other_folders_are_not(convmixer, tmp_path):
    pytest.importorskip('tensorflow')
    out = tmp_path / 'net'
    first = export(convmixer(), 'savedmodel', out)
    second = export(convmixer(act='ReLU'), 'savedmodel', out)
    assert first['files'] != second['files']
    assert second['files']['net/saved_model.pb'] == sha256_of(out / 'saved_model.pb')
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/thesis.txt').write_text('three years')
    with pytest.raises(OutputNotWritable, match='is not a SavedModel'):
        export(convmixer(), 'savedmodel', tmp_path / 'mine')
    assert (tmp_path / 'mine/thesis.txt').read_text() == 'three years'


def test_litert_int8_is_calibrated_on_images(convmixer, tmp_path):
    pytest.importorskip('tensorflow')
    folder = tmp_path / 'images'
    folder.mkdir()
    for number, image in enumerate(sample_images(8)):
        Image.fromarray(image).save(folder / f'{number}.png')
    record = export(convmixer(), 'litert', tmp_path / 'net.tflite', dtype='int8', calib=folder)
    assert 1e-3 < record['check']['max_difference'] / record['check']['largest'] < 0.5
    with pytest.raises(UnknownOption, match='in int8 needs calib, a folder'):
        export(convmixer(), 'litert', tmp_path / 'net.tflite', dtype='int8')


def test_a_model_without_a_backbone_is_an_error_that_says_so(convmixer, tmp_path):
    class Whole(BaseModel):
        def forward(self, images):
            return images

    model = Whole(convmixer().data_preprocessor)
    model._config = convmixer()._config
    with pytest.raises(BadConfig, match='Whole is not an image classifier with a head'):
        export(model, 'torch', tmp_path / 'net.pt2')
    with pytest.raises(BadConfig, match='Whole is not an image classifier with a backbone'):
        export(model, 'torch', tmp_path / 'net.pt2', features=True)


@pytest.mark.parametrize('family', ['convmixer', 'mixer'])
def test_an_onnx_file_pools_by_an_operator_that_every_converter_knows(request, tmp_path, family):
    onnx = pytest.importorskip('onnx')
    out, _ = exported(request.getfixturevalue(family)(), 'onnx', tmp_path)
    graph = onnx.load(out).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count('GlobalAveragePool') == 1
    assert 'ReduceMean' not in kinds
    used = {name for node in graph.node for name in node.input}
    assert {each.name for each in graph.initializer} <= used


def test_the_weights_of_a_torch_program_are_contiguous(convmixer, tmp_path):
    out, _ = exported(convmixer(), 'torch', tmp_path)
    for weight in torch.export.load(out).state_dict.values():
        assert weight.stride() == torch.empty(weight.shape).stride()
