"""The test pipeline as TensorFlow operators: resize, center crop, normalize.

The pixels equal those of Pillow and cv2, which round to integers after each step.
"""
from typing import TYPE_CHECKING

from mmconvmixer.deploy.preprocessing import Preprocessing
from mmconvmixer.errors import BadConfig

if TYPE_CHECKING:
    import tensorflow as tf

_PILLOW = dict(bicubic='bicubic', bilinear='bilinear', lanczos='lanczos3')
_CV2 = ('bicubic', 'bilinear', 'area', 'nearest')


def check_resizable(preprocessing: Preprocessing) -> None:
    """Raise BadConfig if `prepared` has no such resizing."""
    name, antialias = preprocessing.interpolation, preprocessing.antialias
    if preprocessing.resize != 'none' and name not in _CV2 and not (antialias and name in _PILLOW):
        raise BadConfig(f'images are resized by {name!r} of {"Pillow" if antialias else "cv2"}, '
                        f'which TensorFlow does not have; it has {", ".join(_PILLOW)} and nearest '
                        f'of Pillow, and {", ".join(_CV2)} of cv2')


def decoded(content: 'tf.Tensor') -> 'tf.Tensor':
    """Return the image (H, W, 3) float32 RGB in 0..255 of one JPEG or PNG file's bytes."""
    import tensorflow as tf
    # The slower of TensorFlow's two methods is the one that other decoders use. The
    # operator also reads PNG files.
    image = tf.io.decode_jpeg(content, channels=3, dct_method='INTEGER_ACCURATE')
    return tf.cast(image, tf.float32)


def prepared(images: 'tf.Tensor', preprocessing: Preprocessing) -> 'tf.Tensor':
    """Return the network's input for raw images.

    Args:
        images: (N, H, W, 3) float32 RGB in 0..255.
        preprocessing: the network's, checked by `check_resizable`.

    Returns:
        (N, *image_size, C) float32, normalized.
    """
    import tensorflow as tf
    if preprocessing.channels == 'GRAY':
        images = _as_bytes(tf.tensordot(images, [[0.299], [0.587], [0.114]], 1))
    elif preprocessing.channels == 'BGR':
        images = images[..., ::-1]
    if preprocessing.resize != 'none':
        images = _resized(images, _target(images, preprocessing), preprocessing)
    images = _middle(images, preprocessing.image_size)
    return (images - tf.constant(preprocessing.mean)) / tf.constant(preprocessing.std)


def _target(images: 'tf.Tensor', preprocessing: Preprocessing) -> 'tuple[tf.Tensor, tf.Tensor]':
    """Return the height and width to resize to."""
    import tensorflow as tf
    if preprocessing.resize == 'exact':
        return tuple(map(tf.constant, preprocessing.resize_to))
    shape, short = tf.shape(images), preprocessing.resize_to[0]
    height, width = shape[1], shape[2]
    least = tf.minimum(height, width)
    return short * height // least, short * width // least


def _middle(images: 'tf.Tensor', size: tuple[int, int]) -> 'tf.Tensor':
    import tensorflow as tf
    margin = tf.maximum(tf.shape(images)[1:3] - size, 0)
    # TensorFlow and mmcv both round halves to the even number.
    top, left = tf.unstack(tf.cast(tf.round(tf.cast(margin, tf.float32) / 2), tf.int32))
    return tf.ensure_shape(images[:, top:top + size[0], left:left + size[1]],
                           (None, *size, None))


def _resized(images: 'tf.Tensor', size: 'tuple[tf.Tensor, tf.Tensor]',
             preprocessing: Preprocessing) -> 'tf.Tensor':
    import tensorflow as tf
    name, antialias = preprocessing.interpolation, preprocessing.antialias
    height, width = size
    if name == 'nearest':
        rows, columns = (_nearest(new, old, antialias)
                         for new, old in zip(size, tf.unstack(tf.shape(images)[1:3]),
                                             strict=True))
        return tf.gather(tf.gather(images, rows, axis=1), columns, axis=2)
    if name == 'area':
        images = tf.einsum('nhwc,xw->nhxc', images, _overlaps(width, tf.shape(images)[2]))
        return _as_bytes(tf.einsum('nhwc,yh->nywc', images,
                                _overlaps(height, tf.shape(images)[1])))
    if antialias:  # Pillow resizes the width first, and rounds in between
        for target in ((tf.shape(images)[1], width), (height, width)):
            images = _as_bytes(tf.image.resize(images, target, _PILLOW[name], antialias=True))
        return images
    for axis, edge in ((2, width), (1, height)):
        images = _interpolated(images, axis, edge, name)
    return _as_bytes(images)


def _as_bytes(images: 'tf.Tensor') -> 'tf.Tensor':
    import tensorflow as tf
    return tf.clip_by_value(tf.floor(images + 0.5), 0, 255)


def _nearest(new: 'tf.Tensor', old: 'tf.Tensor', pillow: bool) -> 'tf.Tensor':
    """Return the index of the old pixel at each new one's edge (cv2) or center (Pillow)."""
    import tensorflow as tf
    index = tf.range(new)
    return (2 * index + 1) * old // (2 * new) if pillow else index * old // new


def _overlaps(new: 'tf.Tensor', old: 'tf.Tensor') -> 'tf.Tensor':
    """Return the part (new, old) of each new pixel that lies on each old one."""
    import tensorflow as tf
    scale = tf.cast(old, tf.float32) / tf.cast(new, tf.float32)
    edges = tf.cast(tf.range(new + 1), tf.float32) * scale
    pixels = tf.cast(tf.range(old), tf.float32)
    shared = (tf.minimum(edges[1:, None], pixels + 1) - tf.maximum(edges[:-1, None], pixels))
    return tf.nn.relu(shared) / scale


def _interpolated(images: 'tf.Tensor', axis: int, new: 'tf.Tensor', name: str) -> 'tf.Tensor':
    """Resize along one axis as cv2 does: from two or four neighbors, with the border repeated."""
    import tensorflow as tf
    old = tf.shape(images)[axis]
    position = ((tf.cast(tf.range(new), tf.float32) + 0.5)
                * (tf.cast(old, tf.float32) / tf.cast(new, tf.float32)) - 0.5)
    first = tf.floor(position)
    part, index = position - first, tf.cast(first, tf.int32)
    if name == 'bilinear':
        neighbors = [(0, 1 - part), (1, part)]
    else:
        # cv2's cubic kernel has the slope -0.75; that of tf.image.resize has -0.5.
        neighbors = [(-1, _outer(1 + part)), (0, _inner(part)), (1, _inner(1 - part)),
                      (2, _outer(2 - part))]
    shape = [-1, 1] if axis == 2 else [-1, 1, 1]
    return tf.add_n([
        tf.gather(images, tf.clip_by_value(index + offset, 0, old - 1), axis=axis)
        * tf.reshape(weight, shape) for offset, weight in neighbors])


def _inner(distance: 'tf.Tensor') -> 'tf.Tensor':
    return (1.25 * distance - 2.25) * distance ** 2 + 1


def _outer(distance: 'tf.Tensor') -> 'tf.Tensor':
    return -0.75 * (((distance - 5) * distance + 8) * distance - 4)
