import pytest


@pytest.mark.parametrize('option, said', [
    ('log_level=LOUD', "log_level of the config cannot be built: KeyError: LOUD"),
    ('optim_wrapper.optimizer.betas=3', 'optim_wrapper of the config cannot be built: TypeError'),
    ('test_evaluator.0.type=NoMetric', 'test_evaluator.0.type is NoMetric, which is not regis'),
    ('model.head.num_classes=many', 'the model of the config cannot be built: TypeError'),
    ('train_dataloader.dataset.split=none', "split is 'none'")])
def test_a_part_of_a_run_that_cannot_be_built_is_one_line(
        tool, toy_config, trained, tmp_path, option, said):
    name = 'test' if 'test_' in option else 'train'
    done = tool(name, toy_config, *([trained] if name == 'test' else ['--no-validate']),
                '--work-dir', tmp_path, '--cfg-options', option)
    assert done.code == 2
    assert said in done.err and len(done.err.splitlines()) == 1
