"""SavedModels that have no names of layers."""
import pytest

from mmconvmixer.checkpoints import read_checkpoint
from mmconvmixer.errors import BadCheckpoint


@pytest.fixture
def tf():
    return pytest.importorskip('tensorflow', reason='TensorFlow is not installed')


def test_without_variables_it_is_said_where_the_weights_are(tf, tmp_path):
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
