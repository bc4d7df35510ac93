"""Colour over B-mode: told from a caption's colour and from a grey map that is tinted as a whole."""

import numpy as np
import pytest

from service.core.cine import Box, Pixels
from service.core.measure.colour import has_colour_overlay

BOX = Box(10, 10, 190, 140)


def b_mode() -> Pixels:
    grey = np.random.default_rng(1).integers(0, 200, (150, 200), dtype=np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def test_overlay_of_plain_b_mode_is_none() -> None:
    assert not has_colour_overlay(b_mode(), BOX)


@pytest.mark.parametrize("colour", [(230, 30, 20), (20, 60, 220), (250, 150, 0)])
def test_overlay_of_a_flow_box_is_seen(colour: tuple[int, int, int]) -> None:
    picture = b_mode()
    picture[60:90, 80:120] = colour
    assert has_colour_overlay(picture, BOX)


def test_overlay_outside_the_sector_is_none() -> None:
    picture = b_mode()
    picture[:, 192:] = (230, 30, 20)
    assert not has_colour_overlay(picture, BOX)


def test_overlay_of_a_small_mark_is_none() -> None:
    picture = b_mode()
    picture[20:26, 20:30] = (255, 255, 0)
    assert not has_colour_overlay(picture, BOX)


def test_overlay_of_a_tinted_grey_map_is_none() -> None:
    picture = (b_mode() * np.array([1.25, 0.85, 0.5])).clip(0, 255).astype(np.uint8)
    assert not has_colour_overlay(picture, BOX)


def test_overlay_of_a_map_in_many_hues_over_the_whole_sector_is_seen() -> None:
    across = np.linspace(0, 1, 200)
    hues = np.stack([np.clip(1.5 - np.abs(4 * across - centre), 0, 1) for centre in (3, 2, 1)], axis=1)
    picture = (0.4 * b_mode() + 150 * hues[None]).clip(0, 255).astype(np.uint8)
    assert has_colour_overlay(picture, BOX)


def test_overlay_of_a_black_picture_is_none() -> None:
    assert not has_colour_overlay(np.zeros((150, 200, 3), np.uint8), BOX)
