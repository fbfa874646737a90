"""The page in a real Chromium: upload, findings, jumping to a level, review; and not one request to anywhere else."""

from __future__ import annotations

import importlib
import re
import shutil
from urllib.parse import urlsplit

import pytest
from neckfrac import DISCLAIMER
from server.service_case import IN_CI, Service, need, wait_for, write_study

playwright = importlib.import_module("playwright.sync_api") if IN_CI else pytest.importorskip("playwright.sync_api")
expect = playwright.expect
SECONDS = 240_000  # ms; rendering without a graphics card takes long


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("page") / "data").wait() as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    need(program, "Chromium")
    with playwright.sync_playwright() as driver:
        arguments = [
            "--no-sandbox",
            "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader",
            "--disable-dev-shm-usage",
        ]
        expect.set_options(timeout=SECONDS)
        opened = driver.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(request, browser, service):
    """A page that is signed in with a token; outside requests and errors of its scripts are kept."""
    context = browser.new_context(viewport={"width": 1100, "height": 700}, accept_downloads=True)
    if "shows_3d" not in request.node.name:
        context.add_init_script("localStorage.setItem('neckfrac-render', 'off')")
    context.set_default_timeout(SECONDS)
    opened = context.new_page()
    opened.outside, opened.faults = [], []
    opened.on("request", lambda request: _note(opened, request.url, service.port))
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.on("console", lambda said: opened.faults.append(said.text) if said.type == "error" else None)
    opened.goto(service.address)
    opened.fill("input[name=secret]", service.token())
    opened.click("#sign-in button")
    opened.wait_for_selector("#home:not([hidden])")
    opened.faults.clear()  # that nobody was signed in was a 401
    yield opened
    context.close()


def _note(page, url, port):
    parts = urlsplit(url)
    if parts.scheme not in ("data", "blob") and parts.netloc != f"127.0.0.1:{port}":
        page.outside.append(url)


def send(page, path):
    page.set_input_files("#files", str(path))
    page.wait_for_selector("#result:not([hidden])")
    expect(page.locator("#position")).to_have_text(re.compile("^Slice"))


def test_the_printed_link_signs_in_once(browser, service):
    link = re.search(r"http://\S+/#code=\S+", service.log())[0]
    for works in (True, False):
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        page.wait_for_selector("#home:not([hidden])" if works else "#sign-in:not([hidden])", timeout=SECONDS)
        assert "code" not in page.url
        if works:
            assert all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in context.cookies())
        context.close()


@pytest.fixture(scope="module")
def sent(service, tmp_path_factory):
    """The address of a study that is done."""
    import httpx

    path = write_study(tmp_path_factory.mktemp("sent") / "a.nrrd")
    headers = {"Authorization": f"Bearer {service.token()}"}
    files = [("files", (path.name, path.read_bytes()))]
    identifier = httpx.post(f"{service.address}/api/studies", files=files, headers=headers, timeout=60).json()["id"]
    study = f"{service.address}/api/studies/{identifier}"
    wait_for(lambda: httpx.get(study, headers=headers, timeout=60).json()["state"] == "done")
    return f"{service.address}/#/study/{identifier}"


def show(page, address):
    page.goto(address)
    expect(page.locator("#position")).to_have_text(re.compile("^Slice"))


def test_a_study_is_sent_seen_and_reviewed(page, tmp_path):
    send(page, write_study(tmp_path / "Quendolin.nrrd"))
    assert page.inner_text("#call").startswith("Fracture suspected") and "0.91" in page.inner_text("#call")
    rows = page.locator("#levels tbody tr")
    assert rows.count() == 7 and page.locator("#levels tr.called").count() == 2

    # The likeliest level is shown first; the row of another jumps to its slice.
    started = page.inner_text("#position")
    page.click("#levels tr[data-level=C4] button.level")
    expect(page.locator("#position")).not_to_have_text(started)
    z = float(re.findall(r"-?[\d.]+", page.inner_text("#position").partition("·")[2])[2])
    assert abs(z - (900 + 128 - 16 * 3)) < 2.1  # the centre of C4 in `output_case`, on a grid of 2 mm
    page.keyboard.press("ArrowDown")
    expect(page.locator("#levels tr[data-level=C5] button.level")).to_be_focused()

    # The operating point changes the calls, at once.
    page.check("input[name=point][value=specific]")
    expect(page.locator("#levels tr.called")).to_have_count(1)
    page.check("input[name=point][value=balanced]")
    expect(page.locator("#levels tr.called")).to_have_count(2)

    # A rejected level stays rejected after the page was loaded again.
    page.click("#levels tr[data-level=C4] button:has-text('Review')")
    page.check("dialog input[value=rejected]")
    page.fill("dialog textarea", "nutrient vessel")
    page.click("dialog button[value=save]")
    page.wait_for_selector("#levels tr[data-level=C4] :text('rejected: nutrient vessel')")
    page.reload()
    page.wait_for_selector("#levels tr[data-level=C4] :text('rejected: nutrient vessel')")

    assert page.outside == [] and page.faults == []


def test_files_are_downloaded_and_the_report_opens(page, sent):
    show(page, sent)
    with page.expect_download() as waiting:
        page.click("#downloads a:has-text('3D Slicer scene')")
    assert waiting.value.suggested_filename.endswith("scene.mrb")
    with page.expect_popup() as opened:
        page.click("#downloads a:has-text('Report')")
    opened.value.wait_for_load_state()
    assert "C2" in opened.value.inner_text("body")
    assert page.outside == [] and page.faults == []


def test_another_heat_map_is_drawn_on_request(page, sent):
    show(page, sent)
    with page.expect_request(re.compile("/files/heat.nrrd")) as waiting:
        page.select_option("#heat", "grad-cam")
    asked = waiting.value
    assert page.url.rpartition("/")[2] not in asked.url
    expect(page.locator("#heat-state")).to_have_text("")
    assert page.outside == [] and page.faults == []


def test_what_can_not_be_analysed_is_told_with_the_files_own_name(page, tmp_path):
    bad = tmp_path / "Quendolin.nrrd"
    bad.write_bytes(b"NRRD0004\nnonsense\n")
    page.set_input_files("#files", str(bad))
    page.wait_for_selector("#study-state .bad")
    said = page.inner_text("#study-state")
    assert "Quendolin.nrrd" in said and "corrupt" in said


def test_the_worklist_and_the_disclaimer_on_every_view(page, service, sent):
    page.goto(sent)
    page.wait_for_selector("#result:not([hidden])")
    study = page.url
    assert DISCLAIMER in page.inner_text("footer")
    page.click("header a.name")
    page.wait_for_selector("#worklist tbody tr")
    assert DISCLAIMER in page.inner_text("footer")
    page.click(f"#worklist a[href='#/study/{study.rpartition('/')[2]}']")
    page.wait_for_selector("#result:not([hidden])")
    page.goto(f"{service.address}/docs")
    page.wait_for_selector(".swagger-ui .opblock")
    assert DISCLAIMER in page.inner_text("body")
    page.goto(service.address)
    page.click("#sign-out")
    page.wait_for_selector("#sign-in:not([hidden])")
    assert DISCLAIMER in page.inner_text("footer")
    assert page.outside == []


def test_every_control_has_a_name_and_the_viewer_shows_3d(page, sent):
    show(page, sent)
    expect(page.locator("#show-render")).to_be_checked()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, a, canvas, progress")]
          .filter((one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length))
          .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.lang") == "en"
    wait_for(lambda: page.faults == [], 5)
