"""The module's self-test: the real networks on the embedded sample CT, and every node looked at."""

import unittest

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from . import install
from .logic import NeckFracLogic
from .sample_data import samplePath


class NeckFracTest(ScriptedLoadableModuleTest):
    """Run by Slicer's developer button, by ctest and by the project's own tests."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_FindingsOfTheSampleAreInTheScene()

    def test_FindingsOfTheSampleAreInTheScene(self):
        missing = install.missingPackages()
        if missing:
            raise unittest.SkipTest(f"not installed: {', '.join(missing)}; nothing was tested")
        path = samplePath()
        if path is None:
            raise unittest.SkipTest("the sample CT is not installed; nothing was tested")
        self.delayDisplay("The networks run on the sample CT")
        volumeNode = slicer.util.loadVolume(str(path))
        runs = []
        logic = NeckFracLogic()
        try:
            logic.process(volumeNode, device="cpu", onFinished=runs.append)
        finally:
            logic.close()
        self.checkScene(volumeNode, runs[0].findings)
        self.delayDisplay("Test passed")

    def checkScene(self, volumeNode, findings):
        """Every level seen has a segment, every finding a box in the volume; the rest is there, too."""
        seen = [level for level in findings.levels if level.status != "not seen"]
        self.assertGreater(len(seen), 0, "no vertebra was recognized in the sample")
        segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        self.assertEqual(len(segmentations), 1)
        segmentation = segmentations[0].GetSegmentation()
        names = {segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())}
        self.assertLessEqual({level.level for level in seen}, names)

        boxes = slicer.util.getNodesByClass("vtkMRMLMarkupsROINode")
        self.assertEqual(len(boxes), sum(level.box is not None for level in findings.positive))
        bounds = [0.0] * 6
        volumeNode.GetRASBounds(bounds)
        for box in boxes:
            center = [0.0] * 3
            box.GetCenter(center)
            for axis in range(3):
                self.assertGreaterEqual(center[axis], bounds[2 * axis])
                self.assertLessEqual(center[axis], bounds[2 * axis + 1])

        self.assertGreaterEqual(len(slicer.util.getNodesByClass("vtkMRMLTableNode")), 1)
        heatMaps = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node is not volumeNode]
        self.assertGreaterEqual(len(heatMaps), 1)
        # The heat map is cropped to where there is heat, on the CT's own lattice.
        self.assertEqual(heatMaps[0].GetSpacing(), volumeNode.GetSpacing())
