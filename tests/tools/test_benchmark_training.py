import re


def test_it_prints_both_times_and_their_ratio(tool, toy_config):
    run = tool('benchmark_training', toy_config, '--rounds', 2, '--steps', 1, experiment=False)
    assert run.code == 0, run.err
    fixed, fed, ratio = map(float, re.search(
        r'fixed batch ([\d.]+) ms a step, from the loader ([\d.]+) ms; median ratio ([\d.]+)',
        run.out).groups())
    assert fixed > 0 and fed > 0 and ratio > 0
