import hashlib
import json
import pickle
import shutil
import sys

import mmengine
import numpy as np
import pytest
import torch

from mmconvmixer.datasets import ResizeCenterCrop
from mmconvmixer.errors import CheckpointMismatch, UnknownOption


def test_it_has_every_option_of_mmpretrain_s_and_no_strict(tools, options_of):
    assert options_of(tools('test')) == {
        'config', 'checkpoint', '-h', '--help', '--data', '--work-dir', '--out',
        '--out-item', '--cfg-options', '--amp', '--show-dir', '--show', '--interval', '--wait-time',
        '--no-pin-memory', '--tta', '--launcher', '--local_rank', '--local-rank',
        '--no-strict', '--backend', '--precision', '--calib', '--verbose'}


@pytest.mark.parametrize(('options', 'said'), [
    (['--backend', 'tensorrt'], 'these are: auto, torch'),
    (['--backend', 'torch', '--precision', 'int4'], 'these are: float32, bfloat16, int8'),
    (['--backend', 'torch', '--precision', 'int8'], 'backend torch has no precision int8'),
    (['--precision', 'bfloat16'], 'for a backend'),
    (['--backend', 'torch', '--amp'], 'neither amp'),
    (['--backend', 'torch', '--tta'], 'nor tta'),
])
def test_invalid_backend_options_are_refused(bad_input, options, said):
    assert said in bad_input('test', 'convmixer-64-4_digits', *options)


def test_it_prints_the_accuracy_as_its_last_line_and_returns_0(
        tool, toy_config, trained, evaluate, tmp_path):
    done = tool('test', toy_config, trained, '--work-dir', tmp_path / 'work')
    metrics = evaluate(trained, tmp_path / 'api')
    assert done.code == 0
    *_, per_class, single = done.out.splitlines()
    assert single == (f'accuracy/top1 {metrics["accuracy/top1"]:.2f}  '
                      f'accuracy/top5 {metrics["accuracy/top5"]:.2f}  '
                      f'calibration/ece {metrics["calibration/ece"]:.2f}')
    assert per_class.startswith('accuracy/per_class: 0 ')
    log, = (tmp_path / 'work').rglob('*.log')
    assert 'System environment:' in log.read_text()
    assert 'System environment:' not in done.out and len(done.out.splitlines()) < 12


def test_it_prints_all_that_is_in_the_log_if_wanted(tool, toy_config, trained, tmp_path):
    done = tool('test', toy_config, trained, '--work-dir', tmp_path, '--verbose')
    assert 'System environment:' in done.out and 'Config:' in done.out


def test_its_accuracy_is_that_of_the_network_on_the_images(
        evaluate, toy_config, trained, weights_of, tmp_path):
    from mmpretrain import get_model
    from sklearn.datasets import load_digits
    model = get_model(str(toy_config), pretrained=False).eval()
    model.load_state_dict(weights_of(trained))
    digits = load_digits()
    images = torch.tensor(np.rint(digits.images[1198:] * (255 / 16)), dtype=torch.float32)
    with torch.no_grad():
        logits = model(((images - 78.1) / 95.7)[:, None], mode='tensor')
    right = (logits.argmax(1).numpy() == digits.target[1198:]).mean() * 100
    assert evaluate(trained, tmp_path)['accuracy/top1'] == pytest.approx(right, abs=0.17)


@pytest.mark.parametrize('ending', ['.json', '.pkl', '.pickle', '.yml', '.yaml'])
def test_out_writes_metrics_in_the_format_of_its_suffix(
        tool, toy_config, trained, evaluate, tmp_path, ending):
    out = tmp_path / f'deep/er/metrics{ending}'
    done = tool('test', toy_config, trained, '--work-dir', tmp_path, '--out', out,
                '--out-item', 'metrics')
    assert done.code == 0, done.err
    assert mmengine.load(out) == evaluate(trained, tmp_path / 'api')
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize('ending', ['.pkl', '.pickle'])
def test_out_writes_predictions_as_mmpretrain_s_tools_read_them(
        tool, toy_config, trained, tmp_path, ending):
    from mmpretrain.evaluation import Accuracy
    out = tmp_path / f'predictions{ending}'
    done = tool('test', toy_config, trained, '--work-dir', tmp_path, '--out', out,
                '--out-item', 'pred')
    with open(out, 'rb') as file:
        predictions = pickle.load(file)
    assert [entry['sample_idx'] for entry in predictions] == list(range(599))
    top1, = Accuracy.calculate(torch.stack([entry['pred_score'] for entry in predictions]),
                               torch.cat([entry['gt_label'] for entry in predictions]))[0]
    assert f'accuracy/top1 {float(top1):.2f}' in done.out.splitlines()[-1]


