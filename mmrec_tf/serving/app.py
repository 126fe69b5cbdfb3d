"""A service over HTTP: ask for recommendations, add items that have never been seen, reload."""

import contextlib
import inspect
import json
import math
import secrets
import time
from typing import Annotated

from mmrec_tf.datasets.media import MediaError
from mmrec_tf.serving.service import ConflictError, Query, Service

try:
    import fastapi
    import prometheus_client
    import pydantic
    from fastapi import Depends, File, Form, HTTPException, Response, UploadFile
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from fastapi.security import APIKeyHeader
except ImportError as error:
    raise ImportError(
        "mmrec_tf.serving needs FastAPI, uvicorn, python-multipart and prometheus-client: "
        "pip install 'mmrec_tf[serve]'."
    ) from error

__all__ = ["create_app"]

_MAX_IDS = 1000  # In a history, and to exclude.
_MAX_TEXT = 100_000  # Characters.
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
# To JSON 5.0 is an integer; what is strict would refuse it, what is not would take "5".
_WHOLE = pydantic.BeforeValidator(
    lambda value: int(value) if isinstance(value, float) and value.is_integer() else value
)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def create_app(load, journal, *, api_key=None, max_k=100, max_bytes=2**24):
    """Return a FastAPI application that serves what `load` returns.

    It answers at

    - `POST /recommend`: the best items for a `history` of ids, the latest first, or for a `user`
      of the servable's histories. A user that these do not have, and a history without an item
      that the model was trained with, get what the model recommends to somebody of whom nothing
      is known, and `fallback` says so;
    - `GET /similar`: the items whose vectors point where that of one `item` does;
    - `POST /items`: add an item that the model has never seen, by its content. It can be
      recommended, and asked for at `/similar`, as soon as this is answered;
    - `DELETE /items/{id}`: recommend an item no more;
    - `POST /reload`: call `load` again, and go over to what it returns, together with all that was
      added and deleted. No request is dropped, and if `load` fails, all stays as it is;
    - `GET /healthz`, `GET /metrics` for Prometheus, `GET /docs` and `GET /openapi.json`.

    The content of added items is in the journal before a client hears of it: when the service is
    killed and starts again, or goes over to a new model, it is encoded anew. Requests that wait
    at the same time are answered together, by all cores: run one process a journal.

    Args:
        load: function without arguments that returns a `Servable`, a new one each time; for
            instance `lambda: load_servable("model")`, where `model` is a link to the newest.
        journal: path of an SQLite file; it is created if there is none.
        api_key: None, or what clients send as `X-API-Key`, to all but `/healthz` and the docs.
        max_k: largest number of items that a request may ask for.
        max_bytes: largest body of a request; by default 16 MiB.

    Returns:
        `fastapi.FastAPI`; run it with uvicorn.

    Raises:
        ValueError: as `load` does, if the journal is damaged or in use, or if an item in it cannot
            be encoded.

    Example of a file `service.py`, to be run with `uvicorn --factory service:create`::

        import os
        from mmrec_tf.serving import create_app, load_servable

        def create():
            return create_app(
                lambda: load_servable("model"), "items.db", api_key=os.environ["API_KEY"]
            )
    """
    service = Service(load, journal)
    app = fastapi.FastAPI(
        title="mmrec_tf",
        description="Recommendations of a two-tower model, of items that are new, too. "
        f"A request has a body of at most {max_bytes:,} bytes.",
        lifespan=lambda app: _running(service),
        max_body_size=max_bytes,
    )
    app.add_exception_handler(RequestValidationError, _explain)
    registry = _measure(app, service)
    guards = [] if api_key is None else [Depends(_check_key(api_key))]
    router = fastapi.APIRouter(
        dependencies=guards, responses=_errors(422) if api_key is None else _errors(401, 422)
    )
    _add_routes(router, service, max_k)

    @router.get("/metrics", response_class=Response, responses=_errors())
    async def metrics():
        """Return counts, times and sizes, as Prometheus reads them."""
        text = prometheus_client.generate_latest(registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    app.include_router(router)

    @app.get("/healthz")
    async def healthz() -> _Status:
        """Say that the service is there, and what it serves."""
        return _status(service)

    return app


class _Status(pydantic.BaseModel):
    items: int = pydantic.Field(description="How many can be recommended.")
    version: int = pydantic.Field(description="How often a model has been loaded.")


class _Error(pydantic.BaseModel):
    detail: str


def _status(service):
    return _Status(items=len(service.servable.index), version=service.version)


@contextlib.asynccontextmanager
async def _running(service):
    async with service.running():
        yield


def _add_routes(router, service, max_k):
    # The form alone is kept by what follows: it lasts, while servables are exchanged.
    form = service.servable.form
    integers = form["ids"] == "int"
    rule = {"ge": -(2**63), "le": 2**63 - 1} if integers else {"min_length": 1, "max_length": 200}
    id_type = int if integers else str
    Id = Annotated[id_type, pydantic.Field(strict=True, **rule), _WHOLE]
    Ids = Annotated[list[Id], pydantic.Field(max_length=_MAX_IDS)]
    default_k = min(10, max_k)

    class Wanted(pydantic.BaseModel, extra="forbid"):
        exclude: Ids = pydantic.Field([], description="Items that are not wanted.")
        k: Annotated[int, pydantic.Field(strict=True, ge=1, le=max_k), _WHOLE] = default_k
        if form["features"]:
            features: list[pydantic.FiniteFloat] = pydantic.Field(
                min_length=form["features"], max_length=form["features"]
            )

    class ForUser(Wanted):
        user: Annotated[str, pydantic.Field(max_length=200)]

    class ForHistory(Wanted):
        history: Ids = pydantic.Field(description="Items' ids, the latest first.")

    def whose(body):
        return next((n for n in ("user", "history") if isinstance(body, dict) and n in body), None)

    # With `|` alone, the error of one would come with those of the other.
    Question = Annotated[
        Annotated[ForUser, pydantic.Tag("user")] | Annotated[ForHistory, pydantic.Tag("history")],
        pydantic.Discriminator(
            whose,
            custom_error_type="whose",
            custom_error_message="Expected an object with either `user` or `history`.",
        ),
    ]

    class Item(pydantic.BaseModel):
        id: id_type
        score: float

    class Recommendations(pydantic.BaseModel):
        items: list[Item]
        fallback: str | None = pydantic.Field(
            description="Why nothing that is known of the user was used; null if something was."
        )
        version: int

    class Similar(pydantic.BaseModel):
        items: list[Item]
        version: int

    def items(ids, scores):
        return [Item(id=id, score=score) for id, score in zip(ids, scores, strict=True)]

    @router.post("/recommend", responses=_errors(400, 413))
    async def recommend(question: Question) -> Recommendations:
        """Return the best items for a user or a history, without what is in it."""
        fallback = None
        if isinstance(question, ForUser):
            history = service.servable.histories.get(question.user)
            if history is None:
                history, fallback = [], "unknown user"
        else:
            history = question.history
            if not any(map(service.servable.knows, history)):
                fallback = "no known item in the history"
        features = getattr(question, "features", None)
        with _http_errors():
            query = Query(history, question.exclude, question.k, features)
            *found, version = await service.recommend(query)
        return Recommendations(items=items(*found), fallback=fallback, version=version)

    @router.get("/similar", responses=_errors(404))
    async def similar(
        item: Annotated[id_type, fastapi.Query(**rule)],
        k: Annotated[int, fastapi.Query(ge=1, le=max_k)] = default_k,
    ) -> Similar:
        """Return the items whose vectors have the highest cosines with that of one item."""
        with _http_errors():
            *found, version = await service.similar(item, k)
        return Similar(items=items(*found), version=version)

    async def add(id, features=None, **parts) -> _Status:
        """Add an item that the model has never seen, by at least one part of its content."""
        read = {}
        for number, name in enumerate(form["content"]):
            part = parts[f"part_{number}"]
            if isinstance(part, str):
                read[name] = ("", part.encode())
            elif part is not None:
                read[name] = (part.filename or "", await part.read())
        with _http_errors():
            await service.add(id, read, None if features is None else _numbers(features))
        return _status(service)

    add.__signature__ = _signature(form, Annotated[id_type, Form(**rule)])
    post = {"status_code": 201, "responses": _errors(400, 409, 413)}
    if form["content"]:
        schema = {"anyOf": [{"required": [name]} for name in form["content"]]}
        content = {"multipart/form-data": {"schema": schema}}
        post["openapi_extra"] = {"requestBody": {"content": content}}
    router.post("/items", **post)(add)

    @router.delete("/items/{id:path}", responses=_errors(404))
    async def remove(id: Annotated[id_type, fastapi.Path(**rule)]) -> _Status:
        """Recommend an item no more, whether it was added or came with the model."""
        with _http_errors():
            await service.remove(id)
        return _status(service)

    @router.post("/reload", responses=_errors(409))
    async def reload() -> _Status:
        """Go over to the newest model, with all items that were added or deleted since."""
        with _http_errors():
            await service.reload()
        return _status(service)


def _signature(form, id_type):
    """Return the signature of an HTTP form with a field for each modality, for FastAPI to read."""
    fields = {"id": (id_type, inspect.Parameter.empty)}
    for number, (name, kind) in enumerate(form["content"].items()):
        text = Annotated[str | None, Form(alias=name, max_length=_MAX_TEXT)]
        file = Annotated[UploadFile | None, File(alias=name, description=f"A file: {kind}.")]
        # A modality may have a name that no parameter can have.
        fields[f"part_{number}"] = (text if kind == "text" else file, None)
    if form["item features"]:
        about = Form(description="A JSON list of numbers.", max_length=_MAX_TEXT)
        fields["features"] = (Annotated[str, about], inspect.Parameter.empty)
    parameters = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
        )
        for name, (annotation, default) in fields.items()
    ]
    return inspect.Signature(parameters, return_annotation=_Status)


