import pytest
import torch
import torch.multiprocessing as mp
from mmengine.evaluator import DumpResults
from mmpretrain.evaluation import Accuracy, ConfusionMatrix, SingleLabelMetric
from mmpretrain.structures import DataSample

from mmconvmixer.engine import Evaluator

CLASSES = 4


def samples(count, unreadable=()):
    """`count` predictions that are right at random; all unreadable ones are right."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for index in range(count):
        label = int(torch.randint(CLASSES, (), generator=generator))
        score = torch.rand(CLASSES, generator=generator)
        if index in unreadable:
            score[label] = 2.
        sample = DataSample(metainfo=dict(sample_idx=index, num_classes=CLASSES))
        sample.set_gt_label(label).set_pred_score(score / score.sum())
        sample.set_pred_label(int(score.argmax()))
        if index in unreadable:
            sample.set_field((f'{index}.png',), 'unreadable', field_type='metainfo')
        made.append(sample)
    return made


def metrics_of(evaluator, all_samples, rank=0, world_size=1, batch=4):
    """Evaluate the share that `DefaultSampler` gives a rank, including padding."""
    size = len(all_samples)
    padded = all_samples + all_samples[:-size % world_size]
    own_samples = [sample.to_dict() for sample in padded[rank::world_size]]
    for start in range(0, len(own_samples), batch):
        evaluator.process(own_samples[start:start + batch])
    return evaluator.evaluate(size)


def truth(all_samples):
    readable = [sample for sample in all_samples if 'unreadable' not in sample]
    right = sum(int(sample.pred_score.argmax()) == int(sample.gt_label) for sample in readable)
    return right * 100. / len(readable)


@pytest.mark.parametrize('unreadable', [(), (0,), (3, 4, 5, 12), tuple(range(1, 13))])
def test_unreadable_samples_are_left_out(unreadable):
    given = samples(13, unreadable)
    metrics = metrics_of(Evaluator(Accuracy()), given)
    assert metrics['accuracy/top1'] == pytest.approx(truth(given), abs=1e-5)


def test_a_second_evaluation_forgets_the_first():
    evaluator = Evaluator(Accuracy())
    metrics_of(evaluator, samples(13, (1, 2)))
    given = samples(9)
    assert metrics_of(evaluator, given)['accuracy/top1'] == pytest.approx(truth(given))


def test_every_metric_of_a_list_leaves_unreadable_samples_out():
    given = samples(13, (2, 7))
    evaluator = Evaluator([Accuracy(), SingleLabelMetric(), ConfusionMatrix()])
    metrics = metrics_of(evaluator, given)
    assert metrics['confusion_matrix/result'].sum() == 11
    alone = metrics_of(Evaluator(SingleLabelMetric()),
                       [sample for sample in given if 'unreadable' not in sample])
    assert metrics['single-label/f1-score'] == alone['single-label/f1-score']


def test_samples_of_concatenated_datasets_are_not_confused():
    """In mmengine's ConcatDataset every part counts its `sample_idx` from 0."""
    first, second = samples(6), samples(6, (1,))
    for sample in second:
        sample.set_pred_score(torch.eye(CLASSES)[(int(sample.gt_label) + 1) % CLASSES])
    metrics = metrics_of(Evaluator(Accuracy()), first + second)
    assert metrics['accuracy/top1'] == pytest.approx(truth(first + second), abs=1e-4)


def test_samples_without_an_index_are_all_counted():
    """`PackInputs(meta_keys=...)` of a user's config may leave `sample_idx` out."""
    given = samples(9, (4,))
    for sample in given:
        sample.pop('sample_idx')
    assert metrics_of(Evaluator(Accuracy()), given)['accuracy/top1'] == pytest.approx(
        truth(given), abs=1e-4)


def _rank(rank, world_size, port, size, unreadable, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world_size)
    dump = DumpResults(f'{folder}/dump.pkl')
    metrics = metrics_of(Evaluator([Accuracy(topk=(1, 2)), dump]), samples(size, unreadable),
                         rank, world_size)
    torch.save(metrics, f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('size, unreadable', [
    (13, ()),            # odd: one is padding
    (13, (12,)),         # the last, on rank 0
    (13, (0,)),          # the one that pads
    (14, (1, 3, 5, 7)),  # all on rank 1
])
def test_two_processes_give_the_metrics_of_one(tmp_path, free_port, size, unreadable):
    mp.start_processes(_rank, (2, free_port, size, unreadable, str(tmp_path)), nprocs=2,
                       start_method='fork')
    from mmengine import load
    one = metrics_of(Evaluator(Accuracy(topk=(1, 2))), samples(size, unreadable))
    for rank in (0, 1):
        assert torch.load(tmp_path / f'{rank}.pth') == one
    dumped = [result['sample_idx'] for result in load(tmp_path / 'dump.pkl')]
    assert dumped == [index for index in range(size) if index not in unreadable]