def test_out_writes_predictions_as_plain_json(tool, toy_config, trained, tmp_path):
    out = tmp_path / 'predictions.json'
    tool('test', toy_config, trained, '--work-dir', tmp_path, '--out', out)
    predictions = json.loads(out.read_text())
    assert [entry['img_path'] for entry in predictions] == [
        f'digits/{number:04d}.png' for number in range(1198, 1797)]
    for entry in predictions:
        assert sum(entry['pred_scores']) == pytest.approx(1, abs=1e-5)
        assert entry['pred_score'] == max(entry['pred_scores'])
        assert entry['pred_scores'][entry['pred_label']] == entry['pred_score']
        assert entry['pred_class'] == '0123456789'[entry['pred_label']]
    assert predictions[0]['gt_label'] in range(10)


def test_metrics_that_are_not_single_numbers_are_printed_and_written(
        tool, toy_config, trained, tmp_path):
    config = tmp_path / 'classwise.py'
    config.write_text(f"_base_ = ['{toy_config}']\ntest_evaluator = dict(\n"
                      "    _delete_=True, type='SingleLabelMetric', average=None)\n")
    done = tool('test', config, trained, '--work-dir', tmp_path, '--out-item', 'metrics',
                '--out', tmp_path / 'metrics.json')
    assert done.code == 0
    assert len(mmengine.load(tmp_path / 'metrics.json')['single-label/f1-score_classwise']) == 10
    assert 'single-label/f1-score_classwise' in done.out.splitlines()[-1]


@pytest.fixture
def matrix_config(toy_config, tmp_path):
    path = tmp_path / 'matrix.py'
    path.write_text(f"_base_ = ['{toy_config}']\ntest_evaluator = [dict(type='Accuracy'), "
                    "dict(type='ConfusionMatrix')]\n")
    return path


@pytest.mark.parametrize('ending', ['.json', '.yml', '.pkl'])
def test_a_confusion_matrix_is_written_as_nested_lists_or_as_a_tensor(
        evaluate, matrix_config, trained, tmp_path, ending):
    out = tmp_path / f'metrics{ending}'
    metrics = evaluate(trained, tmp_path, config=matrix_config, out=str(out), out_item='metrics')
    matrix = mmengine.load(out)['confusion_matrix/result']
    assert isinstance(matrix, torch.Tensor if ending == '.pkl' else list)
    matrix = torch.as_tensor(matrix)
    assert torch.equal(matrix, metrics['confusion_matrix/result'])
    assert float(100 * matrix.trace() / matrix.sum()) == pytest.approx(metrics['accuracy/top1'])


@pytest.mark.parametrize('item', ['metrics', 'pred'])
def test_a_file_that_cannot_be_written_does_not_take_the_figures_with_it(
        tool, toy_config, trained, evaluate, tmp_path, monkeypatch, item):
    def full(*_args, **_options):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr('mmengine.dump', full)
    done = tool('test', toy_config, trained, '--work-dir', tmp_path / 'work', '--out',
                tmp_path / 'out.json', '--out-item', item)
    assert done.code == 2 and 'No space left on device' in done.err
    top1 = evaluate(trained, tmp_path / 'again')['accuracy/top1']
    assert 'out.json was not written; the metrics are' in done.out
    assert f'accuracy/top1 {top1:.2f}' in done.out.splitlines()[-1]


