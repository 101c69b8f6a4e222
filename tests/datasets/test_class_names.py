import pytest
from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

from mmconvmixer.datasets.class_names import labels_of
from mmconvmixer.datasets.wordnet_ids import WORDNET_IDS


def test_a_folder_has_the_name_of_its_class():
    assert labels_of(['dog', 'cat', 'emu'], ('cat', 'dog')) == {'dog': 1, 'cat': 0}


@pytest.mark.parametrize('folder, label', [
    ('n01440764', 0), ('tench, Tinca tinca', 0), ('Tinca tinca', 0), ('goldfish', 1),
    ('English_springer', 217), ('english springer', 217), ('n15075141', 999)])
def test_imagenets_folders_are_wordnet_ids_or_one_of_the_names(folder, label):
    assert labels_of([folder], IMAGENET_CATEGORIES) == {folder: label}


def test_a_name_that_two_classes_have_stands_for_neither():
    assert [IMAGENET_CATEGORIES[label].split(',')[0] for label in (134, 517)] == ['crane', 'crane']
    assert labels_of(['crane'], IMAGENET_CATEGORIES) == {}
    assert labels_of(['n02012849', 'n03126707'], IMAGENET_CATEGORIES) == {
        'n02012849': 134, 'n03126707': 517}


def test_wordnet_ids_are_imagenets_only():
    assert labels_of(['n01440764'], ('tench', 'goldfish')) == {}


def test_an_exact_name_comes_before_a_similar_one():
    assert labels_of(['Cat', 'cat'], ('cat', 'Cat')) == {'Cat': 1, 'cat': 0}


def test_there_are_a_thousand_ids_in_the_order_of_the_labels():
    assert len(set(WORDNET_IDS)) == len(IMAGENET_CATEGORIES) == 1000
    assert list(WORDNET_IDS) == sorted(WORDNET_IDS)
