"""Seven blocks for vertebrae, and stand-ins, named so, for the two networks that find bone in them."""

from __future__ import annotations

import numpy as np
import torch
from neckfrac.anatomy import LEVELS, N_CLASSES, N_LEVELS
from neckfrac.findings import StudyIdentity
from neckfrac.intake.study import Study
from neckfrac.pipeline.analyze import Engine
from neckfrac.pipeline.locate import EXPECTED_ML, N_OFFSETS, OFFSET_UNIT
from neckfrac.volume import CTVolume

SPACING = 2.0  # mm, that of the locating grid: the phantom arrives there voxel by voxel
SHAPE = (44, 30, 36)
ORIGIN = np.array([-28.0, -200.0, 850.0])  # x, y, z of voxel (0, 0, 0), LPS mm
HEIGHT, DEPTH, PITCH = 4, 12, 5  # voxels along z and y of each block, and from one to the next
TISSUE, FIRST_HU, HU_STEP = 40, 300, 100  # a block's HU tells its level: C1 400, C2 500, ... C7 1000


class LocateStandIn(torch.nn.Module):
    """Stands in for a trained locating network: knows each level from the phantom's HU, and is sure of it.

    The middle of what a window shows of a block is where its voxels point to.
    """

    def forward(self, image):
        hu = image[:, 0] * 500 + 200
        label = ((hu - FIRST_HU) / HU_STEP).round().clamp(0, N_LEVELS).long()
        offsets = torch.zeros(len(image), N_OFFSETS, *label.shape[1:])
        for value in label.unique()[1:]:
            place = (label[0] == value).nonzero()
            offsets[0, :, *place.T] = ((place.float().mean(dim=0) - place) / OFFSET_UNIT).T
        logits = 20 * torch.nn.functional.one_hot(label, N_CLASSES).movedim(-1, 1).float()
        return torch.cat([logits, offsets], dim=1)


class SegmentStandIn(torch.nn.Module):
    """Stands in for a trained segmenting network: believes the located levels that it is given."""

    def forward(self, image):
        return image[:, -N_CLASSES:].clamp_min(1e-4).log()


def phantom(shape=SHAPE):
    """Seven blocks, half the size of vertebrae, all left of the scan's middle; and the label of every voxel."""
    voxels, labels = np.full(shape, TISSUE, np.int16), np.zeros(shape, np.uint8)
    voxels[:, :2] = -1000
    for n, level in enumerate(LEVELS):
        width = round(0.5 * EXPECTED_ML[level.name] * 1000 / (HEIGHT * DEPTH * SPACING**3))
        z, y, x = shape[0] - 6 - PITCH * n, 8 + n // 2, 21 - width // 2
        place = (slice(z - HEIGHT, z), slice(y, y + DEPTH), slice(x, x + width))
        voxels[place], labels[place] = FIRST_HU + HU_STEP * level.label, level.label
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    return CTVolume(voxels, affine), labels


def stored(volume, labels, axes, flips):
    """The same scan with its array's axes permuted and flipped, every voxel at its place in the patient."""
    affine = np.eye(4)
    affine[:3, 3] = volume.affine[:3, 3]
    for axis, old in enumerate(axes):
        column = volume.affine[:3, 2 - old]
        if axis in flips:
            affine[:3, 3] += column * (volume.shape[old] - 1)
            column = -column
        affine[:3, 2 - axis] = column
    arrays = [np.ascontiguousarray(np.flip(a.transpose(axes), flips)) for a in (volume.voxels, labels)]
    return CTVolume(arrays[0], affine), arrays[1]


def study(volume):
    return Study(volume, StudyIdentity(source="phantom"), ())


def knowing(models):
    """The engine with stand-ins for the two networks that find bone; the fracture networks are the bundles' own."""
    engine = Engine(models, "cpu")
    engine.networks |= {"locate": LocateStandIn(), "segment": SegmentStandIn()}
    return engine
