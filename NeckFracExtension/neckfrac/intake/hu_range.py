"""Whether a volume's values can be Hounsfield units: where air and soft tissue lie, and slices against neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..study_warning import StudyWarning

LOWEST, HIGHEST, BIN = -4000, 8000, 10  # HU; what lies beyond is counted at the ends
SMOOTHING = 2.0  # bins (standard deviation); noise leaves no peaks of its own
# The limits were set where they part good scans from wrong ones (Testing/intake/test_hu_range.py): heads and necks of
# two scanners and a radiotherapy set, simulated ones with gains of 0.8 to 1.25 and offsets of 40 HU (SD), and each of
# them with its offset lost, scaled by 0.5, 2 and 10, and moved by -976 HU.
TISSUE_FROM, TISSUE_TO = -600, 2000  # HU; the largest peak here is the soft tissue's
TISSUE_LIMIT, TISSUE_DOUBT = 330, 250  # HU; fat lies at -100, muscle at 50, brain at 35, all times the gain
OFFSET_PEAK = (600, 1500)  # HU; where soft tissue lies without its offset of 1024; bone has no peak here
OFFSET_SHARPNESS, OFFSET_SHARE = 4.0, 0.15
BETWEEN, LEAST_PEAK = (-550, -350), 4.0  # HU where hardly anything lies but borders; the peak against those
LEAST_SOFT = 0.6  # share of what is denser than lung: fat, muscle, brain and fluid
DENSE_FROM, MOST_DENSE = 3000, 0.05  # HU, share; no implant takes that much of a neck
AIR_TOO_LOW, AIR_TOO_DENSE, THIN, FAT = -1450, -600, -400, -60  # HU
PADDING_FROM, MOST_PADDING = 2000, 0.01  # HU, share of voxels that have the highest value and nothing else
LEAST_AIR, LEAST_AIR_VALUE, LEAST_VOXELS = 0.003, 0.01, 100  # share of the voxels; of those of one value; voxels
# Fat and muscle lie 110 to 190 HU apart, by voltage and gain; 130 to 160 in the scans in which both have a peak.
APART_FROM, APART_TO, MOST_APART, SMALL_PEAK, VALLEY = -400, 350, 230, 0.08, 0.8  # HU, HU, HU, shares
# Whole HU that were multiplied and rounded again leave values out at even distances (factors above 1) or meet others
# twice (below 1). Beyond chance, their counts have a relative variance of 0.02 (factor 0.53) to 1.0 (2) in the scans
# above, of which the strongest period has 10 to 160 times the mean power; at most 0.001 and 7 in the scans as they are.
ROUGH_WITHIN, ROUGH_SMOOTHING, LEAST_FREQUENCY = 170, 3.0, 0.11  # HU, values (standard deviation), cycles a value
MOST_ROUGH, MOST_REGULAR, ROUGH_PEAK = 0.02, 9.0, 2.0  # relative variance; peak of the spectrum; relative count
LEAST_COUNT, LEAST_COUNTED, LEAST_VALUES = 50, 150, 0.4  # voxels of a value; values; share of values that occur
MOVED = 150  # HU between a slice and its neighbours, in the median of one tissue
MOST_SAMPLED = 2**22  # voxels; larger volumes are counted at every second or third row and column
AIR_LIES_LOW = f"Air lies below {AIR_TOO_LOW} HU instead of near -1000: the scale is wrong."
GIVE_HU = "Give the CT in Hounsfield units: water is 0, air -1000."


@dataclass(frozen=True, eq=False)
class Spectrum:
    """How often each value occurs. counts: [HIGHEST - LOWEST + 1] of whole HU, padding left out.

    lowest, highest: of all voxels. at_lowest, at_highest: share of voxels that have that value.
    """

    counts: np.ndarray
    total: int
    lowest: float
    highest: float
    at_lowest: float
    at_highest: float

    def share(self, lower: int, upper: int) -> float:
        """Of all voxels, those with lower <= value < upper."""
        lower, upper = (min(max(value, LOWEST), HIGHEST + 1) - LOWEST for value in (lower, upper))
        return float(self.counts[lower:upper].sum() / max(self.total, 1))

    @property
    def smooth(self) -> tuple[np.ndarray, np.ndarray]:
        """Middles of the bins (HU), and the smoothed counts."""
        from scipy.ndimage import gaussian_filter1d

        bins = self.counts[: (HIGHEST - LOWEST) // BIN * BIN].reshape(-1, BIN).sum(axis=1)
        return np.arange(len(bins)) * BIN + LOWEST + BIN // 2, gaussian_filter1d(bins.astype(np.float64), SMOOTHING)


def spectrum(voxels: np.ndarray) -> Spectrum:
    """The values of a volume (finite numbers, [z, y, x]), slab by slab, without a copy of the volume.

    Left out as padding: the lowest value, -1024 (what intake makes of padding), and the highest.
    """
    lowest, highest = float(voxels.min()), float(voxels.max())
    step = max(int(np.ceil(np.sqrt(voxels.size / MOST_SAMPLED))), 1)
    counts = np.zeros(HIGHEST - LOWEST + 1, np.int64)
    slab = max(2**19 // max(voxels[0, ::step, ::step].size, 1), 1)
    highest_count = 0
    for start in range(0, len(voxels), slab):
        values = voxels[start : start + slab, ::step, ::step].ravel()
        highest_count += int(np.count_nonzero(values == voxels.dtype.type(highest)))
        small = values.dtype.kind in "iu" and values.dtype.itemsize <= 2
        whole = values.astype(np.int32 if small else np.float64)
        whole = np.clip(whole if small else np.rint(whole), LOWEST, HIGHEST).astype(np.int32, copy=False)
        counts += np.bincount(whole - LOWEST, minlength=len(counts))
    total = int(counts.sum())
    lowest_count = int(counts[min(max(round(lowest), LOWEST), HIGHEST) - LOWEST])
    for value in {lowest, -1024.0}:
        if value >= LOWEST:
            counts[min(round(value), HIGHEST) - LOWEST] = 0
    counts[min(max(round(highest), LOWEST), HIGHEST) - LOWEST] -= highest_count
    return Spectrum(np.maximum(counts, 0), total, lowest, highest, lowest_count / max(total, 1),
                    highest_count / max(total, 1))  # fmt: skip


def check_spectrum(found: Spectrum) -> list[StudyWarning]:
    """Warnings on values that may be no HU. Raises InputError for what can't be."""
    if found.highest > PADDING_FROM and found.at_highest > MOST_PADDING:
        raise InputError(
            f"{100 * found.at_highest:.0f} % of the voxels have the highest value, {found.highest:.0f}: "
            "that is padding or a damaged offset, not Hounsfield units.",
            advice="Replace the padding by air (-1000 HU), or give the DICOM series.",
        )
    body = found.share(TISSUE_FROM, HIGHEST + 1)
    if body * found.total < LEAST_VOXELS:
        return ["Hardly any voxel of the volume is denser than air; is it a CT of a neck?"]
    middles, smooth = found.smooth
    tissue = _peak(middles, smooth, TISSUE_FROM, TISSUE_TO)
    shifted = _peak(middles, smooth, *OFFSET_PEAK)
    valley = float(smooth[(middles >= shifted - 350) & (middles < shifted - 200)].min())
    soft = found.share(-300, 300)
    sharp = smooth[middles == shifted][0] > OFFSET_SHARPNESS * valley
    if sharp and found.share(*OFFSET_PEAK) > OFFSET_SHARE * soft:
        raise InputError(
            f"Soft tissue lies near {shifted} HU instead of 0: an offset of 1024 is missing, or the scale is wrong.",
            advice=GIVE_HU,
        )
    if found.share(DENSE_FROM, HIGHEST + 1) > MOST_DENSE * body:
        raise InputError(
            f"{100 * found.share(DENSE_FROM, HIGHEST + 1) / body:.0f} % of what is no air lies above {DENSE_FROM} HU, "
            "more than any implant: the scale is wrong.",
            advice=GIVE_HU,
        )
    if abs(tissue) > TISSUE_LIMIT:
        raise InputError(
            f"The values have their peak near {tissue}, and soft tissue lies near 0 HU: offset or scale are wrong.",
            advice=GIVE_HU,
        )
    between = float(np.median(smooth[(middles > BETWEEN[0]) & (middles < BETWEEN[1])]))
    if smooth[middles == tissue][0] < LEAST_PEAK * between:
        raise InputError(
            "The values have no peak where soft tissue lies, near 0 HU: offset or scale are wrong.", advice=GIVE_HU
        )
    warnings = []
    if abs(tissue) > TISSUE_DOUBT:
        text = f"Soft tissue lies near {tissue} HU instead of 0: are these Hounsfield units?"
        warnings.append(StudyWarning("tissue-off-zero", text, {"tissue_hu": tissue}))
    if soft < LEAST_SOFT * body:
        text = (
            f"Only {100 * soft / body:.0f} % of what is no air has values of soft tissue: are these Hounsfield units?"
        )
        warnings.append(StudyWarning("soft-tissue-scarce", text, {"share": soft / body}))
    return warnings + _apart_warnings(middles, smooth) + _rescaled_warnings(found) + _air_warnings(found)


