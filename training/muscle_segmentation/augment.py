"""A batch as another examiner with another scanner would have recorded it, its labels moved with it."""

from torch import Generator, Tensor

from training.frame_changes import Moves, draw_grid, moved, seen_by_another_scanner


def augment(image: Tensor, targets: Tensor, weights: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Image (B, 1, H, W) of 0 to 255, targets (B, 3, H, W) of 0 to 1, weights (B, 3, H, W) of 0 or 1; the same back."""
    grid = draw_grid(image, Moves(), generator)
    seen, inside = seen_by_another_scanner(image, grid, generator)
    return seen, moved(targets, grid), moved(weights, grid, "nearest") * inside
