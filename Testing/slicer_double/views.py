"""Slice views and a 3D view on a real scene, by Slicer's own slice logics and displayable managers, without a display.

What Qt's widgets add in Slicer (the bar on top of each view, the layout's splitters) is not there.
"""

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

BACKGROUND_2D, BACKGROUND_3D = (0.0, 0.0, 0.0), (0.76, 0.77, 0.91)


def prepare(headless):
    """Give a HeadlessScene what the displayable managers of markups look for, or crash without; before any markup."""
    import slicer

    for kind in (slicer.vtkMRMLSelectionNode, slicer.vtkMRMLInteractionNode):
        node = kind()
        node.SetSingletonTag("Singleton")
        headless.scene.AddNode(node)
    markups = next(logic for logic in headless.logics if logic.IsA("vtkSlicerMarkupsLogic"))
    headless.application.SetModuleLogic("Markups", markups)


class View:
    """A window of so many pixels that is never shown, with the displayable managers of these classes."""

    def __init__(self, application, node, size, background, managers):
        import slicer

        self.node, self.renderer, self.window = node, vtk.vtkRenderer(), vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.renderer.SetBackground(*background)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)
        for name in managers:
            manager = getattr(slicer, f"vtkMRML{name}")()
            manager.SetMRMLApplicationLogic(application)
            self.group.AddDisplayableManager(manager)
        self.group.SetMRMLDisplayableNode(node)

    def picture(self):
        """What the window shows: uint8 [row, column, RGB], from the top."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()

    def close(self):
        self.group.SetMRMLDisplayableNode(None)


class SliceView(View):
    """A slice view on a slice node; composite: the node that says what it shows."""

    def __init__(self, application, node, size):
        import slicer

        super().__init__(
            application, node, size, BACKGROUND_2D,
            ("SegmentationsDisplayableManager2D", "MarkupsDisplayableManager", "ModelSliceDisplayableManager"),
        )  # fmt: skip
        node.SetDimensions(*size, 1)
        self.composite = node.GetScene().AddNode(slicer.vtkMRMLSliceCompositeNode())
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(node.GetScene())
        self.logic.SetSliceNode(node)
        self.logic.SetSliceCompositeNode(self.composite)
        self.mapper = vtk.vtkImageMapper()
        self.mapper.SetColorWindow(255)
        self.mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self.mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    def show(self, millimetres):
        """Show so many mm across the view's height, about the place where it stands."""
        width, height = self.node.GetDimensions()[:2]
        self.node.SetFieldOfView(millimetres * width / height, millimetres, self.node.GetFieldOfView()[2])

    def picture(self):
        self.logic.UpdatePipeline()  # until there is something to show it gives no image
        self.mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return super().picture()

    def close(self):
        super().close()
        self.logic.SetMRMLScene(None)


class ThreeDView(View):
    """The 3D view."""

    def __init__(self, application, scene, size):
        super().__init__(
            application, scene.AddNewNodeByClass("vtkMRMLViewNode"), size, BACKGROUND_3D,
            ("CameraDisplayableManager", "SegmentationsDisplayableManager3D", "MarkupsDisplayableManager",
             "ModelDisplayableManager"),
        )  # fmt: skip

    def look(self, focus, from_side, distance):
        """Look at a place (RAS, mm) from a direction (RAS), so many mm away."""
        camera = self.renderer.GetActiveCamera()
        direction = np.array(from_side, float) / np.linalg.norm(from_side)
        camera.SetFocalPoint(*focus)
        camera.SetPosition(*(np.array(focus) + distance * direction))
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCameraClippingRange()
