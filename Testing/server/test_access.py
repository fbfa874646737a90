"""Who gets in, with which role, how often; and that each access leaves a row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from neckfrac.errors import InputError
from neckfrac.server.access import create_token, revoke_tokens
from neckfrac.server.database import tokens
from neckfrac.server.serve import check
from neckfrac.server.settings import ServerSettings
from server.fixtures import LIMITS
from server.test_api import problem
from sqlalchemy import select

OPEN = ("/healthz", "/readyz", "/openapi.json", "/docs", "/")


def test_nothing_of_a_study_is_seen_without_a_token(client, done):
    schema = client.http.get("/openapi.json").json()
    tried = 0
    for path, methods in schema["paths"].items():
        for method in methods:
            if path in OPEN or (path, method) == ("/api/session", "post"):
                continue
            address = path.format(identifier=done["id"], name="report.html", level="C2")
            problem(client.http.request(method.upper(), address), 401)
            problem(client.http.request(method.upper(), address, headers={"Authorization": "Bearer nf_wrong"}), 401)
            tried += 1
    assert tried >= 12


def test_roles_may_what_they_may(client, done, study_file):
    study = f"/api/studies/{done['id']}"
    assert client("GET", study, role="read").status_code == 200
    problem(client("DELETE", study, role="read"), 403)
    problem(client("PUT", f"{study}/reviews/C2", role="read", json={"verdict": "rejected"}), 403)
    problem(client("POST", "/api/studies", role="read", files=[("files", b"")]), 403)
    problem(client("GET", "/api/audit", role="write"), 403)
    assert client("GET", "/api/audit", role="admin").status_code == 200


def test_only_hashes_of_tokens_are_kept_and_revoked_ones_are_useless(new_client):
    client = new_client()
    token = create_token(client.service.engine, "Doe", "read")
    with client.service.engine.connect() as connection:
        kept = str(connection.execute(select(tokens)).all())
    assert token not in kept and token[3:] not in kept
    headers = {"Authorization": f"Bearer {token}"}
    assert client.http.get("/api/studies", headers=headers).status_code == 200
    assert revoke_tokens(client.service.engine, "Doe") == 1
    problem(client.http.get("/api/studies", headers=headers), 401)
    with pytest.raises(InputError, match="role"):
        create_token(client.service.engine, "Doe", "root")


def test_a_session_is_a_strict_cookie_and_needs_the_pages_header(new_client):
    client = new_client()
    secret = create_token(client.service.engine, "Doe", "write")
    answer = client.http.post("/api/session", json={"secret": secret})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and secret not in cookie
    assert client.http.get("/api/session").json() == {"name": "Doe", "role": "write"}
    said = problem(client.http.post("/api/studies", files=[("files", b"")]), 403)
    assert "X-NeckFrac" in said["what"]
    assert client.http.post("/api/studies", files=[("files", b"")], headers={"X-NeckFrac": "1"}).status_code == 415
    client.http.delete("/api/session", headers={"X-NeckFrac": "1"})
    client.http.cookies.set(cookie.partition("=")[0], cookie.partition("=")[2].partition(";")[0])
    problem(client.http.get("/api/session"), 401)  # it is closed, not only forgotten


def test_a_link_is_good_once(new_client):
    client = new_client()
    code = create_token(client.service.engine, "link", "admin", kind="link", seconds=60)
    problem(client.http.get("/api/studies", headers={"Authorization": f"Bearer {code}"}), 401)
    assert client.http.post("/api/session", json={"secret": code}).status_code == 200
    client.http.cookies.clear()
    problem(client.http.post("/api/session", json={"secret": code}), 401)
    late = create_token(client.service.engine, "link", "admin", kind="link", seconds=-1)
    problem(client.http.post("/api/session", json={"secret": late}), 401)


def test_a_proxy_signs_on_and_nobody_else_can(new_client):
    proxy = {"behind_proxy": True, "sign_on_header": "X-Forwarded-User", "sign_on_role": "write"}
    user = {"X-Forwarded-User": "Dr Doe"}
    trusted = new_client(proxies=("127.0.0.0/8",), **proxy)
    other = new_client(proxies=("10.9.8.7",), **proxy)
    for client in (trusted, other):
        client.http._transport.client = ("127.0.0.1", 5000)
    assert trusted.http.get("/api/session", headers=user).json() == {"name": "Dr Doe", "role": "write"}
    problem(other.http.get("/api/session", headers=user), 401)
    problem(trusted.http.delete("/api/session", headers=user), 403)  # another site's page can't send the header
    trusted.http.get("/api/studies", headers={**user, "X-Forwarded-For": "6.6.6.6, 10.0.0.5"})
    seen = trusted("GET", "/api/audit", headers={"X-Forwarded-For": "10.0.0.7"}).json()[0]
    assert (seen["who"], seen["address"]) == ("Dr Doe", "10.0.0.5")


def test_guessing_tokens_and_hurrying_are_slowed_down(new_client):
    client = new_client(replace(LIMITS, failed_logins_a_minute=3, requests_a_minute=5, uploads_a_minute=2))
    for _ in range(3):
        problem(client.http.get("/api/studies", headers={"Authorization": "Bearer x"}), 401)
    answer = client.http.get("/api/studies", headers={"Authorization": "Bearer x"})
    assert problem(answer, 429) and int(answer.headers["retry-after"]) >= 1
    answers = [client("GET", "/api/studies", role="read").status_code for _ in range(7)]
    assert answers.count(429) == 2
    answers = [client("POST", "/api/studies", role="write", files=[("files", b"")]).status_code for _ in range(3)]
    assert answers == [415, 415, 429]


def test_each_access_to_a_study_leaves_a_row(client, study_file):
    study = client.done(study_file)
    for _ in range(3):
        client("GET", f"/api/studies/{study['id']}/findings", role="read")
    client("GET", f"/api/studies/{study['id']}/files/report.html", role="read")
    client("PUT", f"/api/studies/{study['id']}/reviews/C2", role="write", json={"verdict": "confirmed"})
    client("DELETE", f"/api/studies/{study['id']}")
    rows = [row for row in client("GET", "/api/audit").json() if row["job"] == study["id"]]
    said = [(row["who"], row["action"]) for row in reversed(rows)]
    assert ("admin", "upload") in said
    assert said[-4:] == [
        ("read", "see findings"), ("read", "see report.html"), ("write", "review C2"), ("admin", "delete")
    ]  # fmt: skip


def test_answers_have_strict_headers(client, done):
    for address in ("/", "/docs", "/api/nothing", f"/api/studies/{done['id']}/files/report.html"):
        headers = client("GET", address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "http" not in policy and " 'unsafe-eval'" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "sandbox" in policy
    assert client("GET", f"/api/studies/{done['id']}").headers["cache-control"] == "no-store"
    assert (
        "access-control-allow-origin" not in client.http.get("/api/session", headers={"Origin": "http://evil"}).headers
    )


def test_another_host_name_is_refused(client, new_client):
    problem(client("GET", "/api/studies", headers={"Host": "evil.example"}), 421)
    named = new_client(hosts=("ct.hospital.example",))
    assert named("GET", "/api/studies", headers={"Host": "ct.hospital.example:8443"}).status_code == 200


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"host": "0.0.0.0"}, "unencrypted"),
        ({"host": "192.168.1.5"}, "unencrypted"),
        ({"sign_on_header": "X-User"}, "proxy"),
        ({"workers": 0}, "worker"),
    ],
)
def test_settings_that_would_show_patients_are_refused(changed, words):
    with pytest.raises(InputError, match=words):
        check(replace(ServerSettings(), **changed))
    check(replace(ServerSettings(), host="0.0.0.0", behind_proxy=True))
