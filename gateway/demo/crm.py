"""The sample salon's CRM: a process of its own, SQLite behind, no idea that a gateway exists.

    python -m gateway.demo.crm --port 0 --database /tmp/crm.sqlite3

It shows everything to everybody who reaches it, as many CRMs do: the phone stands twice, an
export gives away the client base, a search looks at hidden fields. That is what is guarded.
"""

import argparse
import asyncio
import csv
import io
import json
import signal
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.demo.people import bookings, clients, messages

PAGE = 20
MAX_PAGE = 200
DATABASE: web.AppKey[sqlite3.Connection] = web.AppKey("database", sqlite3.Connection)

Record = dict[str, Any]
routes = web.RouteTableDef()


def open_database(path: Path) -> sqlite3.Connection:
    """Open the CRM's database; fill it if it is new."""
    database = sqlite3.connect(path)
    with database:
        for kind, samples in (
            ("clients", clients),
            ("messages", messages),
            ("bookings", bookings),
        ):
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {kind} (id INTEGER PRIMARY KEY, record TEXT NOT NULL)"
            )
            (count,) = database.execute(f"SELECT count(*) FROM {kind}").fetchone()  # noqa: S608
            if not count:
                database.executemany(
                    f"INSERT INTO {kind} VALUES (?, ?)",  # noqa: S608  # three words of ours
                    ((record["id"], _text(record)) for record in samples()),
                )
    return database


def _text(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False)


class Table:
    """One kind of record in the database. `kind` is one of three words of ours."""

    def __init__(self, request: web.Request, kind: str) -> None:
        self._database = request.app[DATABASE]
        self._kind = kind

    def all(self) -> list[Record]:
        """Every record, by id."""
        rows = self._database.execute(f"SELECT record FROM {self._kind} ORDER BY id")  # noqa: S608
        return [json.loads(text) for (text,) in rows]

    def get(self, number: str) -> Record:
        """One record, or 404."""
        # 18 digits always fit SQLite's 63 bits.
        if not number.isascii() or not number.isdigit() or len(number) > 18:
            raise web.HTTPNotFound
        found = self._database.execute(
            f"SELECT record FROM {self._kind} WHERE id = ?",  # noqa: S608
            (int(number),),
        ).fetchone()
        if found is None:
            raise web.HTTPNotFound
        record: Record = json.loads(found[0])
        return record

    def put(self, record: Record) -> Record:
        """Write a record; one without an id gets the next."""
        with self._database:
            if "id" not in record:
                (last,) = self._database.execute(
                    f"SELECT max(id) FROM {self._kind}"  # noqa: S608
                ).fetchone()
                record = {"id": (last or 0) + 1, **record}
            self._database.execute(
                f"INSERT OR REPLACE INTO {self._kind} VALUES (?, ?)",  # noqa: S608
                (record["id"], _text(record)),
            )
        return record

    def delete(self, number: int) -> None:
        """Remove a record."""
        with self._database:
            self._database.execute(f"DELETE FROM {self._kind} WHERE id = ?", (number,))  # noqa: S608


def _page(request: web.Request, records: list[Record]) -> list[Record]:
    """One page of a list."""
    try:
        page = max(1, int(request.query.get("page", "1")))
        size = min(MAX_PAGE, max(1, int(request.query.get("per_page", str(PAGE)))))
    except ValueError:
        raise web.HTTPBadRequest from None
    return records[(page - 1) * size : page * size]


def _answer(body: Any, *, status: int = 200, total: int | None = None) -> web.Response:
    headers = {} if total is None else {"X-Total-Count": str(total)}
    return web.json_response(body, status=status, headers=headers, dumps=_text)


def _contains(record: Record, names: Iterable[str], wanted: str) -> bool:
    return any(wanted.casefold() in str(record.get(name, "")).casefold() for name in names)


async def _body(request: web.Request) -> Record:
    try:
        body = await request.json()
    except ValueError:
        raise web.HTTPBadRequest from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest
    return body


async def _created(request: web.Request, kind: str) -> web.Response:
    """A new record; the CRM chooses its id."""
    record = await _body(request)
    record.pop("id", None)
    return _answer(Table(request, kind).put(record), status=201)


@routes.get("/api/clients")
async def list_clients(request: web.Request) -> web.Response:
    """The client list, searched and sorted."""
    found = Table(request, "clients").all()
    query = request.query
    if "q" in query:
        found = [r for r in found if _contains(r, ("name", "kana", "phone"), query["q"])]
    for name in ("email", "phone"):
        if name in query:
            found = [r for r in found if r[name] == query[name]]
    if "sort" in query:
        key = query["sort"].removeprefix("-")
        found.sort(key=lambda r: str(r.get(key, "")), reverse=query["sort"].startswith("-"))
    return _answer(_page(request, found), total=len(found))


@routes.get("/api/clients/export")
async def export_clients(request: web.Request) -> web.Response:
    """The whole client base as CSV: what a leaver would like to have."""
    text = io.StringIO()
    found = Table(request, "clients").all()
    columns = dict.fromkeys(name for record in found for name in record)
    writer = csv.DictWriter(text, fieldnames=list(columns))
    writer.writeheader()
    writer.writerows(found)
    return web.Response(text=text.getvalue(), content_type="text/csv")


@routes.post("/api/clients")
async def create_client(request: web.Request) -> web.Response:
    """A new card."""
    return await _created(request, "clients")


@routes.get("/api/clients/{id}")
async def read_client(request: web.Request) -> web.Response:
    """One card."""
    return _answer(Table(request, "clients").get(request.match_info["id"]))


