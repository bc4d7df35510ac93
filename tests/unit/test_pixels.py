"""Single frames: every codec against the original, and against pydicom on its own files."""

from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import simplejpeg
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array

from service.core.cine import Box
from service.core.pixel_format import PixelFormat, read_pixel_format
from service.core.pixels import decode_luminance, decode_picture
from service.errors import InputRejected
from tests.cine_files import (
    BIG_ENDIAN,
    EXPLICIT,
    EXTENDED,
    HTJ2K,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LOSSLESS,
    RLE,
    encode,
    header_of,
    speckle,
)

BOX = Box(5, 3, 61, 43)
LOSSLESS_SYNTAXES = (RLE, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K)


def format_of(frame: npt.NDArray[Any], syntax: str, **changes: Any) -> PixelFormat:
    rows, columns = frame.shape[:2]
    dataset = header_of(frame[np.newaxis], **changes)
    return read_pixel_format(dataset, transfer_syntax_uid=syntax, rows=rows, columns=columns)


def luma(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return np.asarray(rgb @ np.array([0.299, 0.587, 0.114]), np.float64)


def crop(frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return frame[BOX.y0 : BOX.y1, BOX.x0 : BOX.x1]


@pytest.mark.parametrize("syntax", LOSSLESS_SYNTAXES)
def test_grey_frame_of_a_lossless_syntax_is_the_original(syntax: str) -> None:
    frame = speckle(1, 48, 64)[0]
    pixels = decode_luminance(encode(frame, syntax), format_of(frame, syntax), BOX)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, crop(frame))
    picture = decode_picture(encode(frame, syntax), format_of(frame, syntax))
    np.testing.assert_array_equal(picture, np.repeat(frame[..., np.newaxis], 3, axis=2))


@pytest.mark.parametrize("syntax", LOSSLESS_SYNTAXES)
def test_colour_frame_of_a_lossless_syntax_is_the_original(syntax: str) -> None:
    frame = speckle(1, 48, 64, colours=3)[0]
    np.testing.assert_array_equal(decode_picture(encode(frame, syntax), format_of(frame, syntax)), frame)
    pixels = decode_luminance(encode(frame, syntax), format_of(frame, syntax), BOX)
    np.testing.assert_allclose(pixels, crop(luma(frame)), atol=1)


@pytest.mark.parametrize("syntax", [RLE, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K])
def test_sixteen_bit_frame_is_scaled_over_its_stored_bits(syntax: str) -> None:
    frame = speckle(1, 48, 64)[0].astype(np.uint16) * 16 + 3
    pixel_format = format_of(frame, syntax, BitsStored=12, HighBit=11)
    pixels = decode_luminance(encode(frame, syntax), pixel_format, BOX)
    np.testing.assert_array_equal(pixels, np.rint(crop(frame) * 255.0 / 4095).astype(np.uint8))


def test_jpeg_extended_of_twelve_bits_is_decoded() -> None:
    frame = speckle(1, 48, 64)[0].astype(np.uint16) * 16
    pixels = decode_luminance(encode(frame, EXTENDED), format_of(frame, EXTENDED, BitsStored=12, HighBit=11), BOX)
    np.testing.assert_allclose(pixels, crop(frame) / 16.06, atol=6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG, RLE])
def test_monochrome1_is_inverted(photometric: str, syntax: str) -> None:
    frame = speckle(1, 48, 64)[0]
    data = frame.tobytes() if syntax == EXPLICIT else encode(frame, syntax)
    pixel_format = format_of(frame, syntax, PhotometricInterpretation=photometric)
    expected = frame if photometric == "MONOCHROME2" else 255 - frame
    np.testing.assert_allclose(decode_luminance(data, pixel_format, BOX), crop(expected), atol=16 if syntax == JPEG else 0)
    np.testing.assert_allclose(decode_picture(data, pixel_format)[..., 1], expected, atol=16 if syntax == JPEG else 0)


@pytest.mark.parametrize("planar", [0, 1])
def test_native_colour_is_read_in_both_planar_configurations(planar: int) -> None:
    frame = speckle(1, 48, 64, colours=3)[0]
    stored = np.moveaxis(frame, -1, 0) if planar else frame
    pixel_format = format_of(frame, EXPLICIT, PlanarConfiguration=planar)
    np.testing.assert_array_equal(decode_picture(stored.tobytes(), pixel_format), frame)


def test_native_bits_outside_the_stored_ones_are_dropped() -> None:
    frame = speckle(1, 48, 64)[0].astype(np.uint16)
    noisy = (frame << 4) | np.uint16(0xF00F)
    pixel_format = format_of(noisy, EXPLICIT, BitsStored=8, HighBit=11)
    np.testing.assert_array_equal(decode_luminance(noisy.tobytes(), pixel_format, BOX), crop(frame))


