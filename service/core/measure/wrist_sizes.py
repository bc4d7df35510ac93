"""Usual areas of what each standard plane requires, mm2; written by `python -m training.wrist_hand.sizes`.

Medians over the simulated training volunteers, pieces of a structure together.
"""

from collections.abc import Mapping
from typing import Final

USUAL_AREAS_MM2: Final[Mapping[str, Mapping[str, float]]] = {
    "S1": {
        "radius": 42.8,
        "abductor_pollicis_longus": 8.4,
        "extensor_pollicis_brevis": 3.3,
    },
    "S2": {
        "radius": 38.0,
        "lister_tubercle": 9.3,
        "extensor_carpi_radialis_longus": 7.2,
        "extensor_carpi_radialis_brevis": 6.7,
        "extensor_pollicis_longus": 3.6,
    },
    "S3": {
        "radius": 29.1,
        "ulna": 15.4,
        "extensor_digitorum": 16.5,
        "extensor_digiti_minimi": 3.1,
    },
    "S4": {
        "ulna": 30.5,
        "extensor_carpi_ulnaris": 10.4,
    },
    "S5": {
        "radius": 8.9,
        "lunate": 11.1,
        "capitate": 14.1,
        "metacarpal": 6.2,
        "joint_space": 6.0,
    },
    "S6": {
        "scaphoid": 18.5,
        "lunate": 18.5,
        "scapholunate_ligament": 11.5,
    },
    "S7": {
        "ulna": 18.3,
        "triquetrum": 15.6,
        "triangular_fibrocartilage": 16.8,
    },
    "S8": {
        "metacarpal": 23.0,
        "phalanx": 21.5,
        "extensor_digitorum": 37.9,
        "joint_space": 3.4,
    },
    "S9": {
        "extensor_digitorum": 24.9,
        "joint_space": 1.6,
        "phalanx": 44.9,
    },
    "S10": {
        "median_nerve": 56.0,
        "flexor_digitorum": 123.6,
        "radius": 13.2,
        "lunate": 13.5,
    },
    "S11": {
        "median_nerve": 8.7,
        "flexor_carpi_radialis": 8.6,
        "flexor_pollicis_longus": 9.4,
        "flexor_digitorum": 52.0,
        "ulnar_artery": 4.0,
        "ulnar_nerve": 4.3,
        "scaphoid": 10.9,
        "pisiform": 5.0,
    },
    "S12": {
        "median_nerve": 9.0,
        "flexor_pollicis_longus": 9.2,
        "flexor_digitorum": 38.4,
        "hamate": 10.1,
        "trapezium": 8.5,
    },
    "S13": {
        "ulnar_artery": 4.6,
        "ulnar_nerve": 5.5,
        "pisiform": 14.1,
    },
    "S14": {
        "metacarpal": 33.8,
        "flexor_digitorum": 33.6,
        "pulley": 8.8,
    },
    "S15": {
        "flexor_digitorum": 116.8,
        "metacarpal": 21.2,
        "phalanx": 22.5,
        "pulley": 7.2,
    },
}
