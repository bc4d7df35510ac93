"""The content tree beneath the root of our TID 1500 report: image library and measurement groups.

Each analysed cine is one group (TID 1410) that holds its measurements; its image region is the hull of the lines that
were drawn on the frame that shows them best. Each line is a further group of its own, without numbers, because a
planar region is one SCOORD and readers draw what stands there; that of a motor unit holds the unit's numbers. Series stay in the
JSON; here is what summarises them.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import highdicom.sr as hd
import numpy as np
from pydicom.sr.codedict import codes as dictionary
from pydicom.uid import UltrasoundMultiFrameImageStorage

from service.core import codes
from service.core.compose import AnalysedCine, analysed_cines, is_measured, of_all_cines
from service.core.findings import Code, Finding, Polyline
from service.core.identifiers import derive_uid
from service.core.instance import InstanceAttributes
from service.core.render.document import coded
from service.core.render.scoord import Points, inside_image, outline, whole_frame
from service.core.render.verification import observed_by
from service.core.report import Report, ReportStatus
from service.core.wording import label, model_trace

Outline = tuple[tuple[float, float], ...]
Group = hd.MeasurementsAndQualitativeEvaluations | hd.PlanarROIMeasurementsAndQualitativeEvaluations


def text_item(name: Code, text: str) -> hd.TextContentItem:
    """A statement in words."""
    return hd.TextContentItem(name=coded(name), value=text, relationship_type=hd.RelationshipTypeValues.CONTAINS)


def image_library(instances: Sequence[InstanceAttributes]) -> hd.ContainerContentItem:
    """TID 1600, with one group; OHIF reads no report without it. highdicom's own refuses the retired classes."""
    group = _container(dictionary.DCM.ImageLibraryGroup, [_library_entry(instance) for instance in instances])
    return _container(dictionary.DCM.ImageLibrary, [group])


def _library_entry(instance: InstanceAttributes) -> hd.ImageContentItem:
    """TID 1601 and 1602."""
    entry = hd.ImageContentItem(
        name=dictionary.SCT.Source,
        referenced_sop_class_uid=instance.sop_class_uid,
        referenced_sop_instance_uid=instance.sop_instance_uid,
        relationship_type=hd.RelationshipTypeValues.CONTAINS,
    )
    context = hd.RelationshipTypeValues.HAS_ACQ_CONTEXT
    entry.ContentSequence = hd.ContentSequence(
        [hd.CodeContentItem(name=dictionary.DCM.Modality, value=dictionary.cid29.Ultrasound, relationship_type=context)]
    )
    for name, size in ((dictionary.DCM.PixelDataRows, instance.rows), (dictionary.DCM.PixelDataColumns, instance.columns)):
        if size:
            unit = coded(codes.UNITS["{pixels}"])
            entry.ContentSequence.append(hd.NumContentItem(name=name, value=size, unit=unit, relationship_type=context))
    return entry


def _container(name: hd.CodedConcept, items: Sequence[hd.ContentItem]) -> hd.ContainerContentItem:
    container = hd.ContainerContentItem(name=name, relationship_type=hd.RelationshipTypeValues.CONTAINS)
    container.ContentSequence = hd.ContentSequence(items)
    return container


def measurement_groups(report: Report, instances: Sequence[InstanceAttributes]) -> list[Group]:
    """All groups of the report, cine by cine; a report without findings gets one group that says so. `instances`: not empty."""
    if report.status is ReportStatus.CANCELLED:
        return [_empty_group(report, instances[0], codes.COMMENT)]
    known = {instance.sop_instance_uid: instance for instance in instances}
    groups: list[Group] = [_together_group(report, finding, known) for finding in of_all_cines(report.findings)]
    for cine in analysed_cines(report.findings):
        instance = known[cine.sop_instance_uid]
        groups.append(_cine_group(report, cine, instance))
        groups.extend(_line_groups(report, cine, instance))
    return groups or [_empty_group(report, instances[0], codes.NOT_MEASURED)]


def _cine_group(report: Report, cine: AnalysedCine, instance: InstanceAttributes) -> Group:
    tracking, algorithm, sites = _tracking(report, cine, "cine"), _algorithm(cine), _finding_sites(cine)
    of_all = (finding for finding in cine.findings if finding.motor_unit is None)  # units have groups of their own
    measurements = [measurement for finding in of_all for measurement in _measurements(finding)] or None
    region = _measured_region(cine, instance) if measurements else None
    group: Group
    if region is not None:
        group = hd.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_region=region,
            algorithm_id=algorithm,
            finding_sites=sites,
            measurements=measurements,
        )
    else:
        group = hd.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            algorithm_id=algorithm,
            finding_sites=sites,
            measurements=measurements,
            source_images=[_source_image(instance, _frames(cine))],
        )
    group[0].ContentSequence.extend(_statements(cine))
    return group


