import pytest
import torch
import torch.multiprocessing as mp
from mmengine.evaluator import BaseMetric, DumpResults
from mmpretrain.evaluation import Accuracy, ConfusionMatrix, SingleLabelMetric
from mmpretrain.structures import DataSample

from mmconvmixer.engine import Evaluator
from mmconvmixer.errors import BadConfig

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


class OnePerBatch(BaseMetric):
    """Keeps one result a batch, as in mmengine's introduction to metrics."""

    default_prefix = 'batch'

    def process(self, data_batch, data_samples):
        hits = [int(sample['pred_label']) == int(sample['gt_label']) for sample in data_samples]
        self.results.append((sum(hits), len(hits)))

    def compute_metrics(self, results):
        right, count = map(sum, zip(*results, strict=True))
        return dict(acc=100 * right / count, count=count)


class OnlyWrong(BaseMetric):
    """Keeps the samples that were misclassified."""

    default_prefix = 'wrong'

    def process(self, data_batch, data_samples):
        self.results += [sample['sample_idx'] for sample in data_samples
                         if int(sample['pred_label']) != int(sample['gt_label'])]

    def compute_metrics(self, results):
        return dict(samples=results)


class Nothing(BaseMetric):
    """Keeps no results in the list that mmengine collects."""

    default_prefix = 'nothing'
    count = 0

    def process(self, data_batch, data_samples):
        self.count += len(data_samples)

    def compute_metrics(self, results):
        return dict(count=self.count)


class Running(BaseMetric):
    """Replaces its results by their sum."""

    default_prefix = 'running'

    def process(self, data_batch, data_samples):
        self.results = [sum(self.results) + len(data_samples)]

    def compute_metrics(self, results):
        return dict(count=sum(results))


class BatchAndPredictions(BaseMetric):
    """Pairs the samples of the batch with their predictions."""

    default_prefix = 'pairs'

    def process(self, data_batch, data_samples):
        self.results += [(given.sample_idx, float(image), sample['sample_idx'])
                         for given, image, sample in zip(data_batch['data_samples'],
                                                         data_batch['inputs'], data_samples,
                                                         strict=True)]

    def compute_metrics(self, results):
        return dict(equal=all(one == image == other for one, image, other in results))


@pytest.mark.parametrize('unreadable', [(3,), (0, 1, 2, 3), (4, 12), tuple(range(1, 13))])
def test_a_metric_may_keep_any_number_of_results(unreadable):
    given = samples(13, unreadable)
    metrics = metrics_of(Evaluator([OnePerBatch(), OnlyWrong(), Nothing(), Running(),
                                    Accuracy()]), given)
    count = 13 - len(unreadable)
    assert metrics['batch/acc'] == pytest.approx(truth(given))
    assert metrics['accuracy/top1'] == pytest.approx(truth(given), abs=1e-5)
    assert metrics['batch/count'] == metrics['nothing/count'] == metrics['running/count'] == count
    assert metrics['wrong/samples'] == [
        sample.sample_idx for sample in given
        if 'unreadable' not in sample and int(sample.pred_label) != int(sample.gt_label)]


def batch_of(given):
    return dict(inputs=torch.arange(len(given)), data_samples=given)


def test_the_batch_that_a_metric_gets_has_the_readable_samples_too():
    given, evaluator = samples(6, (1, 4)), Evaluator(BatchAndPredictions())
    evaluator.process(given, batch_of(given))
    assert evaluator.evaluate(6) == {'pairs/equal': True}


def test_the_views_of_test_time_augmentation_are_chosen_and_looked_at():
    """A model that merges views may make new samples, without the mark `unreadable`."""
    given = samples(4, (2,))
    new = [DataSample(metainfo=dict(sample_idx=index)).set_gt_label(0).set_pred_label(0)
           for index in range(4)]
    evaluator, seen = Evaluator(Nothing()), []
    evaluator.metrics[0].process = lambda batch, chosen: seen.append((batch, chosen))
    evaluator.process(new, dict(inputs=[torch.arange(4), torch.arange(4)],
                                data_samples=[given, given]))
    (batch, chosen), = seen
    assert [sample['sample_idx'] for sample in chosen] == [0, 1, 3]
    assert [view.tolist() for view in batch['inputs']] == [[0, 1, 3]] * 2
    assert [[sample.sample_idx for sample in view]
            for view in batch['data_samples']] == [[0, 1, 3]] * 2


class Failing(BaseMetric):
    default_prefix = 'failing'

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        raise ZeroDivisionError('in a metric')


def test_a_metric_that_fails_does_not_take_the_figures_of_others_with_it(monkeypatch):
    logged = []
    monkeypatch.setattr('mmconvmixer.engine.evaluator.print_log',
                        lambda text, *_options: logged.append(text))
    with pytest.raises(ZeroDivisionError):
        metrics_of(Evaluator([Nothing(), Failing(), Accuracy()]), samples(5))
    assert 'Failing failed' in logged[0]
    assert f'nothing/count 5  accuracy/top1 {truth(samples(5)):.2f}' in logged[0]


def test_two_metrics_with_the_same_name_are_one_line_after_the_figures():
    with pytest.raises(BadConfig, match='several metrics have a value accuracy/top1'):
        metrics_of(Evaluator([Accuracy(), Accuracy(topk=1)]), samples(5))


@pytest.mark.parametrize('metric', [Accuracy(), SingleLabelMetric(), ConfusionMatrix()])
def test_metrics_for_one_label_refuse_several_in_the_first_batch(metric):
    given = samples(3)
    given[1].set_gt_label([0, 2])
    with pytest.raises(BadConfig, match=f'{type(metric).__name__} needs one label per image'):
        Evaluator(metric).process(given)


def _rank(rank, world_size, port, size, unreadable, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world_size)
    dump = DumpResults(f'{folder}/dump.pkl')
    evaluator = Evaluator([Accuracy(topk=(1, 2)), dump, OnePerBatch(), OnlyWrong()])
    metrics = metrics_of(evaluator, samples(size, unreadable), rank, world_size)
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
    one = metrics_of(Evaluator([Accuracy(topk=(1, 2)), OnePerBatch(), OnlyWrong()]),
                     samples(size, unreadable))
    for rank in (0, 1):
        found = torch.load(tmp_path / f'{rank}.pth')
        for name in ('accuracy/top1', 'accuracy/top2'):
            assert found[name] == one[name]
        if unreadable:  # otherwise mmengine collects, which pairs the results of two processes
            assert set(found['wrong/samples']) == set(one['wrong/samples'])
            assert found['batch/count'] >= one['batch/count']
    dumped = [result['sample_idx'] for result in load(tmp_path / 'dump.pkl')]
    assert dumped == [index for index in range(size) if index not in unreadable]
