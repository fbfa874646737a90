"""The results in the scene: what is known of a CT, at which operating point, and what readers said. No Qt.

The text node of a result is the one place where findings and reviews lie; boxes and table follow it.
"""

from datetime import UTC, datetime

import slicer
from slicer.i18n import tr as _

from .engine_path import ensureEngine


class Results:
    """Reads and changes the result of a CT in the scene. One Undo takes one review back."""

    def __init__(self):
        self._done, self._undone = [], []  # (volume's node ID, (reviews, measurements))

    def of(self, volumeNode):
        """The nodes of the volume's result and its Findings; None when it has none that can be read."""
        if volumeNode is None:
            return None
        ensureEngine()
        from neckfrac.output.result import findings_in, result_of

        nodes = result_of(slicer.mrmlScene, volumeNode)
        try:
            return (nodes, findings_in(nodes)) if nodes else None
        except ValueError:
            return None

    def showAt(self, volumeNode, operatingPoint):
        """Show the calls at another operating point, without a new run; the Findings, None without a result.

        Findings of an older version do not know other operating points; they are shown as they are.
        """
        result = self.of(volumeNode)
        if result is None:
            return None
        nodes, findings = result
        if findings.operating_point == operatingPoint or operatingPoint not in findings.thresholds:
            return findings
        findings = findings.at(operatingPoint)
        self._show(nodes, findings)
        return findings

    def review(self, volumeNode, level, verdict, note="", box=None):
        """Keep what a reader says of a level; None for `verdict` takes it back. The Findings.

        verdict: confirmed, rejected or added. box: where the reader saw it (a `Box`), None: where the networks did.
        Raises ValueError when there is no result, or nothing to confirm or reject there.
        """
        nodes, findings = self._needed(volumeNode)
        from neckfrac.findings import ADDED, Review

        if verdict == ADDED and box is None:
            raise ValueError(_("Where is it? A finding that is added needs a box."))
        if verdict not in (None, ADDED) and box is None and findings.level(level).region is None:
            raise ValueError(_("The networks said nothing of {level}.").format(level=level))
        review = None if verdict is None else Review(level, verdict, note, box)
        return self._change(volumeNode, nodes, findings, findings.reviewed(level, review))

    def moveBox(self, volumeNode, level):
        """Keep where a reader has moved the box of a level; the Findings."""
        nodes, findings = self._needed(volumeNode)
        from dataclasses import replace

        from neckfrac.findings import CONFIRMED, Review
        from neckfrac.output.boxes import box_of

        box = box_of(nodes.rois[level])
        if box == findings.boxes().get(level):
            return findings
        review = findings.review_of(level) or Review(level, CONFIRMED)
        return self._change(volumeNode, nodes, findings, findings.reviewed(level, replace(review, box=box)))

    def moveMeasurement(self, volumeNode, key):
        """Keep where a reader has moved the lines of a measurement; the Findings. Others on these lines follow."""
        nodes, findings = self._needed(volumeNode)
        from dataclasses import replace

        from neckfrac.measurement import with_moved_points
        from neckfrac.output.measurement_lines import points_of

        one = next(one for one in findings.measurements if one.key == key)
        points = points_of(findings, one, nodes.lines)
        measurements = with_moved_points(findings.measurements, key, points)
        return self._change(volumeNode, nodes, findings, replace(findings, measurements=measurements))

    def completedAt(self, volumeNode):
        """When a reader has called the review of a result complete, ISO 8601 in UTC; "" when none has."""
        result = self.of(volumeNode)
        return result[1].review_completed if result else ""

    def setComplete(self, volumeNode, complete):
        """Stamp the review of a result as complete, or take the stamp off; a later change of it does so, too."""
        nodes, findings = self._needed(volumeNode)
        from dataclasses import replace

        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._show(nodes, replace(findings, review_completed=now if complete else ""))

    def editBoxes(self, volumeNode, editable):
        """Let the reader move and resize the boxes, or keep them in place."""
        result = self.of(volumeNode)
        if result:
            from neckfrac.output.boxes import edit_boxes

            edit_boxes(result[0].rois, editable)

    @property
    def canUndo(self):
        return bool(self._done)

    @property
    def canRedo(self):
        return bool(self._undone)

    def undo(self):
        """Take the last review back; the Findings, None when there is nothing to take back."""
        return self._step(self._done, self._undone)

    def redo(self):
        """Make the last review that was taken back again."""
        return self._step(self._undone, self._done)

    def forget(self):
        """Nothing can be taken back any more: the scene is another one, or the findings are."""
        self._done, self._undone = [], []

    def _step(self, source, target):
        from dataclasses import replace

        while source:
            identifier, (reviews, measurements) = source.pop()
            result = self.of(slicer.mrmlScene.GetNodeByID(identifier))
            if result is None:
                continue
            nodes, findings = result
            target.append((identifier, (findings.reviews, findings.measurements)))
            findings = replace(findings, reviews=reviews, measurements=measurements, review_completed="")
            self._show(nodes, findings)
            return findings
        return None

    def _needed(self, volumeNode):
        result = self.of(volumeNode)
        if result is None:
            raise ValueError(_("There is no result of this volume yet: press Apply first."))
        return result

    def _change(self, volumeNode, nodes, before, after):
        from dataclasses import replace

        if (after.reviews, after.measurements) != (before.reviews, before.measurements):
            self._done.append((volumeNode.GetID(), (before.reviews, before.measurements)))
            self._undone.clear()
            after = replace(after, review_completed="")  # whatever was changed, and however
            self._show(nodes, after)
        return after

    def _show(self, nodes, findings):
        from neckfrac.output.result import show_findings

        show_findings(slicer.mrmlScene, nodes, findings)
