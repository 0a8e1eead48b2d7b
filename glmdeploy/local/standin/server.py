"""The stand-in's HTTP endpoints: SGLang's that a client, a probe or an operator of a GLM deployment uses."""

from __future__ import annotations

import hmac
import logging
import os
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger

from glmdeploy.local.standin import body, chat, completions, origins, pooling, resolved
from glmdeploy.local.standin.generation import RequestError
from glmdeploy.local.standin.scheduler import Scheduler
from glmdeploy.local.standin.settings import NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from glmdeploy.local.standin.body import Call
    from glmdeploy.local.standin.settings import Settings

    Pooled = Callable[[Settings, Mapping[str, Any]], Any]
    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


_LOG = logging.getLogger("sglang")

_BODY_LIMIT = 64 * 2**20

ADMIN_PATHS = frozenset({"/flush_cache"})
"""Of the paths that the stand-in has, those that SGLang calls ADMIN_OPTIONAL."""
_OPEN = ("/health", "/metrics")
_NATIVE = frozenset({"/generate", "/encode", "/classify"})
"""SGLang's own, whose errors have a shape of their own."""
_NO_TEXT = "AttributeError: 'LogitsProcessorOutput' object has no attribute 'embeddings'"
"""What the scheduler of a model that does not generate meets when it is asked for text."""

GARBAGE_VARIABLE = "GLMDEPLOY_STANDIN_GARBAGE"
"""What every request to generate is answered, in Latin-1, to rehearse an engine that talks nonsense."""


