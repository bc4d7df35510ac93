"""What was measured of the motor-unit networks, as their cards tell it: from the results alone, no network is asked."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.core.measure.motor_maps import LEAST_HEAT
from service.core.measure.motor_trains import LEAST_PROBABILITY

#: The cards' last chapter begins so.
CHAPTER = "## Figures"
FIGURES = ("precision", "recall", "F1", "Dice", "twitch r", "NRMSE", "rate of agreement", "CoV error")
#: What needs no training, the nearest first.
ICA = "stICA"
RIVALS = ("deflation", "PCA", ICA, "spatial ICA")
#: Of these the networks' differences to independent components are told.
COMPARED = ("F1", "Dice", "twitch r", "rate of agreement")
_ORACLE = "oracle"
#: Of these less is better.
_ERRORS = frozenset({"NRMSE", "CoV error"})


def told(results: Mapping[str, Any]) -> str:
    """Figures on test muscles, or on validation where there are no others; who is not surely behind; cines; how was chosen."""
    parts = [f"{CHAPTER} (`bench/results/motor_units.json`; all simulated, 95 % intervals over muscles)"]
    split = next((one for one in ("test", "validation") if f"networks on {one}" in results), None)
    if split is not None:
        parts += _on(split, results[f"networks on {split}"], results["cells"] if split == "test" else {})
    if (cines := results.get("cines")) is not None:
        parts.append(
            f"Through the service's analysis, {cines['cines']} simulated DICOM cines whose velocity is estimated from B-mode:\n\n"
            + table({"cines": {"networks": cines["networks"]}})
        )
    if (chosen := results.get("networks on validation")) is not None and "tried" in chosen:
        parts += _choice(chosen["sequences"], chosen["tried"])
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


#: At the head of every file of tables.
SIMULATED = "All muscles are simulated.\n\n"


def table(cells: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a cell and what was scored in it."""
    heads = ["cell", "what", *FIGURES]
    lines = ["|" + "|".join(heads) + "|", "|---" * len(heads) + "|"]
    for name, cell in cells.items():
        for what, found in cell.items():
            lines.append("|" + "|".join([name, what, *(_with_interval(found[head]) for head in FIGURES)]) + "|")
    return "\n".join(lines) + "\n"


def differences_table(differences: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Networks less independent components, a row a cell."""
    lines = ["|" + "|".join([f"networks less {ICA}", *COMPARED]) + "|", "|---" * (1 + len(COMPARED)) + "|"]
    for cell, found in differences.items():
        lines.append("|" + "|".join([cell, *(_difference(found[name], 3) for name in COMPARED)]) + "|")
    return "\n".join(lines) + "\n"


def common_table(common: Mapping[str, Mapping[str, Any]]) -> str:
    """Networks less independent components over the units that both found, a row a cell."""
    names = [name for name in next(iter(common.values())) if name != "units"]
    lines = [
        "|" + "|".join([f"networks less {ICA}, of the units that both found", "units", *names]) + "|",
        "|---" * (2 + len(names)) + "|",
    ]
    for cell, found in common.items():
        lines.append("|" + "|".join([cell, str(found["units"]), *(_difference(found[name], 3) for name in names)]) + "|")
    return "\n".join(lines) + "\n"


def unsure(less: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> Iterator[str]:
    """Of each rival in what, and in which cells, the networks are not surely better: the interval is not all on their side."""
    for rival in (name for name in RIVALS if name in less):
        clauses = []
        for figure in FIGURES:
            some = {cell: found[figure] for cell, found in less[rival].items() if not _surely_better(figure, found[figure])}
            behind = sum(_gain(figure, one["value"]) < 0 for one in some.values())
            surely = sum(max(_gain(figure, one["low"]), _gain(figure, one["high"])) < 0 for one in some.values())
            where = "; ".join(f"{cell}: {_difference(one, 3)}" for cell, one in some.items())
            if some:
                in_cells = f"in {len(some)} of {len(less[rival])} cells, behind by the mean in {behind}, surely in {surely}"
                clauses.append(f"{figure} {in_cells} ({where})")
        yield f"- {rival}: {', '.join(clauses) or 'nothing'}"


def _surely_better(figure: str, found: Mapping[str, float]) -> bool:
    return min(_gain(figure, found["low"]), _gain(figure, found["high"])) > 0


def _gain(figure: str, difference: float) -> float:
    return -difference if figure in _ERRORS else difference


def _on(split: str, networks: Mapping[str, Any], rivals: Mapping[str, Mapping[str, Any]]) -> list[str]:
    cells = {
        name: {"networks": cell["networks"], **(_beside(rivals[name]) if name in rivals else {ICA: cell[ICA]})}
        for name, cell in networks["cells"].items()
    }
    head = f"Both networks on {split} muscles, {networks['sequences']} a cell, beside what needs no training, of the same muscles"
    parts = [f"{head}; the oracle is told the true territories, and reads mean traces from them:\n\n{table(cells)}"]
    where = "\n".join(unsure(networks["less"]))
    parts.append(f"Where the networks are not surely better, with the difference to the rival and its 95 % interval:\n\n{where}")
    common = networks.get("common units")
    return [*parts, differences_table(networks["less"][ICA]), *([] if common is None else [common_table(common)])]


def _beside(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cell[name] for name in (*RIVALS, _ORACLE)}


def _choice(sequences: int, tried: Mapping[str, Mapping[str, float]]) -> list[str]:
    head = (
        f"What is read from the networks, tried with these weights on validation muscles at 10 dB ({sequences} a cell); the"
        f" service reads a heat of {LEAST_HEAT} and a probability of {LEAST_PROBABILITY}:"
    )
    return [head + "\n\n" + "\n".join(_tried(name, found) for name, found in tried.items())]


def _with_interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def _difference(found: Mapping[str, float], decimals: int) -> str:
    return "{value:+.{n}f} ({low:+.{n}f} to {high:+.{n}f})".format(**found, n=decimals)


def _tried(name: str, found: Mapping[str, float]) -> str:
    return f"- {name}: " + ", ".join(f"{value:.4f} at {least}" for least, value in found.items())
