"""The mutations of a DICOM series: elements, values, slices, syntaxes, streams and names."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from .series import RUBBISH, UID, Series, inner, mutation, some, without

ELEMENTS = (
    "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "Modality", "PatientName", "PatientID", "KVP",
    "ConvolutionKernel", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber",
    "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID", "SliceLocation",
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "RescaleIntercept", "RescaleSlope", "RescaleType", "AcquisitionTime",
)  # fmt: skip


def _each(series: Series, names: list[str], how) -> None:
    for name in names:
        series.change(name, how)


@mutation
def element_removed(series, generator):
    keyword = str(generator.choice([*ELEMENTS, "PixelData"]))

    def change(d):
        if keyword in d:
            del d[keyword]

    _each(series, some(series, generator), change)


@mutation
def element_emptied(series, generator):
    keyword = str(generator.choice(ELEMENTS))
    _each(series, some(series, generator), lambda d: setattr(d, keyword, None))


@mutation
def element_with_rubbish(series, generator):
    """The text is written as it stands, under a VR that takes any, so that no writer mends it."""
    from pydicom.dataelem import DataElement
    from pydicom.tag import Tag

    keyword, text = str(generator.choice(ELEMENTS)), str(generator.choice(RUBBISH))

    def change(d):
        d[keyword] = DataElement(Tag(d[keyword].tag), "LT" if len(text) > 64 else "UT", text)

    _each(series, some(series, generator, all_too=False), change)


@mutation
def element_twice(series, generator):
    """Written again, with another value, between the last element and the pixels."""
    name = inner(series, generator)
    content = series.files[name]
    tag, value = [(0x00280030, b"9\\9 "), (0x00281052, b"-24 "), (0x00280010, struct.pack("<H", 16)),
                  (0x00200032, b"0\\0\\0 ")][int(generator.integers(4))]  # fmt: skip
    vr = {0x00280030: b"DS", 0x00281052: b"DS", 0x00280010: b"US", 0x00200032: b"DS"}[tag]
    element = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr + struct.pack("<H", len(value)) + value
    place = content.rindex(b"\xe0\x7f\x10\x00")
    series.files[name] = content[:place] + element + content[place:]


@mutation
def numbers_off(series, generator):
    keyword = str(generator.choice(
        ["Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"]
    ))  # fmt: skip
    value = int(generator.choice([0, 1, 2, 3, 7, 8, 11, 12, 15, 16, 24, 31, 33, 35, 64, 65535]))
    _each(series, some(series, generator), lambda d: setattr(d, keyword, value))


@mutation
def number_of_frames(series, generator):
    count = str(generator.choice(["0", "2", "100", "100000000", "-1", "2147483647"]))
    _each(series, some(series, generator), lambda d: setattr(d, "NumberOfFrames", count))


@mutation
def rescale_of_one_slice(series, generator):
    """One slice, not at an end, whose values are moved or scaled against those of its neighbours."""
    keyword, value = [("RescaleIntercept", 1024), ("RescaleIntercept", -2048), ("RescaleIntercept", 1e30),
                      ("RescaleSlope", 10), ("RescaleSlope", 0), ("RescaleSlope", -1), ("RescaleSlope", 1e30),
                      ("RescaleIntercept", "NaN")][int(generator.integers(8))]  # fmt: skip

    def change(d):
        factor = value if isinstance(value, str) or keyword == "RescaleSlope" else value + float(d.RescaleIntercept)
        setattr(d, keyword, factor)

    series.change(inner(series, generator), change)


@mutation
def rescale_of_all(series, generator):
    """Offset lost, moved by -976 HU, half, twice or ten times what is stored."""
    how = int(generator.integers(6))

    def change(d):
        if how == 0:
            d.RescaleIntercept = float(d.RescaleIntercept) + 1024
        elif how == 1:
            d.RescaleIntercept = float(d.RescaleIntercept) - 976
        elif how == 5:
            del d.RescaleIntercept, d.RescaleSlope
        else:
            factor = (0.5, 2, 10)[how - 2]
            d.RescaleSlope, d.RescaleIntercept = factor, float(d.RescaleIntercept) * factor + 1024 * (factor - 1)

    _each(series, series.names(), change)


@mutation
def position_off(series, generator):
    axis, by = int(generator.integers(3)), float(generator.choice([0.3, 1.3, -2.0, 8.0, 690.0, 1e9, -1e30]))

    def change(d):
        position = [float(value) for value in d.ImagePositionPatient]
        position[axis] += by
        d.ImagePositionPatient = [f"{value:.10g}" for value in position]

    series.change(inner(series, generator), change)


@mutation
def orientation_off(series, generator):
    cosines = [[-1, 0, 0, 0, 1, 0], [0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, -1], [1, 0, 0, 0, 0.98, 0.199],
               [2, 0, 0, 0, 2, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0]][int(generator.integers(7))]  # fmt: skip
    _each(series, some(series, generator, all_too=False), lambda d: setattr(d, "ImageOrientationPatient", cosines))


@mutation
def spacing_off(series, generator):
    spacing = [[7.0, 6.5], [3.25, 3.5], [0, 0], [-3.5, -3.25], [3.5, 3.3], [350, 325]][int(generator.integers(6))]
    _each(series, some(series, generator, all_too=False), lambda d: setattr(d, "PixelSpacing", spacing))


@mutation
def end_slices_absent(series, generator):
    names, count = series.names(), int(generator.integers(1, 4))
    at_top = bool(generator.random() < 0.5)
    for name in names[-count:] if at_top else names[:count]:
        del series.files[name]
    numbers = range(len(names) - count, len(names)) if at_top else range(count)
    series.truth = without(series.truth, list(numbers))


@mutation
def inner_slices_absent(series, generator):
    names = series.names()[1:-1]
    for i in generator.choice(len(names), int(generator.integers(1, 6)), replace=False):
        del series.files[names[i]]


@mutation
def slice_twice(series, generator):
    """The same file again; under another UID; with another number; or with other pixels."""
    how, name = int(generator.integers(4)), inner(series, generator)
    series.files["scopy.dcm"] = series.files[name]
    if how:

        def change(d):
            d.SOPInstanceUID = f"{UID}9.999"
            if how >= 2:
                d.InstanceNumber = 99
            if how == 3:
                d.PixelData = bytes(len(d.PixelData))

        series.change("scopy.dcm", change)


@mutation
def stack_twice(series, generator):
    """A second acquisition, kernel or time of the patient moved, half a slice or 0.3 mm off, or in the same places."""
    along = float(generator.choice([0.0, 0.0, 2.0, 0.3, 1.0]))
    keyword, value = [("AcquisitionNumber", 2), ("ConvolutionKernel", "B20"), ("AcquisitionTime", "101200"),
                      ("KVP", 80), ("InstanceNumber", None)][int(generator.integers(5))]  # fmt: skip
    for number, name in enumerate(series.names()):
        series.files["second" + name] = series.files[name]

        def change(d, number=number):
            d.SOPInstanceUID = f"{UID}8.{number + 1}"
            d.InstanceNumber = int(d.InstanceNumber) + len(series.truth.voxels)
            if value is not None:
                setattr(d, keyword, value)
            position = [float(v) for v in d.ImagePositionPatient]
            d.ImagePositionPatient = [position[0], position[1], position[2] + along]
            pixels = np.frombuffer(d.PixelData, "<u2").reshape(d.Rows, d.Columns)
            d.PixelData = np.roll(pixels, 3, axis=1).tobytes()

        series.change("second" + name, change)


@mutation
def other_images_among(series, generator):
    """A reformat, a localizer, a secondary capture, another study's slice, or no image at all."""
    how = int(generator.integers(6))
    series.files["other.dcm"] = series.files[inner(series, generator)]

    def change(d):
        d.SOPInstanceUID, d.InstanceNumber = f"{UID}7.1", 77
        if how == 0:
            d.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        elif how == 1:
            d.ImageType, d.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "LOCALIZER"], [1, 0, 0, 0, 0, -1]
        elif how == 2:
            d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        elif how == 3:
            d.StudyInstanceUID, d.SeriesInstanceUID, d.PatientID = f"{UID}11", f"{UID}12", "1"
        elif how == 4:
            d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
            d.Modality = "SR"
            for keyword in ("PixelData", "Rows", "Columns"):
                del d[keyword]
        else:
            d.SeriesInstanceUID = f"{UID}13"

    series.change("other.dcm", change)


