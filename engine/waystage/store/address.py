"""Where a database is: one URL, for PostgreSQL also with several servers, of which one writes."""

from __future__ import annotations

import re
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from waystage.errors import StoreUnfit

# postgresql://USER@ONE:5432,OTHER:5432/NAME, as PostgreSQL's own tools write it
SEVERAL = re.compile(
    r"^(?P<kind>postgresql[^:]*://)(?P<who>[^@/]*@)?(?P<hosts>[^/?]*,[^/?]*)(?P<rest>[/?].*)?$"
)


def address(url: str) -> URL:
    """Read a URL; several servers become what the driver tries one after the other.

    Raises `StoreUnfit` for one that cannot be read.
    """
    try:
        parsed = make_url(_spread(url))
    except (ArgumentError, ValueError) as error:
        raise StoreUnfit(
            "database: it is neither sqlite:///FILE nor postgresql://HOST/NAME; several servers "
            "are written postgresql://HOST:5432,HOST:5432/NAME"
        ) from error
    hosts = parsed.query.get("host", ())
    if not isinstance(hosts, str) and "target_session_attrs" not in parsed.query:
        # of a primary and its copies, the one that writes
        parsed = (
            parsed.update_query_dict({"target_session_attrs": "read-write"}) if hosts else parsed
        )
    return parsed


def _spread(url: str) -> str:
    found = SEVERAL.match(url)
    if found is None:
        return url
    path, _, query = (found["rest"] or "").partition("?")
    hosts = "&".join(f"host={quote(host)}" for host in found["hosts"].split(","))
    return f"{found['kind']}{found['who'] or '@'}{path or '/'}?{hosts}{'&' if query else ''}{query}"
