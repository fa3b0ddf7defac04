"""The application with which each service begins: what is alike in all that answer over HTTP."""

from typing import Any

from fastapi import FastAPI

from events.web import bodies, openapi


def application(title: str, **more: Any) -> FastAPI:
    """Without resources: bodies are limited, and OpenAPI tells of problem documents. ``more``: what FastAPI takes besides."""
    app = FastAPI(title=title, version="1", docs_url=None, redoc_url=None, responses=openapi.PROBLEMS, **more)
    openapi.install(app)
    bodies.install(app)
    return app
