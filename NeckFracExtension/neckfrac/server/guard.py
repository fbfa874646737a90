"""Around every request: the Host that it names, strict headers on the answer, and no raw error in it."""

from __future__ import annotations

import ipaddress
from typing import Any

from .metrics import Metrics
from .problems import Problem, unexpected
from .settings import ServerSettings

PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Guard:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: Any, settings: ServerSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        own = () if settings.host in ("0.0.0.0", "::") else (settings.host,)
        self._hosts = {name.lower() for name in (*LOOPBACK, *own, *settings.hosts)}
        # Behind a proxy without --name, the proxy answers for the names by which it may be reached.
        self._any_host = settings.behind_proxy and not settings.hosts
        self._proxies = [ipaddress.ip_network(proxy, strict=False) for proxy in settings.proxies]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        answer: dict[str, Any] = {"status": 500, "begun": False}

        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.update(status=message["status"], begun=True)
                message = {**message, "headers": self._strict(scope["path"], message["headers"])}
            await send(message)

        self._name_client(scope, headers)
        try:
            if not self._any_host and _host(headers.get("host", "")) not in self._hosts:
                # Another site's name that leads here would make its pages the service's own (DNS rebinding).
                problem = Problem(421, "The service is not called so.", "Start it with --name for this host name.")
                await problem.response()(scope, receive, sending)
            else:
                await self._app(scope, receive, sending)
        except Exception as error:  # the framework raises again what it has answered
            if not answer["begun"]:
                await unexpected(error).response()(scope, receive, sending)
        finally:
            self._metrics.requests.labels(str(answer["status"])).inc()

    def _name_client(self, scope: dict[str, Any], headers: dict[str, str]) -> None:
        """Behind a proxy the client is whom the proxy names, for audit and limits; the peer stays known."""
        scope["neckfrac_peer"] = scope["neckfrac_client"] = peer = (scope.get("client") or ("",))[0]
        forwarded = headers.get("x-forwarded-for", "").split(",")[-1].strip()
        try:
            trusted = any(ipaddress.ip_address(peer) in proxy for proxy in self._proxies)
            if self._settings.behind_proxy and trusted and forwarded:
                scope["neckfrac_client"] = str(ipaddress.ip_address(forwarded))
        except ValueError:
            pass

    def _strict(self, path: str, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        added = {
            "content-security-policy": REPORT_POLICY if path.endswith("/report.html") else PAGE_POLICY,
            "x-content-type-options": "nosniff",
            "x-frame-options": "SAMEORIGIN" if path.endswith("/report.html") else "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
            "cache-control": "no-store",
        }
        if self._settings.secure:
            added["strict-transport-security"] = "max-age=31536000"
        there = {key.decode("latin-1").lower() for key, _ in headers}
        more = [(key.encode(), value.encode()) for key, value in added.items() if key not in there]
        return [*headers, *more]


def _host(header: str) -> str:
    """The name in a Host header, without the port."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()
