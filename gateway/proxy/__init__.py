"""The shell towards people: the guarded port, the admin port, and how a refusal looks.

Nothing here decides who may do what. `server.py` turns bytes into an `Inbound`, asks the
pipeline, and turns its `Outcome` into bytes; everything that knows aiohttp's server lives in
`wire.py`, `body.py`, `reply.py`, `server.py` and `admin.py`, everything that words a refusal
in `problem.py`, `screen.py` and `texts.yaml`.
"""
