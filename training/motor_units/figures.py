"""What was measured of the motor-unit networks, as their cards tell it: from the results alone, no network is asked."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.core.measure.motor_maps import LEAST_HEAT
from service.core.measure.motor_trains import LEAST_PROBABILITY

FIGURES = ("precision", "recall", "F1", "Dice", "twitch r", "NRMSE", "rate of agreement", "CoV error")
#: What needs no training, the nearest first.
RIVALS = ("deflation", "PCA", "ICA")
_ORACLE = "oracle"
#: Of these less is better.
_ERRORS = frozenset({"NRMSE", "CoV error"})


def told(results: Mapping[str, Any]) -> str:
    """Figures on test muscles, or on validation where there are no others; who is ahead in what; cines; how was chosen."""
    parts = ["## Figures (`bench/results/motor_units.json`; all simulated, 95 % intervals over muscles)"]
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
    heads = list(next(iter(differences.values())))
    lines = ["|networks less ICA|" + "|".join(heads) + "|", "|---" * (1 + len(heads)) + "|"]
    for cell, found in differences.items():
        cells = [f"{one['value']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f})" for one in found.values()]
        lines.append("|" + "|".join([cell, *cells]) + "|")
    return "\n".join(lines) + "\n"


def ahead(cells: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Of each rival in what, and in how many of the cells, its mean is better than the networks'."""
    for rival in (name for name in RIVALS if all(name in cell for cell in cells.values())):
        where: dict[str, list[str]] = {}
        for name, cell in cells.items():
            for figure in (one for one in FIGURES if one in cell[rival]):
                ours, theirs = cell["networks"][figure]["value"], cell[rival][figure]["value"]
                if (theirs < ours) if figure in _ERRORS else (theirs > ours):
                    where.setdefault(figure, []).append(f"{name}: {theirs:.3f} against {ours:.3f}")
        clauses = [f"{figure} in {len(some)} of {len(cells)} cells ({'; '.join(some)})" for figure, some in where.items()]
        yield f"- {rival}: {', '.join(clauses) or 'nothing'}"


def _on(split: str, networks: Mapping[str, Any], rivals: Mapping[str, Mapping[str, Any]]) -> list[str]:
    cells = {
        name: {"networks": cell["networks"], **(_beside(rivals[name]) if name in rivals else {"ICA": cell["ICA"]})}
        for name, cell in networks["cells"].items()
    }
    head = f"Both networks on {split} muscles, {networks['sequences']} a cell, beside what needs no training, of the same muscles"
    parts = [f"{head}; the oracle is told the true territories, and reads mean traces from them:\n\n{table(cells)}"]
    if rivals:
        parts.append(
            "Ahead of the networks, by the means (of these differences no interval was kept):\n\n" + "\n".join(ahead(cells))
        )
    return [*parts, differences_table(networks["less ICA"])]


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


def _tried(name: str, found: Mapping[str, float]) -> str:
    return f"- {name}: " + ", ".join(f"{value:.4f} at {least}" for least, value in found.items())