@mutation
def preamble_absent(series, generator):
    """From the first element of the data set on, as before 1993; names without an ending half of the time."""
    from pydicom.uid import ImplicitVRLittleEndian

    bare = bool(generator.random() < 0.5)
    first = str(generator.choice(["", "SpecificCharacterSet", "ImageType", "InstanceCreationDate", "SOPClassUID"]))
    for name in some(series, generator):

        def change(d):
            for keyword in ("ImageType", "SOPClassUID")[: int(first == "SOPClassUID") + int(first == "")]:
                d.pop(keyword, None)
            if first == "SpecificCharacterSet":
                d.SpecificCharacterSet = "ISO_IR 100"
            if first == "InstanceCreationDate":
                d.pop("ImageType", None)
                d.InstanceCreationDate = "20240102"
            if generator.random() < 0.5:
                d.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

        series.change(name, change)
        content = series.files.pop(name)
        length = struct.unpack_from("<I", content, 140)[0]
        series.files[name[:-4] if bare else name] = content[144 + length :]


@mutation
def names_changed(series, generator):
    for number, name in enumerate(some(series, generator)):
        content = series.files.pop(name)
        new = [f"IM{number:04d}", f"s{number}.txt", f"deep/er/{name}", f"é {name}", f"{name}.nii", f"{name}.zip.dcm",
               "s" * 200 + f"{number}", f"{name}.hdr"][int(generator.integers(8))]  # fmt: skip
        series.files[new] = content


