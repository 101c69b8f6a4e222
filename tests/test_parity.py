"""On real images, tools/test.py predicts what mmpretrain predicts with the same checkpoint."""
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.evaluator import DumpResults
from mmengine.fileio import load
from mmengine.runner import Runner
from mmpretrain.models.backbones.convmixer import ConvMixer as MMPretrainConvMixer

from mmconvmixer import Predictor
from mmconvmixer.apis.evaluation import evaluate
from mmconvmixer.registry import register, unregister

NAME = 'convmixer-768-32_10xb64_in1k.py'


@pytest.fixture(scope='module')
def images(real_data):
    """One ImageNet image of each class, in WordNet order."""
    return sorted(real_data('imagenet-sample').iterdir())


@pytest.fixture(scope='module')
def checkpoint(images, tmp_path_factory):
    """Random weights, but BatchNorm and head have seen images.

    Else all answers are alike, or so close that rounding decides between them.
    """
    torch.manual_seed(0)
    predictor = Predictor(f'configs/convmixer/{NAME}', pretrained=False)
    model = predictor.model
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the average of what it sees
    samples = [predictor._prepare(path) for path in images[::125]]
    batch = model.data_preprocessor(default_collate(samples))['inputs']
    model.train()
    with torch.no_grad():
        model.extract_feat(batch)
        features, = model.eval().extract_feat(batch)
        weight = torch.randn(1000, 768) * 3 / 768**.5 / features.std(dim=0)
        model.head.fc.weight.copy_(weight)
        model.head.fc.bias.copy_(-weight @ features.mean(dim=0))
    path = tmp_path_factory.mktemp('checkpoint') / 'random.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def listing(images, folder, step):
    """Write an annotation file of every `step`th image; class = position in WordNet order."""
    lines = [f'{path.name} {label}\n' for label, path in enumerate(images)]
    (folder / 'images.txt').write_text(''.join(lines[::step]))
    return dict(data_root=str(images[0].parent), split='', ann_file=str(folder / 'images.txt'))


def mmpretrains_predictions(checkpoint, dataset, folder):
    """Predictions of mmpretrain's own runner, config and backbone."""
    unregister()
    try:
        root = Path(mmpretrain.__file__).parent / '.mim/configs/convmixer'
        cfg = Config.fromfile(root / NAME)
        cfg.test_dataloader.dataset.update(dataset)
        cfg.test_dataloader.num_workers = 0
        cfg.update(work_dir=str(folder / 'mmpretrain'), load_from=str(checkpoint))
        runner = Runner.from_cfg(cfg)
        assert type(runner.model.backbone) is MMPretrainConvMixer
        runner.test_evaluator.metrics.append(DumpResults(str(folder / 'mmpretrain.pkl')))
        metrics = runner.test()
    finally:
        register()
    return metrics, load(folder / 'mmpretrain.pkl')


@pytest.mark.parametrize('step', [
    pytest.param(170, id='a few'),
    pytest.param(1, id='all 1,000', marks=pytest.mark.slow)])
def test_predictions_equal_mmpretrains_image_by_image(
        images, checkpoint, tmp_path, step):
    dataset = listing(images, tmp_path, step)
    metrics = evaluate(
        f'configs/convmixer/{NAME}', checkpoint, work_dir=str(tmp_path / 'here'),
        out=str(tmp_path / 'here.pkl'), overrides={
            'test_dataloader.num_workers': 0,
            **{f'test_dataloader.dataset.{key}': value for key, value in dataset.items()}})
    expected_metrics, expected = mmpretrains_predictions(checkpoint, dataset, tmp_path)
    got = load(tmp_path / 'here.pkl')
    assert metrics == expected_metrics
    assert len(got) == len(expected) == len(range(0, 1000, step))
    assert len({int(prediction['pred_label']) for prediction in got}) > 1
    largest = 0.
    for prediction, other in zip(got, expected, strict=True):
        assert prediction['img_path'] == other['img_path']
        assert prediction['pred_label'] == other['pred_label']
        largest = max(largest, float((prediction['pred_score'] - other['pred_score']).abs().max()))
    print(f'{len(got)} images, all labels equal, scores within {largest:.1e}')
    # A random net's features differ by a thousandth of their size from image to
    # image, and the head magnifies that, and rounding errors equally.
    assert largest < 1e-2


def test_inference_model_gives_the_scores_of_the_test_tool(images, checkpoint, tmp_path):
    evaluate(f'configs/convmixer/{NAME}', checkpoint, work_dir=str(tmp_path / 'work'),
             out=str(tmp_path / 'out.pkl'), overrides={
                 'test_dataloader.num_workers': 0, 'test_dataloader.batch_size': 1,
                 **{f'test_dataloader.dataset.{key}': value
                    for key, value in listing(images, tmp_path, 400).items()}})
    ask = Predictor(f'configs/convmixer/{NAME}', pretrained=str(checkpoint))
    for written in load(tmp_path / 'out.pkl'):
        answer = ask(written['img_path'])
        assert answer['pred_scores'] == written['pred_score'].tolist()
        assert answer['pred_class'] == ask.classes[int(written['pred_label'])]
