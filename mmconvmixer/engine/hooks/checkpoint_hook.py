"""Save checkpoints so that a complete one, and the best one, exist at every moment."""
from collections import deque
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from mmconvmixer._support.atomic_write import atomic_write
from mmconvmixer.checkpoints.latest import LAST

# The checkpoint of a run that a signal stopped, until the run saves another one.
INTERRUPTED = 'interrupted.pth'


class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's `CheckpointHook` that removes old checkpoints after saving the new one.

    mmengine's removes them first, so that a run that is killed while saving has no best
    checkpoint, or with `max_keep_ckpts=1` none at all. It also leaves `last_checkpoint`, from
    which a run resumes, to the run that was in the folder before.
    """

    # Paths of the best checkpoints until a validation has decided whether they still are.
    _surpassable: dict[str | None, str | None] = {}

    def before_train(self, runner: Runner) -> None:
        """Prepare the folder of the checkpoints."""
        super().before_train(runner)
        for key, path in self._best_paths().items():
            if path is not None:  # the folder may have been moved or copied since then
                self._set_best_path(key, self.file_backend.join_path(
                    self.out_dir, Path(path).name))
        if runner._resume:
            # The parent saves this once more if the next validation finds a new best.
            self.last_ckpt = runner._load_from
        if is_main_process():
            if not runner._resume:
                Path(runner.work_dir, LAST).unlink(missing_ok=True)
            elif runner._load_from is not None:
                path = runner._load_from
                record_last(runner, path if '://' in path else str(Path(path).absolute()))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        # First: once the new best is recorded in this checkpoint, nobody would remove the old.
        self._remove_surpassed()
        kept = deque(old for old in getattr(self, 'keep_ckpt_ids', ()) if old != step)
        kept.append(step)
        if self.max_keep_ckpts > 0:
            runner.message_hub.update_info('keep_ckpt_ids', list(kept))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, name, self.file_client_args, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            record_last(runner, self.last_ckpt)
            Path(runner.work_dir, INTERRUPTED).unlink(missing_ok=True)
        if self.max_keep_ckpts > 0:
            while len(kept) > self.max_keep_ckpts:
                self._remove(self.file_backend.join_path(
                    self.out_dir, self.filename_tmpl.format(kept.popleft())))
            self.keep_ckpt_ids = kept

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        self._surpassable = self._best_paths()
        # The parent removes the paths that it finds here before it saves.
        for key in self._surpassable:
            self._set_best_path(key, None)
        super()._save_best_checkpoint(runner, metrics)
        self._remove_surpassed()

    def _remove_surpassed(self) -> None:
        """Remove the best checkpoints that have a successor; keep the others."""
        now, before, self._surpassable = self._best_paths(), self._surpassable, {}
        for key, path in before.items():
            if now[key] is None:
                self._set_best_path(key, path)
            elif path is not None and path != now[key]:
                self._remove(path)

    def _best_paths(self) -> dict[str | None, str | None]:
        if hasattr(self, 'best_ckpt_path_dict'):
            return dict(self.best_ckpt_path_dict)
        return {None: getattr(self, 'best_ckpt_path', None)}

    def _set_best_path(self, key: str | None, path: str | None) -> None:
        if key is None:
            self.best_ckpt_path = path
        else:
            self.best_ckpt_path_dict[key] = path

    def _remove(self, path: str) -> None:
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)


def record_last(runner: Runner, path: str) -> None:
    """Record the checkpoint from which the run resumes if it is stopped now."""
    with atomic_write(Path(runner.work_dir, LAST)) as part:
        part.write_text(str(path), encoding='utf-8')
