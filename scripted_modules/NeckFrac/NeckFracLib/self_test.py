"""The module's self-test: the real networks on the embedded sample CT, every node looked at, review and cancel."""

import time
import unittest

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from . import install, view
from .hand_over import rasPoint
from .job_runner import JobError
from .logic import NeckFracLogic
from .sample_data import samplePath


class NeckFracTest(ScriptedLoadableModuleTest):
    """Run by Slicer's developer button, by ctest and by the project's own tests."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.undone = []  # checks that this application has nothing for
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
            self.checkScene(volumeNode, runs[0].findings)
            self.checkOperatingPointsAndReview(logic.results, volumeNode)
            self.checkJump(runs[0].findings)
            self.checkCancel(logic, volumeNode)
        finally:
            logic.close()
        if self.undone:
            raise unittest.SkipTest(f"all that was checked is right, but without views: {'; '.join(self.undone)}")
        self.delayDisplay("Test passed")

    def checkOperatingPointsAndReview(self, results, volumeNode):
        """A lower threshold calls no less, a rejected finding loses its box, and Undo gives it back."""
        self.delayDisplay("Operating points, review and undo")
        counts = []
        for point in ("specific", "balanced", "sensitive"):
            counts.append(len(results.showAt(volumeNode, point).positive))
            nodes, findings = results.of(volumeNode)
            self.assertEqual(set(nodes.rois), set(findings.boxes()))
        self.assertEqual(counts, sorted(counts))
        level = max(findings.levels, key=lambda level: level.probability or 0.0).level
        results.review(volumeNode, level, "confirmed")
        self.assertIn(level, results.of(volumeNode)[0].rois)
        results.review(volumeNode, level, "rejected", "self-test")
        self.assertNotIn(level, results.of(volumeNode)[0].rois)
        results.undo()
        results.undo()
        self.assertEqual(results.of(volumeNode)[1].reviews, ())

    def checkJump(self, findings):
        """All slices go through the vertebra that was jumped to."""
        if not slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            self.undone.append("that the slices go to a finding was not checked")
            return
        level = next(level for level in findings.levels if level.center is not None)
        point = rasPoint(level.center)
        self.assertTrue(view.jumpTo(point))
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            matrix = node.GetSliceToRAS()
            offset = sum(matrix.GetElement(axis, 2) * (point[axis] - matrix.GetElement(axis, 3)) for axis in range(3))
            self.assertAlmostEqual(offset, 0.0, places=3)

    def checkCancel(self, logic, volumeNode):
        """A run that is cancelled ends within a second or so and leaves the scene as it was."""
        self.delayDisplay("Cancel")
        before = slicer.mrmlScene.GetNumberOfNodes()
        run = logic.begin(volumeNode, device="cpu")
        began = time.monotonic()
        logic.cancel()
        with self.assertRaises(JobError):
            logic.jobs.wait(run)
        self.assertEqual(run.error.kind, "cancelled")
        self.assertLess(time.monotonic() - began, 2.0)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

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
