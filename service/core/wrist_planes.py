"""The fifteen standard planes of wrist and hand, what each has to show, and the names of all structures.

S5, S11 and S14 with their structures are those of Tang (Radiology 2026); the list of the others is not public, and follows the
order of the wrist guideline of the European Society of Musculoskeletal Radiology, dorsal first. Simulator, training and
analysis share it.
"""

from typing import Literal, NamedTuple

#: Class number 0 of every segmentation is what has no name here; the first structure is 1.
STRUCTURES = (
    "radius",
    "lister_tubercle",
    "ulna",
    "scaphoid",
    "lunate",
    "capitate",
    "triquetrum",
    "pisiform",
    "hamate",
    "trapezium",
    "metacarpal",
    "phalanx",
    "abductor_pollicis_longus",
    "extensor_pollicis_brevis",
    "extensor_carpi_radialis_longus",
    "extensor_carpi_radialis_brevis",
    "extensor_pollicis_longus",
    "extensor_digitorum",
    "extensor_digiti_minimi",
    "extensor_carpi_ulnaris",
    "flexor_carpi_radialis",
    "flexor_pollicis_longus",
    "flexor_digitorum",
    "median_nerve",
    "ulnar_nerve",
    "ulnar_artery",
    "scapholunate_ligament",
    "triangular_fibrocartilage",
    "joint_space",
    "pulley",
)
#: Their surface is bright, and throws a shadow.
BONES = frozenset(STRUCTURES[: STRUCTURES.index("abductor_pollicis_longus")])
TENDONS = frozenset(name for name in STRUCTURES if name.startswith(("abductor", "extensor", "flexor")))
Orientation = Literal["transverse", "longitudinal"]


class Plane(NamedTuple):
    """One standard plane. `required` are structures, and how many separate pieces of each."""

    name: str
    title: str
    orientation: Orientation
    required: tuple[tuple[str, int], ...]


def _plane(name: str, title: str, orientation: Orientation, *required: str, **several: int) -> Plane:
    return Plane(name, title, orientation, (*((one, 1) for one in required), *several.items()))


PLANES = (
    _plane(
        "S1",
        "Dorsal transverse, compartment I",
        "transverse",
        "radius",
        "abductor_pollicis_longus",
        "extensor_pollicis_brevis",
    ),
    _plane(
        "S2",
        "Dorsal transverse, compartments II and III at Lister's tubercle",
        "transverse",
        "radius",
        "lister_tubercle",
        "extensor_carpi_radialis_longus",
        "extensor_carpi_radialis_brevis",
        "extensor_pollicis_longus",
    ),
    _plane(
        "S3",
        "Dorsal transverse, compartments IV and V",
        "transverse",
        "radius",
        "ulna",
        "extensor_digitorum",
        "extensor_digiti_minimi",
    ),
    _plane("S4", "Dorsal transverse, compartment VI", "transverse", "ulna", "extensor_carpi_ulnaris"),
    _plane("S5", "Dorsal longitudinal wrist", "longitudinal", "radius", "lunate", "capitate", "metacarpal", joint_space=3),
    _plane("S6", "Dorsal transverse, scapholunate", "transverse", "scaphoid", "lunate", "scapholunate_ligament"),
    _plane("S7", "Ulnar coronal", "longitudinal", "ulna", "triquetrum", "triangular_fibrocartilage"),
    _plane(
        "S8",
        "Dorsal longitudinal, metacarpophalangeal joint",
        "longitudinal",
        "metacarpal",
        "phalanx",
        "extensor_digitorum",
        "joint_space",
    ),
    _plane(
        "S9",
        "Dorsal longitudinal, proximal interphalangeal joint",
        "longitudinal",
        "extensor_digitorum",
        "joint_space",
        phalanx=2,
    ),
    _plane("S10", "Palmar longitudinal, median nerve", "longitudinal", "median_nerve", "flexor_digitorum", "radius", "lunate"),
    _plane(
        "S11",
        "Palmar transverse, proximal carpal tunnel",
        "transverse",
        "median_nerve",
        "flexor_carpi_radialis",
        "flexor_pollicis_longus",
        "flexor_digitorum",
        "ulnar_artery",
        "ulnar_nerve",
        "scaphoid",
        "pisiform",
    ),
    _plane(
        "S12",
        "Palmar transverse, distal carpal tunnel",
        "transverse",
        "median_nerve",
        "flexor_pollicis_longus",
        "flexor_digitorum",
        "hamate",
        "trapezium",
    ),
    _plane("S13", "Palmar transverse, Guyon's canal", "transverse", "ulnar_artery", "ulnar_nerve", "pisiform"),
    _plane(
        "S14",
        "Palmar transverse, second and third flexor tendons",
        "transverse",
        "metacarpal",
        flexor_digitorum=2,
        pulley=2,
    ),
    _plane(
        "S15",
        "Palmar longitudinal, finger flexors",
        "longitudinal",
        "flexor_digitorum",
        "metacarpal",
        "phalanx",
        pulley=2,
    ),
)
#: What a frame is that shows none of them.
NO_PLANE = "none"


def structure_number(name: str) -> int:
    """Class number of a structure. Raises ValueError for a name that is none."""
    return STRUCTURES.index(name) + 1
