"""Save checkpoints so that a complete one exists at every moment."""
from collections import deque

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner


class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's `CheckpointHook` that removes old checkpoints after saving the new one.

    mmengine's removes them first, so that a run with `max_keep_ckpts=1` that is killed while
    saving has no checkpoint left.
    """

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        keep = self.max_keep_ckpts
        kept = getattr(self, 'keep_ckpt_ids', None)
        if keep > 0:
            kept = deque([*(old for old in kept if old != step), step])
            runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        self.max_keep_ckpts = -1  # the parent then removes nothing
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = keep
        if keep > 0:
            while len(kept) > keep:
                old = self.filename_tmpl.format(kept.popleft())
                path = self.file_backend.join_path(self.out_dir, old)
                if is_main_process() and self.file_backend.isfile(path):
                    self.file_backend.remove(path)
            self.keep_ckpt_ids = kept
