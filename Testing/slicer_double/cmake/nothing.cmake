# Stands in for Slicer's packing of an extension: does nothing.
