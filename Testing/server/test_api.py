"""The API from an upload to its result."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile

import httpx
import numpy as np
import SimpleITK as sitk
from neckfrac.findings import Findings
from output_case import make_analysis
from server.fake_service_worker import DIES, INTERNAL, SLOW
from server.service_case import wait_for, write_dicom, write_study


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == status and content["what"] and content["detail"].startswith(content["what"])
    return content


def test_a_study_is_taken_analysed_and_explained(client, study_file):
    answer = client.upload(study_file, operating_point="balanced")
    assert answer.status_code == 202
    study = answer.json()
    assert answer.headers["location"] == f"/api/studies/{study['id']}"
    assert study["state"] in ("queued", "running") and study["uploaded_files"] == 1
    study = client.finished(study["id"])
    assert (study["state"], study["status"], study["probability"], study["level"]) == ("done", "positive", 0.91, "C2")
    assert {"report.html", "scene.mrb", "ct.nrrd", "heat.nrrd", "vertebrae.seg.nrrd"} <= set(study["files"])
    assert "report.dcm" not in study["files"]  # the study was no DICOM


def test_predict_waits_for_probability_picture_and_explanation(client, study_file):
    answer = client.upload(study_file, where="/api/predict", operating_point="sensitive")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["probability"], said["status"], said["operating_point"]) == (0.91, "positive", "sensitive")
    assert base64.b64decode(said["picture"].partition(",")[2])[:4] == b"\x89PNG"
    called = [level["level"] for level in said["levels"] if level["status"] == "positive"]
    assert called == ["C2", "C3", "C4", "C6"]
    assert "C2: fracture suspected (0.87" in said["explanation"] and "medical device" in said["disclaimer"]
    assert client("GET", said["links"]["report.html"]).status_code == 200


def test_a_dicom_series_gets_segmentation_and_report(client, tmp_path):
    files = write_dicom(tmp_path / "series", FrameOfReferenceUID="1.2.3.9")
    study = client.done(*files)
    assert {"segmentation.dcm", "report.dcm", "boxes.csv"} <= set(study["files"])
    assert (study["patient_id"], study["uploaded_files"]) == ("ID-4711-XYZ", len(files))


def test_a_zip_is_analysed_and_an_error_names_the_member(client, tmp_path):
    files = write_dicom(tmp_path / "series")
    files[3].write_bytes(files[3].read_bytes()[:300])
    with zipfile.ZipFile(tmp_path / "Doe^Jane.zip", "w") as archive:
        for path in files:
            archive.write(path, f"Doe^Jane/{path.name}")
    study = client.finished(client.upload(tmp_path / "Doe^Jane.zip").json()["id"])
    assert study["state"] == "failed"
    assert study["error"]["where"] == f"file 1 of 1, member 4 of {len(files)} of the zip"
    assert study["error"]["advice"] and "Doe" not in json.dumps(study["error"])


def test_what_is_no_ct_fails_at_once_with_its_reason(client, tmp_path):
    image = sitk.GetImageFromArray(np.zeros((5, 6, 7), np.int16))
    sitk.WriteImage(image, str(tmp_path / "zeros.nrrd"))
    study = client.finished(client.upload(tmp_path / "zeros.nrrd").json()["id"])
    assert (study["state"], study["attempt"], study["error"]["kind"]) == ("failed", 1, "input")
    assert study["error"]["what"] == "All voxels have the same value."
    assert study["error"]["where"] == "file 1 of 1"
    said = problem(client.upload(tmp_path / "zeros.nrrd", where="/api/predict"), 422)
    assert said["what"] == "All voxels have the same value." and said["where"] == "file 1 of 1"


def test_a_worker_that_dies_is_tried_three_times(client, tmp_path):
    study = client.finished(client.upload(write_study(tmp_path / "dies.nrrd", DIES)).json()["id"])
    assert (study["state"], study["attempt"]) == ("failed", 3)
    assert "3 times" in study["error"]["what"]
    assert not list(client.service.store.scratch.iterdir())


def test_nothing_of_an_unexpected_error_reaches_client_or_log(client, tmp_path, caplog):
    caplog.set_level("DEBUG")
    study = client.finished(client.upload(write_study(tmp_path / "internal.nrrd", INTERNAL)).json()["id"])
    assert (study["state"], study["attempt"]) == ("failed", 3)
    said = json.dumps(study) + caplog.text
    assert "Xylophon" not in said and "Traceback" not in said and str(tmp_path) not in said
    assert "ValueError" in caplog.text  # the class is enough to look for it


def test_a_running_study_is_cancelled_and_its_files_are_gone(client, tmp_path, study_file):
    first = client.upload(write_study(tmp_path / "slow.nrrd", SLOW)).json()["id"]
    wait_for(lambda: client.study(first)["state"] == "running")
    second = client.upload(study_file).json()
    assert second["place"] == 1
    assert client("DELETE", f"/api/studies/{first}").status_code == 204
    assert client.study(first)["state"] == "cancelled"
    assert client.finished(second["id"])["state"] == "done"
    wait_for(lambda: not client.service.store.study(first).exists())
    problem(client("GET", f"/api/studies/{first}/findings"), 409)


def test_progress_tells_the_stage(client, tmp_path):
    identifier = client.upload(write_study(tmp_path / "slow.nrrd", SLOW)).json()["id"]
    study = wait_for(lambda: (s := client.study(identifier))["stage"] == "Pretending" and s)
    assert 0.1 < study["fraction"] < 1
    client("DELETE", f"/api/studies/{identifier}")


def test_findings_at_every_operating_point(client, done):
    counts = {}
    for point in ("sensitive", "balanced", "specific"):
        said = client("GET", f"/api/studies/{done['id']}/findings", params={"operating_point": point}).json()
        findings = Findings.from_dict({k: v for k, v in said.items() if k not in ("training", "prevalence_text")})
        counts[point] = len(findings.positive)
    assert counts == {"sensitive": 4, "balanced": 2, "specific": 1}
    assert said["study"]["source"] == f"study {done['id'][:8]}"  # no path of the server


def test_the_volumes_come_out_of_the_scene_by_range(client, done, tmp_path):
    address = f"/api/studies/{done['id']}/files/"
    whole = client("GET", address + "ct.nrrd")
    assert whole.content[:4] == b"NRRD" and whole.headers["accept-ranges"] == "bytes"
    part = client("GET", address + "ct.nrrd", headers={"Range": "bytes=10-109"})
    assert (part.status_code, part.content) == (206, whole.content[10:110])
    assert part.headers["content-range"] == f"bytes 10-109/{len(whole.content)}"
    assert client("GET", address + "ct.nrrd", headers={"Range": "bytes=-7"}).content == whole.content[-7:]
    assert problem(client("GET", address + "ct.nrrd", headers={"Range": f"bytes={10**9}-"}), 416)
    (tmp_path / "ct.nrrd").write_bytes(whole.content)
    assert (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "ct.nrrd"))) == make_analysis().volume.voxels).all()
    problem(client("GET", address + "..%2F..%2Fneckfrac.db"), 404)
    problem(client("GET", address + "secret.txt"), 404)


def test_reviews_need_the_version_that_was_seen(client, study_file):
    study = client.done(study_file)
    address = f"/api/studies/{study['id']}/reviews/C2"
    problem(client("GET", address), 404)
    first = client("PUT", address, json={"verdict": "rejected", "note": "nutrient vessel"})
    assert first.status_code == 200 and first.json()["who"] == "admin"
    tag = first.headers["etag"]
    assert client("GET", address).headers["etag"] == tag
    problem(client("PUT", address, json={"verdict": "confirmed"}), 428)
    second = client("PUT", address, json={"verdict": "confirmed"}, headers={"If-Match": tag})
    assert second.json()["verdict"] == "confirmed"
    problem(client("PUT", address, json={"verdict": "rejected"}, headers={"If-Match": tag}), 412)
    problem(client("DELETE", address, headers={"If-Match": tag}), 412)
    problem(client("DELETE", address), 428)
    said = client("GET", f"/api/studies/{study['id']}/findings").json()
    assert [(one["level"], one["verdict"]) for one in said["reviews"]] == [("C2", "confirmed")]
    assert client("DELETE", address, headers={"If-Match": second.headers["etag"]}).status_code == 204
    problem(client("GET", address), 404)
    problem(client("PUT", address[:-2] + "C8", json={"verdict": "confirmed"}), 422)


def test_tables_hold_what_readers_said(client, study_file):
    study = client.done(study_file)
    address = f"/api/studies/{study['id']}"
    client("PUT", f"{address}/reviews/C4", json={"verdict": "rejected", "note": "artefact"})
    rows = csv.DictReader(io.StringIO(client("GET", f"{address}/files/findings.csv").text))
    assert {row["level"]: (row["review"], row["note"]) for row in rows}["C4"] == ("rejected", "artefact")
    assert client("GET", f"{address}/files/findings.json").json()["reviews"][0]["note"] == "artefact"


def test_another_heat_map_is_drawn_once(client, study_file):
    study = client.done(study_file)
    wanted = {"explain": "grad-cam"}
    first = client("POST", f"/api/studies/{study['id']}/explanations", json=wanted)
    assert first.status_code == 202
    assert client("POST", f"/api/studies/{study['id']}/explanations", json=wanted).json()["id"] == first.json()["id"]
    other = client.finished(first.json()["id"])
    assert other["state"] == "done" and "heat.nrrd" in other["files"]
    told = client("GET", f"/api/studies/{other['id']}/findings").json()["explanation"]
    assert told == {"method": "grad-cam", "member": "a fake"}
    listed = [one["id"] for one in client("GET", "/api/studies").json()["studies"]]
    assert study["id"] in listed and other["id"] not in listed
    assert [one["id"] for one in client.study(study["id"])["explanations"]] == [other["id"]]


def test_deleting_removes_every_file(client, study_file):
    study = client.done(study_file)
    folder = client.service.store.study(study["id"])
    assert folder.is_dir()
    problem(client("DELETE", f"/api/studies/{study['id']}", role="write"), 403)
    assert client("DELETE", f"/api/studies/{study['id']}").status_code == 204
    assert not folder.exists()
    problem(client("GET", f"/api/studies/{study['id']}"), 404)


def test_an_upload_with_the_same_key_is_one_study(client, study_file):
    key = {"Idempotency-Key": "one"}
    first, second = (client.upload(study_file, headers=key).json()["id"] for _ in range(2))
    assert first == second
    assert client.upload(study_file, headers={"Idempotency-Key": "two"}).json()["id"] != first


def test_the_worklist_shows_positive_studies_first(client, study_file, tmp_path):
    client.done(study_file)
    listed = client("GET", "/api/studies", params={"limit": 500}).json()
    raised = [study["status"] == "positive" for study in listed["studies"]]
    assert raised == sorted(raised, reverse=True) and any(raised)
    assert listed["counts"]["done"] >= 1
    assert len(client("GET", "/api/studies", params={"limit": 1}).json()["studies"]) == 1


def test_health_readiness_and_metrics(client, done):
    assert client.http.get("/healthz").json() == {"status": "ok"}
    ready = client.http.get("/readyz")
    assert ready.status_code == 200 and ready.json()["database"]
    text = client("GET", "/metrics", role="read").text
    assert 'neckfrac_jobs{state="done"}' in text and 'neckfrac_uploads_total{answer="accepted"}' in text
    assert "Doe" not in text and done["id"] not in text


def test_openapi_describes_it_and_swagger_is_local(client):
    schema = client.http.get("/openapi.json").json()
    for path in ("/api/studies", "/api/predict", "/api/studies/{identifier}/findings", "/dicomweb/studies", "/readyz"):
        assert path in schema["paths"]
    assert schema["paths"]["/api/studies"]["post"]["security"] == [{"token": []}]
    form = schema["paths"]["/api/studies"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert "operating_point" in form["properties"]
    page = client.http.get("/docs").text
    assert "http://" not in page and "https://" not in page and "/web/swagger/swagger-ui-bundle.js" in page


def test_an_error_of_the_service_itself_is_a_problem_without_its_words(client, done, monkeypatch, caplog):
    def fails(identifier):
        raise ValueError("Doe^Jane")

    monkeypatch.setattr(client.service.table, "get", fails)
    said = problem(client("GET", f"/api/studies/{done['id']}"), 500)
    assert "Doe" not in json.dumps(said) + caplog.text and "ValueError" in caplog.text


def test_mistakes_are_problems(client):
    problem(client("GET", "/api/nothing"), 404)
    problem(client("PATCH", "/api/studies"), 405)
    problem(client("GET", "/api/studies/Doe%5EJane"), 422)
    said = problem(client("GET", "/api/studies", params={"limit": "Doe^Jane"}), 422)
    assert "Doe" not in json.dumps(said) and said["where"] == "query.limit"
    assert isinstance(client.http, httpx.Client)
