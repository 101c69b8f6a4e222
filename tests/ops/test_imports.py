import subprocess

BLOCKED = '''
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys(['mmengine', 'mmcv', 'mmpretrain']))  # not found
import mmconvmixer.ops
for module in pkgutil.walk_packages(mmconvmixer.ops.__path__, 'mmconvmixer.ops.'):
    if 'fused' not in module.name or importlib.util.find_spec('triton'):
        importlib.import_module(module.name)
import mmconvmixer.models.execution
'''


def test_ops_and_the_execution_of_blocks_need_no_openmmlab_packages(torch_python):
    done = subprocess.run([torch_python, '-c', BLOCKED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
