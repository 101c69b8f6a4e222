"""The packaged CIFAR weights reach their published figures on all 10,000 test images."""
import pytest

from mmconvmixer import zoo
from mmconvmixer.checkpoints import read_checkpoint

PACKAGED = [name for name in zoo.names()
           if 'cifar' in name and '://' not in zoo.find(name).weights]


def data_of(name):
    return 'cifar100' if 'cifar100' in name else 'cifar10'


def published(name):
    return read_checkpoint(zoo.find(name).weights)['meta']['published']['metrics']


@pytest.mark.parametrize('name', PACKAGED)
def test_the_metafile_says_what_the_file_says(name):
    in_metafile, in_file = zoo.find(name).results.data[0].metrics, published(name)
    assert in_metafile == {'Top 1 Accuracy': round(in_file['accuracy/top1'], 2),
                           'Top 5 Accuracy': round(in_file['accuracy/top5'], 2)}


@pytest.mark.slow
@pytest.mark.parametrize('name', PACKAGED)
def test_verify_reaches_every_figure(name, tool, unpacked):
    run = tool('verify', name, '--data', unpacked(data_of(name), 'test'), experiment=False)
    assert run.code == 0, run.out
    assert 'test data: the published images' in run.out


@pytest.mark.slow
@pytest.mark.parametrize('name', PACKAGED)
def test_the_test_tool_prints_the_published_accuracy(name, tool, unpacked, tmp_path):
    entry = zoo.find(name)
    run = tool('test', entry.config, '--work-dir', tmp_path, '--cfg-options',
               f'test_dataloader.dataset.data_root={unpacked(data_of(name), "test")}')
    assert run.code == 0, run.err
    assert f'accuracy/top1: {published(name)["accuracy/top1"]:.2f}' in run.out
