#!/usr/bin/env python3
"""A worker that needs nothing of the gateway but its database: worker.py DATABASE_URL [RUNTIME]"""
import os
import secrets
import select
import socket
import sys
import psycopg  # Debian: python3-psycopg

def answer(messages):
    """The agent. It may take up to the ten minutes of its claim; longer runs call gateway.extend_task meanwhile."""
    return "You said: " + ", then: ".join(message["content"] for message in messages)

url, runtime = sys.argv[1], (sys.argv[2:] or ["default"])[0]
worker = f"{socket.gethostname()}.{os.getpid()}"
token = secrets.token_hex(32)  # without it nobody else can end our claims
with psycopg.connect(url, autocommit=True) as db:
    db.execute("LISTEN gateway_task")
    while True:
        claim = "SELECT task_id, messages FROM gateway.claim_task(%s, %s, '10 minutes', token => %s)"
        task = db.execute(claim, (runtime, worker, token)).fetchone()
        if task is None:
            select.select([db.fileno()], [], [], 1)  # a task may have been queued, or a claim have run out
            continue
        try:
            db.execute("SELECT gateway.complete_task(%s, %s, %s, %s)", (task[0], worker, answer(task[1]), token))
        except psycopg.Error as error:
            if error.sqlstate != "GW001":  # the claim ran out: somebody else has the task now
                raise
        except Exception as error:
            db.execute("SELECT gateway.fail_task(%s, %s, %s, %s)", (task[0], worker, repr(error), token))