def _apart_warnings(middles: np.ndarray, smooth: np.ndarray) -> list[StudyWarning]:
    """Peaks of fat and muscle that lie farther apart than those of HU do."""
    from scipy.signal import find_peaks

    tissue = (middles > APART_FROM) & (middles < APART_TO)
    middles, smooth = middles[tissue], smooth[tissue]
    peaks, about = find_peaks(smooth, height=SMALL_PEAK * smooth.max(), prominence=0)
    peaks = peaks[about["prominences"] > (1 - VALLEY) * about["peak_heights"]]
    if len(peaks) != 2 or not middles[peaks[0]] < 0 <= middles[peaks[1]] + 50:
        return []
    apart = int(middles[peaks[1]] - middles[peaks[0]])
    if apart <= MOST_APART:
        return []
    text = f"The peaks of fat and muscle lie {apart} HU apart instead of about 150: the scale is wrong."
    return [StudyWarning("tissue-peaks-apart", text, {"apart_hu": apart})]


def _rescaled_warnings(found: Spectrum) -> list[StudyWarning]:
    """Values of soft tissue that are absent or doubled at even distances: whole HU were multiplied and rounded."""
    from scipy.ndimage import gaussian_filter1d

    counts = found.counts[-ROUGH_WITHIN - LOWEST : ROUGH_WITHIN + 1 - LOWEST].astype(np.float64)
    expected = gaussian_filter1d(counts, ROUGH_SMOOTHING)
    counted = expected > LEAST_COUNT
    # Few values of their own are a drawn phantom, not a scan: without noise nothing can be said.
    if np.count_nonzero(counted) < LEAST_COUNTED or np.mean(counts[counted] > 0) < LEAST_VALUES:
        return []
    # A value that fills a region (a face blanked with 0) is cut to ROUGH_PEAK and lies at no even distances.
    relative = np.where(counted, np.minimum(counts / np.maximum(expected, 1) - 1, ROUGH_PEAK), 0)
    window = np.hanning(len(relative))
    power = np.abs(np.fft.rfft(relative * window)) ** 2
    power = power[np.fft.rfftfreq(len(relative)) > LEAST_FREQUENCY]  # slower changes are the tissues' own peaks
    variance = 2 * power.sum() / len(relative) / (window[counted] ** 2).sum()
    chance = (1 - 2 * LEAST_FREQUENCY) * (1 / expected[counted]).mean()  # Poisson, in the share of the spectrum
    if variance - chance <= MOST_ROUGH or power.max() <= MOST_REGULAR * power.mean():
        return []
    absent = float(np.mean(counts[counted] == 0))
    how = f"about {1 / (1 - absent):.2g}" if absent > 0.05 else "a factor"
    text = (
        f"Single values are absent or doubled at even distances: whole HU were multiplied by {how} and rounded; "
        "are these Hounsfield units?"
    )
    return [StudyWarning("values-multiplied", text, {"share_absent": absent})]