@pytest.fixture
def several_labels(toy_config, image_folder, tmp_path):
    """A config and weights of a network for several labels per image."""
    paths = image_folder(tmp_path / 'data', 6, classes=3)
    (tmp_path / 'labels.json').write_text(json.dumps(dict(
        metainfo=dict(classes=['a', 'b', 'c']),
        data_list=[dict(img_path=f'{path.parent.name}/{path.name}', gt_label=[number % 2, 2])
                   for number, path in enumerate(paths)])))
    config = tmp_path / 'several.py'
    config.write_text(f"""_base_ = ['{toy_config}']
model = dict(head=dict(_delete_=True, type='MultiLabelLinearClsHead', num_classes=3,
                       in_channels=8))
data_preprocessor = dict(num_classes=3)
test_dataloader = dict(dataset=dict(
    _delete_=True, type='MultiLabelDataset', ann_file='{tmp_path}/labels.json',
    data_prefix='{tmp_path}/data', pipeline=[
        dict(type='LoadImage', color_type='grayscale'), dict(type='PackInputs')]))
test_evaluator = [dict(type='MultiLabelMetric', thr=0.5)]
""")
    from mmconvmixer import get_model
    torch.manual_seed(0)
    torch.save(get_model(config).state_dict(), tmp_path / 'several.pth')
    return config, tmp_path / 'several.pth'


@pytest.mark.parametrize('tta', [False, True])
def test_several_labels_per_image_are_lists_in_json(evaluate, several_labels, tmp_path, tta):
    config, weights = several_labels
    out = tmp_path / 'out.json'
    evaluate(weights, tmp_path / 'work', config=config, out=str(out), tta=tta)
    predictions = json.loads(out.read_text())
    assert [entry['gt_label'] for entry in predictions] == [[0, 2], [1, 2]] * 3
    for entry in predictions:
        chosen = [label for label in range(3) if entry['pred_scores'][label] >= 0.5]
        assert entry['pred_label'] == chosen
        assert entry['pred_class'] == ['abc'[label] for label in chosen]
        assert entry['pred_score'] == [entry['pred_scores'][label] for label in chosen]


def test_a_figure_that_makes_no_sense_for_several_labels_is_one_line(
        bad_input, several_labels, tmp_path, elsewhere):
    config, weights = several_labels
    one_label = tmp_path / 'one_label.py'
    one_label.write_text(f"_base_ = ['{config}']\ntest_evaluator = [dict(type='Accuracy')]\n")
    said = bad_input('test', one_label, weights, '--work-dir', elsewhere)
    assert 'needs one label per image' in said and '2 labels' in said


def test_a_test_set_of_other_classes_is_noticed(
        tool, folder_config, image_folder, trained, tmp_path):
    """Ten classes, and ten others: their labels are compared by number only."""
    image_folder(tmp_path / 'data', 20)
    done = tool('test', folder_config(tmp_path / 'data'), trained, '--work-dir', tmp_path / 'work')
    assert done.code == 0, done.err
    warning, = (line for line in done.out.splitlines() if 'classes of the test set' in line)
    assert ' WARNING ' in warning and str(trained) in warning
    assert 'label 0 is 0 in the checkpoint and class0 in the test set' in warning
    assert f'It was trained with {trained.parent}/toy.py; use that config' in warning


def test_the_classes_of_the_checkpoint_cause_no_warning(tool, toy_config, trained, tmp_path):
    assert 'classes of the test set' not in tool('test', toy_config, trained, '--work-dir',
                                                 tmp_path).out


def test_weights_to_evaluate_are_not_given_as_load_from(bad_input, trained):
    said = bad_input('test', 'convmixer-64-4_digits', '--cfg-options', f'load_from={trained}')
    assert 'give the weights to evaluate as CHECKPOINT' in said


def test_show_dir_gets_one_image_per_sample_whatever_their_names(
        tool, folder_config, image_folder, trained, tmp_path):
    image_folder(tmp_path / 'data', 23)  # class0/000.png, class1/000.png, ...
    done = tool('test', folder_config(tmp_path / 'data'), trained, '--work-dir',
                tmp_path / 'work', '--show-dir', tmp_path / 'shown')
    assert done.code == 0, done.err
    assert len([path for path in (tmp_path / 'shown').rglob('*') if path.is_file()]) == 23


