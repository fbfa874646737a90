"""The service with the real worker and engine; the networks are tiny and know nothing."""

from __future__ import annotations

import sys

from server.service_case import write_study


def test_a_study_goes_through_the_real_engine_and_so_does_another_heat_map(new_client, models, tmp_path):
    client = new_client(worker=(sys.executable, "-m", "neckfrac.worker"), models=models, threads=1, device="cpu")
    study = client.done(write_study(tmp_path / "a.nrrd"), operating_point="sensitive", anchors="true")
    findings = client("GET", f"/api/studies/{study['id']}/findings").json()
    assert findings["operating_point"] == "sensitive" and findings["models"]
    assert {"report.html", "overview.png", "scene.mrb", "ct.nrrd"} <= set(study["files"])
    other = client("POST", f"/api/studies/{study['id']}/explanations", json={"explain": "grad-cam"})
    assert client.finished(other.json()["id"])["state"] == "done"
