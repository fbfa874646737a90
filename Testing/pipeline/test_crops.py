import numpy as np
import torch
from neckfrac.pipeline.crops import axial_slices, vertebra_crop
from neckfrac.pipeline.grids import Lattice
from neckfrac.pipeline.intensity import BONE_WINDOW, TISSUE_AND_BONE
from neckfrac.pipeline.localize import box_of, level_heat
from neckfrac.pipeline.segment import Segmented


def scene():
    hu = torch.full((40, 192, 192), 40, dtype=torch.int16)
    mask = torch.zeros(hu.shape, dtype=torch.bool)
    mask[10:30, 80:110, 70:120] = True
    hu[mask] = 400
    return hu, mask


def test_values_below_the_bone_window_become_black_not_white():
    hu = torch.tensor([-1000.0, 100.0, 150.0, 2050.0, 4000.0])
    assert BONE_WINDOW(hu).tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_a_crop_holds_the_whole_vertebra_and_one_slice_beyond_each_end():
    hu, mask = scene()
    crop = vertebra_crop(hu, mask, 24, 128, TISSUE_AND_BONE)
    assert crop.images.shape == (24, 4, 128, 128)
    assert crop.slices[0] == 9 and crop.slices[-1] == 30
    assert crop.images[:, 3].sum() == mask[crop.slices].sum()


def test_a_vertebra_at_the_grids_edge_is_surrounded_by_air():
    hu, mask = scene()
    edge = torch.roll(mask, (-75, -65), dims=(1, 2))
    crop = vertebra_crop(hu, edge, 24, 128, TISSUE_AND_BONE)
    assert crop.corner[0] < 0 and crop.corner[1] < 0
    assert torch.allclose(crop.images[5, 0, 0, 0], TISSUE_AND_BONE(torch.tensor(-1024.0)))


def test_axial_slices_come_with_both_neighbours():
    hu = torch.arange(40, dtype=torch.int16)[:, None, None].expand(40, 192, 192) * 40 + 150
    images = axial_slices(hu, [5, 39], np.zeros((2, 2), int), 192, 128, BONE_WINDOW)
    assert images.shape == (2, 3, 128, 128)
    step = 40 / 1900
    assert torch.allclose(images[0, :, 64, 64], torch.tensor([4 * step, 5 * step, 6 * step]), atol=1e-4)
    assert torch.allclose(images[1, 2], images[1, 1])  # there is no slice above the last


def test_the_box_lies_where_the_heat_is():
    hu, mask = scene()
    labels = mask.numpy().astype(np.uint8) * 4
    lattice = Lattice((40, 192, 192), (1.0, 0.6, 0.6), (-50.0, -60.0, 100.0))
    segmented = Segmented(hu.numpy(), labels, labels, labels, lattice, np.zeros((40, 2), int), 192)
    crop = vertebra_crop(hu, mask, 24, 128, TISSUE_AND_BONE)
    heat = np.zeros((24, 16, 16), np.float32)
    row, column = (int((v - c) / 8) for v, c in zip((100, 80), crop.corner, strict=True))
    heat[12, row, column] = 1
    warmth, place = level_heat(segmented, "C4", crop, heat)
    box = box_of(segmented, warmth, place)
    expected = lattice.to_points(np.array([crop.slices[12], 100, 80]))
    assert np.all(np.abs(box.center - expected) < 5)
    assert np.all(box.size >= 6)