def test_native_signed_and_big_endian_words_keep_their_order() -> None:
    frame = (speckle(1, 48, 64)[0].astype(np.int16) - 128) * 256
    pixel_format = format_of(frame, BIG_ENDIAN, PixelRepresentation=1)
    pixels = decode_luminance(frame.astype(">i2").tobytes(), pixel_format, BOX)
    np.testing.assert_allclose(pixels, crop(speckle(1, 48, 64)[0]), atol=1)


def test_native_ybr_full_422_shares_chroma() -> None:
    luminance = speckle(1, 4, 8)[0]
    stored = np.empty((4, 4, 4), np.uint8)
    stored[..., 0], stored[..., 1], stored[..., 2:] = luminance[:, 0::2], luminance[:, 1::2], 128
    frame = np.zeros((4, 8, 3), np.uint8)
    pixel_format = format_of(frame, EXPLICIT, PhotometricInterpretation="YBR_FULL_422")
    assert pixel_format.frame_bytes == stored.size
    np.testing.assert_array_equal(decode_luminance(stored.tobytes(), pixel_format, Box(0, 0, 8, 4)), luminance)
    np.testing.assert_array_equal(decode_picture(stored.tobytes(), pixel_format)[..., 2], luminance)


@pytest.mark.parametrize("label", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("subsampling", ["444", "422"])
def test_jpeg_says_itself_whether_it_is_ycbcr(label: str, subsampling: str) -> None:
    frame = np.tile(np.array([200, 60, 30], np.uint8), (48, 64, 1))
    data = simplejpeg.encode_jpeg(frame, quality=95, colorspace="RGB", colorsubsampling=subsampling)
    picture = decode_picture(data, format_of(frame, JPEG, PhotometricInterpretation=label))
    np.testing.assert_allclose(picture, frame, atol=4)
    np.testing.assert_allclose(
        decode_luminance(data, format_of(frame, JPEG, PhotometricInterpretation=label), BOX), crop(luma(frame)), atol=2
    )


@pytest.mark.parametrize("syntax", [EXPLICIT, RLE, LOSSLESS, JPEG_LS, JPEG_2000])
@pytest.mark.parametrize("label", ["RGB", "YBR_FULL", "YBR_RCT", "YBR_ICT"])
def test_mislabelled_colour_gives_a_picture_and_no_crash(syntax: str, label: str) -> None:
    frame = speckle(1, 48, 64, colours=3)[0]
    data = frame.tobytes() if syntax == EXPLICIT else encode(frame, syntax)
    pixel_format = format_of(frame, syntax, PhotometricInterpretation=label)
    assert decode_picture(data, pixel_format).shape == frame.shape
    assert decode_luminance(data, pixel_format, BOX).shape == (BOX.height, BOX.width)


def palette(entries: int, first: int = 0) -> dict[str, Any]:
    ramp = np.arange(entries, dtype=np.uint16) << 8
    attributes: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, shift in (("Red", 0), ("Green", 1), ("Blue", 2)):
        attributes[f"{colour}PaletteColorLookupTableDescriptor"] = [entries % 65536, first, 16]
        attributes[f"{colour}PaletteColorLookupTableData"] = (ramp >> shift).tobytes()
    return attributes


def test_palette_colours_and_their_luminance() -> None:
    frame = speckle(1, 48, 64)[0]
    expected = np.stack([frame, frame >> 1, frame >> 2], axis=-1)
    pixel_format = format_of(frame, EXPLICIT, **palette(256))
    np.testing.assert_array_equal(decode_picture(frame.tobytes(), pixel_format), expected)
    np.testing.assert_allclose(decode_luminance(frame.tobytes(), pixel_format, BOX), crop(luma(expected)), atol=1)


def test_palette_index_beyond_the_table_takes_its_end() -> None:
    frame = np.full((8, 8), 250, np.uint8)
    picture = decode_picture(frame.tobytes(), format_of(frame, EXPLICIT, **palette(100)))
    assert picture[0, 0].tolist() == [99, 49, 24]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "broken",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {**palette(256), "BluePaletteColorLookupTableData": None},
        {**palette(256), "RedPaletteColorLookupTableData": b"\0\0"},
        {**palette(256), "RedPaletteColorLookupTableDescriptor": [256, 0]},
    ],
)
def test_broken_palette_is_rejected_by_name(broken: dict[str, Any]) -> None:
    frame = speckle(1, 8, 8)[0]
    with pytest.raises(InputRejected) as caught:
        format_of(frame, EXPLICIT, **broken)
    assert caught.value.reason == "palette_invalid"


