"""What the checker of names can't see in the code: what Slicer gives, and what methods of Qt's classes return."""

# What calls and attributes of Slicer's modules give, by how they are written.
SLICER = {
    "slicer.util.loadUI()": "qMRMLWidget",  # of sections it is a QWidget, which has less; they ask for no more
    "slicer.util.childWidgetVariables()": "ui",
    "slicer.util.mainWindow()": "QWidget",
    "qt.QApplication.clipboard()": "QClipboard",
    "browser.dicomBrowser": "ctkDICOMBrowser",  # of the module DICOM's browser widget, which is Python
    "browser.dicomVisualBrowser": "ctkDICOMVisualBrowserWidget",
}
# By class (or one of its bases) and method or property.
RETURNS = {
    ("QWidget", "layout"): "QBoxLayout",
    ("QWidget", "parentWidget"): "QWidget",
    ("QWidget", "font"): "QFont",
    ("QWidget", "palette"): "QPalette",
    ("QAbstractScrollArea", "viewport"): "QWidget",
    ("QTableView", "horizontalHeader"): "QHeaderView",
    ("QTableWidget", "item"): "QTableWidgetItem",
    ("QTableWidget", "cellWidget"): "QProgressBar",  # no other widget lies in a cell of ours
    ("QPainter", "font"): "QFont",
    ("QPalette", "color"): "QColor",
    ("qMRMLNodeComboBox", "sortFilterProxyModel"): "qMRMLSortFilterProxyModel",
    ("qMRMLLayoutManager", "sliceWidget"): "qMRMLSliceWidget",
    ("qMRMLSliceWidget", "sliceView"): "qMRMLSliceView",
    ("ctkDICOMBrowser", "dicomTableManager"): "ctkDICOMTableManager",
    ("ctkDICOMVisualBrowserWidget", "patientView"): "ctkDICOMPatientView",
}
# Attributes that base classes of Slicer give to classes of the module.
ATTRIBUTES = {
    ("NeckFracWidget", "layout"): "QVBoxLayout",
    ("NeckFracWidget", "parent"): "qSlicerAbstractModuleWidget",
}
# Variables whose value comes from where the checker does not look: by module, function and name.
VARIABLES = {
    ("keys", "__init__", "widget"): "QWidget",
    ("keys", "__init__", "_widget"): "QWidget",
    ("results_section", "eventFilter", "event"): "QEvent",
    ("heat_layer", "_managers", "layouts"): "qMRMLLayoutManager",
    ("heat_layer", "_managers", "view"): "qMRMLSliceView",
}
# Looked for with hasattr: PythonQt has it of some widgets only.
OPTIONAL = {("QLabel", "devicePixelRatioF")}
# Of classes that have no table, what is asked: by the documentation of Qt 5.15.
OTHERS = {"QClipboard": {"setText", "text"}}
