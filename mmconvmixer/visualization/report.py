"""One HTML page about a run: everything in one file, which any browser shows offline."""
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from mmconvmixer.errors import BadImage
from mmconvmixer.visualization.calibration import plot_calibration
from mmconvmixer.visualization.confusion import (
    confusion_counts,
    most_confused,
    plot_confusion,
    row_shares,
)
from mmconvmixer.visualization.predictions import plot_predictions
from mmconvmixer.visualization.predictions_file import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = '''
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
img { max-width: 100%; height: auto; background: white; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: 0.15rem 1rem 0.15rem 0; border-bottom: 1px solid #8886; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; font-size: 0.85rem; }
'''


def report(predictions: Predictions, images: Any = None, curves: bytes | None = None,
           record: Mapping | None = None, config: str | None = None) -> str:
    """Return an HTML page with accuracies, calibration, confusion, worst images and the run.

    What is not known is left out.

    Args:
        predictions: of a test set.
        images: gives the image of a prediction by its number; see `PredictedImages`.
        curves: a PNG of loss and accuracies over epochs.
        record: the run.json of the run.
        config: its config, as text.
    """
    sections = [('Result', _table(_summary(predictions)))]
    if curves:
        sections.append(('Curves', _image(curves, 'Loss, accuracies and learning rate')))
    sections.append(('Classes', _classes(predictions)))
    if predictions.scores is not None:
        sections.append(('Calibration', _figure(plot_calibration(predictions))
                         + '<p>Bars below the dashed line are scores that promise too much.</p>'))
    sections.append(('Confusion', _figure(plot_confusion(predictions)) + _pairs(predictions)))
    if predictions.scores is not None and images is not None and not predictions.right.all():
        sections.append(('Worst images', _worst(predictions, images)))
    if record:
        facts = {name: record[name] for name in ('command', 'seed', 'seconds', 'git_revision')
                 if record.get(name) is not None}
        environment = record.get('environment')
        sections.append(('Run', _table({**facts, **(environment if isinstance(
            environment, Mapping) else {})})))
    if config:
        sections.append(('Config', f'<details><summary>{len(config.splitlines())} lines</summary>'
                         f'<pre>{escape(config)}</pre></details>'))
    body = '\n'.join(f'<section><h2>{title}</h2>\n{content}</section>'
                     for title, content in sections)
    name = escape(predictions.name)
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n'
            f'{body}\n</body>\n</html>\n')


def _summary(predictions: Predictions) -> dict[str, str]:
    facts = {'top-1 accuracy': f'{predictions.right.mean():.2%}'}
    if predictions.scores is not None and predictions.scores.shape[1] > 5:
        better = (predictions.scores > predictions.true_scores[:, None]).sum(axis=1)
        facts['top-5 accuracy'] = f'{(better < 5).mean():.2%}'
    return {**facts, 'images': f'{len(predictions.labels):,}',
            'classes': f'{len(predictions.classes):,}'}


def _classes(predictions: Predictions) -> str:
    counts = confusion_counts(predictions)
    totals, accuracies = counts.sum(axis=1), np.diag(row_shares(counts))
    present = [label for label in np.argsort(accuracies, kind='stable') if totals[label]]
    table = _rows(('class', 'accuracy, %', 'images'), (
        (predictions.classes[label], f'{accuracies[label]:.2f}', f'{totals[label]:,}')
        for label in present))
    return table if len(present) <= 30 else (
        f'<details><summary>{len(present):,} classes, the lowest accuracy first</summary>{table}'
        '</details>')


def _pairs(predictions: Predictions) -> str:
    counts = confusion_counts(predictions)
    pairs = most_confused(counts, 30)
    if not pairs:
        return ''
    return '<details><summary>The most confused pairs</summary>' + _rows(
        ('true class', 'taken for', 'images', 'of'),
        ((predictions.classes[true], predictions.classes[taken], f'{counts[true, taken]:,}',
          f'{counts[true].sum():,}') for true, taken in pairs)) + '</details>'


def _worst(predictions: Predictions, images: Any) -> str:
    wrong = int((~predictions.right).sum())
    try:
        return _figure(plot_predictions(predictions, images, min(24, wrong)))
    except BadImage as error:  # the rest of the report does not need them
        return f'<p>{escape(str(error))}</p>'


def _table(facts: Mapping[str, object]) -> str:
    return '<table>' + ''.join(f'<tr><th scope="row">{escape(str(name))}</th>'
                               f'<td>{escape(str(value))}</td></tr>'
                               for name, value in facts.items()) + '</table>\n'


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def cell(text: str) -> str:
        number = ' class="number"' if text.replace(',', '').replace('.', '').isdigit() else ''
        return f'<td{number}>{escape(text)}</td>'
    return ('<table><tr>' + ''.join(f'<th scope="col">{head}</th>' for head in heads) + '</tr>\n'
            + '\n'.join(f'<tr>{"".join(map(cell, row))}</tr>' for row in rows) + '</table>\n')


def _figure(figure: 'Figure') -> str:
    file = BytesIO()
    figure.savefig(file, format='png', dpi=100)
    return _image(file.getvalue(), ' '.join(figure.get_suptitle().replace(r'\$', '$').split()))


def _image(png: bytes, text: str) -> str:
    return (f'<img alt="{escape(text)}" src="data:image/png;base64,'
            f'{b64encode(png).decode()}">\n')
