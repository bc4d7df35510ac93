"""The sole home of coded concepts: SCT, LN, UCUM, DCM and MDC codes, and our own scheme for what has none.

Every standard code stands, value and meaning, in the dictionaries of PS3.16 that pydicom carries; a test compares them.
A concept that PS3.16 has no code for gets one of the private scheme 99SONOMYO (PS3.3 8.2) with a standard parent beside
it, so that a reader that knows only the standard still sees a length or an angle.
"""

from service.core.findings import Code, Finding
from service.core.identifiers import derive_uid
from service.core.wording import label, motor_unit_number

#: Coding Scheme Identification (PS3.3 C.12.1.1.17) of our private scheme.
PRIVATE_SCHEME = "99SONOMYO"
PRIVATE_SCHEME_NAME = "Sonomyo musculoskeletal ultrasound concepts"
PRIVATE_SCHEME_VERSION = "1"
PRIVATE_SCHEME_UID = derive_uid("coding scheme", PRIVATE_SCHEME)


def _dcm(value: str, meaning: str) -> Code:
    return Code(scheme="DCM", value=value, meaning=meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(scheme="SCT", value=value, meaning=meaning)


def _mdc(value: str, meaning: str) -> Code:
    return Code(scheme="MDC", value=value, meaning=meaning)


def _private(value: str, meaning: str) -> Code:
    return Code(scheme=PRIVATE_SCHEME, value=value, meaning=meaning)


# Documents and their parts (TID 1500, CID 7021, 7000, 12320)
IMAGING_MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
IMAGING_MEASUREMENTS = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = _dcm("125007", "Measurement Group")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
TRACKING_UNIQUE_IDENTIFIER = _dcm("112040", "Tracking Unique Identifier")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
IMAGE_REGION = _dcm("111030", "Image Region")
SOURCE_OF_MEASUREMENT = _dcm("121112", "Source of Measurement")
FINDING = _dcm("121071", "Finding")
IMPRESSION = _dcm("121073", "Impression")
CONCLUSION = _dcm("121077", "Conclusion")
COMMENT = _dcm("121106", "Comment")
DERIVATION = _dcm("121401", "Derivation")
PROBABILITY = _dcm("122157", "Probability")
QUALITY_ASSESSMENT = _dcm("111050", "Quality Assessment")
IMAGE_QUALITY = _dcm("111101", "Image Quality")
ULTRASOUND_REPORT = Code(scheme="LN", value="25061-3", meaning="Ultrasound Report")

# Who and what observed (TID 1001 to 1004, 4019; CID 270, 7162)
OBSERVER_TYPE = _dcm("121005", "Observer Type")
PERSON = _dcm("121006", "Person")
PERSON_OBSERVER_NAME = _dcm("121008", "Person Observer Name")
DEVICE = _dcm("121007", "Device")
ALGORITHM_FAMILY = _dcm("111000", "Algorithm Family")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ARTIFICIAL_INTELLIGENCE = _dcm("123110", "Artificial Intelligence")

# Procedures (CID 100, 6028)
DIAGNOSTIC_ULTRASONOGRAPHY = _sct("16310003", "Diagnostic ultrasonography")
IMAGING_PROCEDURE = _sct("363679005", "Imaging procedure")

# Segments (CID 7150) and key objects (CID 7010)
ANATOMICAL_STRUCTURE = _sct("91723000", "Anatomical Structure")
TISSUE = _sct("85756007", "Tissue")
REFERENCED_SEGMENT = _dcm("121191", "Referenced Segment")
REFERENCED_SEGMENTATION_FRAME = _dcm("121214", "Referenced Segmentation Frame")
SOURCE_IMAGE_FOR_SEGMENTATION = _dcm("121233", "Source image for segmentation")
SOURCE_IMAGE_FOR_PROCESSING = _dcm("121322", "Source image for image processing operation")
SEGMENTATION_DERIVATION = _dcm("113076", "Segmentation")
LOSSY_COMPRESSION = _dcm("113040", "Lossy Compression")
BEST_IN_SET = _dcm("113013", "Best In Set")
KEY_OBJECT_DESCRIPTION = _dcm("113012", "Key Object Description")
FOR_REPORT_ATTACHMENT = _dcm("113020", "For Report Attachment")
REJECTED_FOR_PATIENT_SAFETY_REASONS = _dcm("113037", "Rejected for Patient Safety Reasons")

# Where in the body (CID 4031, 3031, 244)
FINDING_SITE = _sct("363698007", "Finding Site")
LATERALITY = _sct("272741003", "Laterality")
LATERALITIES = {
    "left": _sct("7771000", "Left"),
    "right": _sct("24028007", "Right"),
    "bilateral": _sct("51440002", "Bilateral"),
}
SKELETAL_MUSCLE = _sct("127954009", "Skeletal muscle")
MUSCLE_OF_LOWER_LIMB = _sct("102292000", "Muscle of lower limb")
MUSCLE_OF_UPPER_LIMB = _sct("30608006", "Muscle of upper limb")
TRAPEZIUS_MUSCLE = _sct("31764008", "Trapezius muscle")
ANKLE_JOINT = _sct("70258002", "Ankle joint")
CALF_OF_LEG = _sct("53840002", "Structure of calf of leg (body structure)")
WRIST_JOINT = _sct("74670003", "Wrist joint")
HAND = _sct("85562004", "Hand")
FINGER = _sct("7569003", "Finger")
THUMB = _sct("76505004", "Thumb")
WRIST_AND_HAND = (WRIST_JOINT, HAND, FINGER, THUMB)
#: What a value of Body Part Examined means (PS3.16 Annex L), where a rule asks for it.
BODY_PARTS = {"CALF": CALF_OF_LEG, "WRIST": WRIST_JOINT, "HAND": HAND, "FINGER": FINGER, "THUMB": THUMB}
GASTROCNEMIUS = _mdc("7:920", "Musculus gastrocnemius")
GASTROCNEMIUS_LATERAL_HEAD = _mdc("7:924", "Musculus gastrocnemius Caput laterale")
GASTROCNEMIUS_MEDIAL_HEAD = _mdc("7:928", "Musculus gastrocnemius Caput mediale")
SOLEUS = _mdc("7:932", "Musculus soleus")
VASTUS_LATERALIS = _mdc("7:840", "Musculus vastus lateralis")
MEDIAN_NERVE = _mdc("7:120", "Nervus medianus")

# How values over frames are summarised (CID 7464)
STATISTICS = {
    "mean": _sct("373098007", "Mean"),
    "median": _sct("373099004", "Median"),
    "minimum": _sct("255605001", "Minimum"),
    "maximum": _sct("56851009", "Maximum"),
    "standard deviation": _sct("386136009", "Standard Deviation"),
}


def interval_limits(level: float) -> tuple[Code, Code]:
    """Lower and upper limit of the interval that holds the true value with this probability; CID 7464, extensible, has none."""
    percent = f"{100 * level:.0f}"
    lower = _private(f"LOWER-{percent}", f"Lower limit of {percent} % interval")
    upper = _private(f"UPPER-{percent}", f"Upper limit of {percent} % interval")
    return lower, upper


# Units (UCUM; CID 7181). Braces are annotations: they count what has no unit.
UNITS = {
    unit: Code(scheme="UCUM", value=unit, meaning=meaning)
    for unit, meaning in (
        ("mm", "mm"),
        ("deg", "Degree"),
        ("mm2", "square millimeter"),
        ("mm/s", "millimeter/second"),
        ("s", "second"),
        ("Hz", "Hertz"),
        ("%", "Percent"),
        ("1", "no units"),
        ("{ratio}", "ratio"),
        ("{pixels}", "pixels"),
        ("N.m", "newton meter"),
    )
}

# Properties that PS3.16 knows (CID 12304, 7469): the parents of the private concepts below.
ANGLE = _sct("1483009", "Angle")
LENGTH = _sct("410668003", "Length")
AREA = _sct("42798000", "Area")
RATIO = _sct("118586006", "Ratio")
THICKNESS = Code(scheme="LN", value="59089-3", meaning="Thickness")
ECHOGENICITY = _dcm("110849", "Echogenicity")

# Muscle architecture: no PS3.16 code names these
PENNATION_ANGLE = _private("PENNATION", "Pennation angle to the deep aponeurosis")
FASCICLE_ANGLE = _private("FASCICLE-ANGLE", "Fascicle angle to the horizontal of the image")
SUPERFICIAL_APONEUROSIS_ANGLE = _private("SUPERFICIAL-APO", "Superficial aponeurosis angle to the horizontal of the image")
DEEP_APONEUROSIS_ANGLE = _private("DEEP-APO", "Deep aponeurosis angle to the horizontal of the image")
FASCICLE_LENGTH = _private("FASCICLE-LENGTH", "Fascicle length")
FASCICLE_EXTRAPOLATED_SHARE = _private("FASCICLE-UNSEEN", "Share of the fascicle length continued beyond what is seen")
THICKNESS_AT_25 = _private("THICKNESS-25", "Thickness at 25 % of the width from the image's left")
THICKNESS_AT_50 = _private("THICKNESS-50", "Thickness in the middle of the width")
THICKNESS_AT_75 = _private("THICKNESS-75", "Thickness at 75 % of the width from the image's left")
CONTRACTION_COUNT = _private("CONTRACTIONS", "Number of contractions from rest to peak")
PENNATION_EXCURSION = _private("PENNATION-EXC", "Rise of the pennation angle from rest to peak")
THICKNESS_EXCURSION = _private("THICKNESS-EXC", "Change of thickness from rest to peak")
FASCICLE_EXCURSION = _private("FASCICLE-EXC", "Shortening of the fascicles from rest to peak")
SHORTENING_VELOCITY = _private("SHORTENING-VEL", "Greatest shortening velocity of the fascicles")
# Myofascial pain: the meanings say what such a number is worth
MYOFASCIAL_PAIN = _private("MYOFASCIAL-PAIN", "Myofascial pain, simulation-trained, not validated in people")
MYOFASCIAL_PAIN_OF_STUDY = _private("MYOFASCIAL-STUDY", "Of all cines: pain, simulation-trained, not validated in people")
NEAREST_TRAINING_CASES = _private("NEAREST-CASES", "Most similar training cases, simulated")
# Wrist and hand
STANDARD_PLANE = _private("STANDARD-PLANE", "Standard plane of wrist and hand")
STANDARD_PLANES_OF_STUDY = _private("STANDARD-PLANES", "Of all cines: share of the fifteen standard planes found")
MEDIAN_NERVE_AREA = _private("NERVE-AREA", "Cross-sectional area of the median nerve")
MEDIAN_NERVE_FLATTENING = _private("NERVE-FLATTENING", "Flattening of the median nerve, long over short axis")
MEDIAN_NERVE = _private("MEDIAN-NERVE", "Median nerve at the wrist")
# Muscle state: the meanings say what such a number is worth
JOINT_ANGLE = _private("JOINT-ANGLE", "Ankle angle, simulation-trained, not validated in people")
ACTIVITY = _private("ACTIVITY", "Activity of both muscles, simulation-trained, not validated")
ACTIVITY_GASTROCNEMIUS = _private("ACTIVITY-GASTROC", "Gastrocnemius activity, simulation-trained, not validated")
ACTIVITY_SOLEUS = _private("ACTIVITY-SOLEUS", "Soleus activity, simulation-trained, not validated in people")
JOINT_MOMENT = _private("JOINT-MOMENT", "Ankle moment, simulation-trained, not validated in people")
JOINT_ANGLE_RELATIVE = _private("ANGLE-RELATIVE", "Ankle angle, share of its range in the cine, simulation-trained")
ACTIVITY_RELATIVE = _private("ACTIVITY-REL", "Activity, share of its range in the cine, simulation-trained")
ACTIVITY_GASTROCNEMIUS_RELATIVE = _private("GASTROC-RELATIVE", "Gastrocnemius activity, share of its range, simulation-trained")
ACTIVITY_SOLEUS_RELATIVE = _private("SOLEUS-RELATIVE", "Soleus activity, share of its range, simulation-trained")
AGREEMENT_WITH_PENNATION = _private("AGREES-PENNATION", "Rank correlation of simulation-trained states with pennation")
MIDDLE_APONEUROSIS = _private("MIDDLE-LINE", "Aponeurosis between gastrocnemius and soleus")
# Motor units
MOTOR_UNIT = _private("MOTOR-UNIT", "Mean firing rate of a motor unit, simulation-trained")
MOTOR_UNIT_COUNT = _private("MOTOR-UNITS", "Number of motor units found, simulation-trained")
TERRITORY = _private("MU-TERRITORY", "Territory of a motor unit, simulation-trained")
FIRINGS = _private("MU-FIRINGS", "Number of firings of a motor unit, simulation-trained")
INTERVAL_VARIATION = _private("MU-VARIATION", "Variation (CV) of intervals between firings, simulation-trained")
ECHO_INTENSITY = _private("ECHO-INTENSITY", "Mean grey level of the muscle belly")
NOT_MEASURED = _private("NOT-MEASURED", "Not measured")
FASCICLE = _private("FASCICLE", "Muscle fascicle")
APONEUROSIS = _private("APONEUROSIS", "Aponeurosis of a muscle")
SUPERFICIAL_APONEUROSIS = _private("SUPERFICIAL-LINE", "Superficial aponeurosis")
DEEP_APONEUROSIS = _private("DEEP-LINE", "Deep aponeurosis")
DRIVES_THE_SCORE = _private("DRIVES-SCORE", "Part of the picture that drives the score")

#: The code of each finding name that the report fixes.
FINDING_CODES = {
    "thickness": THICKNESS,
    "thickness_at_25_percent": THICKNESS_AT_25,
    "thickness_at_50_percent": THICKNESS_AT_50,
    "thickness_at_75_percent": THICKNESS_AT_75,
    "pennation_angle": PENNATION_ANGLE,
    "fascicle_angle": FASCICLE_ANGLE,
    "superficial_aponeurosis_angle": SUPERFICIAL_APONEUROSIS_ANGLE,
    "deep_aponeurosis_angle": DEEP_APONEUROSIS_ANGLE,
    "fascicle_length": FASCICLE_LENGTH,
    "fascicle_extrapolated_share": FASCICLE_EXTRAPOLATED_SHARE,
    "echo_intensity": ECHO_INTENSITY,
    "contraction_count": CONTRACTION_COUNT,
    "pennation_excursion": PENNATION_EXCURSION,
    "thickness_excursion": THICKNESS_EXCURSION,
    "fascicle_excursion": FASCICLE_EXCURSION,
    "shortening_velocity": SHORTENING_VELOCITY,
    "myofascial_pain_probability": MYOFASCIAL_PAIN,
    "myofascial_pain_probability_of_study": MYOFASCIAL_PAIN_OF_STUDY,
    "nearest_training_cases": NEAREST_TRAINING_CASES,
    "standard_plane": STANDARD_PLANE,
    "standard_planes_of_study": STANDARD_PLANES_OF_STUDY,
    "median_nerve_area": MEDIAN_NERVE_AREA,
    "median_nerve_flattening": MEDIAN_NERVE_FLATTENING,
    "joint_angle": JOINT_ANGLE,
    "activity": ACTIVITY,
    "activity_gastrocnemius": ACTIVITY_GASTROCNEMIUS,
    "activity_soleus": ACTIVITY_SOLEUS,
    "joint_moment": JOINT_MOMENT,
    "joint_angle_relative": JOINT_ANGLE_RELATIVE,
    "activity_relative": ACTIVITY_RELATIVE,
    "activity_gastrocnemius_relative": ACTIVITY_GASTROCNEMIUS_RELATIVE,
    "activity_soleus_relative": ACTIVITY_SOLEUS_RELATIVE,
    "agreement_with_pennation": AGREEMENT_WITH_PENNATION,
    "motor_unit": MOTOR_UNIT,
    "motor_unit_count": MOTOR_UNIT_COUNT,
    "image_quality": IMAGE_QUALITY,
    "not_measured": NOT_MEASURED,
}

#: The standard concept that a private one is a kind of; a count and the speed of a fascicle have none.
STANDARD_PARENTS = {
    THICKNESS_AT_25.value: THICKNESS,
    THICKNESS_AT_50.value: THICKNESS,
    THICKNESS_AT_75.value: THICKNESS,
    PENNATION_EXCURSION.value: ANGLE,
    THICKNESS_EXCURSION.value: LENGTH,
    FASCICLE_EXCURSION.value: LENGTH,
    PENNATION_ANGLE.value: ANGLE,
    FASCICLE_ANGLE.value: ANGLE,
    SUPERFICIAL_APONEUROSIS_ANGLE.value: ANGLE,
    DEEP_APONEUROSIS_ANGLE.value: ANGLE,
    FASCICLE_LENGTH.value: LENGTH,
    ECHO_INTENSITY.value: ECHOGENICITY,
    STANDARD_PLANES_OF_STUDY.value: RATIO,
    MEDIAN_NERVE_AREA.value: AREA,
    MEDIAN_NERVE_FLATTENING.value: RATIO,
    JOINT_ANGLE.value: ANGLE,
    JOINT_ANGLE_RELATIVE.value: RATIO,
    ACTIVITY.value: RATIO,
    ACTIVITY_GASTROCNEMIUS.value: RATIO,
    ACTIVITY_SOLEUS.value: RATIO,
    ACTIVITY_RELATIVE.value: RATIO,
    ACTIVITY_GASTROCNEMIUS_RELATIVE.value: RATIO,
    ACTIVITY_SOLEUS_RELATIVE.value: RATIO,
    MYOFASCIAL_PAIN.value: PROBABILITY,
    MYOFASCIAL_PAIN_OF_STUDY.value: PROBABILITY,
}

#: The code of each line that evidence carries, and of each structure that a mask shows.
STRUCTURE_CODES = {
    "aponeurosis": APONEUROSIS,
    "muscle_belly": SKELETAL_MUSCLE,
    "superficial_aponeurosis": SUPERFICIAL_APONEUROSIS,
    "deep_aponeurosis": DEEP_APONEUROSIS,
    "middle_aponeurosis": MIDDLE_APONEUROSIS,
    "gastrocnemius": GASTROCNEMIUS,
    "soleus": SOLEUS,
    "fascicle": FASCICLE,
    "drives_the_score": DRIVES_THE_SCORE,
    "median_nerve": MEDIAN_NERVE,
}


def structure_code(name: str) -> Code:
    """Of a line or a segment; what no dictionary has a code for is a structure, whose label names it."""
    return TERRITORY if motor_unit_number(name) is not None else STRUCTURE_CODES.get(name, ANATOMICAL_STRUCTURE)


def concept_of(finding: Finding) -> Code:
    """What a finding is about; a name that no table here has gets a private code of its own."""
    known = finding.code or FINDING_CODES.get(finding.name)
    return known or _private(finding.name.upper()[:16], label(finding.name)[:64])


def is_private(code: Code) -> bool:
    """True when the code needs our scheme to be identified in the object that carries it."""
    return code.scheme == PRIVATE_SCHEME
