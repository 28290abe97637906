"""Headless Chromium over its DevTools pipe, so that nothing but the browser is needed.

Messages are JSON objects ended by a zero byte: requests on the browser's descriptor 3, answers and events on its 4
(https://chromedevtools.github.io/devtools-protocol).
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_TIMEOUT_S = 120
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
    *("--no-first-run", "--disable-extensions", "--hide-scrollbars"),
)


class Browser:
    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers, self._buffer, self._number = requests, answers, b"", 0
        self.events: list[dict[str, Any]] = []
        target = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._ask("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> Any:
        """The answer of the page; raises AssertionError where the browser refuses."""
        return self._ask(method, parameters, {"sessionId": self._session})

    def open(self, page: Path, width: int, is_phone: bool = False, scheme: str = "light") -> None:
        """Load a file at a width and wait until it is whole."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=is_phone)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._take(self._read())

    def value(self, expression: str) -> Any:
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def of(self, method: str) -> list[dict[str, Any]]:
        """Events of this kind since the page was opened."""
        return [event["params"] for event in self.events if event["method"] == method]

    def _ask(self, method: str, parameters: dict[str, Any], session: dict[str, str] | None = None) -> Any:
        self._number += 1
        request = {"id": self._number, "method": method, "params": parameters, **(session or {})}
        os.write(self._requests, json.dumps(request).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            self.events.append(message)

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._answers, 1 << 20) if ready else b""
            assert chunk, "the browser ended or said nothing"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        decoded: dict[str, Any] = json.loads(message)
        return decoded


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own; it ends with the block."""
    assert CHROMIUM is not None
    (their_requests, requests), (answers, their_answers) = os.pipe(), os.pipe()
    # Only the shell can put descriptors in places that may be taken here.
    command = ["bash", "-c", f'exec "$@" 3<&{their_requests} 4>&{their_answers}', "bash", CHROMIUM]
    process = subprocess.Popen(
        [*command, *_OPTIONS, f"--user-data-dir={profile}"],
        pass_fds=(their_requests, their_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_requests)
    os.close(their_answers)
    try:
        yield Browser(requests, answers)
    finally:
        # A closed pipe is how the browser is told to go.
        os.close(requests)
        os.close(answers)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
