"""The zoo as a Markdown table, so that README and metafiles can't disagree."""
from pathlib import Path

from mmconvmixer.zoo.index import models


def model_table() -> str:
    """Return one row for each model: name, sizes, data set, accuracy, where the weights are."""
    lines = ['| model | params | multiply-adds | trained on | top-1 | top-5 | weights |',
             '| --- | --: | --: | --- | --: | --: | --- |']
    for entry in models().values():
        meta = entry.metadata.data
        metrics = entry.results.data[0].metrics
        packaged = '://' not in entry.weights
        link = f'[{entry.data["SHA256"]}]({entry.weights})'
        weights = 'in the package' if packaged else link
        config = Path(entry.config).name
        lines.append(
            f'| [`{entry.name}`](configs/convmixer/{config}) | {meta["Parameters"] / 1e6:.2f} M '
            f'| {meta["FLOPs"] / 1e9:.3g} G | {meta["Training Data"]} '
            f'| {metrics["Top 1 Accuracy"]:.2f} | {metrics["Top 5 Accuracy"]:.2f} | {weights} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    print(model_table())
