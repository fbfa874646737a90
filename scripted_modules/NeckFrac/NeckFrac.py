"""The door of the NeckFrac module; its rooms are in NeckFracLib."""

import slicer
from NeckFracLib.layout import registerReadingLayout
from NeckFracLib.logic import NeckFracLogic
from NeckFracLib.sample_data import registerSampleData
from NeckFracLib.self_test import NeckFracTest
from NeckFracLib.terminology import loadTerminology
from NeckFracLib.widget import NeckFracWidget
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule

__all__ = ["NeckFrac", "NeckFracLogic", "NeckFracTest", "NeckFracWidget"]


class NeckFrac(ScriptedLoadableModule):
    """What Slicer shows of the module before anyone opens it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("NeckFrac")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["NeckFrac contributors"]
        self.parent.helpText = _(
            "Finds suspected fractures of the cervical spine on CT, vertebra by vertebra: C1 to C7 segmented, "
            "a probability for each level, a box around each finding and a heat map. "
            "Research use only; not a medical device. "
            "Installing packages and reading scenes: see the {documentation}."
        ).format(documentation='<a href="https://slicer.readthedocs.io">documentation of 3D Slicer</a>')
        self.parent.acknowledgementText = _(
            "Built on {monai}, {pytorch} and {slicer}. The embedded networks were trained on simulated fractures."
        ).format(
            monai='<a href="https://monai.io">MONAI</a>',
            pytorch='<a href="https://pytorch.org">PyTorch</a>',
            slicer='<a href="https://www.slicer.org">3D Slicer</a>',
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", loadTerminology)
        slicer.app.connect("startupCompleted()", registerReadingLayout)
