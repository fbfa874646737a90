"""The layout for reading, known to Slicer from its start, and the way back to the layout before. No Qt."""

import slicer

READING_LAYOUT = 7103  # ours; Slicer's own layouts have numbers below 1000
# Axial large on the left; sagittal, coronal and 3D beside it.
READING_LAYOUT_XML = """
<layout type="horizontal" split="true">
 <item splitSize="600"><view class="vtkMRMLSliceNode" singletontag="Red">
  <property name="orientation" action="default">Axial</property>
  <property name="viewlabel" action="default">R</property>
  <property name="viewcolor" action="default">#F34A33</property>
 </view></item>
 <item splitSize="400"><layout type="vertical" split="true">
  <item><view class="vtkMRMLSliceNode" singletontag="Yellow">
   <property name="orientation" action="default">Sagittal</property>
   <property name="viewlabel" action="default">Y</property>
   <property name="viewcolor" action="default">#EDD54C</property>
  </view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="Green">
   <property name="orientation" action="default">Coronal</property>
   <property name="viewlabel" action="default">G</property>
   <property name="viewcolor" action="default">#6EB04B</property>
  </view></item>
  <item><view class="vtkMRMLViewNode" singletontag="1">
   <property name="viewlabel" action="default">1</property>
  </view></item>
 </layout></item>
</layout>"""
PREVIOUS = "NeckFrac.PreviousLayout"  # attribute of the layout node: what was there before
FOUR_UP = 3  # vtkMRMLLayoutNode::SlicerLayoutFourUpView, for scenes that do not know what was there before


def registerReadingLayout():
    """Tell Slicer what our layout's number means: a scene keeps the number only, and an unknown one has no views."""
    node = layoutNode()
    if node is not None and not node.IsLayoutDescription(READING_LAYOUT):
        node.AddLayoutDescription(READING_LAYOUT, READING_LAYOUT_XML)


def isReadingLayout():
    """Whether the views are arranged for reading."""
    node = layoutNode()
    return node is not None and node.GetViewArrangement() == READING_LAYOUT


def toggleReadingLayout():
    """Axial large, sagittal, coronal and 3D beside it; or back to what was before. Whether there is a layout."""
    node = layoutNode()
    if node is None:
        return False
    registerReadingLayout()
    if isReadingLayout():
        before = node.GetAttribute(PREVIOUS) or ""
        node.SetViewArrangement(int(before) if before.isdecimal() else FOUR_UP)
    else:
        node.SetAttribute(PREVIOUS, str(node.GetViewArrangement()))
        node.SetViewArrangement(READING_LAYOUT)
    return True


def layoutNode():
    """The layout node of the scene; None without views."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
