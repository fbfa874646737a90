"""Broken studies: mutated DICOM series and volume files, each read in a child process and judged against the truth."""
