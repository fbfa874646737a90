"""A study becomes a CTVolume: DICOM, NIfTI, NRRD, MetaImage, and checks that warn or refuse."""
