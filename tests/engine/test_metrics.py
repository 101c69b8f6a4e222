import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample

from mmconvmixer.engine import CalibrationError, PerClassAccuracy
from mmconvmixer.engine.metrics import as_text, calibration_error
from mmconvmixer.errors import BadConfig


def evaluate(metric, scores, labels, classes=None):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = dict(classes=classes) if classes else None
    evaluator.process([
        DataSample().set_pred_score(torch.tensor(score)).set_gt_label(label).set_pred_label(
            torch.tensor(score).argmax()) for score, label in zip(scores, labels, strict=True)])
    return evaluator.evaluate(len(labels))


def test_accuracy_per_class_uses_the_class_names():
    scores = [[.9, .1, 0.], [.4, .6, 0.], [.2, .8, 0.], [.3, .7, 0.]]
    assert evaluate(PerClassAccuracy(), scores, [0, 0, 1, 1], ('cat', 'dog', 'fox')) == {
        'accuracy/per_class': {'cat': 50., 'dog': 100.}}


def test_a_class_without_images_is_omitted_and_labels_replace_missing_names():
    assert evaluate(PerClassAccuracy(), [[.1, .9]], [1]) == {'accuracy/per_class': {'1': 100.}}


def test_ece_equals_the_gaps_of_score_and_accuracy_computed_by_hand():
    # Bin (.4, .5]: scores .45 and .5, one right. Bin (.9, 1]: scores .95, .95, .98, all right.
    scores = [[.45, .3, .25], [.5, .25, .25], [.95, .05, 0.], [.95, .05, 0.], [.98, .02, 0.]]
    expected = 2 / 5 * abs(.475 - .5) + 3 / 5 * abs(.96 - 1)
    found = evaluate(CalibrationError(bins=10), scores, [0, 1, 0, 0, 0])
    assert found['calibration/ece'] == pytest.approx(100 * expected)


def test_ece_is_near_0_for_a_calibrated_model_and_100_for_a_confidently_wrong_one():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(200_000, generator=generator, dtype=torch.float64)
    hits = (torch.rand(200_000, generator=generator) < scores).double()
    assert calibration_error(scores, hits, 15) < 0.005
    assert evaluate(CalibrationError(), [[1., 0.]] * 4, [1] * 4)['calibration/ece'] == 100


def test_a_score_on_the_border_belongs_to_the_bin_below():
    scores, hits = torch.tensor([0., .5, 1.]).double(), torch.tensor([0., 1., 1.]).double()
    # With two bins: (0, .5] holds 0 and .5, (.5, 1] holds 1.
    assert calibration_error(scores, hits, 2) == pytest.approx(abs(.5 - 1) / 3)


def test_namesakes_among_the_classes_keep_a_figure_each():
    scores = [[.9, .1, 0.], [.9, .1, 0.], [0., .2, .8]]
    assert evaluate(PerClassAccuracy(), scores, [0, 1, 2], ('crane', 'dog', 'crane')) == {
        'accuracy/per_class': {'crane (0)': 100., 'dog': 0., 'crane (2)': 100.}}


def test_a_label_beyond_the_class_names_is_called_by_its_number():
    assert evaluate(PerClassAccuracy(), [[.1, .9]], [1], ('cat',)) == {
        'accuracy/per_class': {'1': 100.}}


def test_accuracy_per_class_judges_the_scores_as_mmpretrain_s_metrics_do():
    sample = dict(gt_label=torch.tensor([1]), pred_label=torch.tensor([0]))
    metric = PerClassAccuracy()
    metric.process(None, [{**sample, 'pred_score': torch.tensor([.3, .7])}, sample])
    assert metric.evaluate(2) == {'accuracy/per_class': {'1': 50.}}


@pytest.mark.parametrize('metric', [PerClassAccuracy(), CalibrationError()])
@pytest.mark.parametrize('label, said', [(dict(gt_label=torch.tensor([0, 2])), '2 labels'),
                                         ({}, 'no label')])
def test_a_figure_for_one_label_refuses_images_with_another_number(metric, label, said):
    sample = dict(label, img_path='a.png', pred_score=torch.tensor([.3, .7]))
    with pytest.raises(BadConfig, match=f'one label per image, but a.png has {said}'):
        metric.process(None, [sample])


def test_calibration_needs_scores():
    with pytest.raises(BadConfig, match='predicts labels only'):
        CalibrationError().process(None, [dict(gt_label=torch.tensor([1]),
                                               pred_label=torch.tensor([1]))])


def test_metrics_as_text_have_dicts_first_and_single_numbers_in_the_last_line():
    assert as_text({'top1': 50., 'per_class': {'cat': 25., 'dog': 75.}, 'count': 3}) == (
        'per_class: cat 25.00, dog 75.00\ntop1 50.00  count 3')
