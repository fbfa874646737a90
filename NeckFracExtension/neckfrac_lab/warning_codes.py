"""The codes of warnings that only the laboratory gives; those of a study are in `neckfrac.study_warning`."""

CODES = {
    "studies-without-images": "Studies of a data set have no images in the folder and were passed over.",
    "studies-unused": "Studies could not be used for training.",
    "cache-full": "The cache of training samples is as large as it may become.",
    "curves-not-written": "No training curves are written: tensorboard is not installed.",
}
