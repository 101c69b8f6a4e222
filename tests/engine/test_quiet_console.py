"""The console shows one line per fact; the log file has all."""
import logging

import pytest
from mmengine.logging import MMLogger

from mmconvmixer.engine.quiet_console import leave_blocks_to_file


def test_blocks_of_lines_go_to_the_file_and_warnings_everywhere(tmp_path, capsys):
    path = tmp_path / 'run.log'
    logger = MMLogger('quiet', logger_name='quiet', log_file=str(path))
    leave_blocks_to_file(logger)
    logger.info('\nConfig:\nmodel = dict()\n')
    logger.info('\nsaved epoch_1.pth\n')
    logger.warning('two classes differ:\ncat, dog')
    for handler in logger.handlers:
        handler.flush()
    printed = ''.join(capsys.readouterr())
    assert 'Config:' not in printed and 'Config:' in path.read_text()
    for text in ('saved epoch_1.pth', 'cat, dog', f'environment, config and hooks are in {path}'):
        assert text in printed and text in path.read_text()


@pytest.mark.parametrize('level', [logging.INFO, logging.ERROR])
def test_errors_of_several_lines_are_printed(level, tmp_path, capsys):
    logger = MMLogger('errors', logger_name='errors', log_file=str(tmp_path / 'run.log'))
    leave_blocks_to_file(logger)
    logger.log(level, 'first\nsecond')
    assert ('second' in ''.join(capsys.readouterr())) == (level == logging.ERROR)
