"""The private names of other packages that this one relies on, each with its reason.

A release may rename them without notice: this list says where to look first, and
a new name is a decision to be made here.
"""
import ast
import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from pathlib import Path

import pytest

import mmconvmixer

PACKAGE = Path(mmconvmixer.__file__).parent

# (owner, name): why the public interface is not enough.
RELIED_ON = {
    # mmengine
    ('mmengine.hooks.hook:Hook', '_after_iter'): 'one method for training, validation and test',
    ('mmengine.hooks.hook:Hook', '_before_epoch'): 'one method for training, validation and test',
    ('mmengine.hooks:CheckpointHook', '_save_best_checkpoint'):
        'the best checkpoint before must be kept until its successor is whole',
    ('mmengine.hooks:CheckpointHook', '_save_checkpoint_with_step'):
        'the only place where the old checkpoint can be kept until the new one is whole',
    ('mmengine.logging:HistoryBuffer', '_statistics_methods'):
        'unpickling a buffer writes into this class attribute, which is restored',
    ('mmengine.optim:_ParamScheduler', '_ParamScheduler'): 'the base of every schedule',
    ('mmengine.optim:_ParamScheduler', '_get_value'): 'what a schedule implements',
    ('mmengine.registry:Registry', '_imported'): 'whether a registry was filled already',
    ('mmengine.optim:OptimWrapper', '_inner_count'): "SAM's two backward passes are one iteration",
    ('mmengine.optim:AmpOptimWrapper', '_scale_update_param'): 'set by the constructor passed over',
    ('mmengine.runner:CheckpointLoader', '_schemes'): 'the readers to restore on unregister',
    ('mmengine.runner:EpochBasedTrainLoop', '_decide_current_val_interval'):
        'whether a validation was due where a run was stopped',
    ('mmengine.runner:EpochBasedTrainLoop', '_epoch'): 'the loop has no public way to set it',
    ('mmengine.runner.loops', '_InfiniteDataloaderIterator'):
        "begins the next pass over the data in the way of mmengine's loop",
    ('mmengine.runner:Runner', '_load_from'): 'which checkpoint a run is resumed from',
    ('mmengine.runner:Runner', '_has_loaded'): 'a resumed run must not load its weights twice',
    ('mmengine.runner:Runner', '_maybe_compile'): 'compile the backbone, not the whole step',
    ('mmengine.runner:Runner', '_resume'): 'hooks must tell resuming from load_from',
    ('mmengine.visualization:BaseVisBackend', '_init_env'): 'what a backend implements',
    ('mmengine.visualization:TensorboardVisBackend', '_tensorboard'): 'add_text has no wrapper',
    ('mmengine.config:Config', '_cfg_dict'): 'whether a config changed since it was formatted',
    ('mmengine.visualization:Visualizer', '_initialize_fig'): 'put Matplotlib off until it draws',
    ('mmengine.visualization:Visualizer', '_instance_dict'): 'a visualizer is found by its name',
    # Python
    ('multiprocessing.queues:Queue', '_on_queue_feeder_error'):
        'a batch that could not be sent is dropped, with a traceback, and the run waits for it',
    # mmpretrain
    ('mmengine.dataset:BaseDataset', '_metainfo'): 'classes are known only after the folders are',
    ('mmpretrain.apis.model:get_model', '_config'): 'where a model keeps its config',
    ('mmpretrain.apis.model:get_model', '_dataset_meta'): 'where a model keeps its classes',
    ('mmpretrain.apis.model:get_model', '_metainfo'): "where a model keeps its zoo's entry",
    ('mmpretrain.apis.model:ModelHub', '_models_dict'): 'the zoo has no public way to add a name',
    ('mmpretrain.apis.model:ModelHub', '_register_mmpretrain_models'): 'the zoo fills itself late',
    ('mmpretrain.datasets:CustomDataset', '_find_samples'): 'what a dataset of folders implements',
    ('mmpretrain.engine:VisualizationHook', '_draw_samples'): 'draws without reading images again',
    ('mmpretrain.engine:VisualizationHook', '_visualizer'): 'the visualizer of that hook',
    ('mmpretrain.models:ClsDataPreprocessor', '_enable_normalize'): 'whether it normalizes at all',
    # torch
    ('torch', '_C'): 'holds the next one',
    ('torch._C', '_are_functorch_transforms_active'):
        'whether torch.func is at work; torch.autograd.Function asks this too',
    ('torch.autograd.forward_ad', '_current_level'): 'whether forward-mode AD is at work',
    ('torch', '_foreach_abs'): 'SAM in a few kernels, as torch.optim does it',
    ('torch', '_foreach_add_'): 'as above',
    ('torch', '_foreach_mul_'): 'as above',
    ('torch', '_foreach_norm'): 'as above',
    ('torch.distributed.distributed_c10d', '_resolve_process_group'):
        'a custom operator takes strings, not process groups',
    ('torch.utils.data:DataLoader', '_iterator'):
        'persistent loader processes must start again when the dataset changes',
    ('torch.nn:Module', '_backward_hooks'): 'a fused block must not pass over registered hooks',
    ('torch.nn:Module', '_backward_pre_hooks'): 'as above',
    ('torch.nn:Module', '_buffers'): 'activation checkpointing must not count a batch twice',
    ('torch.nn:Module', '_compiled_call_impl'): 'whether a part was compiled on its own',
    ('torch.nn:Module', '_forward_hooks'): 'a fused block must not pass over registered hooks',
    ('torch.nn:Module', '_forward_pre_hooks'): 'as above',
    ('torch.nn.modules.batchnorm', '_BatchNorm'): 'the base of BatchNorm and SyncBatchNorm',
    ('torch.nn.modules.module', '_global_backward_hooks'): 'as above, for all modules at once',
    ('torch.nn.modules.module', '_global_backward_pre_hooks'): 'as above',
    ('torch.nn.modules.module', '_global_forward_hooks'): 'as above',
    ('torch.nn.modules.module', '_global_forward_pre_hooks'): 'as above',
    ('torch:ops.mkldnn', '_is_mkldnn_bf16_supported'): 'the only question torch answers about it',
    ('torch.utils.data.dataloader', '_MultiProcessingDataLoaderIter'):
        'one that could not be made fails again when it is taken down',
    ('torch.utils.data.dataloader:_MultiProcessingDataLoaderIter', '_shutdown'): 'as above',
    ('torch.cuda', '_sleep'): 'keeps the GPU busy while the timed work is queued',
    # Python
    ('argparse:ArgumentParser', '_actions'): 'a usage line without the options explained below it',
    ('atexit', '_run_exitfuncs'): 'the last step of Python that a leaving process still needs',
    ('os', '_exit'): "ends a process whose gloo threads would abort Python's own way out",
}


