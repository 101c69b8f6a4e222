"""Print what a run does, and leave its environment, config and hooks to its log file."""
import logging

from mmengine.logging import MMLogger


def leave_blocks_to_file(logger: MMLogger, path: str) -> None:
    """Let the console leave out messages of several lines, unless they are warnings.

    Args:
        logger: the logger of a run.
        path: of its file, which the console names once.
    """
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(_has_one_line_or_warns)
    logger.info(f'environment, config and hooks are in {path}')


def _has_one_line_or_warns(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or '\n' not in record.getMessage().strip()
