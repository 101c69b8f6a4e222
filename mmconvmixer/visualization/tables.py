"""The Markdown tables of docs/results.md, from the records of runs."""
import re
from pathlib import Path

import yaml

from mmconvmixer import zoo
from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.visualization.logs import Log, read_records


def results_table(folder: str | Path) -> str:
    """Return the Markdown table of `<folder>/rows.yml` and the records in the folder.

    A row has `model`, `budget`, `to_pass`, `where` and `config`. A run belongs to the row
    with its config. Its accuracies are those published in the shipped weights if this run
    made them, otherwise the last that it measured.

    Raises:
        BadConfig: see `read_records`.
    """
    rows = yaml.safe_load(Path(folder, 'rows.yml').read_text())
    runs = read_records(folder)
    lines = ['| model, data | budget | to pass | top-1 | top-5 | ECE | seed | time | machine | '
             'command |', '| --- | --- | --- | --: | --: | --: | --: | --: | --- | --- |']
    for row in rows:
        matching = [run.record for run in runs
                    if run.record and run.record['config_file'] == row['config']]
        task = f'{row["model"]} | {row["budget"]} | {row["to_pass"]}'
        if not matching:
            lines.append(f'| {task} | not run | | | | | {row["where"]} | '
                         f'`python tools/train.py {row["config"]}` |')
        lines += [f'| {task} | {_figures(record)} | `{_command(record)}` |'
                  for record in matching]
    return '\n'.join(lines)


def _command(record: dict) -> str:
    """Return a run's command without its folder and --resume, which do not change the result."""
    return re.sub(' --work-dir [^ ]+| --resume(?= |$)', '', record['command'])


def _figures(record: dict) -> str:
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
    """Return the metrics in the shipped weights if this run made them."""
    entry = zoo.find_by_config(record['config_file'])
    if entry is None or '://' in entry.weights:
        return None
    meta = read_checkpoint(entry.weights).get('meta') or {}
    if any(meta.get(key) != record[key] for key in ('seed', 'git_revision', 'environment')):
        return None
    return meta.get('published', {}).get('metrics')


def epochs_table(folder: str | Path) -> str:
    """Return the Markdown table of `<folder>/official_log.yml` beside this project's CIFAR-10 runs.

    These are the runs that were evaluated more than once. Epochs count from 0; a learning rate is
    that of an epoch's last iteration.

    Raises:
        BadConfig: see `read_records`.
    """
    official = yaml.safe_load(Path(folder, 'official_log.yml').read_text())
    runs: list[Log] = [run for run in read_records(folder)
                       if re.search(r'_cifar10(?!\d)', run.record['config_file'])
                       and len(run.curve('accuracy/top1')) > 1]
    titles = ['official', *(run.name for run in runs)]
    lines = ['| epoch | ' + ' | '.join(f'{title}: lr | top-1' for title in titles) + ' |',
             '| --: |' + ' --: |' * (2 * len(titles))]
    for epoch, (rate, top1) in official.items():
        cells = [f'{rate:.6f}', f'{top1:.2f}']
        for run in runs:
            row = next((row for row in run.rows if row.get('epoch') == epoch + 1), {})
            cells += [f'{row["lr"]:.6f}' if 'lr' in row else '',
                      f'{row["accuracy/top1"]:.2f}' if 'accuracy/top1' in row else '']
        lines.append(f'| {epoch} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)
