"""Find the datasets inside a dataset config: below wrappers and in sets of several parts."""
from collections.abc import Iterator
from typing import Any

from mmconvmixer.errors import BadConfig


def innermost(dataset_cfg: Any) -> Iterator[Any]:
    """Yield the configs of the datasets that read images, without the wrappers around them.

    Args:
        dataset_cfg: config of a dataset. RepeatDataset, KFoldDataset, InMemory and the like
            have the key `dataset`, ConcatDataset has `datasets`.
    """
    if 'datasets' in dataset_cfg and 'pipeline' not in dataset_cfg:
        for each in dataset_cfg['datasets']:
            yield from innermost(each)
    elif 'dataset' in dataset_cfg and 'pipeline' not in dataset_cfg:
        yield from innermost(dataset_cfg['dataset'])
    else:
        yield dataset_cfg


def only_pipeline(dataset_cfg: Any, name: str) -> Any:
    """Return the one pipeline of a dataset config, in whatever it is wrapped.

    Args:
        dataset_cfg: config of a dataset.
        name: what a message calls it, such as 'the test set'.

    Raises:
        BadConfig: there is none, or its parts have different ones.
    """
    pipelines = [each.get('pipeline') for each in innermost(dataset_cfg)]
    if not pipelines or None in pipelines:
        raise BadConfig(f'there is no pipeline of {name} ({dataset_cfg.get("type")}), which says '
                        'how to prepare an image; set the pipeline of its dataset')
    if any(each != pipelines[0] for each in pipelines):
        raise BadConfig(f'the {len(pipelines)} parts of {name} have different pipelines, so that '
                        'it is not clear how to prepare an image; give them the same one')
    return pipelines[0]
