"""Issues a statement in processes of their own that are killed: started by `test_crash.py`.

Reads one order a line from its input, forks, and answers with one line: how the process ended. An
order is JSON and says what to issue, `how` to die and at which `number`. The process kills itself
before its SQL statement `number` reaches the server (`before`), after the commit (`after`), or
never (`never`); with `half` it commits when the envelope is about to leave, and dies then.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import datetime
from uuid import UUID

from sqlalchemy import NullPool, create_engine, event

from regional311.chargeback import billing
from regional311.database.session import Scope, session_scope


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def issue(given: dict, how: str, number: int) -> int:
    """Issue the statements; return how many SQL statements that took."""
    engine = create_engine(given["url"], poolclass=NullPool)
    sent = 0

    def count(connection, cursor, statement, parameters, context, executemany) -> None:
        nonlocal sent
        sent += 1
        if how == "before" and sent == number:
            die()
        if how == "half" and "envelopes" in statement:
            cursor.connection.commit()
            die()

    event.listen(engine, "before_cursor_execute", count)
    scope = Scope(UUID(given["tenant"]), UUID(given["person"]))
    for statement in given["statements"]:
        with session_scope(engine, scope) as session:
            billing.issue(session, UUID(statement), now=datetime.fromisoformat(given["now"]))
    if how == "after":
        die()
    return sent


def serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, str(issue(order, order["how"], order["number"])).encode())
            os._exit(0)
        os.close(writer)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as answer:
            sent = answer.read().decode()
        print(f"killed {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"done {sent}")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
