"""One color map for weights, perceptually uniform by construction.

The map is a path through OKLab, the color space in which equal distances look equally different: from the color of
the page to its opposite in lightness, through blue-green. It is sampled at equal steps along its length. On a dark
page the same hues run from dark to light, so that zero is always the page and weight is always ink.
"""

import numpy as np
from numpy.typing import NDArray

STEPS = 256
SAMPLES = 4096

LIGHT_PAGE = (0.985, 0.27)
"""The lightness of weight 0 and of weight 1."""
DARK_PAGE = (0.21, 0.95)

HUES = (110.0, 205.0, 290.0)
"""Degrees in OKLab, from the light end over the middle to the dark end: yellow, teal, violet."""
CHROMAS = (0.015, 0.105, 0.07)


def color_map(lightness: tuple[float, float]) -> NDArray[np.uint8]:
    """Return the map for a page as (STEPS, 3) bytes of red, green and blue."""
    t = np.linspace(0, 1, SAMPLES)
    light = lightness[0] + (lightness[1] - lightness[0]) * t
    # Hue and chroma follow the lightness, so that both pages show the same hue for the same lightness.
    position = (0.985 - light) / (0.985 - 0.2)
    hue = np.radians(_through(position, HUES))
    chroma = _through(position, CHROMAS)
    path = np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=-1))])
    even = np.interp(np.linspace(0, length[-1], STEPS), length, t)
    sampled = np.stack([np.interp(even, t, axis) for axis in path.T], axis=-1)
    return np.rint(255 * srgb(sampled)).astype(np.uint8)


def _through(position: NDArray[np.float64], points: tuple[float, float, float]) -> NDArray[np.float64]:
    """A smooth curve through three values at 0, 1/2 and 1."""
    first, middle, last = points
    bend = 2 * (first + last) - 4 * middle
    return first + position * (last - first - bend) + position**2 * bend


def srgb(oklab: NDArray[np.float64]) -> NDArray[np.float64]:
    """OKLab to sRGB in 0 to 1 (Ottosson, 2020); colors that a screen cannot show are clipped."""
    roots = oklab @ np.array(
        [[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775], [0.2158037573, -0.0638541728, -1.2914855480]]
    )
    linear = roots**3 @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
