"""What the user chose and what came out, kept in the scene."""

import enum
from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode, vtkMRMLTableNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


class OperatingPoint(enum.Enum):
    """Where the threshold lies between missed fractures and false alarms."""

    sensitive = "sensitive"
    balanced = "balanced"
    specific = "specific"

    def label(self):
        """The text that Slicer's parameter node shows in the combo box."""
        return {
            "sensitive": _("Sensitive: fewer missed fractures"),
            "balanced": _("Balanced"),
            "specific": _("Specific: fewer false alarms"),
        }[self.value]


class Device(enum.Enum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"

    def label(self):
        """The text that Slicer's parameter node shows in the combo box."""
        return {"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("GPU (CUDA)")}[self.value]


class Explanation(enum.Enum):
    """What draws the heat map."""

    own = "heat"
    gradCam = "grad-cam"
    smoothGrad = "smooth-grad"

    def label(self):
        """The text that Slicer's parameter node shows in the combo box."""
        return {
            "heat": _("The networks' own"),
            "grad-cam": _("Grad-CAM"),
            "smooth-grad": _("SmoothGrad"),
        }[self.value]


@parameterNodeWrapper
class NeckFracParameterNode:
    """
    inputVolume - the CT.
    inputSegmentation - C1 to C7 that are segmented already and used instead of segmenting; None: they are segmented.
    operatingPoint - where the threshold lies.
    device - where the networks run.
    explanation - what draws the heat map.
    leftOutModels - members of the ensemble that the next run leaves out, separated by commas (see models.py).
    keepMinutes - after how many idle minutes the process with the networks ends; 0: never.
    outputSegmentation, outputTable, outputHeat - the nodes that the next result goes into; None: new ones are made, and
        those of an earlier result stay.
    showAnchors - whether T1 and the skull base are shown.
    showBoxes, showSegmentation, show3D, showHeat - what the views show of a result.
    heatOpacity - how strongly the heat map covers the CT, percent.
    sortByProbability - whether the table begins with the most probable level instead of C1.
    referenceSegmentation - C1 to C7 by somebody else, to compare with.
    showDistances, showDisagreement - what the views show of a comparison.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    inputSegmentation: vtkMRMLSegmentationNode
    operatingPoint: OperatingPoint = OperatingPoint.balanced
    device: Device = Device.auto
    explanation: Explanation = Explanation.own
    leftOutModels: str = ""
    keepMinutes: Annotated[int, WithinRange(0, 240)] = 15
    outputSegmentation: vtkMRMLSegmentationNode
    outputTable: vtkMRMLTableNode
    outputHeat: vtkMRMLScalarVolumeNode
    showAnchors: bool = False
    showBoxes: bool = True
    showSegmentation: bool = True
    show3D: bool = True
    showHeat: bool = True
    heatOpacity: Annotated[int, WithinRange(0, 100)] = 40
    sortByProbability: bool = True
    referenceSegmentation: vtkMRMLSegmentationNode
    showDistances: bool = True
    showDisagreement: bool = True
