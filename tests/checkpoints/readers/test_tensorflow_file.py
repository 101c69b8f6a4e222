"""SavedModels that have no names of layers."""
import pytest

from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import BadCheckpoint


@pytest.fixture
def tf():
    return pytest.importorskip('tensorflow', reason='TensorFlow is not installed')


def test_variables_that_belong_to_no_layer_are_named(tf, tmp_path):
    module = tf.Module()
    module.w, module.b = (tf.Variable([1.], name=name) for name in 'wb')
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(BadCheckpoint, match='variables belong to no layers: b, w'):
        read_checkpoint(tmp_path)


def test_a_network_of_constants_is_refused_with_its_reason(tf, tmp_path):
    module = tf.Module()
    weights = tf.constant([[1., 2.]] * 3)
    module.answer = tf.function(lambda images: images @ weights)
    tf.saved_model.save(module, str(tmp_path), signatures=module.answer.get_concrete_function(
        tf.TensorSpec((None, 3))))
    with pytest.raises(BadCheckpoint, match='without variables: its weights are constants in its'):
        read_checkpoint(tmp_path)


def test_a_list_of_variables_is_read_in_its_order(tf, tmp_path):
    saved = tf.train.Checkpoint()
    saved.variables = [tf.Variable(float(number)) for number in range(12)]
    tf.saved_model.save(saved, str(tmp_path))
    assert [*read_checkpoint(tmp_path)['state_dict'].items()] == [
        (f'variables/{number}', number) for number in range(12)]