def test_show_dir_draws_images_without_files_and_every_nth_only(
        tool, toy_config, trained, tmp_path):
    done = tool('test', toy_config, trained, '--work-dir', tmp_path / 'work',
                '--show-dir', tmp_path / 'shown', '--interval', '100')
    assert done.code == 0, done.err
    images = list((tmp_path / 'shown').rglob('*.png'))
    assert len(images) == 6  # of 599
    import cv2
    assert all(cv2.imread(str(path)).std() > 5 for path in images)


def test_tta_averages_an_image_and_its_mirror_image(evaluate, toy_config, trained, tmp_path):
    def scores(name, **options):
        evaluate(trained, tmp_path, out=str(tmp_path / f'{name}.pkl'), **options)
        return torch.stack([entry['pred_score']
                            for entry in mmengine.load(tmp_path / f'{name}.pkl')])

    mirrored = tmp_path / 'mirrored.py'
    mirrored.write_text(f"_base_ = ['{toy_config}']\ntest_dataloader = dict(dataset=dict("
                        "pipeline=[dict(type='LoadImage', color_type='grayscale'), "
                        "dict(type='RandomFlip', prob=1.), dict(type='PackInputs')]))\n")
    plain, flipped = scores('plain'), scores('flipped', config=mirrored)
    assert not torch.allclose(plain, flipped, atol=1e-3)
    torch.testing.assert_close(scores('tta', tta=True), (plain + flipped) / 2)


def test_with_tta_every_figure_follows_from_the_averaged_scores(evaluate, tmp_path):
    out = tmp_path / 'tta.pkl'
    metrics = evaluate('convmixer-64-4_digits', tmp_path, config='convmixer-64-4_digits', tta=True,
                       out=str(out))
    predictions = mmengine.load(out)
    hits = {name: [] for name in '0123456789'}
    for entry in predictions:
        assert int(entry['pred_label']) == int(entry['pred_score'].argmax())
        hits[str(int(entry['gt_label']))].append(entry['pred_label'] == entry['gt_label'])
    assert metrics['accuracy/per_class'] == pytest.approx(
        {name: 100 * float(torch.cat(found).double().mean()) for name, found in hits.items()})
    every = torch.cat([torch.cat(found) for found in hits.values()]).double()
    assert metrics['accuracy/top1'] == pytest.approx(100 * float(every.mean()), abs=1e-4)
    assert metrics['accuracy/top1'] > 95


def test_tta_leaves_out_a_corrupt_image_and_names_it(
        tool, folder_config, image_folder, trained, tmp_path):
    paths = image_folder(tmp_path / 'data', 12)
    paths[5].write_bytes(b'no image')
    out = tmp_path / 'pred.json'
    done = tool('test', folder_config(tmp_path / 'data'), trained, '--work-dir',
                tmp_path / 'work', '--tta', '--out', out)
    assert done.code == 0, done.err
    assert len(json.loads(out.read_text())) == 11
    assert str(paths[5]) in done.out


@pytest.mark.parametrize('many', [True, False])
def test_only_many_images_use_the_pipeline_that_imports_numba(
        evaluate, folder_config, image_folder, trained, tmp_path, monkeypatch, many):
    pytest.importorskip('numba')
    transform, used = ResizeCenterCrop.transform, []
    monkeypatch.setattr(ResizeCenterCrop, 'transform',
                        lambda self, results: used.append(1) or transform(self, results))
    monkeypatch.setattr('mmconvmixer.apis.evaluation.MANY_IMAGES', 12 if many else 13)
    image_folder(tmp_path / 'data', 12)
    config = folder_config(tmp_path / 'data', **{'test_dataloader.dataset.pipeline': [
        dict(type='LoadImage', color_type='grayscale'),
        dict(type='ResizeEdge', scale=9, edge='short', backend='pillow'),
        dict(type='CenterCrop', crop_size=8), dict(type='PackInputs')]})
    evaluate(trained, tmp_path / 'work', config=config)
    assert len(used) == (12 if many else 0)


@pytest.mark.parametrize('kind, dtype', [('with AVX2 alone', torch.float32),
                                         ('with VNNI and bfloat16', torch.bfloat16)])