def is_private(name: str) -> bool:
    of_named_tuples = {'_asdict', '_fields', '_make', '_replace'}  # documented in spite of it
    return re.fullmatch(r'_[a-zA-Z]\w*', name) is not None and name not in of_named_tuples


def used_in(text: str) -> dict[str, int]:
    """Return the private names, and their lines, that a file uses and does not define.

    `self.x` is somebody else's where the file does not define x, or sets it and never
    reads it. Any other object's attribute is, unless the object is one of our modules.
    """
    nodes = list(ast.walk(ast.parse(text)))
    read = {node.attr for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    own_modules, defined, used = set(), set(), {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('mmconvmixer'):
            own_modules |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
              and node.attr in read and ast.unparse(node.value) in {'self', 'cls'}):
            defined.add(node.attr)
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and not (node.module or '').startswith('mmconvmixer'):
            parts = [*(node.module or '').split('.'), *(alias.name for alias in node.names)]
            used |= {part: node.lineno for part in parts if is_private(part)}
        elif isinstance(node, ast.Import):
            parts = '.'.join(alias.name for alias in node.names).split('.')
            used |= {part: node.lineno for part in parts if is_private(part)}
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            known = defined if owner in {'self', 'cls'} else set()
            if node.attr not in known and owner not in own_modules:
                used[node.attr] = node.lineno
    return used


def overridden() -> dict[str, str]:
    """Return the private methods of other packages' classes that the package overrides."""
    found = {}
    for module in pkgutil.walk_packages(mmconvmixer.__path__, 'mmconvmixer.'):
        for cls in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(cls) and cls.__module__ == module.name:
                bases = [base for base in cls.__mro__
                         if not base.__module__.startswith('mmconvmixer')]
                found |= {name: f'{module.name}.{cls.__name__}' for name in vars(cls)
                          if is_private(name) and name != '_abc_impl'  # every ABC has its own
                          and any(name in vars(base) for base in bases)}
    return found


def test_every_private_name_in_use_is_listed():
    used, own = defaultdict(list), set()
    for path in sorted(PACKAGE.rglob('*.py')):
        text = path.read_text()
        own |= {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        for name, line in used_in(text).items():
            used[name].append(f'{path.relative_to(PACKAGE)}:{line}')
    for name, where in overridden().items():
        used[name].append(where)
    listed = {name for _, name in RELIED_ON}
    new = {name: where for name, where in used.items() if name not in listed | own}
    assert not new, f'not listed above: {new}'
    assert not listed - used.keys(), f'listed above, used no more: {listed - used.keys()}'


@pytest.mark.parametrize(('owner', 'name'), RELIED_ON)
def test_the_installed_version_still_has(owner, name):
    found = pkgutil.resolve_name(owner)
    # Attributes that only instances have stand in the source of their class.
    assert hasattr(found, name) or re.search(rf'\b{name}\b', inspect.getsource(found)), (
        f'{owner} has no {name}; it was relied on because: {RELIED_ON[owner, name]}')


@pytest.mark.parametrize(('code', 'names'), [
    ('from torch.nn import _reduction as r', {'_reduction'}),
    ('import torch._dynamo.config', {'_dynamo'}),
    ('runner._resume', {'_resume'}),
    ('super()._init_env()', {'_init_env'}),
    ('class A:\n    def f(self): return self._theirs', {'_theirs'}),
    ('class A:\n    def f(self): self._own = 1; return self._own', set()),
    ('from mmconvmixer.zoo import index\nindex._own', set()),
    ('class A:\n    def f(self): self._theirs = 1', {'_theirs'}),
    ('x.__dict__, _, _own', set())])
def test_private_names_are_found_in(code, names):
    assert set(used_in(code)) == names
