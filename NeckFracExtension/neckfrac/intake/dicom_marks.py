"""What a frame's header says that tells one stack of slices from another in the same place."""

from __future__ import annotations

from . import dicom_elements as elements

# In this order a series is taken apart. name: as a warning says it. The element's keyword (of the file, or of an
# enhanced image's functional group), and whether its value is a number. UIDs tell stacks apart, but are not shown.
TEXT, NUMBER, UID = "text", "number", "UID"
MARKS = (
    ("frame of reference", "FrameOfReferenceUID", "", UID),
    ("stack", "StackID", "FrameContentSequence", TEXT),
    ("time point", "TemporalPositionIndex", "FrameContentSequence", NUMBER),
    ("time point", "TemporalPositionIdentifier", "", NUMBER),
    ("acquisition", "FrameAcquisitionNumber", "FrameContentSequence", NUMBER),
    ("acquisition", "AcquisitionNumber", "", NUMBER),
    ("irradiation event", "IrradiationEventUID", "", UID),
    ("acquisition time", "AcquisitionTime", "", TEXT),
    ("acquisition time", "AcquisitionDateTime", "", TEXT),
    ("cardiac phase", "NominalPercentageOfCardiacPhase", "CardiacSynchronizationSequence", NUMBER),
    ("cardiac phase", "NominalPercentageOfCardiacPhase", "", NUMBER),
    ("trigger time", "NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence", NUMBER),
    ("trigger time", "TriggerTime", "", NUMBER),
    ("tube voltage", "KVP", "CTXRayDetailsSequence", NUMBER),
    ("tube voltage", "KVP", "", NUMBER),
    ("energy", "MonoenergeticEnergyEquivalent", "CTXRayDetailsSequence", NUMBER),
    ("energy", "MonoenergeticEnergyEquivalent", "", NUMBER),
    ("echo", "EchoNumbers", "", NUMBER),
    ("contrast agent", "ContrastBolusAgent", "", TEXT),
    ("image type", "FrameType", "CTImageFrameTypeSequence", TEXT),
    ("image type", "ImageType", "", TEXT),
    ("kernel", "ConvolutionKernel", "CTReconstructionSequence", TEXT),
    ("kernel", "ConvolutionKernel", "", TEXT),
    ("filter", "FilterType", "CTReconstructionSequence", TEXT),
    ("filter", "FilterType", "", TEXT),
    ("slice thickness", "SliceThickness", "PixelMeasuresSequence", NUMBER),
    ("slice thickness", "SliceThickness", "", NUMBER),
    ("field of view", "ReconstructionDiameter", "CTReconstructionSequence", NUMBER),
    ("field of view", "ReconstructionDiameter", "", NUMBER),
    ("series number", "SeriesNumber", "", NUMBER),
    ("series description", "SeriesDescription", "", TEXT),
)
NAMES = tuple(dict.fromkeys(name for name, *_ in MARKS))
SHOWN = frozenset(name for name, _, _, kind in MARKS if kind != UID)
KEYWORDS = tuple(keyword for _, keyword, sequence, _ in MARKS if not sequence)


def marks_of(dataset, groups: list) -> tuple[str, ...]:
    """A frame's value of each of NAMES, "" where it says none.

    groups: an enhanced image's functional groups, the frame's own before the shared; they go before the file's.
    """
    found = dict.fromkeys(NAMES, "")
    for name, keyword, sequence, kind in MARKS:
        if found[name] or (sequence and not groups):
            continue
        source = elements.first_item(groups, sequence) if sequence else dataset
        if kind == NUMBER:
            figure = elements.number(source, keyword)
            # 120 and 120.0 are one voltage.
            found[name] = elements.text(source, keyword) if figure is None else f"{figure:.10g}"
        else:
            found[name] = elements.text(source, keyword)
    return tuple(found.values())


def mark(marks: tuple[str, ...], name: str) -> str:
    """The value of one of NAMES."""
    return marks[NAMES.index(name)] if marks else ""