def _together_group(report: Report, finding: Finding, known: Mapping[str, InstanceAttributes]) -> Group:
    """What several cines say together: a group without a region, its sources the cines of that analysis."""
    cines = [cine for cine in analysed_cines(report.findings) if cine.analysis_name == finding.analysis.name]
    alone = replace(cines[0], findings=(finding,))
    uid = derive_uid("tracking", report.study.study_instance_uid, finding.name)
    return hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.TrackingIdentifier(uid=uid, identifier=label(finding.name)),
        algorithm_id=_algorithm(alone),
        finding_sites=_finding_sites(alone),
        measurements=_measurements(finding),
        source_images=[_source_image(known[cine.sop_instance_uid], _frames(cine)) for cine in cines],
    )


def _tracking(report: Report, cine: AnalysedCine, part: str) -> hd.TrackingIdentifier:
    """The same thing keeps its name over all versions of the report."""
    uid = derive_uid("tracking", report.study.study_instance_uid, cine.sop_instance_uid, cine.analysis_name, part)
    identifier = f"{label(cine.analysis_name)}, cine {cine.number}"
    return hd.TrackingIdentifier(uid=uid, identifier=identifier if part == "cine" else f"{identifier}, {part}")


def _algorithm(cine: AnalysedCine) -> hd.AlgorithmIdentification:
    """TID 4019: the analysis, with the models behind it as parameters, so that every number can be traced."""
    models = dict.fromkeys(finding.model for finding in cine.findings if finding.model is not None)
    parameters = [model_trace(model) for model in models]
    return hd.AlgorithmIdentification(
        name=cine.analysis_name,
        version=cine.findings[0].analysis.version,
        parameters=parameters or None,
        family=coded(codes.ARTIFICIAL_INTELLIGENCE),
        manufacturer="Sonomyo",
    )


def _finding_sites(cine: AnalysedCine) -> list[hd.FindingSite] | None:
    site = next((finding.site for finding in cine.findings if finding.site and finding.site.code), None)
    if site is None or site.code is None:
        return None
    side = coded(codes.LATERALITIES[site.laterality]) if site.laterality else None
    return [hd.FindingSite(anatomic_location=coded(site.code), laterality=side)]


def _measurements(finding: Finding) -> list[hd.Measurement]:
    """TID 300: the summarising value, the extremes over the frames, the interval's limits; nothing without a number."""
    if not isinstance(finding.value, float):
        return []
    values = [(codes.STATISTICS.get(finding.statistic or ""), finding.value)]
    if finding.range:
        values += zip((codes.STATISTICS["minimum"], codes.STATISTICS["maximum"]), finding.range, strict=True)
    if finding.interval:
        limits = finding.interval.low, finding.interval.high
        values += zip(codes.interval_limits(finding.interval.level), limits, strict=True)
    return [_measurement(finding, derivation, value) for derivation, value in values]


def _measurement(finding: Finding, derivation: Code | None, value: float) -> hd.Measurement:
    unit = finding.unit or "1"
    measurement = hd.Measurement(
        name=coded(codes.concept_of(finding)),
        value=value,
        unit=coded(codes.UNITS.get(unit) or Code(scheme="UCUM", value=unit, meaning=unit)),
        derivation=coded(derivation) if derivation else None,
    )
    if finding.amended is not None:
        content = measurement[0].get("ContentSequence") or []
        measurement[0].ContentSequence = hd.ContentSequence([*content, *observed_by(finding.amended)])
    return measurement


def _statements(cine: AnalysedCine) -> list[hd.TextContentItem]:
    """What is no number: reasons why something was not measured, classes, quality, and what a person made of the others."""
    return [_statement(finding) for finding in cine.findings if finding.amended is not None or not is_measured(finding)]


def _statement(finding: Finding) -> hd.TextContentItem:
    """Under its own concept, unless that is one that readers expect a number of."""
    return text_item(codes.concept_of(finding) if finding.amended is None else codes.COMMENT, finding.text)


def _measured_region(cine: AnalysedCine, instance: InstanceAttributes) -> hd.ImageRegion | None:
    """The hull of the lines on the best frame; without lines the whole frame, for readers want a region beside numbers."""
    measured = replace(cine, findings=tuple(filter(is_measured, cine.findings)))
    lines = _lines(measured)
    best = [clipped for line in lines if line.frame == lines[0].frame and (clipped := _clipped(line, instance)) is not None]
    if best:
        return _region(outline(best), instance, lines[0].frame)
    if instance.rows and instance.columns:
        return _region(whole_frame(columns=instance.columns, rows=instance.rows), instance, _frames(cine)[0])
    return None


