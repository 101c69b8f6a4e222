"""Real images without a download: pieces of the two photographs in scikit-learn."""
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from mmconvmixer.deploy.preprocessing import Preprocessing


def sample_images(count: int = 8) -> list[np.ndarray]:
    """Return `count` different images (H, W, 3) uint8 RGB, 240 to 427 pixels high."""
    photographs = load_sample_images().images
    generator = np.random.default_rng(0)
    images = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        height, width = photograph.shape[:2]
        h, w = generator.integers(240, height + 1), generator.integers(300, width + 1)
        top, left = generator.integers(height - h + 1), generator.integers(width - w + 1)
        images.append(np.ascontiguousarray(photograph[top:top + h, left:left + w]))
    return images


def odd_images() -> list[np.ndarray]:
    """Return images (H, W, 3) uint8 RGB that are small, wide or tall."""
    first, second = sample_images(2)
    return [np.ascontiguousarray(pixels) for pixels in (
        first[:20, :31], first[100:130], second[:, 50:90], second[::2, ::3])]


def sample_batch(preprocessing: Preprocessing, count: int = 8) -> np.ndarray:
    """Return sample images as a network's input: (count, C, H, W) float32, normalized."""
    height, width = preprocessing.image_size
    batch = np.stack([_resized(pixels, width, height, preprocessing.channels)
                      for pixels in sample_images(count)])
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean,
                                                             preprocessing.std))
    return np.ascontiguousarray(((batch - mean) / std).transpose(0, 3, 1, 2), np.float32)


def _resized(pixels: np.ndarray, width: int, height: int, channels: str) -> np.ndarray:
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    if channels == 'GRAY':
        return np.asarray(image.convert('L'))[..., None]
    return np.asarray(image)[..., ::-1] if channels == 'BGR' else np.asarray(image)