def test_amp_computes_in_bfloat16_on_a_cpu_that_has_it(
        evaluate, trained, processor, tmp_path, kind, dtype):
    processor(kind)
    seen = []
    from torch.nn.modules.module import register_module_forward_hook
    handle = register_module_forward_hook(
        lambda module, inputs, output: seen.append(output.dtype)
        if isinstance(module, torch.nn.Linear) else None)
    try:
        plain = evaluate(trained, tmp_path)
        assert set(seen) == {torch.float32}
        seen.clear()
        half = evaluate(trained, tmp_path, amp=True)
        assert set(seen) == {dtype}
    finally:
        handle.remove()
    assert half['accuracy/top1'] == pytest.approx(plain['accuracy/top1'], abs=3)


def test_a_checkpoint_may_be_a_url_whose_name_promises_its_hash(
        tool, toy_config, trained, server, tmp_path):
    digest = hashlib.sha256(trained.read_bytes()).hexdigest()[:8]
    shutil.copy(trained, server.folder / f'toy-{digest}.pth')
    by_path = tool('test', toy_config, trained, '--work-dir', tmp_path)
    for _ in range(2):
        by_url = tool('test', toy_config, f'{server.url}/toy-{digest}.pth', '--work-dir',
                      tmp_path)
        assert by_url.code == 0, by_url.err
        assert by_url.out.splitlines()[-1] == by_path.out.splitlines()[-1]
    assert len(server.asked) == 1  # the second time it comes from the cache


def test_no_strict_loads_what_fits_and_says_what_does_not(
        tool, toy_config, bad_checkpoints, tmp_path):
    path, said = bad_checkpoints['seven classes']
    done = tool('test', toy_config, path, '--work-dir', tmp_path, '--no-strict')
    assert done.code == 0, done.err
    assert said in done.out


def test_a_corrupt_image_is_left_out_and_named_at_the_end(
        tool, folder_config, image_folder, trained, tmp_path):
    paths = image_folder(tmp_path / 'data', 30)
    paths[3].write_bytes(b'')
    paths[4].write_bytes(paths[4].read_bytes()[:50])
    out = tmp_path / 'pred.json'
    done = tool('test', folder_config(tmp_path / 'data'), trained, '--work-dir',
                tmp_path / 'work', '--out', out)
    assert done.code == 0, done.err
    warnings = [line for line in done.out.splitlines() if 'could not be read' in line]
    assert len(warnings) == 1
    assert '2 images' in warnings[0]
    assert all(str(path) in warnings[0] for path in paths[3:5])
    assert {entry['img_path'] for entry in json.loads(out.read_text())} == {
        str(path) for path in paths} - {str(path) for path in paths[3:5]}


@pytest.fixture
def elsewhere(tmp_path_factory):
    """A folder for the logs of a run that fails after its start."""
    return tmp_path_factory.mktemp('work')


@pytest.mark.parametrize('workers', [0, 1])
def test_a_corrupt_image_ends_the_run_if_asked_to(
        bad_input, folder_config, image_folder, trained, tmp_path, elsewhere, workers):
    paths = image_folder(tmp_path / 'data', 12)
    paths[3].write_bytes(b'')
    config = folder_config(tmp_path / 'data', on_unreadable='raise',
                           **{'test_dataloader.num_workers': workers})
    said = bad_input('test', config, trained, '--work-dir', elsewhere)
    assert f"{paths[3]} can't be decoded" in said


@pytest.mark.parametrize('workers', [0, 1])
def test_a_folder_of_nothing_but_corrupt_images_is_an_error(
        bad_input, folder_config, image_folder, trained, tmp_path, elsewhere, workers):
    for path in image_folder(tmp_path / 'data', 10):
        path.write_bytes(b'no image')
    config = folder_config(tmp_path / 'data', **{'test_dataloader.num_workers': workers})
    said = bad_input('test', config, trained, '--work-dir', elsewhere)
    assert 'none of 10 images can be decoded' in said


def test_a_bad_checkpoint_is_one_line(bad_input, toy_config, bad_checkpoint):
    path, expected = bad_checkpoint
    assert expected in bad_input('test', toy_config, path)


