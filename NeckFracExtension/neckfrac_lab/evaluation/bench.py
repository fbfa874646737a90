"""How long and how much memory a 512x512x300 study takes, and how that compares with a plain sliding window."""

from __future__ import annotations

import sys
import time

import numpy as np
from neckfrac.anatomy import N_CLASSES
from neckfrac.progress import Progress

SHAPE = (300, 512, 512)
SPACING = (1.0, 0.5, 0.5)


def bench_volume(seed: int):
    """A simulated neck of SHAPE, simulated at half the in-plane resolution and refined with noise."""
    from neckfrac.volume import CTVolume

    from neckfrac_lab.simulate.built_in.parametric import build_neck
    from neckfrac_lab.simulate.study import Grid, simulate_study

    shape, spacing = (SHAPE[0], SHAPE[1] // 2, SHAPE[2] // 2), (SPACING[0], 2 * SPACING[1], 2 * SPACING[2])
    grid = Grid(shape, spacing, ("C5", (0.0, 12.0, 0.0)))
    half = simulate_study(build_neck(seed), seed=seed, grid=grid).volume
    voxels = half.voxels.repeat(2, axis=1).repeat(2, axis=2)
    generator = np.random.default_rng(seed)
    for plane in voxels:
        plane += generator.normal(0, 20, plane.shape).astype(np.int16)
    affine = half.affine.copy()
    affine[:3, :2] /= 2
    return CTVolume(voxels, affine)


def run_bench(*, threads: int = 2, seed: int = 0) -> None:
    """Print stage times, peak memory, and the ratio of the networks' time to a plain sliding window's."""
    import resource
    import tempfile
    from pathlib import Path

    import torch
    from neckfrac.findings import StudyIdentity
    from neckfrac.intake.study import Study
    from neckfrac.output.folder import write_result
    from neckfrac.pipeline.analyze import Engine
    from rich.console import Console
    from rich.table import Table

    torch.set_num_threads(threads)
    console = Console()
    console.print(f"Simulating a study of {SHAPE[2]}x{SHAPE[1]}x{SHAPE[0]} voxels ...")
    volume = bench_volume(seed)
    progress = Progress()
    began = time.perf_counter()
    with progress.stage("Loading the networks", until=0.1):
        engine = Engine(threads=threads)
    analysis = engine.analyze(Study(volume, StudyIdentity(source="bench"), ()), progress=progress)
    with tempfile.TemporaryDirectory() as folder:
        write_result(analysis, Path(folder) / "result", progress=progress)
    total = time.perf_counter() - began
    # Linux counts ru_maxrss in KiB, macOS in bytes. The peak includes simulating the study.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**3 if sys.platform == "darwin" else 1024**2)

    table = Table("Stage", "Seconds", title=f"{threads} threads on {engine.device}")
    for stage, seconds in progress.timings.items():
        table.add_row(stage, f"{seconds:.1f}")
    table.add_row("All", f"{total:.1f}")
    console.print(table)
    console.print(f"Peak memory {peak:.1f} GiB, the simulation of the study included.")
    ours = progress.timings["Locating the spine"] + progress.timings["Segmenting the vertebrae"]
    plain = plain_sliding_window(volume, engine)
    console.print(
        f"Locate and segment: {ours:.1f} s. The same two networks in MONAI's sliding window over the whole scan: "
        f"{plain:.1f} s. Ratio {ours / plain:.2f}."
    )


def plain_sliding_window(volume, engine) -> float:
    """Seconds that MONAI's SlidingWindowInferer takes for both networks at the same spacings, over the whole scan."""
    import torch
    from monai.inferers import SlidingWindowInferer
    from neckfrac.pipeline.grids import FINE_SPACING, Lattice, bounds, coarse, resample

    began = time.perf_counter()
    locate, segment = engine.arguments("locate"), engine.arguments("segment")
    canonical, _ = volume.canonical()
    with torch.inference_mode(), torch.autocast(engine.device.type, dtype=torch.bfloat16):
        voxels, lattice = coarse(canonical)
        image = locate["intensity"](torch.from_numpy(voxels).to(engine.device))[None, None]
        inferer = SlidingWindowInferer(locate["window"], sw_batch_size=1, overlap=0.25, mode="gaussian")
        prior = inferer(image, locate["network"])[0, :N_CLASSES].float().softmax(dim=0)
        fine = Lattice.around(*bounds(canonical), FINE_SPACING)
        hu = resample(canonical, fine)
        window, reach = segment["window"], segment["neighbours"]
        plane = SlidingWindowInferer((window, window), sw_batch_size=8, overlap=0.25, mode="gaussian")
        for z in range(hu.shape[0]):
            around = np.clip(np.arange(z - reach, z + reach + 1), 0, hu.shape[0] - 1)
            slices = segment["intensity"](torch.from_numpy(hu[around]).to(engine.device))[None]
            at = min(round(z * FINE_SPACING[0] / lattice.spacing[0]), prior.shape[1] - 1)
            levels = torch.nn.functional.interpolate(prior[None, :, at], size=hu.shape[1:], mode="bilinear")
            plane(torch.cat([slices, levels.to(engine.device)], dim=1), segment["network"])
    return time.perf_counter() - began
