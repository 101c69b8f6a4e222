from types import SimpleNamespace

import pytest

from mmconvmixer.datasets.same_classes import distinct_names, other_classes


def test_namesakes_are_told_apart_by_their_number():
    assert distinct_names(['cat', 'crane', 'dog', 'crane']) == [
        'cat', 'crane (1)', 'dog', 'crane (3)']


def test_a_class_that_is_called_like_a_numbered_namesake_stays_distinct():
    names = distinct_names(['crane', 'crane', 'crane (1)', '5'], 6)
    assert len(set(names)) == 6 and names[2] == 'crane (1)'


def test_classes_without_a_name_are_called_by_their_number():
    assert distinct_names(['cat'], 3) == ['cat', '1', '2']


def difference(trained, tested, outputs=None):
    return other_classes(trained, outputs, SimpleNamespace(metainfo=dict(classes=tested)))


@pytest.mark.parametrize('trained, tested', [
    (['cat', 'dog'], ('cat', 'dog')),
    (['Tabby_cat', 'dog'], ['tabby cat', 'Dog ']),
    (['tench, Tinca tinca'], ['tench']),
    (['maillot, tank suit'], ['maillot']),
    (['tench', 'goldfish'], ['n01440764', 'n01443537']),
    (['cat'], None),
    (None, None)])
def test_classes_that_mean_the_same_are_the_same(trained, tested):
    assert difference(trained, tested, 1000) == ''


@pytest.mark.parametrize('trained, tested, said', [
    (['cat', 'dog'], ['dog', 'cat'], 'label 0 is cat in the checkpoint and dog in the test set'),
    (['kind0', 'kind1'], ['cat', 'dog'], '2 classes: kind0, kind1; 2 classes: cat, dog'),
    (['a', 'b', 'c', 'd'], ['a', 'b'], '4 classes: a, b, c, ...; the test set has 2 classes'),
    (['n01440764', 'n01443537'], ['n01440764', 'n09999999'], 'label 1')])
def test_other_classes_are_described(trained, tested, said):
    assert said in difference(trained, tested)


def test_without_names_in_the_checkpoint_their_number_is_compared():
    assert difference(None, ['cat', 'dog'], 2) == '' == difference(None, ['cat', 'dog'], 1)
    assert '1000 classes, the test set 2' in difference(None, ['cat', 'dog'], 1000)
