"""What is drawn of a cine in a report, and the words beside it: the picture's caption and legend, the plot and how to read it."""

from collections.abc import Mapping

from markupsafe import Markup

from service.core.compose import AnalysedCine
from service.core.findings import Finding
from service.core.measure.wrist_findings import PLANE_NAME
from service.core.render.language import Language
from service.core.render.overlay import colour_of, shown_lines
from service.core.render.plot import plot_series
from service.core.render.raster import plot_firings
from service.core.wording import label

#: What the plot shows of an analysis; of one that is not listed, the first two series.
_PLOTTED: Mapping[str, tuple[str, ...]] = {
    "muscle_architecture": ("thickness", "pennation_angle"),
    "muscle_state": tuple(
        name + suffix
        for suffix in ("", "_relative")
        for name in ("joint_angle", "activity_gastrocnemius", "activity_soleus", "joint_moment")
    ),
}
#: Behind the caption of a picture beside amended values.
_DRAWN_BEFORE = "; drawn by the software, before a person amended findings"


def caption_of(cine: AnalysedCine) -> str:
    """The picture is as it was drawn when the cine was analysed."""
    told = _drawn(cine)
    return told + _DRAWN_BEFORE if told and any(finding.amended for finding in cine.findings) else told


def _drawn(cine: AnalysedCine) -> str:
    if is_sheet(cine):
        return "The best frame of each standard plane, with its grade and the outlines of what it has to show"
    lines = shown_lines(cine.findings)
    if not lines:
        return ""
    line = lines[0]
    times = (
        time
        for finding in cine.findings
        for frame, time in zip(finding.evidence.frames, finding.evidence.time_seconds, strict=False)
        if frame == line.frame and time is not None
    )
    at = next((f", {time:.2f} s" for time in times), "")
    return f"Frame {line.frame}{at}"


def is_sheet(cine: AnalysedCine) -> bool:
    """Whether the picture of a cine is that of its standard planes side by side."""
    return any(finding.name == PLANE_NAME for finding in cine.findings)


def legend_of(cine: AnalysedCine) -> tuple[tuple[str, str], ...]:
    """Name and colour of each line, in the order in which they are drawn."""
    if is_sheet(cine):
        return ()
    names = dict.fromkeys(line.label for line in shown_lines(cine.findings))
    return tuple((label(name), "#{:02x}{:02x}{:02x}".format(*colour_of(name))) for name in names)


def plot_of(cine: AnalysedCine, language: Language) -> Markup | None:
    """Firings of motor units, or the series against time; nothing where there is neither."""
    standing = [finding for finding in cine.findings if not finding.is_rejected]
    contractions = tuple(one for finding in standing for one in finding.contractions)
    return plot_firings(standing, language) or plot_series(_plotted(cine), contractions, language)


def _plotted(cine: AnalysedCine) -> list[Finding]:
    with_series = [finding for finding in cine.findings if finding.series is not None and not finding.is_rejected]
    wanted = _PLOTTED.get(cine.analysis_name)
    if wanted is None:
        return with_series[:2]
    return sorted((finding for finding in with_series if finding.name in wanted), key=lambda finding: wanted.index(finding.name))


def plot_key_of(cine: AnalysedCine) -> str:
    """How to read what is drawn."""
    units = [finding for finding in cine.findings if finding.motor_unit and not finding.is_rejected]
    if units:
        told = [
            "Each stroke: a firing.",
            "Curves: the mean velocity of the tissue after a firing, all on the scale of the bar.",
            "Numbers and colours as in the picture.",
            "Bold: a rate as amended by a person; strokes and curves are the software's.",
        ]
        return " ".join(told if any(finding.amended for finding in units) else told[:-1])
    series = [finding.series for finding in _plotted(cine) if finding.series is not None]
    keys = {
        "Dots: each frame. Curve: smoothed, with the 95 % band of the noise between frames.": any(
            one.smoothed and one.level is None for one in series
        ),
        "Dots: each frame. Curve: smoothed, with the 90 % band of each value.": any(
            one.smoothed and one.level is not None for one in series
        ),
        "Light band: the interval of the value.": any(
            finding.interval and finding.series and finding.series.smoothed and finding.series.level is None
            for finding in _plotted(cine)
        ),
        "Crosses: impossible frames, left out.": any(one.left_out for one in series),
        "Ring: the frame that shows this measurement best.": True,
        "Dashed: the summarising value.": any(finding.statistic for finding in _plotted(cine)),
        "Solid level line: the value as amended by a person. The curve is the software's.": any(
            finding.amended for finding in _plotted(cine)
        ),
    }
    return " ".join(key for key, applies in keys.items() if applies)
