"""Records of runs, and the table that they make beside the figures to pass."""
import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from mmconvmixer import zoo
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import BadConfig

REQUIRED = {'command', 'config_file', 'seed', 'seconds', 'environment', 'git_revision', 'history'}


@dataclass(frozen=True)
class Run:
    """What `RecordHook` wrote of a run.

    Attributes:
        name: of its file.
        record: see `RecordHook`.
    """
    name: str
    record: dict

    def curve(self, metric: str = 'accuracy/top1') -> list[tuple[float, float]]:
        """Return (epoch, value) wherever the metric was measured."""
        return [(entry.get('epoch', entry['iter']), entry['metrics'][metric])
                for entry in self.record['history'] if metric in entry.get('metrics', {})]


def read_runs(folder: str | Path) -> list[Run]:
    """Return the runs whose records `<folder>/*.json` are, by name.

    Raises:
        BadConfig: no such folder, or a file that is no run's record.
    """
    if not Path(folder).is_dir():
        raise BadConfig(f'{folder} is no folder; expected one with records of runs')
    return [read_run(path) for path in sorted(Path(folder).glob('*.json'))]


def read_run(path: str | Path) -> Run:
    """Return the run whose record a file is.

    Raises:
        BadConfig: it is no run's record.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise BadConfig(f'{path} is no JSON: {error}') from error
    if not isinstance(record, dict) or not record.keys() >= REQUIRED:
        raise BadConfig(f'{path} is no record of a run; expected a run.json as '
                        'tools/train.py writes it')
    return Run(path.stem, record)


def results_table(folder: str | Path) -> str:
    """Return the Markdown table of `<folder>/rows.yml` and the runs beside it.

    A row has `model`, `budget`, `to_pass` and `config`. A run belongs to the row
    of its config; its accuracies are those published in the shipped weights, or
    where another run made these, the last that it measured.
    """
    rows = yaml.safe_load(Path(folder, 'rows.yml').read_text())
    runs = read_runs(folder)
    lines = ['| model, data | budget | to pass | top-1 | top-5 | ECE | seed | time | machine | '
             'command |', '| --- | --- | --- | --: | --: | --: | --: | --: | --- | --- |']
    for row in rows:
        own = [run for run in runs if run.record['config_file'] == row['config']]
        what = f'{row["model"]} | {row["budget"]} | {row["to_pass"]}'
        if not own:
            lines.append(f'| {what} | not run | | | | | {row["where"]} | '
                         f'`python tools/train.py {row["config"]}` |')
        lines += [f'| {what} | {_figures(run)} | `{run.record["command"]}` |' for run in own]
    return '\n'.join(lines)


def _figures(run: Run) -> str:
    record = run.record
    measured = [entry['metrics'] for entry in record['history'] if 'metrics' in entry]
    metrics = _published(record) or (measured[-1] if measured else {})
    top1, top5, ece = (f'{metrics[name]:.2f}' if name in metrics else ''
                       for name in ('accuracy/top1', 'accuracy/top5', 'calibration/ece'))
    seconds = record['seconds']
    time = f'{seconds / 60:.1f} min' if seconds >= 60 else f'{seconds:.0f} s'
    machine = record['environment']
    return (f'{top1} | {top5} | {ece} | {record["seed"]} | {time} | '
            f'{machine.get("gpu") or machine["processor"]}')


def _published(record: dict) -> dict | None:
    """Return the metrics in the shipped weights, if this run made them."""
    entry = zoo.find_by_config(record['config_file'])
    if entry is None or '://' in entry.weights:
        return None
    meta = read_checkpoint(entry.weights).get('meta') or {}
    if any(meta.get(key) != record[key] for key in ('seed', 'git_revision', 'environment')):
        return None
    return meta.get('published', {}).get('metrics')


def epochs_table(folder: str | Path) -> str:
    """Return the Markdown table of `<folder>/official_log.yml` and our CIFAR-10 runs.

    Rates are those of an epoch's last iteration, epochs count from 0.
    """
    official = yaml.safe_load(Path(folder, 'official_log.yml').read_text())
    runs = [run for run in read_runs(folder)
            if re.search(r'_cifar10(?!\d)', run.record['config_file'])]
    titles = ['official', *(run.name for run in runs)]
    lines = ['| epoch | ' + ' | '.join(f'{title}: lr | top-1' for title in titles) + ' |',
             '| --: |' + ' --: |' * (2 * len(titles))]
    for epoch, (rate, top1) in official.items():
        cells = [f'{rate:.6f}', f'{top1:.2f}']
        for run in runs:
            rates = {entry['epoch'] - 1: entry['lr'] for entry in run.record['history']
                     if 'epoch' in entry and 'lr' in entry}
            values = {number - 1: value for number, value in run.curve()}
            cells += [f'{rates[epoch]:.6f}' if epoch in rates else '',
                      f'{values[epoch]:.2f}' if epoch in values else '']
        lines.append(f'| {epoch} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)