def test_a_wrong_name_is_answered_with_the_nearest_one(bad_input, toy_config):
    said = bad_input('test', toy_config, 'convmixer-786-32')
    assert 'convmixer-786-32' in said and 'convmixer-768-32_3rdparty_in1k' in said


def test_without_a_checkpoint_a_config_without_published_weights_is_an_error(
        bad_input, toy_config):
    said = bad_input('test', toy_config)
    assert 'no weights are published' in said and 'toy.py' in said


@pytest.mark.parametrize('name, expected', [
    ('convmixer-786-32_3rdparty_in1k', 'convmixer-768-32_3rdparty_in1k'),
    ('missing/config.py', 'missing/config.py is not there')])
def test_an_unknown_config_is_one_line(bad_input, name, expected):
    assert expected in bad_input('test', name)


@pytest.mark.parametrize('text, expected', [
    ('model = dict(', 'SyntaxError'),
    ("_base_ = 'missing_base.py'", 'missing_base.py'),
    ('model = 1 / 0', 'ZeroDivisionError'),
    ('test_dataloader = dict(dataset=dict())', 'has no model')])
def test_a_config_that_cannot_be_read_is_one_line(bad_input, tmp_path, text, expected):
    (tmp_path / 'broken.py').write_text(text)
    said = bad_input('test', tmp_path / 'broken.py', experiment=False)
    assert expected in said and 'broken.py' in said


@pytest.mark.parametrize('strict', [True, False])
def test_an_unknown_arch_is_one_line_that_names_the_nearest(
        bad_input, toy_config, trained, strict):
    said = bad_input('test', toy_config, trained, *([] if strict else ['--no-strict']),
                     '--cfg-options', 'model.backbone.arch=786/32')
    assert "'786/32'" in said and 'nearest: 768/32' in said


def test_an_unreachable_url_is_one_line(bad_input, toy_config, free_port):
    said = bad_input('test', toy_config, f'http://127.0.0.1:{free_port}/toy.pth')
    assert f'127.0.0.1:{free_port}' in said and 'refused' in said
    assert 'cannot be written' not in said


def test_a_url_that_is_not_found_is_one_line(bad_input, toy_config, server):
    said = bad_input('test', toy_config, f'{server.url}/toy.pth')
    assert f'{server.url}/toy.pth' in said and 'not found' in said.lower()
    assert 'cannot be written' not in said


def test_a_download_that_does_not_match_its_hash_is_not_kept(
        bad_input, toy_config, trained, server):
    from pathlib import Path
    shutil.copy(trained, server.folder / 'toy-0123abcd.pth')
    said = bad_input('test', toy_config, f'{server.url}/toy-0123abcd.pth')
    assert '0123abcd' in said and hashlib.sha256(trained.read_bytes()).hexdigest()[:8] in said
    kept = Path(torch.hub.get_dir()).rglob('*')
    assert not [path for path in kept if path.is_file()]


def test_a_missing_dataset_folder_is_one_line(bad_input, folder_config, trained, tmp_path):
    said = bad_input('test', folder_config(tmp_path / 'nowhere'), trained)
    assert f'{tmp_path}/nowhere' in said


@pytest.mark.parametrize('content', ['nothing', 'empty classes', 'no images'])
def test_an_empty_dataset_folder_is_one_line(
        bad_input, folder_config, trained, tmp_path, content):
    (tmp_path / 'data').mkdir()
    if content != 'nothing':
        (tmp_path / 'data/class0').mkdir()
    if content == 'no images':
        (tmp_path / 'data/class0/notes.txt').write_text('no image')
    said = bad_input('test', folder_config(tmp_path / 'data'), trained)
    assert f'{tmp_path}/data' in said


@pytest.mark.parametrize('options', [
    ('--work-dir', 'file/work'), ('--work-dir', 'file'), ('--out', 'file/pred.json'),
    ('--show-dir', 'file/shown'), ('--out', '/proc/no/pred.json'),
    ('--work-dir', 'fresh', '--show-dir', 'file'),
    ('--out', 'fresh/pred.json', '--work-dir', 'file')])
