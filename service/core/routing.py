"""Which analyses apply to an instance, and the sentence that says why or why not (`sonomyo explain`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import Field, model_validator

from service.core.codes import CALF_OF_LEG, TRAPEZIUS_MUSCLE, WRIST_AND_HAND
from service.core.conditions import Arrival, InstanceConditions, RuleName, frames_of
from service.core.findings import Value
from service.core.instance import InstanceAttributes
from service.core.measure.motor_band import FRAMES, LEAST_RATE_HZ

#: Ultrasound (Multi-frame) Image Storage, current and retired (PS3.6 A).
ULTRASOUND_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.6",
    "1.2.840.10008.5.1.4.1.1.3",
)

_OTHER_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.6.2": "an Enhanced US Volume is stored but not analysed",
    "1.2.840.10008.5.1.4.1.1.6.3": "a photoacoustic image is stored but not analysed",
    "1.2.840.10008.5.1.4.1.1.7": "a Secondary Capture is a picture of a screen, without a scale to trust",
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation is a result, not an image",
    "1.2.840.10008.5.1.4.1.1.88.59": "a key object selection holds references, not an image",
    "1.2.840.10008.5.1.4.1.1.88": "a structured report holds no image",
    "1.2.840.10008.5.1.4.1.1.104": "an encapsulated document holds no image",
    "1.2.840.10008.5.1.4.1.1.77": "visible-light photographs and videos are stored but not analysed",
}
#: Regions whose cines go to another analysis than all others.
_TRAPEZIUS = (TRAPEZIUS_MUSCLE.value,)
_CALF = (CALF_OF_LEG.value,)
_WRIST_AND_HAND = tuple(code.value for code in WRIST_AND_HAND)
#: From so many frames a second on a cine shows twitches, and goes to motor units alone.
_OF_TWITCHES = LEAST_RATE_HZ
_TISSUE = 1
#: Bits of Image Type value 4 (PS3.3 C.8.5.6.1.1).
_TWO_DIMENSIONAL = 0x0001
_IMAGE_TYPE_VALUE_4 = 3


#: What decides where a called AE title asks for an analysis by name.
ANALYSIS_AE_TITLES = "analysis_ae_titles"


AnalysisName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class RoutingRule(InstanceConditions):
    """When one analysis runs."""

    #: The analysis's own where none is given.
    name: RuleName | None = None
    analysis: AnalysisName
    enabled: bool = True
    sop_class_uids: tuple[str, ...] = ULTRASOUND_IMAGES
    #: An analysis whose rule goes before this one: what that rule selects, this one does not.
    gives_way_to: AnalysisName | None = None

    @property
    def label(self) -> str:
        """As answers name the rule."""
        return self.name or self.analysis


class RoutingRules(Value):
    """The whole table: one rule an analysis, and the called AE titles that ask for one analysis by name."""

    rules: tuple[RoutingRule, ...] = (
        RoutingRule(
            analysis="muscle_architecture",
            none_of_anatomic_region_codes=(*_TRAPEZIUS, *_WRIST_AND_HAND),
            gives_way_to="motor_units",
        ),
        RoutingRule(analysis="myofascial_pain", minimum_frames=2, anatomic_region_codes=_TRAPEZIUS),
        RoutingRule(analysis="muscle_state", minimum_frames=2, anatomic_region_codes=_CALF),
        RoutingRule(analysis="wrist_hand", anatomic_region_codes=_WRIST_AND_HAND),
        RoutingRule(
            analysis="motor_units",
            minimum_frames=FRAMES,
            minimum_frame_rate=_OF_TWITCHES,
            none_of_anatomic_region_codes=(*_TRAPEZIUS, *_WRIST_AND_HAND),
        ),
    )
    analysis_ae_titles: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [rule.analysis for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("rules: an analysis has two rules")
        unknown = sorted(set(self.analysis_ae_titles.values()) - set(names))
        if unknown:
            raise ValueError(f"analysis_ae_titles: no rule for the analysis {', '.join(unknown)}")
        first = {rule.analysis for rule in self.rules if rule.gives_way_to is None}
        if misled := sorted({rule.gives_way_to for rule in self.rules if rule.gives_way_to} - first):
            raise ValueError(f"gives_way_to: {', '.join(misled)} has no rule, or one that gives way itself")
        return self

    def with_ae_titles(self, analysis_ae_titles: Mapping[str, str]) -> Self:
        """The same rules with more called AE titles (those of the listener's settings). Raises ValueError."""
        titles = {**self.analysis_ae_titles, **analysis_ae_titles}
        return type(self).model_validate({**dict(self), ANALYSIS_AE_TITLES: titles})


@dataclass(frozen=True, slots=True)
class RoutingDecision:
    """Whether one analysis runs on one instance. `why` is one sentence, without patient data; `obstacle` a clause of it."""

    analysis_name: str
    selected: bool
    #: The name of the rule that decided, or `analysis_ae_titles`.
    rule: str
    why: str
    obstacle: str | None = None


def select_analyses(arrival: Arrival, rules: RoutingRules) -> tuple[RoutingDecision, ...]:
    """One decision for each rule, in the order of the rules; what an image must be comes before what a rule wishes."""
    asked = _analysis_of(arrival.called_ae_title, rules)
    decisions = [_decide(rule, arrival, asked) for rule in rules.rules]
    selected = {decision.analysis_name: decision.rule for decision in decisions if decision.selected}
    return tuple(_given_way(one, rule, selected) for one, rule in zip(decisions, rules.rules, strict=True))


def reason_left_out(decisions: Sequence[RoutingDecision]) -> str:
    """Why no analysis ran on an instance, as a clause without patient data; what several rules say alike is said once."""
    obstacles = dict.fromkeys(decision.obstacle for decision in decisions if decision.obstacle is not None)
    if not obstacles or any(decision.selected for decision in decisions):
        return "no routing rule selected it when it came"
    return "; ".join(obstacles)


def _analysis_of(called_ae_title: str | None, rules: RoutingRules) -> str | None:
    """The analysis that the called AE title names, if any; AE titles are compared as the listener stores them, trimmed."""
    return None if called_ae_title is None else rules.analysis_ae_titles.get(called_ae_title.strip())


def _decide(rule: RoutingRule, arrival: Arrival, asked: str | None) -> RoutingDecision:
    attributes, title = arrival.attributes, arrival.called_ae_title
    obstacle, decided = _no_image(rule, attributes) or _no_b_mode(attributes), rule.label
    if obstacle is None and asked is None:
        obstacle = rule.unmet(arrival) if rule.enabled else "its rule is switched off"
    elif obstacle is None:
        decided = ANALYSIS_AE_TITLES
        obstacle = None if asked == rule.analysis else f"it was sent to the AE title {title}, which asks for {asked} only"
    if obstacle is not None:
        why = f"Not selected: {obstacle}."
        return RoutingDecision(rule.analysis, selected=False, rule=decided, why=why, obstacle=obstacle)
    image = f"{_kind(attributes)} of {_b_mode_evidence(attributes)}"
    cause = f"matches the rule {rule.label}" if asked is None else f"was sent to the AE title {title}, which asks for it"
    return RoutingDecision(rule.analysis, selected=True, rule=decided, why=f"Selected: the instance is {image} and {cause}.")


def _given_way(decision: RoutingDecision, rule: RoutingRule, selected: Mapping[str, str]) -> RoutingDecision:
    before = selected.get(rule.gives_way_to) if rule.gives_way_to is not None else None
    if before is None or not decision.selected:
        return decision
    obstacle = f"the rule {before} selects it, to which this one gives way"
    return replace(decision, selected=False, why=f"Not selected: {obstacle}.", obstacle=obstacle)


def _no_image(rule: RoutingRule, attributes: InstanceAttributes) -> str | None:
    """Why the instance is no image that an analysis could read."""
    if attributes.sop_class_uid not in rule.sop_class_uids:
        return _class_reason(attributes.sop_class_uid)
    if not attributes.has_pixel_data:
        return "it has no pixel data"
    if attributes.quality_control_image:
        return "it is a quality control image (Quality Control Image (0028,0300) is YES or BOTH)"
    return None


def _class_reason(sop_class_uid: str) -> str:
    parts = sop_class_uid.split(".")
    for length in range(len(parts), 0, -1):
        if (reason := _OTHER_CLASSES.get(".".join(parts[:length]))) is not None:
            return reason
    return f"its SOP class {sop_class_uid} is not one that this analysis reads"


def _no_b_mode(attributes: InstanceAttributes) -> str | None:
    """Why the instance shows no two-dimensional tissue image; regions are believed before Image Type."""
    regions = attributes.region_data_types
    if regions:
        kinds = ", ".join(f"{kind:X}H" for kind in sorted(set(regions)))
        return None if _TISSUE in regions else f"none of its ultrasound regions is tissue (Region Data Types {kinds})"
    modes = _image_modes(attributes.image_type)
    if modes is not None and not modes & _TWO_DIMENSIONAL:
        return f"its Image Type says that it is no 2D image (value 4 is {attributes.image_type[_IMAGE_TYPE_VALUE_4]})"
    return None


def _image_modes(image_type: tuple[str, ...]) -> int | None:
    """The bits of Image Type value 4, None when it is absent or no hexadecimal number other than 0."""
    try:
        return int(image_type[_IMAGE_TYPE_VALUE_4], 16) or None
    except (IndexError, ValueError):
        return None


def _kind(attributes: InstanceAttributes) -> str:
    frames = frames_of(attributes)
    return "a single ultrasound frame" if frames == 1 else f"an ultrasound cine of {frames} frames"


def _b_mode_evidence(attributes: InstanceAttributes) -> str:
    if attributes.region_data_types:
        return "a calibrated tissue region (Region Data Type 1)"
    if _image_modes(attributes.image_type) is not None:
        return "the 2D mode that its Image Type states"
    return "unstated mode, taken for B-mode since nothing says otherwise"
