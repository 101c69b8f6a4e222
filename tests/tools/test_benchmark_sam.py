import re


def test_it_prints_both_times_and_their_ratio(tool, toy_config):
    run = tool('benchmark_sam', toy_config, '--steps', 2, '--batch-size', 4, experiment=False)
    assert run.code == 0, run.err
    plain, sharp, ratio = map(float, re.search(
        r'plain ([\d.]+) ms a step, SAM ([\d.]+) ms; median ratio ([\d.]+)', run.out).groups())
    assert plain > 0 and sharp > 0 and ratio > 0
