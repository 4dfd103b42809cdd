"""Pictures made small for pages."""

from pathlib import Path

SIDE = 150
"""The longer side of an embedded picture in pixels."""

_QUALITY = 80


def thumbnail(path: Path) -> bytes:
    """Return a picture as a small JPEG with nothing in it but pixels.

    Raises:
        ReadError: it cannot be read.
        MissingExtra: it is of a kind that needs an extra, as DICOM does.
    """
    import cv2

    from mri_tumor.dataset.reader import read_image

    image = read_image(path)
    scale = min(1.0, SIDE / max(image.shape))
    height, width = (max(1, round(length * scale)) for length in image.shape)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    encoded: bytes = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return encoded