def _air_warnings(found: Spectrum) -> list[StudyWarning]:
    """Air that is not near -1000 HU: the scale is another one."""
    low = np.array(found.counts[1 : AIR_TOO_LOW - LOWEST])
    # Single values are padding of several kinds; air has noise.
    low[np.argsort(low)[-3:]] = 0
    if low.sum() > LEAST_AIR * found.total:
        return [StudyWarning("air-too-low", AIR_LIES_LOW, {"limit_hu": AIR_TOO_LOW})]
    if AIR_TOO_DENSE < found.lowest < 2 * FAT and found.at_lowest > LEAST_AIR_VALUE:
        text = f"Air lies at {found.lowest:.0f} HU instead of near -1000: the scale is wrong."
        return [StudyWarning("air-too-dense", text, {"air_hu": found.lowest})]
    if -1250 <= found.lowest <= -800 and found.lowest != -1024:  # air without noise
        return []
    thin, air = found.share(LOWEST, THIN), found.share(LOWEST, AIR_TOO_DENSE)
    if thin > LEAST_AIR and air < 0.3 * thin:
        text = "Air lies above -600 HU instead of near -1000: the scale is wrong."
        return [StudyWarning("air-too-dense", text, {"limit_hu": -600})]
    if found.share(LOWEST, FAT) == 0:
        text = "Beside padding there is neither air nor fat in the volume: are these Hounsfield units?"
        return [StudyWarning("air-and-fat-absent", text)]
    return []


def _peak(middles: np.ndarray, smooth: np.ndarray, lower: int, upper: int) -> int:
    """Where (HU) the smoothed counts are largest within [lower, upper)."""
    return int(middles[np.argmax(np.where((middles >= lower) & (middles < upper), smooth, -1.0))])


def odd_slices(voxels: np.ndarray, axis: int) -> list[int]:
    """Slices along an axis whose values are moved against both neighbours (HU), as with another offset.

    Compared is where both neighbours show soft tissue, or both show air: an anatomical border moves neither.
    """
    slices = np.moveaxis(voxels, axis, 0)
    step = max(int(np.sqrt(slices[0].size)) // 40, 1)
    # One value in a column of the slices against those before and after it: [slice, row, column] of about 40 x 40.
    sample = slices[:, step // 2 :: step, step // 2 :: step].astype(np.float32).reshape(len(slices), -1)
    found = []
    for number in range(1, len(sample) - 1):
        before, own, after = sample[number - 1 : number + 2]
        between = (before + after) / 2
        for lower, upper in ((-300, 300), (-1300, -700)):
            alike = (np.minimum(before, after) > lower) & (np.maximum(before, after) < upper)
            if np.count_nonzero(alike) >= 30 and abs(np.median((own - between)[alike])) > MOVED:
                found.append(number)
                break
    return found
