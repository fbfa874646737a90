"""The coded concepts of the DICOM results, each with the context group or template that it comes from."""

from __future__ import annotations

from typing import NamedTuple

SCHEME = "99NECKFRAC"  # of concepts that DICOM has no code for; it is explained in each file that uses it
SCHEME_NAME, SCHEME_VERSION = "NeckFrac concepts", "1"


class Concept(NamedTuple):
    """A code, its scheme and its meaning; `code` is what highdicom takes."""

    value: str
    scheme: str
    meaning: str

    def code(self):
        from pydicom.sr.coding import Code

        return Code(self.value, self.scheme, self.meaning)


# CID 7150 Segmentation Property Category; the levels themselves (anatomy.LEVELS) are of CID 7603 and 7192.
ANATOMICAL_STRUCTURE = Concept("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE = Concept("49755003", "SCT", "Morphologically Abnormal Structure")
# CID 7162 Surface Processing Algorithm Family, as PS3.3 table C.8.20-4 asks of a segmentation's algorithm.
ARTIFICIAL_INTELLIGENCE = Concept("123110", "DCM", "Artificial Intelligence")
# CID 4031 Common Anatomic Region.
CERVICAL_SPINE = Concept("122494005", "SCT", "Cervical spine")
# SNOMED CT, morphologic abnormality; TID 1411 and 1501 leave the finding to the application.
FRACTURE = Concept("72704001", "SCT", "Fracture")
# CID 250 Positive/Negative.
POSITIVE_CALL = Concept("10828004", "SCT", "Positive")
NEGATIVE_CALL = Concept("260385009", "SCT", "Negative")
# Low and High: CID 75; Medium: CID 252. Not CID 3716 (mild, moderate, severe), which would grade the injury.
DEGREES = {
    "low": Concept("62482003", "SCT", "Low"),
    "medium": Concept("255508009", "SCT", "Medium"),
    "high": Concept("75540009", "SCT", "High"),
}
# CID 7181 Abstract Multi-dimensional Image Model Component Unit.
NO_UNITS = Concept("1", "UCUM", "no units")
# CID 7460 Units of Linear Measurement and others, by UCUM.
UNITS = {
    "mm": Concept("mm", "UCUM", "millimeter"),
    "deg": Concept("deg", "UCUM", "degree"),
    "%": Concept("%", "UCUM", "percent"),
    "1": NO_UNITS,
}
# CID 222 Normality Codes; CID 223 Normal Range Values.
NORMAL = Concept("17621005", "SCT", "Normal")
ABNORMAL = Concept("263654008", "SCT", "Abnormal")
NORMAL_LOWER = Concept("385524004", "SCT", "Normal Range Lower Limit")
NORMAL_UPPER = Concept("371933006", "SCT", "Normal Range Upper Limit")
# CID 7464 has no method for distances; SNOMED CT's qualifiers say by whom a line was drawn.
AUTOMATED = Concept("8359006", "SCT", "Automated")
BY_HAND = Concept("87982008", "SCT", "Manual")
# CID 100 Quantitative Diagnostic Imaging Procedure.
CT = Concept("25045-6", "LN", "CT unspecified body region")
# CID 270 Observer Type.
DEVICE = Concept("121007", "DCM", "Device")
# TID 1500: the container beside the measurements, and the name of a free text in it.
QUALITATIVE_EVALUATIONS = Concept("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Concept("121106", "DCM", "Comment")
# NeckFrac's own. DICOM's Certainty of Finding (111012) would read, of a negative level, as how certain that is.
PROBABILITY = Concept("probability", SCHEME, "Probability of fracture")
SUSPICION = Concept("suspicion", SCHEME, "Degree of suspicion")
NOT_SEEN_CALL = Concept("not-seen", SCHEME, "Not seen in the scan")
REVIEW = Concept("review", SCHEME, "Review by a reader")
REVIEWS = {
    "confirmed": Concept("confirmed", SCHEME, "Confirmed"),
    "rejected": Concept("rejected", SCHEME, "Rejected"),
    "added": Concept("added", SCHEME, "Added"),
}


def own_scheme():
    """The item of the Coding Scheme Identification Sequence (PS3.3 C.12.1) that explains NeckFrac's own codes."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return CodingSchemeIdentificationItem(
        designator=SCHEME, name=SCHEME_NAME, version=SCHEME_VERSION, responsible_organization="NeckFrac"
    )