@pytest.mark.parametrize(
    ("changes", "syntax", "reason"),
    [
        ({"BitsAllocated": 32}, EXPLICIT, "bits_allocated_invalid"),
        ({"BitsAllocated": None}, EXPLICIT, "bits_allocated_invalid"),
        ({"BitsStored": 12}, EXPLICIT, "bits_stored_invalid"),
        ({"HighBit": 9}, EXPLICIT, "bits_stored_invalid"),
        ({"SamplesPerPixel": 2}, EXPLICIT, "samples_per_pixel_invalid"),
        ({"SamplesPerPixel": 3}, EXPLICIT, "photometric_interpretation_invalid"),
        ({"PhotometricInterpretation": None}, EXPLICIT, "photometric_interpretation_invalid"),
        ({}, "1.2.3", "unsupported_transfer_syntax"),
        ({}, "1.2.840.10008.1.2.1.99", "unsupported_transfer_syntax"),
    ],
)
def test_impossible_format_is_rejected_by_name(changes: dict[str, Any], syntax: str, reason: str) -> None:
    with pytest.raises(InputRejected) as caught:
        format_of(speckle(1, 8, 8)[0], syntax, **changes)
    assert caught.value.reason == reason


@pytest.mark.parametrize("syntax", [JPEG, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K, RLE, EXTENDED])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.98])
def test_frame_cut_off_anywhere_is_rejected(syntax: str, keep: float) -> None:
    frame = speckle(1, 48, 64)[0] if syntax != EXTENDED else speckle(1, 48, 64)[0].astype(np.uint16)
    whole = encode(frame, syntax)
    pixel_format = format_of(frame, syntax)
    with pytest.raises(InputRejected) as caught:
        decode_luminance(whole[: int(len(whole) * keep)], pixel_format, BOX)
    assert caught.value.reason in ("frame_corrupt", "frame_truncated")


@pytest.mark.parametrize("syntax", [JPEG, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K, RLE])
def test_frame_of_another_size_is_rejected_before_it_is_decoded(syntax: str) -> None:
    frame, other = speckle(1, 48, 64)[0], speckle(1, 64, 64)[0]
    with pytest.raises(InputRejected) as caught:
        decode_luminance(encode(other, syntax), format_of(frame, syntax), BOX)
    assert caught.value.reason == ("frame_corrupt" if syntax == RLE else "frame_size_mismatch")


@pytest.mark.parametrize("syntax", [JPEG, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K])
def test_colour_frame_under_a_grey_header_is_rejected(syntax: str) -> None:
    frame = speckle(1, 48, 64)[0]
    colour = encode(speckle(1, 48, 64, colours=3)[0], syntax)
    with pytest.raises(InputRejected) as caught:
        decode_luminance(colour, format_of(frame, syntax), BOX)
    assert caught.value.reason == "frame_components_mismatch"


@pytest.mark.parametrize("syntax", [JPEG, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K, RLE])
def test_noisy_bytes_give_pixels_or_a_named_reason(syntax: str) -> None:
    frame = speckle(1, 48, 64)[0]
    whole = bytearray(encode(frame, syntax))
    random = np.random.default_rng(1)
    for _ in range(200):
        broken = bytearray(whole)
        for position in random.integers(0, len(broken), 3):
            broken[position] = random.integers(256)
        reason = None
        try:
            pixels = decode_luminance(bytes(broken), format_of(frame, syntax), BOX)
        except InputRejected as error:
            reason = error.reason
        assert reason.startswith("frame_") if reason else pixels.shape == (BOX.height, BOX.width)


def test_jpeg_2000_of_countless_tiles_is_rejected() -> None:
    frame = speckle(1, 480, 640)[0]
    data = bytearray(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True))
    data[24:32] = (1).to_bytes(4, "big") * 2
    with pytest.raises(InputRejected) as caught:
        decode_luminance(bytes(data), format_of(frame, JPEG_2000), BOX)
    assert caught.value.reason == "frame_too_large"


PYDICOM_FILES = (
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_jpeg_no_color_transform.dcm",
    "SC_jpeg_no_color_transform_2.dcm",
    "SC_rgb_jpeg_app14_dcmd.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_rle.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "SC_ybr_full_uncompressed.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "US1_J2KI.dcm",
    "US1_J2KR.dcm",
    "color-pl.dcm",
    "examples_ybr_color.dcm",
)


@pytest.mark.parametrize("name", PYDICOM_FILES)
def test_picture_of_a_published_file_is_what_pydicom_makes_of_it(name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} comes with pydicom-data")
    dataset = pydicom.dcmread(str(path))
    syntax = dataset.file_meta.TransferSyntaxUID
    pixel_format = read_pixel_format(dataset, transfer_syntax_uid=syntax, rows=dataset.Rows, columns=dataset.Columns)
    if syntax.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1))))
    else:
        frame = dataset.PixelData[: pixel_format.frame_bytes]
    expected = pixel_array(dataset, index=0)
    np.testing.assert_allclose(decode_picture(frame, pixel_format), expected, atol=1)


def test_sixteen_bit_jpeg_ls_matches_what_signed_samples_mean() -> None:
    frame = speckle(1, 48, 64)[0].astype(np.uint16) << 8
    unsigned = format_of(frame, JPEG_LS)
    signed = replace(unsigned, is_signed=True)
    data = encode(frame, JPEG_LS)
    difference = decode_luminance(data, signed, BOX).astype(int) - decode_luminance(data, unsigned, BOX)
    assert set(np.unique(np.abs(difference))) <= {127, 128}