def _numbers(text):
    """Return the finite numbers of a JSON list."""
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        numbers = [float(number) for number in json.loads(text)]
        if all(map(math.isfinite, numbers)):
            return numbers
    raise ValueError(
        f"Expected `features` to be a JSON list of finite numbers. Received: {text!r}."
    )


def _check_key(api_key):
    header = APIKeyHeader(name="X-API-Key", auto_error=False)

    def check(key: Annotated[str | None, Depends(header)]):
        # In a time that says nothing of how much was right.
        if not secrets.compare_digest((key or "").encode("latin-1"), api_key.encode()):
            raise HTTPException(401, "Expected the key of this service in the header X-API-Key.")

    return check


@contextlib.contextmanager
def _http_errors():
    """Turn what is raised for a bad request into the HTTP status that says so."""
    try:
        yield
    except ConflictError as error:
        raise HTTPException(409, str(error)) from error
    except MediaError as error:
        raise HTTPException(413 if error.kind == "too large" else 422, str(error)) from error
    except KeyError as error:
        raise HTTPException(404, error.args[0]) from error
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


def _errors(*statuses):
    """Return what OpenAPI says of answers with an error."""
    return {status: {"model": _Error} for status in statuses}


async def _explain(request, error):
    """Say what is wrong with a request, and where, without what cannot be said in JSON."""
    places = (
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:10]
    )
    return JSONResponse({"detail": "; ".join(places)}, 422)


