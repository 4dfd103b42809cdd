"""What a picture is recognised by: its pixels exactly, and its looks."""

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 64
_KEPT = 16


def pixel_hash(image: NDArray[np.uint8]) -> str:
    """Return the first 64 bits of SHA-256 over shape and grey levels, as 16 hexadecimal digits.

    It stands for the picture however its file is named, tagged or losslessly stored. A JPEG's pixels can
    differ by a level between decoders; then the perceptual hash recognises it.

    Args:
        image: uint8 `(H, W)`, 0-255, as read.

    >>> pixel_hash(np.zeros((2, 3), np.uint8)) == pixel_hash(np.zeros((3, 2), np.uint8))
    False
    """
    return hashlib.sha256(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


def perceptual_hash(image: NDArray[np.uint8]) -> str:
    """Return a 256-bit hash that changes little when a picture is resized or stored again with loss.

    The picture is shrunk to 64x64; of its cosine transform the 16x16 lowest frequencies are kept, and each
    gives one bit: whether it lies above their median. Source: the DCT hash of Zauner, "Implementation and
    Benchmarking of Perceptual Image Hash Functions" (2010), with 256 bits for its 64, because neighbouring
    slices of one head look much alike.

    Args:
        image: uint8 `(H, W)`, 0-255.

    Returns:
        64 hexadecimal digits; the number of bits in which two differ says how unlike they look.

    >>> len(perceptual_hash(np.zeros((20, 30), np.uint8)))
    64
    """
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    return np.packbits(low > np.median(low)).tobytes().hex()
