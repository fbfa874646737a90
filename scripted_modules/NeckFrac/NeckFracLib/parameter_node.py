"""What the user chose and what came out, kept in the scene."""

import enum

from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import parameterNodeWrapper


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


@parameterNodeWrapper
class NeckFracParameterNode:
    """
    inputVolume - the CT.
    operatingPoint - where the threshold lies.
    device - where the networks run.
    leftOutModels - members of the ensemble that the next run leaves out, separated by commas (see models.py).
    showAnchors - whether T1 and the skull base are shown.
    results - the last run's rows as JSON (see results_table.py), without anything that identifies the patient.
    naming - how sure the last run's level names are, as JSON (see results_table.py).
    """

    inputVolume: vtkMRMLScalarVolumeNode
    operatingPoint: OperatingPoint = OperatingPoint.balanced
    device: Device = Device.auto
    leftOutModels: str = ""
    showAnchors: bool = False
    results: str = ""
    naming: str = ""
