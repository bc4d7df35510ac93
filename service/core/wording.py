"""How names, values and units are written for people: one place, so that page, table, SR and impression agree."""

from collections.abc import Sequence
from datetime import UTC, datetime

from service.core.findings import Finding, FindingSite, ModelUsed
from service.core.report import Comparison, SideComparison

#: Decimals by UCUM unit; other units get three significant digits.
_DECIMALS = {"mm": 1, "cm": 2, "deg": 1, "mm2": 1, "mm/s": 0, "s": 2, "Hz": 1, "{pixels}": 0, "%": 0, "{ratio}": 2, "N.m": 1}
_MOTOR_UNIT = "motor_unit_"
#: The characters that turn the direction of text (UAX 9, Bidi_Control): by one of them a name is read as another.
_TURNS = {turn: f"[U+{turn:04X}]" for turn in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
#: Such a number has its three significant digits before the point.
_WHOLE_FROM = 100
_SYMBOLS = {"deg": "°", "1": "", "{ratio}": "", "{pixels}": " px", "mm2": " mm²", "%": " %", "N.m": " N m"}


def label(name: str) -> str:
    """`pennation_angle` becomes `Pennation angle`, `thickness_at_25_percent` `Thickness at 25 %`."""
    text = name.replace("_", " ").replace(" percent", " %").strip()
    return text[:1].upper() + text[1:]


def title_of(finding: Finding) -> str:
    """What a finding is called: `Thickness`, `Motor unit 3`."""
    return label(finding.name if finding.motor_unit is None else motor_unit_name(finding.motor_unit.number))


def motor_unit_name(number: int) -> str:
    """Of its territory, as a line and as a segment."""
    return f"{_MOTOR_UNIT}{number}"


def motor_unit_number(name: str) -> int | None:
    """The inverse; None of what is no territory."""
    number = name.removeprefix(_MOTOR_UNIT)
    return int(number) if name.startswith(_MOTOR_UNIT) and number.isdecimal() else None


def flag_text(flag: str) -> str:
    """`low_contrast` becomes `low contrast`, `grade_b` `grade B`: a grade is a name."""
    word, _, grade = flag.partition("_")
    return f"grade {grade.upper()}" if word == "grade" else label(flag).lower()


def quantity(value: float, unit: str | None) -> str:
    """`18.2 mm`, `21.4°`, `104 px`."""
    return number(value, unit) + symbol(unit)


def quantity_range(low: float, high: float, unit: str | None) -> str:
    """`16.9 to 19.5 mm`; words, because a dash next to negative angles misleads."""
    return f"{number(low, unit)} to {number(high, unit)}{symbol(unit)}"


def number(value: float, unit: str | None) -> str:
    """The value with as many digits as its unit deserves, and a true minus sign."""
    digits = decimals(unit)
    is_short = digits is None and abs(value) < _WHOLE_FROM
    text = f"{value:.3g}" if is_short else f"{value:.{digits or 0}f}"
    negative_zero = text.startswith("-") and not text.strip("-0.")
    return text.lstrip("-") if negative_zero else text.replace("-", "\N{MINUS SIGN}")


def decimals(unit: str | None) -> int | None:
    """How many are written of a number in a unit; None for three significant digits."""
    return _DECIMALS.get(unit or "")


def signed(value: float, unit: str | None) -> str:
    """`+1.3 mm`, a true minus sign, and no sign before what is rounded to nothing."""
    text = number(value, unit)
    is_positive = value > 0 and text.strip("0.") != ""
    return ("+" if is_positive else "") + text + symbol(unit)


def symbol(unit: str | None) -> str:
    """What follows a number: a space and the unit, or a degree sign without a space."""
    if unit is None:
        return ""
    if unit in _SYMBOLS:
        return _SYMBOLS[unit]
    return " " + unit.strip("{}")


def without_turns(text: str) -> str:
    """In the order in which it is stored: `[U+202E]` stands where its direction would turn."""
    return text if text.isascii() else text.translate(_TURNS)


def date(value: str | None) -> str | None:
    """`2026-11-20` of a DICOM date; what is no such date as it came."""
    is_date = value is not None and len(value) == len("YYYYMMDD") and value.isascii() and value.isdigit()
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if value and is_date else value


def moment(at: datetime, *, to_the_second: bool = False) -> str:
    """`2026-11-20 09:30 UTC`: always in UTC, and it says so. A language writes the date its own way (`language.py`)."""
    return f"{at.astimezone(UTC):{'%Y-%m-%d %H:%M:%S' if to_the_second else '%Y-%m-%d %H:%M'}} UTC"


def person_name(value: str | None) -> str:
    """`Yamada, Tarou (山田 太郎, やまだ たろう)` from a PN value (PS3.5 6.2.1)."""
    groups = (value or "").split("=")
    alphabetic, others = _spoken(groups[0], ", "), [_spoken(group, " ") for group in groups[1:]]
    beside = ", ".join(filter(None, others))
    return f"{alphabetic} ({beside})" if alphabetic and beside else alphabetic or beside


def _spoken(group: str, separator: str) -> str:
    family, _, given = group.partition("^")
    return separator.join(filter(None, (family.strip(), " ".join(given.replace("^", " ").split()))))


def site_text(site: FindingSite | None) -> str:
    """`calf, left`, or nothing when neither code nor side is known."""
    if site is None:
        return ""
    words = (site.code.meaning if site.code else None, site.laterality)
    return ", ".join(_lower_first(word) for word in words if word)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def model_trace(model: ModelUsed) -> str:
    """All that tells one model from another, for documents that are read by programs."""
    return (
        f"model {model.name} version {model.version}, sha256 {model.sha256}, evidence {model.evidence}, "
        + (f"pretraining {model.pretraining}, " if model.pretraining else "")
        + f"runtime {model.runtime or 'unknown'}, precision {model.precision or 'unknown'}"
    )


def frames_measured(finding: Finding) -> tuple[int, int] | None:
    """How many frames of the series have a value that counts, and how many there are; None without a series."""
    if finding.series is None:
        return None
    values = finding.series.values
    return sum(value is not None for value in values) - len(finding.series.left_out), len(values)


def says_more_than_its_value(finding: Finding) -> bool:
    """True where the sentence belongs beside the number: when contractions were, or that there is none and what that means."""
    return finding.name == "contraction_count" or finding.motor_unit is not None


def compared_text(comparison: Comparison) -> str:
    """What is compared: `Thickness`, `Thickness, soleus`, `Thickness, left`."""
    side = None if isinstance(comparison, SideComparison) else comparison.laterality
    return ", ".join(filter(None, (label(comparison.name), site_text(FindingSite(code=comparison.muscle, laterality=side)))))


def change_text(comparison: Comparison) -> str:
    """`+1.3 mm (+8 %)`; between two sides the per cent have no sign: `+1.3 mm (asymmetry 7 %)`."""
    if isinstance(comparison, SideComparison):
        amount, share = comparison.difference, comparison.asymmetry_percent
        beside = None if share is None else f"asymmetry {quantity(share, '%')}"
    else:
        amount, share = comparison.change, comparison.change_percent
        beside = None if share is None else signed(share, "%")
    return signed(amount, comparison.unit) + (f" ({beside})" if beside else "")


def comparison_text(comparison: Comparison) -> str:
    """A comparison as sentences, what limits it last."""
    unit = comparison.unit
    if isinstance(comparison, SideComparison):
        left, right = quantity(comparison.left.value, unit), quantity(comparison.right.value, unit)
        stated = f"left {left}, right {right}; left minus right {change_text(comparison)}"
    else:
        now, earlier = quantity(comparison.now.value, unit), quantity(comparison.earlier.value, unit)
        stated = f"{now}, on {date(comparison.earlier_study.study_date)} {earlier}; change {change_text(comparison)}"
    return " ".join((f"{compared_text(comparison)}: {stated}.", *comparison_notes(comparison)))


def comparison_notes(comparison: Comparison) -> list[str]:
    """What a reader of the number must know."""
    what = "difference" if isinstance(comparison, SideComparison) else "change"
    notes = {
        f"No {what} is shown beyond the uncertainty of the measurement.": comparison.is_within_uncertainty,
        f"Measured with another version of the {' and the '.join(comparison.differs_in)}; a {what} may come from it.": (
            comparison.differs_in
        ),
        "The muscle is not coded: whether both are of the same one is not known.": comparison.muscle is None,
        "Medians over all frames: whether the muscle was at rest or contracted is not considered.": True,
    }
    return [note for note, applies in notes.items() if applies]


def comparisons_in_short(comparisons: Sequence[Comparison]) -> str:
    """One sentence: of the first quantity the sides, and what has changed on each; nothing when nothing is compared."""
    first: dict[tuple[str, str | None], Comparison] = {}
    for comparison in comparisons:
        first.setdefault((comparison.kind, getattr(comparison, "laterality", None)), comparison)
    if not first:
        return ""
    unknown = " (muscle not coded)" if any(comparison.muscle is None for comparison in first.values()) else ""
    return f"Compared{unknown}: {'; '.join(map(_in_short, first.values()))}."


def _in_short(comparison: Comparison) -> str:
    muscle = site_text(FindingSite(code=comparison.muscle))
    name = label(comparison.name).lower() + (f" of {muscle}" if muscle else "")
    if isinstance(comparison, SideComparison):
        name, since, nothing = f"{name}, left minus right", "", "not shown to differ from zero"
    else:
        name, nothing = f"{comparison.laterality} {name}", "not shown to have changed"
        since = f" since {date(comparison.earlier_study.study_date)}"
    if comparison.is_within_uncertainty:
        return f"{name} {nothing}{since}"
    other = ", measured with two versions" if comparison.differs_in else ""
    return f"{name} {change_text(comparison)}{since}{other}"