@mutation
def syntax_changed(series, generator):
    """Stored in another transfer syntax without loss."""
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGLSLossless,
        RLELossless,
    )  # fmt: skip

    syntax = [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless][
        int(generator.integers(5))
    ]

    def change(d):
        if syntax.is_compressed and not syntax.is_deflated:
            try:
                d.compress(syntax, generate_instance_uid=False)
                return
            except Exception:  # no encoder is installed for it
                d.compress(RLELossless, generate_instance_uid=False)
        else:
            d.file_meta.TransferSyntaxUID = syntax

    _each(series, some(series, generator), change)


@mutation
def syntax_wrong(series, generator):
    """The header names a syntax that the data are not in."""
    syntax = str(generator.choice(
        ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5",
         "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80", "1.2.3", ""]
    ))  # fmt: skip
    for name in some(series, generator):
        content = series.files[name]
        right = b"1.2.840.10008.1.2.1\0"
        place = content.index(right, 140)
        new = syntax.encode() + b"\0" * (len(syntax) % 2)
        length = struct.unpack_from("<I", content, 140)[0] + len(new) - len(right)
        content = content[: place - 2] + struct.pack("<H", len(new)) + new + content[place + len(right) :]
        series.files[name] = content[:140] + struct.pack("<I", length) + content[144:]


@mutation
def pixels_of_another_length(series, generator):
    how = int(generator.integers(5))

    def change(d):
        data = d.PixelData
        d.PixelData = [data[: len(data) // 2], data[:-2], data + data, data + bytes(64), data[:2]][how]

    _each(series, some(series, generator), change)


@mutation
def padding_value(series, generator):
    from pydicom.dataelem import DataElement

    value = int(generator.choice([0, 63536, 32768, 65535, 1024, 1064]))
    signed = value < 32768 and bool(generator.random() < 0.5)

    def change(d):
        # Under either VR, whatever the pixels are: some writers store -2000 as 63536.
        d[0x00280120] = DataElement(0x00280120, "SS" if signed else "US", value)

    _each(series, series.names(), change)


@mutation
def one_uid_for_all(series, generator):
    keyword = str(generator.choice(["SOPInstanceUID", "InstanceNumber", "SliceLocation"]))
    value = {"SOPInstanceUID": f"{UID}5", "InstanceNumber": 1, "SliceLocation": 0}[keyword]
    _each(series, series.names(), lambda d: setattr(d, keyword, value))


@mutation
def a_uid_of_their_own(series, generator):
    keyword = str(generator.choice(["SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID"]))
    _each(series, some(series, generator, all_too=False), lambda d: setattr(d, keyword, f"{UID}6"))


@mutation
def other_rescale_type(series, generator):
    kind = str(generator.choice(["US", "Hounsfield", "OD", "hu", "HU ", "Z_EFF"]))
    _each(series, some(series, generator), lambda d: setattr(d, "RescaleType", kind))


@mutation
def photometric(series, generator):
    kind = str(generator.choice(["MONOCHROME1", "RGB", "PALETTE COLOR", "YBR_FULL", "monochrome2"]))
    _each(series, some(series, generator), lambda d: setattr(d, "PhotometricInterpretation", kind))


@mutation
def file_cut(series, generator):
    for name in some(series, generator):
        content = series.files[name]
        series.files[name] = content[: int(len(content) * generator.choice([0, 0.01, 0.2, 0.4, 0.7, 0.99]))]


@mutation
def file_of_rubbish(series, generator):
    length = int(generator.choice([0, 3, 200, 5000]))
    name = str(generator.choice(["rubbish", "rubbish.dcm", "DICOMDIR", "notes.txt", inner(series, generator)]))
    series.files[name] = generator.bytes(length)


@mutation
def header_bytes_flipped(series, generator):
    """Of a slice's header, but its position's digits of x and y and its names: what no other slice contradicts."""
    name = inner(series, generator)
    content = bytearray(series.files[name])
    end = content.rindex(b"\xe0\x7f\x10\x00") + 12
    for _ in range(int(generator.integers(1, 5))):
        content[int(generator.integers(132, end))] ^= 1 << int(generator.integers(8))
    series.files[name] = bytes(content)


@mutation
def pixel_bytes_flipped(series, generator):
    """Nothing checks them where they are not compressed: so many voxels may differ."""
    name, count = inner(series, generator), int(generator.integers(1, 20))
    content = bytearray(series.files[name])
    begin = content.rindex(b"\xe0\x7f\x10\x00") + 12
    for _ in range(count):
        content[int(generator.integers(begin, len(content)))] ^= 1 << int(generator.integers(8))
    series.files[name] = bytes(content)
    series.truth = replace(series.truth, may_differ=count)


@mutation
def block_of_zeros(series, generator):
    name = inner(series, generator)
    content = bytearray(series.files[name])
    place = int(generator.integers(0, content.rindex(b"\xe0\x7f\x10\x00")))
    length = int(generator.integers(4, 200))
    content[place : place + length] = bytes(len(content[place : place + length]))
    series.files[name] = bytes(content)
    series.truth = replace(series.truth, may_differ=length // 2 + 1)
