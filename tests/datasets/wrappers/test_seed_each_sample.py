import pickle
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import mmconvmixer  # noqa: F401, registers
from mmconvmixer.datasets import SeedEachSample, SkipUnreadable, StampedSampler


class Draws(Dataset):
    """Samples of their index and three draws, one from each generator."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(())],
                            dtype=torch.float64)


def loader(seed=0, shuffle=False, **options):
    dataset = SeedEachSample(Draws(), seed)
    sampler = StampedSampler(dict(type='DefaultSampler', shuffle=shuffle), dataset, seed)
    return DataLoader(dataset, batch_size=2, sampler=sampler, **options)


def epoch(loader, number):
    loader.sampler.set_epoch(number)
    return torch.cat(list(loader))


def generators():
    return (random.getstate(), np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist())


def test_samples_are_the_same_with_and_without_loader_processes():
    expected = [epoch(loader(), number) for number in range(2)]
    for options in (dict(num_workers=1), dict(num_workers=2, persistent_workers=True)):
        parallel = loader(**options)
        for number in range(2):
            torch.testing.assert_close(epoch(parallel, number), expected[number],
                                       rtol=0, atol=0)


@pytest.mark.parametrize('change', ['sample', 'epoch', 'seed', 'generator'])
def test_each_sample_epoch_seed_and_generator_draws_its_own(change):
    draws = epoch(loader(), 0)[:, 1:]
    if change == 'sample':
        assert all(len(set(column.tolist())) == 6 for column in draws.T)
    elif change == 'generator':
        assert len(set(draws.flatten().tolist())) == draws.numel()
    else:
        other = epoch(loader(seed=change == 'seed'), change == 'epoch')[:, 1:]
        assert (other != draws).all()


def test_a_sample_drawn_twice_in_an_epoch_is_augmented_twice():
    dataset = SeedEachSample(Draws(), 0)
    twice = StampedSampler(dict(type='RepeatAugSampler', shuffle=False, num_repeats=2), dataset, 0)
    first, second = [dataset[number] for number in twice][:2]
    assert first[0] == second[0] and first[1] != second[1]


def test_earlier_draws_have_no_effect():
    expected = epoch(loader(), 0)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    torch.testing.assert_close(epoch(loader(), 0), expected, rtol=0, atol=0)


def test_the_generators_of_the_run_are_not_advanced():
    dataset = SeedEachSample(Draws(), 0)
    before = generators()
    dataset[3]
    assert generators() == before


def test_the_generators_of_the_run_are_restored_after_an_error():
    class Fails(Draws):
        def __getitem__(self, index):
            random.random()
            raise ZeroDivisionError

    before = generators()
    with pytest.raises(ZeroDivisionError):
        SeedEachSample(Fails(), 0)[3]
    assert generators() == before


def test_with_a_sampler_without_epochs_each_draw_differs():
    dataset = SeedEachSample(Draws(), 0)
    sampler = StampedSampler(dict(type='InfiniteSampler', shuffle=False), dataset, 0)
    numbers = iter(sampler)
    draws = [dataset[next(numbers)] for _ in range(12)]
    assert [int(draw[0]) for draw in draws] == 2 * list(range(6))
    assert len({float(draw[1]) for draw in draws}) == 12


def test_the_stamp_of_an_index_survives_pickling():
    dataset = SeedEachSample(Draws(), 0)
    sampler = StampedSampler(dict(type='DefaultSampler', shuffle=False), dataset, 0)
    sampler.set_epoch(4)
    sent = pickle.loads(pickle.dumps(list(sampler)))
    assert sent == list(range(6))
    assert [number.stamp for number in sent] == [(4, i) for i in range(6)]


def test_length_and_metainfo_are_those_of_the_dataset():
    dataset = SeedEachSample(Draws(), 0)
    dataset.dataset.metainfo = dict(classes=('a',))
    assert len(dataset) == 6
    assert dataset.metainfo == dict(classes=('a',))
    with pytest.raises(AttributeError):
        dataset.nothing  # noqa: B018


class Batches(Draws):
    """A dataset that can also return a whole batch, which would not be seeded."""

    def __getitems__(self, indices):
        raise AssertionError('the wrapper was bypassed')


def test_each_sample_is_seeded_even_if_the_dataset_returns_batches():
    dataset = SeedEachSample(Batches(), 0)
    sampler = StampedSampler(dict(type='DefaultSampler', shuffle=False), dataset, 0)
    assert not hasattr(dataset, '__getitems__')
    torch.testing.assert_close(epoch(DataLoader(dataset, batch_size=2, sampler=sampler), 0),
                               epoch(loader(), 0), rtol=0, atol=0)


def test_what_is_assigned_reaches_the_wrapped_dataset():
    inner = Draws()
    dataset = SeedEachSample(SkipUnreadable(inner), 0)
    dataset.pipeline, dataset.seed = 'new', 7
    assert (inner.pipeline, inner.seed, dataset.seed) == ('new', 7, 7)
    assert not {'pipeline', 'seed'} & vars(dataset).keys()
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy.pipeline, copy.dataset.seed) == ('new', 7)


def test_dataset_is_what_a_wrapped_wrapper_wraps():
    class Repeats(Draws):
        dataset = Draws()

    outer = SeedEachSample(SkipUnreadable(Repeats()), 0)
    assert outer.dataset is Repeats.dataset
    other = Draws()
    plain = SeedEachSample(Draws(), 0)
    plain.dataset = other
    assert plain.dataset is other