def _measure(app, service):
    """Count and time all requests; return the registry of what is measured."""
    registry = prometheus_client.CollectorRegistry()
    seconds = prometheus_client.Histogram(
        "mmrec_request_seconds",
        "Time to answer a request.",
        ["method", "path", "status"],
        buckets=_SECONDS,
        registry=registry,
    )
    batches = prometheus_client.Histogram(
        "mmrec_batch_queries",
        "Queries that were answered together.",
        buckets=_SIZES,
        registry=registry,
    )
    service.on_batch = batches.observe
    for name, about, value in (
        ("mmrec_items", "Items that can be recommended.", lambda: len(service.servable.index)),
        ("mmrec_version", "How often a model has been loaded.", lambda: service.version),
    ):
        prometheus_client.Gauge(name, about, registry=registry).set_function(value)

    class Measure:
        """Not a middleware of Starlette's own base class, which would copy every message."""

        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] != "http":
                return await self.app(scope, receive, send)
            start, status = time.perf_counter(), 500

            async def note(message):
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await self.app(scope, receive, note)
            finally:
                # Not the address itself, of which there are as many as items.
                path = getattr(scope.get("route"), "path", "other")
                seconds.labels(scope["method"], path, status).observe(time.perf_counter() - start)

    app.add_middleware(Measure)
    return registry
