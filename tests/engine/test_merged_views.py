import copy

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from mmpretrain.models import AverageClsScoreTTA
from mmpretrain.models.heads import MultiLabelClsHead
from mmpretrain.structures import DataSample
from torch import nn

from mmconvmixer.engine.merged_views import merge_into_one_prediction

# The first view alone is wrong, the second and third are right: the mean has label 1.
VIEWS = [[.6, .4, 0.], [.2, .7, .1], [.1, .8, .1]]


class Classifier(BaseModel):
    def __init__(self, head=None):
        super().__init__()
        self.head = head

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


class Voting(BaseTTAModel):
    """Sets labels only, and leaves the scores of the first view."""

    def merge_preds(self, data_samples_list):
        merged = []
        for views in data_samples_list:
            labels = torch.cat([view.pred_label for view in views])
            merged.append(views[0].new().set_pred_label(int(labels.mode().values)))
        return merged


class MostConfident(BaseTTAModel):
    """Sets the scores of one view, and leaves the label of the first."""

    def merge_preds(self, data_samples_list):
        return [views[0].new().set_pred_score(max(views, key=lambda view: view.pred_score.max())
                                              .pred_score) for views in data_samples_list]


class InPlace(BaseTTAModel):
    """Averages into the scores of the first view."""

    def merge_preds(self, data_samples_list):
        for views in data_samples_list:
            for view in views[1:]:
                views[0].pred_score += view.pred_score
            views[0].pred_score /= len(views)
        return [views[0] for views in data_samples_list]


def merged(tta, head=None, views=VIEWS):
    model = tta(Classifier(head))
    merge_into_one_prediction(model)
    samples = [DataSample().set_gt_label(1).set_pred_score(torch.tensor(scores)).set_pred_label(
        torch.tensor(scores).argmax()) for scores in views]
    sample, = copy.deepcopy(model).merge_preds([samples])
    return sample.pred_label.tolist(), sample.pred_score.tolist()


@pytest.mark.parametrize('tta', [AverageClsScoreTTA, InPlace])
def test_the_label_follows_the_averaged_scores(tta):
    label, scores = merged(tta)
    assert label == [1] and scores == pytest.approx([.3, 1.9 / 3, .2 / 3])


def test_the_label_follows_scores_that_one_view_gave():
    label, scores = merged(MostConfident)
    assert label == [1] and scores == pytest.approx([.1, .8, .1])


def test_the_scores_of_a_voted_label_are_those_of_the_views_that_voted_for_it():
    label, scores = merged(Voting)
    assert label == [1] and scores == pytest.approx([.15, .75, .1])


@pytest.mark.parametrize('options, expected', [(dict(thr=.2), [0, 1]), (dict(topk=2), [1, 0])])
def test_several_labels_follow_the_rule_of_the_head(options, expected):
    label, _ = merged(AverageClsScoreTTA, MultiLabelClsHead(**options))
    assert label == expected


def test_other_models_are_left_alone():
    model = nn.Linear(1, 1)
    merge_into_one_prediction(model)
    assert 'merge_preds' not in vars(model)
