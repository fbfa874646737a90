"""The true surfaces of a posed neck, asked along rays as a scan's are: what measurements are held against."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from neckfrac.anatomy import LEVEL_NAMES, SKULL
from neckfrac.pipeline.measurements.axes import VertebraAxes
from neckfrac.pipeline.measurements.surface import STEP, crossings

from .neck import DISTANCE_SCALE, TISSUES, Neck
from .noise import gaussian
from .pose import Pose
from .render import _break, _distance_at, inner_points
from .tissue import Tissue, sample

_AT_ONCE = 60_000  # points at a time: all that is worked out for them stays small
_BACK = 5  # rounds in which a point is moved to where it came from; each shrinks what is left by the warps' slope
_GRID = 0.8  # mm between the points that a broken bone is looked for on


class PosedSurface:
    """The bones and the airway of a neck in its pose, fractures and elastic warps included; see `Surface`.

    mirrored: left and right change places, as in the study.
    """

    together = float("inf")  # no mask that leaks

    def __init__(
        self, neck: Neck, pose: Pose, tissue: Tissue, fractures: Sequence[Any] = (), mimics: Sequence[Any] = (),
        mirrored: bool = False,
    ) -> None:  # fmt: skip
        self.neck, self.pose, self.tissue, self.mirrored = neck, pose, tissue, mirrored
        self.fractures, self.mimics = tuple(fractures), tuple(mimics)

    # --- where points come from -----------------------------------------------------------------

    def _world(self, points: np.ndarray) -> np.ndarray:
        """The study's points [n, 3] before it was mirrored, or back: it is its own inverse."""
        return points * (-1.0, 1.0, 1.0) if self.mirrored else points

    def _displaced(self, world: torch.Tensor, soft: bool = False) -> torch.Tensor:
        """Points [3, n] where they are sampled: the elastic warps of `Pose.displacement`."""
        moved = world.clone()
        for noise, amount in (*self.pose.warps, *((self.pose.tissue_warp,) if soft else ())):
            if amount:
                moved += amount * noise.at(world)
        return moved

    def forward(self, name: str, rest: np.ndarray) -> np.ndarray:
        """Rest points [n, 3] of a bone in LPS mm of the study; fragments' own motion aside."""
        matrix = self.pose.link_of(self.neck.bones[name])
        aim = torch.from_numpy((rest @ matrix[:3, :3].T + matrix[:3, 3]).T.copy()).float()
        world = aim.clone()
        for _ in range(_BACK):
            world = world - (self._displaced(world) - aim)
        return self._world(world.numpy().T.astype(float))

    # --- bone -----------------------------------------------------------------------------------

    def distance(self, name: str, points: np.ndarray) -> np.ndarray:
        """Signed distance (mm at rest) of a bone's surface at points [..., 3]; fracture gaps are not carved."""
        flat = self._world(np.asarray(points, float).reshape(-1, 3))
        parts = [self._distance(name, flat[n : n + _AT_ONCE]) for n in range(0, len(flat), _AT_ONCE)]
        return np.concatenate(parts).reshape(np.shape(points)[:-1])

    def _distance(self, name: str, points: np.ndarray) -> np.ndarray:
        bone, world = self.neck.bones[name], torch.from_numpy(points.T.copy()).float()
        inverse = torch.from_numpy(np.linalg.inv(self.pose.link_of(bone))).float()
        rest = inverse[:3, :3] @ self._displaced(world) + inverse[:3, 3:]
        own = [field for field in self.fractures if field.level == name]
        alike = [field for field in self.mimics if field.level == name]
        whole = _break(bone, self.neck, rest, own, alike)[1] if own or alike else _distance_at(bone, rest)
        offset, rough, grain = self.pose.surface
        whole = whole + offset
        for amount, noise in ((rough, "rough"), (grain, "grain")):
            if amount:
                whole = whole + amount * self.tissue.noises[noise].at(world)[0]
        return whole.numpy().astype(float)

    def _along(self, name: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> tuple[np.ndarray, ...]:
        steps = np.arange(0, reach + STEP, STEP)
        return steps, self.distance(name, origins[:, None] + steps[None, :, None] * directions[:, None])

    def _cross(self, name: str, origins: np.ndarray, directions: np.ndarray, reach: float, leaving: bool) -> np.ndarray:
        origins, directions = np.broadcast_arrays(np.atleast_2d(origins), directions)
        steps, far = self._along(name, origins, directions, reach)
        found, rows = crossings(far < 0, leaving), np.arange(len(far))
        at, before = far[rows, found], far[rows, found - 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            edge = steps[found - 1] + STEP * before / (before - at)
        return np.where(found > 0, edge, np.nan)

    def exits(self, level: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
        """See `Surface`."""
        return self._cross(level, origins, directions, reach, leaving=True)

    def entries(self, level: str, origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
        """See `Surface`."""
        return self._cross(level, origins, directions, reach, leaving=False)

    def gaps(
        self, levels: tuple[str, str], origins: np.ndarray, directions: np.ndarray, reach: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Surface`."""
        origins, directions = np.broadcast_arrays(np.atleast_2d(origins), directions)
        meet = self._cross(levels[1], origins, directions, reach, leaving=False)
        steps, far = self._along(levels[0], origins, directions, reach)
        # The last border of the first bone before the second one.
        inside = (far < 0) & (steps < meet[:, None])
        last, rows = len(steps) - 1 - np.argmax(inside[:, ::-1], axis=1), np.arange(len(far))
        after = np.minimum(last + 1, len(steps) - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            out = steps[last] + STEP * far[rows, last] / (far[rows, last] - far[rows, after])
        known = inside.any(axis=1) & np.isfinite(meet)
        return np.where(known, out, np.nan), np.where(known, meet, np.nan)

    def other_bone(self, points: np.ndarray) -> np.ndarray:
        """See `Surface`."""
        result = np.zeros(np.shape(points)[:-1], bool)
        for name, bone in self.neck.bones.items():
            if bone.label == SKULL:
                result |= self.distance(name, points) < 0
        return result

    def in_view(self, point: np.ndarray) -> bool:
        """See `Surface`: all of a neck is in view of its truth."""
        return True

    def voxels(self, name: str) -> np.ndarray:
        """Points (LPS mm, [n, 3]) that fill a bone evenly."""
        bone = self.neck.bones[name]
        rest = inner_points(bone)
        if not any(field.level == name for field in self.fractures):
            rest = rest[bone.distance[bone.distance < 0] / DISTANCE_SCALE < -self.pose.surface[0]]
            if name not in ("C1", "C2"):  # of these only the spinous process is asked for
                frame = self.neck.frames[name]
                local, behind = frame.to_local(rest), float(frame.to_local(np.array(frame.canal))[1])
                rest = rest[(np.abs(local[:, 0]) < 14.0) & (local[:, 1] > behind)]
            return self.forward(name, rest)
        posed = self.forward(name, rest)
        low, high = posed.min(axis=0) - 5.0, posed.max(axis=0) + 5.0
        grid = np.stack(np.meshgrid(*(np.arange(a, b, _GRID) for a, b in zip(low, high, strict=True))), axis=-1)
        grid = grid.reshape(-1, 3)
        return grid[self.distance(name, grid) < 0]

    def axes(self, name: str) -> VertebraAxes:
        """A vertebra's true axes in its pose, from its frame at rest."""
        frame = self.neck.frames[name]
        center, rows = np.array(frame.center), np.array(frame.axes)
        superior = rows[2]
        if frame.dens_tip is not None:
            superior = np.array(frame.dens_tip) - center
            superior = superior / np.linalg.norm(superior)
        ends = [center + sign * 6.0 * row for row in (rows[0], rows[1], superior) for sign in (1, -1)]
        posed = self.forward(name, np.array([center, *ends, np.array(frame.canal)]))
        left, posterior, superior = (posed[n] - posed[n + 1] for n in (1, 3, 5))
        superior = superior / np.linalg.norm(superior)
        posterior = posterior - (posterior @ superior) * superior
        posterior = posterior / np.linalg.norm(posterior)
        made = np.array([np.cross(posterior, superior), posterior, superior])
        scale = np.linalg.norm(self.pose.link_of(self.neck.bones[name])[:3, :3] @ rows[2])
        half = float(frame.half_size[2] * scale)
        canal = float((posed[7] - posed[0]) @ posterior)
        return VertebraAxes(posed[0], made, canal, half)

    # --- air ------------------------------------------------------------------------------------

    @cached_property
    def _air(self) -> torch.Tensor:
        """Share of air of the soft tissue's grid [1, z, y, x], a little blurred as it is rendered."""
        air = (self.neck.tissue == TISSUES.index("airway")).astype(np.float32)
        air += self.tissue.air_in_mouth * (self.neck.tissue == TISSUES.index("oral cavity air"))
        return gaussian(torch.from_numpy(air), (0.8,) * 3)[None]

    def air(self, points: np.ndarray) -> np.ndarray:
        """Whether throat, windpipe or mouth holds air at points [..., 3]."""
        flat = self._world(np.asarray(points, float).reshape(-1, 3))
        world = torch.from_numpy(flat.T.copy()).float()
        rest = self.pose.tissue_at_rest(self._displaced(world, soft=True))
        index = torch.stack([(rest[n] - self.neck.tissue_origin[n]) / self.neck.tissue_spacing for n in range(3)])
        return (sample(self._air, index)[0].numpy() > 0.5).reshape(np.shape(points)[:-1])

    @property
    def levels(self) -> list[str]:
        """The cervical levels that there are."""
        return [name for name in LEVEL_NAMES if name in self.neck.bones and name in self.neck.frames]