class Server:
    """``status`` decides what /health says: 200 for "up" alone, which it becomes when the start is over."""

    def __init__(self, settings: Settings, hangs: Callable[[], bool]) -> None:
        self.status = "starting"
        self._settings = settings
        self._scheduler = Scheduler(settings, hangs)
        self._created = int(time.time())
        self._gone = False

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard, self._errors], client_max_size=_BODY_LIMIT)
        app.on_response_prepare.append(_sign)
        routes: list[tuple[str, Handler]] = [
            ("/health", self._health),
            ("/health_generate", self._health),
            ("/v1/models", self._models),
            ("/v1/models/{model:.+}", self._model),
            ("/model_info", self._model_info),
            ("/get_model_info", self._model_info),
            ("/server_info", self._server_info),
            ("/v1/loads", self._loads),
            ("/get_server_info", self._server_info),
            ("/flush_cache", self._flush_cache),
        ]
        if self._settings.metrics:
            routes.append(("/metrics", self._metrics))
        app.add_routes([web.get(path, handler) for path, handler in routes])
        app.add_routes(
            [
                web.post("/flush_cache", self._flush_cache),
                web.post("/v1/chat/completions", self._generates(chat.call)),
                web.post("/v1/completions", self._generates(completions.openai)),
                web.post("/generate", self._generates(completions.native)),
                web.put("/generate", self._generates(completions.native)),
                web.post("/v1/embeddings", self._pools(pooling.embeddings)),
                web.post("/v1/rerank", self._pools(pooling.rerank)),
                *(
                    route(path, self._pools(pooling.native))
                    for path in ("/classify", "/encode")
                    for route in (web.post, web.put)
                ),
            ]
        )
        return app

    def _generates(self, understand: Callable[[Settings, Mapping[str, Any]], Call]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if GARBAGE_VARIABLE in os.environ:
                return web.Response(body=os.environ[GARBAGE_VARIABLE].encode("latin-1"))
            faults = self._settings.faults
            if "overloaded" in faults:
                raise RequestError("The request queue is full.", status=429, kind="TooManyRequests")
            if "gone-once" not in faults:
                self._gone = False
            elif not self._gone and request.transport is not None:
                self._gone = True
                request.transport.abort()
                raise ConnectionResetError
            call = understand(self._settings, await _json(request))
            if not self._settings.generates:
                _end_as_sglang(call.completion_tokens)
            return await self._scheduler.answer(request, call)

        return handle

    def _pools(self, understand: Pooled) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return web.json_response(understand(self._settings, await _json(request)))

        return handle

    async def _health(self, _request: web.Request) -> web.Response:
        """While the engine hangs, 503 after a while: SGLang's HTTP process still lives when its scheduler does not."""
        if await self._scheduler.stuck(self._settings.health_timeout):
            return web.Response(status=503)
        return web.Response(status=200 if self.status == "up" else 503)

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._card()]})

    async def _model(self, request: web.Request) -> web.Response:
        model = request.match_info["model"]
        if model == self._settings.served_name:
            return web.json_response(self._card())
        error = {
            "message": f"The model '{model}' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
        return web.json_response({"error": error}, status=404)

    def _card(self) -> dict[str, Any]:
        return {
            "id": "another-model" if "wrong-name" in self._settings.faults else self._settings.served_name,
            "object": "model",
            "created": self._created,
            "owned_by": NAME,
            "root": self._settings.served_name,
            "parent": None,
            "max_model_len": self._settings.context_length,
        }

    async def _model_info(self, _request: web.Request) -> web.Response:
        shown = self._settings.shown
        return web.json_response(
            {
                "engine": NAME,
                "model_path": str(self._settings.model_path),
                "served_model_name": self._settings.served_name,
                "tokenizer_path": shown.get("tokenizer_path") or str(self._settings.model_path),
                "is_generation": self._settings.generates,
                "preferred_sampling_params": shown.get("preferred_sampling_params"),
                "weight_version": shown.get("weight_version"),
                "has_image_understanding": False,
                "has_audio_understanding": False,
                "model_type": self._settings.config.get("model_type"),
                "architectures": self._settings.config.get("architectures"),
            }
        )

    async def _server_info(self, _request: web.Request) -> web.Response:
        """The arguments, without the keys.

        SGLang's own has the API key three times, for whoever has that key: ``api_key``, ``internal_states[].api_key``
        and, from 0.5.20, in ``launch_command``.
        """
        info = resolved.server_info(self._settings, os.environ, self._scheduler.metrics.running)
        said = {"engine": NAME, "engine_because": self._settings.why, "status": self.status}
        return web.json_response({**info, **said})

    async def _loads(self, _request: web.Request) -> web.Response:
        """What runs and waits, as ``srt/entrypoints/v1_loads.py`` of 0.5.10 and 0.5.23 tells it of one rank."""
        metrics = self._scheduler.metrics
        load = {
            "dp_rank": 0,
            "num_running_reqs": metrics.running,
            "num_waiting_reqs": metrics.queued,
            "num_total_reqs": metrics.running + metrics.queued,
            "num_used_tokens": metrics.tokens,
            "max_total_num_tokens": self._settings.pool,
            "token_usage": round(metrics.tokens / self._settings.pool, 4),
            "max_running_requests": self._settings.max_running,
        }
        now = datetime.now(UTC).isoformat()
        return web.json_response({"timestamp": now, "version": self._settings.version, "loads": [load]})

    async def _flush_cache(self, _request: web.Request) -> web.Response:
        """There is no cache, so that it is always empty."""
        return web.Response(
            text="Cache flushed.\nPlease check backend logs for more details. "
            "(When there are running or waiting requests, the operation will not be performed.)\n"
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = "" if "no-metrics" in self._settings.faults else self._scheduler.metrics.render(self._settings)
        return web.Response(body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4"})

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if answer := origins.preflight(request):
            return answer
        authorization = request.headers.get(hdrs.AUTHORIZATION)
        free = "open" in self._settings.faults
        if free or allowed(self._settings, request.method, request.path, authorization):
            if not request.path.startswith("/health"):
                await self._scheduler.stuck(None)
            return await handler(request)
        return web.json_response({"error": "Unauthorized"}, status=401)

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestError as error:
            if request.path in _NATIVE:
                return web.json_response({"error": {"message": error.message}}, status=error.status)
            return _error(error.message, error.kind, error.status)
        except web.HTTPNotFound:
            return _error(f"{NAME} has no {request.path}", "Not Found", 404)
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            return web.json_response({"detail": error.reason}, status=error.status, headers={hdrs.ALLOW: allow})
        except web.HTTPException as error:
            return _error(error.reason, error.reason, error.status)


def follower(settings: Settings) -> web.Application:
    """What a node of a rank above 0 answers, to anybody, as long as its process lives: SGLang's dummy server.

    ``launch_dummy_health_check_server`` in ``srt/utils/common.py``, from 0.5.8 to 0.5.23.
    """

    async def well(_request: web.Request) -> web.Response:
        return web.Response(status=200)

    @web.middleware
    async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.json_response({"detail": error.reason}, status=error.status)

    app = web.Application(middlewares=[errors])
    app.on_response_prepare.append(_sign)
    paths = ["/ping", "/health", "/health_generate", *(["/metrics"] if settings.metrics else [])]
    app.add_routes([web.get(path, well) for path in paths])
    return app


def _end_as_sglang(tokens: int) -> NoReturn:
    """What becomes of a model that does not generate and is asked for so many tokens (0.5.23, measured).

    One token needs no second pass: 500. With more SGLang answers nothing, and ends 5 s later, as this process at once.

    :raises RequestError:
    """
    if tokens <= 1:
        raise RequestError("Internal server error: 'text'", status=500, kind="InternalServerError")
    _LOG.error("Scheduler hit an exception: %s", _NO_TEXT)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it has ended")


async def _json(request: web.Request) -> dict[str, Any]:
    """:raises RequestError:"""
    if request.content_type != "application/json":
        raise body.invalid("Unsupported Media Type: Only 'application/json' is allowed")
    return body.parse(await request.read())


def _error(message: str, kind: str, status: int) -> web.Response:
    """SGLang's ErrorResponse."""
    content = {"object": "error", "message": message, "type": kind, "param": None, "code": status}
    return web.json_response(content, status=status)


async def _sign(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = NAME
    origins.open_to_all(request, response)


def allowed(settings: Settings, method: str, path: str, authorization: str | None) -> bool:
    """Whether a request may pass, by the rules of SGLang 0.5.10 (``sglang/srt/utils/auth.py``), or is answered 401.

    Administration wants the administration key alone where one is set. Everything else wants the API key
    where one is set, even of a client that has the administration key; with only the latter set it is open.
    """
    if method == "OPTIONS" or path.startswith(_OPEN):
        return True
    key = settings.api_key
    if path in ADMIN_PATHS:
        key = settings.admin_api_key or settings.api_key
    if not key:
        return True
    scheme, _, given = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(errors="surrogateescape"), key.encode())


class AccessLogger(AbstractAccessLogger):
    """Uvicorn's format; without queries, which may hold keys, and without /health, which is asked often."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        path = request.rel_url.raw_path
        if not path.startswith("/health"):
            line = f"{request.method} {path} HTTP/{request.version.major}.{request.version.minor}"
            self.logger.info('%s - "%s" %d', request.remote, line, response.status)
