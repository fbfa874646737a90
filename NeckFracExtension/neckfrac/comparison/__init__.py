"""One segmentation against another: overlap, surface distance, plausibility, names."""