def _lines(cine: AnalysedCine) -> list[Polyline]:
    """Every outline, and of open lines one a frame and label: of several fascicles the longest stands for the rest."""
    chosen: dict[tuple[int, str, Outline | None], Polyline] = {}
    standing = (finding for finding in cine.findings if not finding.is_rejected)
    for line in (line for finding in standing for line in finding.evidence.lines):
        key = (line.frame, line.label, line.points if line.points[0] == line.points[-1] else None)
        if key not in chosen or _extent(line) > _extent(chosen[key]):
            chosen[key] = line
    return list(chosen.values())


def _extent(line: Polyline) -> float:
    return math.dist(line.points[0], line.points[-1])


def _frames(cine: AnalysedCine) -> list[int]:
    return sorted({frame for finding in cine.findings for frame in finding.evidence.frames}) or [1]


def _line_groups(report: Report, cine: AnalysedCine, instance: InstanceAttributes) -> list[Group]:
    """TID 1410, a group for each line that lies inside the image; pieces of one structure are counted."""
    groups: list[Group] = []
    counted: Counter[str] = Counter()
    for line in _lines(cine):
        points = _clipped(line, instance)
        if points is None:
            continue
        part = f"{line.label} frame {line.frame}"
        counted[part] += 1
        groups.append(
            hd.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=_tracking(report, cine, part if counted[part] == 1 else f"{part} piece {counted[part]}"),
                referenced_region=_region(points, instance, line.frame),
                finding_type=coded(codes.structure_code(line.label)),
                finding_sites=_finding_sites(cine),
                measurements=_of_unit(cine, line) or None,
            )
        )
    return groups


def _of_unit(cine: AnalysedCine, line: Polyline) -> list[hd.Measurement]:
    """Where the line is the territory of a motor unit, its numbers."""
    finding = next((one for one in cine.findings if one.motor_unit is not None and line in one.evidence.lines), None)
    if finding is None or finding.motor_unit is None:
        return []
    unit = finding.motor_unit
    told = (
        (codes.AREA, unit.area_mm2, "mm2"),
        (codes.FIRINGS, float(len(unit.firings_seconds)), "1"),
        (codes.INTERVAL_VARIATION, unit.interval_variation, "{ratio}"),
    )
    more = [hd.Measurement(name=coded(name), value=value, unit=coded(codes.UNITS[unit])) for name, value, unit in told]
    return [*_measurements(finding), *more]


def _region(points: Points, instance: InstanceAttributes, frame: int) -> hd.ImageRegion:
    """An SCOORD polyline (PS3.3 C.18.6.1.1), closed when its last point is its first, selected from one frame.

    highdicom looks the SOP class up among the current ones, so a retired one is written afterwards.
    """
    source = hd.SourceImageForRegion(
        referenced_sop_class_uid=UltrasoundMultiFrameImageStorage,
        referenced_sop_instance_uid=instance.sop_instance_uid,
        referenced_frame_numbers=_frame_numbers(instance, [frame]),
    )
    region = hd.ImageRegion(graphic_type=hd.GraphicTypeValues.POLYLINE, graphic_data=points, source_image=source)
    region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = instance.sop_class_uid
    return region


def _source_image(instance: InstanceAttributes, frames: Sequence[int]) -> hd.SourceImageForMeasurementGroup:
    return hd.SourceImageForMeasurementGroup(
        referenced_sop_class_uid=instance.sop_class_uid,
        referenced_sop_instance_uid=instance.sop_instance_uid,
        referenced_frame_numbers=_frame_numbers(instance, frames),
    )


def _frame_numbers(instance: InstanceAttributes, frames: Sequence[int]) -> list[int] | None:
    """ReferencedFrameNumber belongs to multi-frame images only (PS3.3 C.18.4)."""
    return list(frames) if (instance.number_of_frames or 1) > 1 else None


def _clipped(line: Polyline, instance: InstanceAttributes) -> Points | None:
    return inside_image(np.array(line.points, dtype=np.float64), columns=instance.columns, rows=instance.rows)


def _empty_group(report: Report, instance: InstanceAttributes, concept: Code) -> hd.MeasurementsAndQualitativeEvaluations:
    """A group that only says that nothing was measured, or that nothing holds any more."""
    uid = derive_uid("tracking", report.study.study_instance_uid, "none")
    group = hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.TrackingIdentifier(uid=uid, identifier="No analysis"),
        source_images=[_source_image(instance, [1])],
    )
    group[0].ContentSequence.append(text_item(concept, report.impression))
    return group
