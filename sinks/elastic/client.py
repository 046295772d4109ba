"""An Elasticsearch client, and what each of its failures means."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from elastic_transport import ConnectionError, ConnectionTimeout, SerializationError, TransportError  # noqa: A004
from elasticsearch import ApiError, AsyncElasticsearch, UnsupportedProductError

from schemas.errors import ServiceUnavailable
from schemas.logins import address_of, login_of, why_not_trusted

REQUEST_TIMEOUT_S: Final = 30.0
ADVICE: Final = {
    401: "it does not accept user and password: check OUTCRY_ELASTICSEARCH_URL",
    403: "the user has no right to do that, or the node's disk is nearly full",
    429: "it is overloaded; try again",
    502: "a proxy before it cannot reach it; try again",
    503: "it is starting or has no master; try again",
    504: "a proxy before it got no answer; try again",
}
"""What to do, by HTTP status. Other statuses are bugs of ours."""


def open_elasticsearch(url: str) -> AsyncElasticsearch:
    """A client; does not connect yet. The caller retries: only it knows that creating a document twice does no harm."""
    if not url:
        raise ServiceUnavailable("Elasticsearch has no address: OUTCRY_ELASTICSEARCH_URL is not set; run `outcry up`")
    login, url = login_of(url), address_of(url)
    if login is not None:
        return AsyncElasticsearch(
            url, request_timeout=REQUEST_TIMEOUT_S, max_retries=0, retry_on_timeout=False,
            basic_auth=(login.name, login.password), ssl_context=login.tls(),
        )  # fmt: skip
    return AsyncElasticsearch(url, request_timeout=REQUEST_TIMEOUT_S, max_retries=0, retry_on_timeout=False)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the client raises into ServiceUnavailable where it is one."""
    try:
        yield
    except (UnsupportedProductError, SerializationError) as error:
        raise ServiceUnavailable("what answers is not Elasticsearch: check OUTCRY_ELASTICSEARCH_URL") from error
    except ApiError as error:
        advice = ADVICE.get(error.status_code)
        if advice is None:
            raise
        raise ServiceUnavailable(f"Elasticsearch at {_where(error)} refused the request ({error.status_code}): {advice}") from error
    except (ConnectionError, ConnectionTimeout) as error:
        advice = (
            "no answer in time; see its log"
            if isinstance(error, ConnectionTimeout)
            else "nothing answers there: run `outcry up`, or start the server"
        )
        raise ServiceUnavailable(f"Elasticsearch refused the request ({why_not_trusted(error) or _cause(error)}): {advice}") from error


def _where(error: ApiError) -> str:
    node = error.meta.node
    return f"{node.host}:{node.port}"


def _cause(error: TransportError) -> str:
    return str(error.message) or type(error).__name__
