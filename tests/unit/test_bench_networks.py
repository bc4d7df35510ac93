"""Which of the networks that are compared share one time. Skipped without torch."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is only in the training environment (training/requirements.txt)")

from bench.networks import first_of_each_graph
from training.muscle_segmentation.export import export_maps
from training.muscle_segmentation.model import ServedSegmentation
from training.muscle_segmentation.networks.subpixel_unet import SubPixelUNet

Widths = tuple[int, int, int, int]


def _exported(path: Path, widths: Widths) -> Path:
    export_maps(ServedSegmentation(SubPixelUNet(outputs=3, widths=widths)).eval(), path)
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of the exporter that writes one plain file
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:Constant folding:UserWarning")  # of group norm, padding
def test_networks_of_one_graph_share_the_time_of_the_first(tmp_path: Path) -> None:
    narrow: Widths = (4, 6, 8, 10)
    widths: dict[str, Widths] = {"first": narrow, "again": narrow, "wider": (4, 6, 8, 12)}
    files = {name: _exported(tmp_path / f"{name}.onnx", each) for name, each in widths.items()}
    assert first_of_each_graph(files) == {"first": "first", "again": "first", "wider": "wider"}
