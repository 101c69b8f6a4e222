import subprocess
import sys

import pytest
from mmengine import Config
from mmpretrain.registry import VISBACKENDS

from mmconvmixer.errors import MissingPackage
from mmconvmixer.visualization.tensorboard_backend import TensorboardVisBackend


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorboard', None)


def use(backend):
    backend.add_config(Config(dict(a=1)))
    backend.add_scalar('loss', 1., 0)
    backend.add_scalars(dict(loss=2.), 1)
    backend.close()


def test_without_the_package_nothing_is_written_or_printed(not_installed, tmp_path, recwarn, capfd):
    use(TensorboardVisBackend(tmp_path, required=False))
    assert list(tmp_path.iterdir()) == []
    assert not recwarn.list and capfd.readouterr() == ('', '')


def test_the_error_for_a_required_backend_says_what_to_install(not_installed, tmp_path):
    with pytest.raises(MissingPackage, match='pip install tensorboard'):
        VISBACKENDS.build(dict(type='TensorboardVisBackend', save_dir=str(tmp_path)))


def test_a_broken_package_is_one_warning_unless_it_was_asked_for(tmp_path, monkeypatch, caplog):
    package = tmp_path / 'package/tensorboard'
    package.mkdir(parents=True)
    (package / '__init__.py').write_text('raise TypeError("Descriptors cannot be created")')
    monkeypatch.syspath_prepend(package.parent)
    for name in [name for name in sys.modules if name.split('.')[0] == 'tensorboard'
                 or name.startswith('torch.utils.tensorboard')]:
        monkeypatch.delitem(sys.modules, name)
    said = []
    monkeypatch.setattr('mmconvmixer.visualization.tensorboard_backend.print_log',
                        lambda message, *_: said.append(message))
    use(TensorboardVisBackend(tmp_path / 'events', required=False))
    assert said == ['tensorboard is installed but cannot be used: TypeError: Descriptors cannot '
                    'be created']
    with pytest.raises(TypeError, match='Descriptors'):
        use(TensorboardVisBackend(tmp_path / 'events'))


def test_a_run_writes_its_figures_and_its_config(train, tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    train(tmp_path)
    events, = tmp_path.glob('*/vis_data/events.out.tfevents.*')
    board = EventAccumulator(str(events))
    board.Reload()
    assert [event.step for event in board.Scalars('loss')] == [50]
    assert [event.step for event in board.Scalars('accuracy/top1')] == [1]
    config = board.Tensors('config/text_summary')[0].tensor_proto.string_val[0].decode()
    assert "    model = dict(" in config and "arch='8/2-p1-k3'" in config


def test_figures_are_written_at_once_and_nothing_before_the_first(tmp_path):
    pytest.importorskip('tensorboard')
    backend = TensorboardVisBackend(tmp_path)
    backend.add_config(Config(dict(a=1)))
    assert list(tmp_path.iterdir()) == []
    backend.add_scalars(dict(loss=1.), 1)
    events, = tmp_path.iterdir()
    size = events.stat().st_size
    backend.add_scalars(dict(loss=2.), 2)
    assert events.stat().st_size > size
    backend.close()


def test_tensorflow_is_not_loaded_for_it(tmp_path):
    pytest.importorskip('tensorboard')
    pytest.importorskip('tensorflow')
    code = ('import sys; from mmconvmixer.visualization.tensorboard_backend import *; '
            f'backend = TensorboardVisBackend({str(tmp_path)!r}); '
            "backend.add_scalars(dict(loss=1.), 1); assert 'tensorflow' not in sys.modules")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('line, kinds', [
    ('', ['LocalVisBackend', 'CSVVisBackend', 'TensorboardVisBackend']),
    ("visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])", ['LocalVisBackend']),
    ("visualizer = dict(vis_backends=_base_.vis_backends + [dict(type='WandbVisBackend')])",
     ['LocalVisBackend', 'CSVVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']),
])
def test_the_default_backends_and_those_of_a_config(toy_config, tmp_path, line, kinds):
    from mmconvmixer.zoo.config import load_config
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = ['{toy_config}']\n{line}\n")
    backends = load_config(config).visualizer.vis_backends
    assert [backend.type for backend in backends] == kinds


def test_a_run_with_another_choice_leaves_no_table(train, toy_config, tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = ['{toy_config}']\n"
                      "visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])\n")
    train(tmp_path / 'work', config=config, validate=False)
    assert list((tmp_path / 'work').glob('*/vis_data/scalars.json'))
    assert not (tmp_path / 'work/scalars.csv').exists()


def test_every_config_that_trains_has_them():
    from mmconvmixer import zoo
    from mmconvmixer.zoo.config import load_config
    configs = sorted((zoo.package_root() / 'configs').glob('[!_]*/*.py'))
    assert len(configs) > 10
    for path in configs:
        cfg = load_config(path)
        if cfg.get('optim_wrapper') and cfg.get('train_cfg'):
            kinds = [backend.type for backend in cfg.visualizer.vis_backends]
            assert kinds == ['LocalVisBackend', 'CSVVisBackend', 'TensorboardVisBackend'], path
