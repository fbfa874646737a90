"""What the tests of the service share: a table, uploads, and a service as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from intake.made_dicom import write_series
from output_case import make_analysis

HERE = Path(__file__).parent
ENGINE = HERE.parents[1] / "NeckFracExtension"
FAKE_WORKER = (sys.executable, str(HERE / "fake_service_worker.py"))
IN_CI = os.environ.get("CI") == "true"


def need(found, what):
    """Skip when something is not installed; in CI, which installs all of it, that is a failure."""
    if found:
        return
    if IN_CI:
        pytest.fail(f"{what} is not installed, but CI installs it.")
    pytest.skip(f"{what} is not installed.")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(condition, seconds=180.0, pause=0.05):
    """What the condition returns once that is true; fails after some seconds."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if result := condition():
            return result
        time.sleep(pause)
    raise AssertionError(f"nothing of the kind within {seconds} s")


def write_study(path, brightest=600):
    """The study of `output_case` as one file; the brightest voxel tells the fake engine what to do."""
    volume = make_analysis().volume
    voxels = volume.voxels.copy()
    voxels[tuple(np.argwhere(voxels == 600)[0])] = brightest
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing([float(value) for value in volume.spacing[::-1]])
    image.SetOrigin([float(value) for value in volume.affine[:3, 3]])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def write_dicom(folder, slices=None, **elements):
    """The same study as a DICOM series."""
    volume = make_analysis().volume
    voxels = volume.voxels if slices is None else volume.voxels[:slices]
    spacing = tuple(float(value) for value in volume.spacing)
    return write_series(folder, voxels, spacing=spacing, origin=tuple(volume.affine[:3, 3]), **elements)


class Service:
    """`serve` in a process of its own, with the fake worker; to be killed."""

    def __init__(self, data, *options, worker=FAKE_WORKER, port=None, environment=None):
        self.data, self.port = Path(data), port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, str(HERE / "serve_with_fake.py"), "--data", str(data), "--port", str(self.port)]
        path = os.pathsep.join([str(ENGINE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "FAKE_WORKER": "\n".join(worker), **(environment or {})}
        self._output = (self.data.parent / f"{self.data.name}-{self.port}.log").open("ab")
        self.process = subprocess.Popen(
            [*command, *map(str, options)], env=environment, stdout=self._output, stderr=subprocess.STDOUT
        )

    def log(self):
        return Path(self._output.name).read_text(errors="replace")

    def token(self, role="admin"):
        from neckfrac.server.access import create_token
        from neckfrac.server.database import open_database
        from neckfrac.server.settings import ServerSettings

        engine = open_database(ServerSettings(data=self.data).database_url)
        try:
            return create_token(engine, f"test {role}", role)
        finally:
            engine.dispose()

    def wait(self, seconds=180.0):
        import httpx

        def ready():
            assert self.process.poll() is None, self.log()
            try:
                return httpx.get(f"{self.address}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(ready, seconds)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._output.close()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
        self._output.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.stop()
