"""How names, values and units are written for people: one place, so that page, table, SR and impression agree."""

from service.core.findings import Finding, FindingSite

#: Decimals by UCUM unit; other units get three significant digits.
_DECIMALS = {"mm": 1, "cm": 2, "deg": 1, "mm2": 1, "mm/s": 0, "s": 2, "Hz": 1, "{pixels}": 0, "%": 0}
_SYMBOLS = {"deg": "°", "1": "", "{ratio}": "", "{pixels}": " px", "mm2": " mm²", "%": " %"}


def label(name: str) -> str:
    """`pennation_angle` becomes `Pennation angle`, `thickness_at_25_percent` `Thickness at 25 %`."""
    text = name.replace("_", " ").replace(" percent", " %").strip()
    return text[:1].upper() + text[1:]


def quantity(value: float, unit: str | None) -> str:
    """`18.2 mm`, `21.4°`, `104 px`."""
    return number(value, unit) + symbol(unit)


def quantity_range(low: float, high: float, unit: str | None) -> str:
    """`16.9 to 19.5 mm`; words, because a dash next to negative angles misleads."""
    return f"{number(low, unit)} to {number(high, unit)}{symbol(unit)}"


def number(value: float, unit: str | None) -> str:
    """The value with as many digits as its unit deserves, and a true minus sign."""
    decimals = _DECIMALS.get(unit or "")
    text = f"{value:.{decimals}f}" if decimals is not None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"  # noqa: PLR2004
    negative_zero = text.startswith("-") and not text.strip("-0.")
    return text.lstrip("-") if negative_zero else text.replace("-", "\N{MINUS SIGN}")


def symbol(unit: str | None) -> str:
    """What follows a number: a space and the unit, or a degree sign without a space."""
    if unit is None:
        return ""
    if unit in _SYMBOLS:
        return _SYMBOLS[unit]
    return " " + unit.strip("{}")


def site_text(site: FindingSite | None) -> str:
    """`calf, left`, or nothing when neither code nor side is known."""
    if site is None:
        return ""
    words = (site.code.meaning if site.code else None, site.laterality)
    return ", ".join(_lower_first(word) for word in words if word)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def frames_measured(finding: Finding) -> tuple[int, int] | None:
    """How many frames of the series have a value that counts, and how many there are; None without a series."""
    if finding.series is None:
        return None
    values = finding.series.values
    return sum(value is not None for value in values) - len(finding.series.left_out), len(values)


def says_more_than_its_value(finding: Finding) -> bool:
    """True where the sentence belongs beside the number: when contractions were, or that there is none and what that means."""
    return finding.name == "contraction_count"
