"""The application with which each service begins: what is alike in all that answer over HTTP."""

from typing import Any

from fastapi import Depends, FastAPI

from events.web import bodies, openapi
from events.web.parameters import sound


def application(title: str, **more: Any) -> FastAPI:
    """Without resources: bodies are limited, parameters are sound, and OpenAPI tells of problem documents.

    ``more``: what FastAPI takes besides.
    """
    app = FastAPI(
        title=title, version="1", docs_url=None, redoc_url=None, responses=openapi.PROBLEMS, dependencies=[Depends(sound)], **more
    )
    openapi.install(app)
    bodies.install(app)
    return app