def test_an_output_that_cannot_be_written_is_one_line(
        bad_input, toy_config, trained, tmp_path, options):
    (tmp_path / 'file').write_text('in the way')
    said = bad_input('test', toy_config, trained, *options)
    assert 'file' in said or '/proc/no' in said


def test_an_out_file_that_is_a_folder_is_refused_before_the_run(
        bad_input, toy_config, trained, tmp_path):
    (tmp_path / 'pred.json').mkdir()
    assert 'pred.json' in bad_input('test', toy_config, trained, '--out', 'pred.json')


@pytest.mark.parametrize('options, expected', [
    (('--out', 'pred.txt'), '.json, .pkl'), (('--out', 'pred.yml'), '.json, .pkl'),
    (('--out', 'm.csv', '--out-item', 'metrics'), '.yaml'),
    (('--out-item', 'metrics'), 'add --out FILE')])
def test_an_out_with_an_unknown_suffix_is_one_line(
        bad_input, toy_config, trained, options, expected):
    assert expected in bad_input('test', toy_config, trained, *options)


def test_a_bad_checkpoint_beside_a_fresh_out_folder_leaves_no_folder(
        bad_input, toy_config):
    bad_input('test', toy_config, 'missing.pth', '--out', 'fresh/pred.json', '--show-dir',
              'fresh/shown', '--work-dir', 'fresh/work')


@pytest.mark.parametrize('option', ['x', 'model.backbone.no_such_option=1',
                                    'model.backbone.type=NoSuchNet'])
def test_an_invalid_config_option_is_one_line(
        tool, toy_config, trained, tmp_path, option):
    try:
        done = tool('test', toy_config, trained, '--work-dir', tmp_path, '--cfg-options',
                    option, experiment=False)
        code, err = done.code, done.err
    except SystemExit as left:  # argparse exits like this after printing
        code, err = left.code, 'error: '
    assert code == 2
    assert err.startswith('error: ')


def test_the_api_raises_the_documented_exception(evaluate, bad_checkpoints, tmp_path):
    path, said = bad_checkpoints['one block']
    with pytest.raises(CheckpointMismatch) as caught:
        evaluate(path, tmp_path / 'work')
    assert isinstance(caught.value, ValueError) and said in str(caught.value)
    assert not (tmp_path / 'work').exists()


def test_as_a_process_an_error_is_one_line_and_2(shell, toy_config, repo, tmp_path):
    env = {key: value for key, value in shell.keywords['env'].items()
           if key != 'PYTHONWARNINGS'}
    done = shell([sys.executable, repo / 'tools/test.py', toy_config, 'missing.pth'],
                 cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert done.stdout == '' and list(tmp_path.iterdir()) == []
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith('error: checkpoint missing.pth')


def test_an_unknown_out_item_is_an_error_that_names_the_choices(evaluate, trained, tmp_path):
    with pytest.raises(UnknownOption, match="'preds', expected one of pred, metrics"):
        evaluate(trained, tmp_path / 'work', out=str(tmp_path / 'out.json'), out_item='preds')
    assert not (tmp_path / 'work').exists()


@pytest.mark.parametrize('freeze', ['head', 'last-1'])
def test_frozen_layers_do_not_matter_in_an_evaluation(evaluate, trained, tmp_path, freeze):
    plain = evaluate(trained, tmp_path, tta=True)
    assert evaluate(trained, tmp_path, tta=True, overrides=dict(freeze=freeze)) == plain
    assert evaluate(trained, tmp_path, overrides=dict(freeze=freeze)) == evaluate(
        trained, tmp_path)


def test_a_test_in_the_folder_of_a_run_keeps_the_run_s_config(tool, trained, tmp_path):
    """Messages name this file, and --tta changes the model in the config."""
    for name in ('toy.py', 'epoch_1.pth'):
        shutil.copy(trained.parent / name, tmp_path)
    before = (tmp_path / 'toy.py').read_text()
    done = tool('test', tmp_path / 'toy.py', tmp_path / 'epoch_1.pth', '--work-dir', tmp_path,
                '--tta')
    assert done.code == 0, done.err
    assert (tmp_path / 'toy.py').read_text() == before
    written, = tmp_path.glob('*/toy.py')
    assert 'AverageClsScoreTTA' in written.read_text()
