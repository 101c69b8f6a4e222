"""The zoo as a Markdown table: the README's, and with `--site` that of docs/model_zoo.md."""
import sys
from pathlib import Path

from modelindex.models.Model import Model

from mmconvmixer.zoo.index import models, package_root


def model_table(site: bool = False) -> str:
    """Return one row for each model: name, sizes, training data, accuracy and weights.

    Args:
        site: name the configs instead of linking to them, because they are not pages of
            the documentation site.
    """
    lines = ['| model | params | multiply-adds | trained on | top-1 | top-5 | weights |',
             '| --- | --: | --: | --- | --: | --: | --- |']
    for entry in models().values():
        if entry.name.endswith('-features'):  # the classifier's weights without the head
            continue
        meta = entry.metadata.data
        config = Path(entry.config).relative_to(package_root()).as_posix()
        name = f'`{entry.name}`<br>`{config}`' if site else f'[`{entry.name}`]({config})'
        lines.append(
            f'| {name} | {meta["Parameters"] / 1e6:.2f} M '
            f'| {meta["FLOPs"] / 1e9:.3g} G | {meta["Training Data"]} '
            f'| {_accuracy(entry, 1)} | {_accuracy(entry, 5)} | {_weights(entry)} |')
    return '\n'.join(lines)


def _accuracy(entry: Model, k: int) -> str:
    metrics = entry.results.data[0].metrics if entry.results else {}
    value = metrics.get(f'Top {k} Accuracy')
    return '' if value is None else f'{value:.2f}'


def _weights(entry: Model) -> str:
    if not entry.weights:
        return ''
    if '://' not in entry.weights:
        return 'in the package'
    return f'[{entry.data.get("SHA256") or Path(entry.weights).name}]({entry.weights})'


if __name__ == '__main__':
    print(model_table(site='--site' in sys.argv[1:]))
