"""The laboratory: what tests and teaches the runtime; not packaged into Slicer."""