@routes.put("/api/clients/{id}")
async def replace_client(request: web.Request) -> web.Response:
    """A card, whole: what is not sent is lost."""
    table = Table(request, "clients")
    old = table.get(request.match_info["id"])
    return _answer(table.put(await _body(request) | {"id": old["id"]}))


@routes.patch("/api/clients/{id}")
async def update_client(request: web.Request) -> web.Response:
    """Some members of a card."""
    table = Table(request, "clients")
    old = table.get(request.match_info["id"])
    return _answer(table.put(old | await _body(request) | {"id": old["id"]}))


@routes.delete("/api/clients/{id}")
async def delete_client(request: web.Request) -> web.Response:
    """A card, gone."""
    table = Table(request, "clients")
    table.delete(table.get(request.match_info["id"])["id"])
    return web.Response(status=204)


@routes.post("/api/clients/{id}/merge")
async def merge_clients(request: web.Request) -> web.Response:
    """Two cards become one. Cannot be undone."""
    table = Table(request, "clients")
    kept = table.get(request.match_info["id"])
    other = table.get(str((await _body(request)).get("duplicate_id", "")))
    if other["id"] == kept["id"]:
        raise web.HTTPConflict
    kept["visits"] += other["visits"]
    table.delete(other["id"])
    return _answer(table.put(kept))


def _with_client(request: web.Request, message: Record) -> Record:
    """A message with its client embedded."""
    try:
        client = Table(request, "clients").get(str(message["client_id"]))
    except web.HTTPNotFound:
        return message
    shown = {name: client.get(name) for name in ("id", "name", "phone", "email")}
    return message | {"client": shown}


@routes.get("/api/messages")
async def list_messages(request: web.Request) -> web.Response:
    """Messages in an envelope."""
    found = Table(request, "messages").all()
    if "client_id" in request.query:
        found = [r for r in found if str(r["client_id"]) == request.query["client_id"]]
    shown = [_with_client(request, r) for r in _page(request, found)]
    return _answer({"data": shown, "total": len(found)})


@routes.get("/api/messages/{id}")
async def read_message(request: web.Request) -> web.Response:
    """One message."""
    found = Table(request, "messages").get(request.match_info["id"])
    return _answer(_with_client(request, found))


@routes.post("/api/messages")
async def send_message(request: web.Request) -> web.Response:
    """A new message to a client."""
    return await _created(request, "messages")


@routes.get("/api/bookings")
async def list_bookings(request: web.Request) -> web.Response:
    """The booking book."""
    found = Table(request, "bookings").all()
    if "date" in request.query:
        found = [r for r in found if r["starts_at"].startswith(request.query["date"])]
    if "stylist_id" in request.query:
        found = [r for r in found if r["stylist_id"] == request.query["stylist_id"]]
    return _answer({"results": found, "count": len(found)})


@routes.get("/api/bookings/{id}")
async def read_booking(request: web.Request) -> web.Response:
    """One booking."""
    return _answer(Table(request, "bookings").get(request.match_info["id"]))


@routes.post("/api/bookings")
async def create_booking(request: web.Request) -> web.Response:
    """A new booking."""
    return await _created(request, "bookings")


@routes.patch("/api/bookings/{id}")
async def update_booking(request: web.Request) -> web.Response:
    """A booking, moved."""
    table = Table(request, "bookings")
    old = table.get(request.match_info["id"])
    return _answer(table.put(old | await _body(request) | {"id": old["id"]}))


STAFF_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Salon</title>
<link rel="stylesheet" href="/assets/staff.css"></head>
<body><h1>Clients</h1><p>Loading.</p><ul id="clients"></ul>
<script src="/assets/staff.js"></script></body></html>
"""
STAFF_CSS = "body { font: 16px/1.5 sans-serif; margin: 2rem auto; max-width: 40rem }\n"
STAFF_JS = """const list = document.getElementById('clients');
const status = document.querySelector('p');
fetch('/api/clients', {headers: {Accept: 'application/json'}}).then(async (answer) => {
  const body = await answer.json();
  if (!answer.ok) { status.textContent = body.title; return; }
  status.textContent = `${body.length} clients on this page`;
  for (const card of body) {
    const item = document.createElement('li');
    item.textContent = card.name ?? `client ${card.id}`;
    list.append(item);
  }
});
"""


@routes.get("/staff")
async def staff_page(_request: web.Request) -> web.Response:
    """The page that staff open."""
    return web.Response(text=STAFF_PAGE, content_type="text/html")


@routes.get("/assets/staff.css")
async def staff_css(_request: web.Request) -> web.Response:
    """Its style."""
    return web.Response(text=STAFF_CSS, content_type="text/css")


@routes.get("/assets/staff.js")
async def staff_js(_request: web.Request) -> web.Response:
    """Its script."""
    return web.Response(text=STAFF_JS, content_type="text/javascript")


@routes.get("/health")
async def health(_request: web.Request) -> web.Response:
    """Is it there?"""
    return web.Response(text="ok")


def application(database: sqlite3.Connection) -> web.Application:
    """The CRM, on an open database."""
    app = web.Application()
    app[DATABASE] = database
    app.add_routes(routes)
    return app


async def serve(port: int, path: Path) -> None:
    """Serve on loopback until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    with closing(open_database(path)) as database:
        runner = web.AppRunner(application(database), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        listening = runner.addresses[0][1]
        print(json.dumps({"event": "listening", "port": listening}), flush=True)
        try:
            await stopped.wait()
        finally:
            await runner.cleanup()


def main() -> None:
    """The command line of this process."""
    words = argparse.ArgumentParser(description="The sample salon's CRM.")
    words.add_argument("--port", type=int, default=0, help="0 = any free port")
    words.add_argument("--database", type=Path, required=True)
    args = words.parse_args()
    asyncio.run(serve(args.port, args.database))


if __name__ == "__main__":
    main()
