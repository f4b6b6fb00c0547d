"""The operators' console in a real browser, by what a user sees. Run by scripts/test-console.sh.

Every test is a function whose name is true when it passes. They share one demo, which goes on all the while, and are
independent of each other but for that: what a test needs (a dead letter, a parcel) it sends itself, signed as AfterShip
signs. Nothing waits for an amount of time; everything waits for something to be seen, with a deadline.

Usage: console.py PROGRAM BROWSER FOLDER [--update-screenshots]
"""

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
import urllib.request
import uuid
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PATIENCE = 90
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}
PAGES = {
    "/": "Pipeline",
    "/dead-letters": "Dead letters",
    "/trackings": "Trackings",
    "/loads": "Loads",
    "/reconciliation": "Reconciliation",
    "/sales": "Sales",
}
# How old a demo is before its pictures are taken.
PICTURES_AFTER = 190
IMAGES = Path(__file__).parents[2] / "docs" / "images"
TOKEN = "browser-token-0123456789"

expect.set_options(timeout=PATIENCE * 1000)


# --- what is tested ----------------------------------------------------------------------------------------------
class Waybill:
    """The program, running."""

    def __init__(self, program, folder, arguments, environment):
        folder.mkdir(parents=True)
        ports = folder / "ports.json"
        self.log = open(folder / "log", "wb")
        command = [program, "up", *arguments, "--data", str(folder / "data"), "--ports-file", str(ports)]
        environment = {"PATH": os.environ["PATH"], "WAYBILL_LISTEN": "127.0.0.1:0", **environment}
        environment.setdefault("WAYBILL_OPS_LISTEN", "127.0.0.1:0")
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.began = time.monotonic()
        until = self.began + PATIENCE
        while not ports.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise SystemExit(f"{command} does not start:\n{(folder / 'log').read_text(errors='replace')}")
            time.sleep(0.05)
        told = json.loads(ports.read_text())
        self.listen = told["listen"]
        self.url = f"http://localhost:{told['ops'].rsplit(':', 1)[1]}"
        secret = folder / "data" / "webhook-secret"
        self.secret = secret.read_text().strip() if secret.exists() else environment.get("WAYBILL_WEBHOOK_SECRETS")

    def post(self, body):
        """Sends a webhook as AfterShip does."""
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).digest()
        request = urllib.request.Request(f"http://{self.listen}/webhooks/aftership", data=body, method="POST")
        request.add_header("aftership-hmac-sha256", base64.b64encode(digest).decode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def parcel(number):
    """A webhook about a parcel, with two checkpoints; gives its event id too."""
    event_id = str(uuid.uuid4())
    scan = {"slug": "dhl", "tag": "InTransit", "message": "Left the depot", "location": "Kiel"}
    msg = {
        "id": f"id-{number}",
        "tracking_number": number,
        "slug": "dhl",
        "tag": "Delivered",
        "order_number": "#550",
        "updated_at": "2026-07-09T12:00:00+00:00",
        "checkpoints": [
            scan | {"checkpoint_time": "2026-07-08T10:00:00+02:00"},
            scan | {"checkpoint_time": "2026-07-09T10:00:00+02:00", "tag": "Delivered", "message": "At the door"},
        ],
    }
    body = {"event": "tracking_update", "event_id": event_id, "ts": 1783598400, "msg": msg}
    return event_id, json.dumps(body).encode()


def letter(word):
    """A webhook that names no parcel, and somebody's name; becomes a dead letter."""
    event = f"browser_{word}"
    return event, json.dumps({"event": event, "msg": {"customer_name": "Ada Lovelace", "tag": word}}).encode()


class Lab:
    """What tests get: the demo, the browser, pages of it."""

    def __init__(self, demo, browser, program, folder):
        self.demo, self.browser, self.program, self.folder = demo, browser, program, folder
        self.contexts = []
        self.faults = []

    def page(self, url=None, **settings):
        """A new page, whose errors and requests to elsewhere are faults."""
        origin = url or self.demo.url
        context = self.browser.new_context(base_url=origin, **({"viewport": WIDE} | settings))
        context.set_default_timeout(PATIENCE * 1000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)
        page.on("request", lambda asked: None if asked.url.startswith(origin) else self.faults.append(asked.url))
        return page

    def dead_letter(self, page):
        """A dead letter of our own: sends one and opens its page by the filter."""
        event, body = letter(uuid.uuid4().hex[:8])
        self.demo.post(body)
        row = find_letter(page, event)
        row.get_by_role("link").click()
        return event

    def end(self):
        for context in self.contexts:
            context.close()
        self.contexts = []


def find_letter(page, event):
    """The one row of letters of this event, once it is there."""
    until = time.monotonic() + PATIENCE
    while True:
        page.goto("/dead-letters")
        page.get_by_label("Event", exact=True).fill(event)
        page.get_by_role("button", name="Filter").click()
        rows = page.get_by_role("region", name="Letters").locator("tbody tr")
        if rows.count() == 1:
            return rows.first
        assert time.monotonic() < until, f"no letter of {event} is listed"


# --- tests -------------------------------------------------------------------------------------------------------
def the_pipeline_shows_six_stages_and_how_fresh_facts_are(lab):
    page = lab.page()
    page.goto("/")

    expect(page.get_by_role("heading", level=1, name="Pipeline")).to_be_visible()
    path = page.get_by_role("region", name="The path of an event")
    names = ["Receive", "Queue", "Batch", "Lake", "Load", "Warehouse"]
    expect(path.get_by_role("heading", level=3)).to_have_text([re.compile(f"^{name}") for name in names])
    # The page comes again by itself until there is something to tell.
    expect(page.get_by_text("99 of 100 events can be queried within")).to_be_visible()
    fresh = page.get_by_role("region", name="Freshness")
    expect(fresh.get_by_role("row", name=re.compile("99 of 100"))).to_contain_text("within")
    expect(page.get_by_role("region", name="Components").get_by_role("row", name=re.compile("^queue"))).to_contain_text(
        "ready"
    )
    expect(page.get_by_role("img", name="Received a second")).to_be_visible()


def the_pipeline_refreshes_itself_until_it_is_paused_and_keeps_what_is_open(lab):
    page = lab.page()
    page.goto("/")
    page.get_by_text("The numbers behind these charts").click()
    table = page.get_by_role("region", name="Minute by minute")
    expect(table).to_be_visible()
    instant = page.locator("#refresh time")
    first = instant.get_attribute("datetime")

    expect(instant).not_to_have_attribute("datetime", first)
    expect(table).to_be_visible()

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("Paused.")
    paused = instant.get_attribute("datetime")
    # Longer than a page stays as it is.
    page.wait_for_timeout(6_500)
    assert instant.get_attribute("datetime") == paused, "it goes on although it is paused"


def the_keyboard_alone_leads_everywhere(lab):
    page = lab.page()
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()

    page.goto("/")
    link = page.get_by_role("navigation", name="Console").get_by_role("link", name="Trackings")
    tab_to(page, link)
    outline = link.evaluate("link => getComputedStyle(link).outlineStyle")
    assert outline != "none", "who has the focus cannot be seen"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Trackings")).to_be_visible()
    expect(link).to_have_attribute("aria-current", "page")
    field = page.get_by_role("searchbox")
    tab_to(page, field)
    page.keyboard.type("nothing has this name")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing in the warehouse has that name")).to_be_visible()


def tab_to(page, target):
    for _ in range(60):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError("no way there by Tab")


def a_payload_is_masked_until_it_is_asked_for(lab):
    page = lab.page()
    event = lab.dead_letter(page)
    payload = page.get_by_label("Payload, masked")
    expect(payload).to_contain_text(event)
    expect(payload).to_contain_text("•••••")
    expect(page.get_by_role("main")).not_to_contain_text("Lovelace")

    page.get_by_role("button", name="Show it whole").click()
    # The browser itself asks for the reason.
    expect(payload).to_be_visible()
    page.get_by_label("Reason, for the audit trail").fill("a look by a test")
    page.get_by_role("button", name="Show it whole").click()
    expect(page.get_by_label("Payload, whole")).to_contain_text("Ada Lovelace")

    page.goto("/dead-letters")
    trail = page.get_by_role("region", name="Audit trail").last
    expect(trail.get_by_role("row", name=re.compile("reveal.*a look by a test"))).to_be_visible()


def a_replay_shows_what_it_would_do_and_then_the_letter_is_gone(lab):
    page = lab.page()
    lab.dead_letter(page)
    address = page.url
    page.get_by_role("link", name="Replay it").click()
    would = page.get_by_role("region", name="What it would do")
    expect(would).to_contain_text("come back as dead letters")
    expect(would.get_by_role("table")).to_contain_text("Nothing is done yet")

    page.get_by_label("Reason, for the audit trail").fill("replayed by a test")
    page.get_by_label("Letters a second").fill("10")
    page.get_by_role("button", name="Replay 1 letter").click()
    expect(page.get_by_role("heading", name="The replay is done.")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("1 sent again")

    page.goto(address)
    expect(page.get_by_role("main")).to_contain_text("replayed by a test")
    assert page.get_by_role("link", name="Replay it").count() == 0, "it can be replayed twice"
    page.goto("/dead-letters")
    trail = page.get_by_role("region", name="Audit trail").last
    expect(trail.get_by_role("row", name=re.compile("replay.*replayed by a test"))).to_be_visible()


def dropping_needs_a_reason(lab):
    page = lab.page()
    event = lab.dead_letter(page)
    page.get_by_role("link", name="Drop it").click()
    button = page.get_by_role("button", name="Drop 1 letter")
    button.click()
    reason = page.get_by_label("Reason, for the audit trail")
    assert reason.evaluate("field => field.matches(':invalid')"), "no reason is asked for"

    reason.fill("dropped by a test")
    button.click()
    expect(page.get_by_role("heading", name="The drop is done.")).to_be_visible()

    page.goto(f"/dead-letters?event={event}")
    expect(page.get_by_role("main")).to_contain_text("0 letters open")
    page.get_by_label("Those dealt with too").check()
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("region", name="Letters")).to_contain_text("dropped")


def a_parcel_is_found_with_its_timeline_and_every_hop(lab):
    page = lab.page()
    number = f"B{uuid.uuid4().hex[:10]}"
    event_id, body = parcel(number)
    lab.demo.post(body)
    for find in (number, event_id):
        until = time.monotonic() + PATIENCE
        while True:
            page.goto("/trackings")
            page.get_by_role("searchbox").fill(find)
            page.get_by_role("button", name="Find").click()
            if page.get_by_role("heading", level=2, name=number).count() == 1:
                break
            assert time.monotonic() < until, f"{find} is not found"
        checkpoints = page.get_by_role("region", name="Checkpoints").get_by_role("listitem")
        expect(checkpoints).to_have_text([re.compile("InTransit.*Left the depot"), re.compile("Delivered.*At the door")])
        hops = page.get_by_role("region", name="Events, hop by hop")
        for word in ("Request", "Queue", "Object", "events/dt=", "Row", "Fact", "the parcel is as this event says"):
            expect(hops).to_contain_text(word)
    expect(page.get_by_text("the one you look for")).to_be_visible()


def loads_show_rejected_lines_with_their_reason(lab):
    page = lab.page()
    page.goto("/loads")
    expect(page.get_by_role("region", name="Totals")).to_contain_text("tracking")
    page.get_by_label("Dataset").select_option("order_items")
    until = time.monotonic() + PATIENCE
    while True:
        page.get_by_role("button", name="Filter").click()
        rejects = page.get_by_role("region", name="Rejected lines").last
        if rejects.get_by_role("row").count() > 1:
            break
        assert time.monotonic() < until, "the demo's rejected line is not there"
    expect(rejects).to_contain_text("not an integer")
    expect(rejects).to_contain_text("order_items/")


def reconciliation_has_every_minute(lab):
    page = lab.page()
    page.goto("/reconciliation?since=10m")
    expect(page.get_by_role("heading", level=1, name="Reconciliation")).to_be_visible()
    minutes = page.get_by_role("region", name="Minute by minute").get_by_role("listitem")
    assert minutes.count() >= 8, minutes.count()
    expect(minutes.last).to_have_text(re.compile(r"\d\d:\d\d (in balance|differences|nothing came)"))
    expect(page.get_by_role("heading", name="Differences")).to_be_visible()
    page.get_by_label("Since").fill("never")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("must be a time back")
    # A browser tells of the refusal in its console.
    lab.faults.clear()


def sales_are_charts_with_their_numbers(lab):
    page = lab.page()
    until = time.monotonic() + PATIENCE
    while page.goto("/sales") and page.get_by_role("img", name="Revenue by day").count() == 0:
        assert time.monotonic() < until, "no chart of revenue"
    page.get_by_text("The numbers behind this chart").click()
    rows = page.get_by_role("region", name="Revenue by day").get_by_role("row")
    expect(rows).to_have_count(61)
    expect(page.get_by_role("region", name="Ceased to sell")).to_contain_text("Tent")
    expect(page.get_by_role("region", name="Price changes")).to_contain_text("Paddle")


def every_page_reads_without_a_script(lab):
    page = lab.page(java_script_enabled=False)
    for path, name in PAGES.items():
        page.goto(path)
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        expect(page.get_by_role("navigation", name="Console").get_by_role("link")).to_have_count(len(PAGES))
    page.goto("/")
    expect(page.get_by_role("link", name="Reload")).to_be_visible()
    page.goto("/dead-letters")
    page.get_by_label("Reason").select_option("not_json")
    page.get_by_role("button", name="Filter").click()
    assert "reason=not_json" in page.url


# Names, structure and ids, as a screen reader needs them.
STRUCTURE = """() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  for (const field of all("input:not([type=hidden]), select")) if (!field.labels.length) faults.push("no label: " + field.id);
  for (const one of all("a, button")) if (!one.textContent.trim()) faults.push("no name: " + one.outerHTML);
  for (const one of all("svg:not([aria-hidden])")) if (!one.querySelector("title")) faults.push("no title: svg");
  for (const one of all("table")) if (!one.caption) faults.push("no caption: table");
  for (const one of all("th")) if (!one.scope) faults.push("no scope: " + one.textContent);
  const ids = all("[id]").map((one) => one.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) faults.push("twice: " + id);
  for (const one of all("[aria-labelledby]"))
    for (const id of one.getAttribute("aria-labelledby").split(" "))
      if (!document.getElementById(id)) faults.push("names nothing: " + id);
  const levels = all("h1, h2, h3").map((one) => Number(one.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) faults.push("not one h1");
  levels.forEach((level, index) => { if (index && level > levels[index - 1] + 1) faults.push("a level is left out"); });
  for (const role of ["header", "nav", "main", "footer"]) if (all(role).length < 1) faults.push("no " + role);
  return faults;
}"""

# The contrast of words with what they stand on, by WCAG's formula.
CONTRAST = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue("--" + name).trim().slice(1);
    const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pairs = [["ink", "paper"], ["ink", "card"], ["ink", "faint"], ["muted", "paper"], ["muted", "card"],
    ["muted", "faint"], ["accent", "paper"], ["accent", "card"], ["accent", "faint"], ["accent-ink", "accent"],
    ["good", "good-back"], ["warn", "warn-back"], ["bad", "bad-back"]];
  return pairs.map(([word, ground]) => {
    const [low, high] = [light(word), light(ground)].sort((a, b) => a - b);
    return [word + " on " + ground, (high + 0.05) / (low + 0.05)];
  }).filter(([, contrast]) => !(contrast >= 4.5));
}"""


def pages_are_named_and_built_for_a_screen_reader(lab):
    page = lab.page()
    lab.dead_letter(page)
    detail = page.url
    for path in [*PAGES, detail, "/login", "/dead-letters/job", "/dead-letters/drop", "/dead-letters/replay"]:
        page.goto(path)
        faults = page.evaluate(STRUCTURE)
        assert not faults, f"{path}: {faults}"


def pages_fit_wide_and_narrow_light_and_dark(lab):
    grounds = set()
    for scheme in ("light", "dark"):
        for viewport in (WIDE, NARROW):
            page = lab.page(viewport=viewport, color_scheme=scheme)
            for path in PAGES:
                page.goto(path)
                width = page.evaluate("document.documentElement.scrollWidth")
                assert width <= viewport["width"], f"{path} is {width} wide on {viewport['width']}"
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            weak = page.evaluate(CONTRAST)
            assert not weak, f"{scheme}: {weak}"
    assert len(grounds) == 2, grounds


def with_a_token_set_acting_needs_to_sign_in(lab):
    settings = {"WAYBILL_WEBHOOK_SECRETS": "browser-webhook-secret-0123456789", "WAYBILL_OPS_TOKEN": TOKEN}
    waybill = Waybill(lab.program, lab.folder / uuid.uuid4().hex, [], settings)
    try:
        waybill.post(letter("signed")[1])
        page = lab.page(waybill.url)
        find_letter(page, "browser_signed").get_by_role("link").click()
        assert page.get_by_role("button", name="Show it whole").count() == 0, "anybody may look"
        page.get_by_role("link", name="Sign in with the token").click()
        page.get_by_label("Token").fill("not the token at all")
        page.get_by_label("Your name").fill("Grace")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("That is not the token")
        # A browser tells of the refusal in its console.
        lab.faults.clear()
        page.go_back()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_label("Your name").fill("Grace")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Show it whole")).to_be_visible()
        expect(page.get_by_role("banner")).to_contain_text("Grace")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()
    finally:
        lab.end()
        waybill.stop()


TESTS = [
    the_pipeline_shows_six_stages_and_how_fresh_facts_are,
    the_pipeline_refreshes_itself_until_it_is_paused_and_keeps_what_is_open,
    the_keyboard_alone_leads_everywhere,
    a_payload_is_masked_until_it_is_asked_for,
    a_replay_shows_what_it_would_do_and_then_the_letter_is_gone,
    dropping_needs_a_reason,
    a_parcel_is_found_with_its_timeline_and_every_hop,
    loads_show_rejected_lines_with_their_reason,
    reconciliation_has_every_minute,
    sales_are_charts_with_their_numbers,
    every_page_reads_without_a_script,
    pages_are_named_and_built_for_a_screen_reader,
    pages_fit_wide_and_narrow_light_and_dark,
    with_a_token_set_acting_needs_to_sign_in,
]


# --- pictures ----------------------------------------------------------------------------------------------------
def take_pictures(lab):
    """For the docs: what the pages look like with some minutes behind them."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    number = f"JD{uuid.uuid4().int % 10**10:010}"
    lab.demo.post(parcel(number)[1])
    time.sleep(max(0, PICTURES_AFTER - (time.monotonic() - lab.demo.began)))
    pictures = [
        ("pipeline-light", "/", "light", WIDE),
        ("pipeline-dark", "/", "dark", WIDE),
        ("pipeline-narrow", "/", "light", NARROW),
        ("dead-letters", "/dead-letters", "light", WIDE),
        ("tracking", f"/trackings?find={number}", "light", WIDE),
        ("loads", "/loads", "light", WIDE),
        ("reconciliation", "/reconciliation", "light", WIDE),
        ("sales", "/sales", "dark", WIDE),
    ]
    for name, path, scheme, viewport in pictures:
        page = lab.page(viewport=viewport, color_scheme=scheme)
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.screenshot(path=IMAGES / f"console-{name}.png")
        print(f"  wrote docs/images/console-{name}.png")
    lab.end()


def main():
    program, browser_path, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = 0
    demo = Waybill(program, folder / "demo", ["--demo", "--demo-rate", "20"], {})
    try:
        with sync_playwright() as playwright:
            # The browser's own fence does not work for root.
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=browser_path, args=arguments)
            lab = Lab(demo, browser, program, folder)
            for test in TESTS:
                name = test.__name__.replace("_", " ")
                began = time.monotonic()
                lab.faults = []
                try:
                    test(lab)
                    assert not lab.faults, f"in the browser: {lab.faults}"
                    print(f"  ok     {name} ({time.monotonic() - began:.1f} s)", flush=True)
                except Exception:
                    failed += 1
                    print(f"  FAILED {name}\n{traceback.format_exc()}", flush=True)
                finally:
                    lab.end()
            if "--update-screenshots" in sys.argv[4:]:
                take_pictures(lab)
            browser.close()
    finally:
        demo.stop()
    print(f"console: {len(TESTS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
