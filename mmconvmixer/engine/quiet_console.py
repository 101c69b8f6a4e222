"""Print what a run does, and leave its environment, config and hooks to its log file."""
import logging

from mmengine.logging import MMLogger


def leave_blocks_to_file(logger: MMLogger) -> None:
    """Let the console leave out messages of several lines, unless they are warnings.

    It names the file instead, once.
    """
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            path = handler.baseFilename
            logger.info(f'environment, config and hooks are in {path}')
        else:
            handler.addFilter(_has_one_line_or_warns)


def _has_one_line_or_warns(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or '\n' not in record.getMessage().strip()
