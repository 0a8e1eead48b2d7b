"""The embedded cloud as a process of its own: ``python -m glmdeploy.local.daemon [GATEWAY_PORT]``."""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
import sys

from glmdeploy.errors import LocalCloudError
from glmdeploy.local.cloud import ALREADY_RUNNING, announce, announce_end, hold_lock
from glmdeploy.local.home import Home, default_home
from glmdeploy.local.server import serve

log = logging.getLogger("glmdeploy.local")


async def _run(home: Home, port: int | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(home.root, gateway_port=port) as running:
        announce(running.cloud)
        log.info("ready: %s", running.cloud)
        await stop.wait()
        announce_end(home)
        log.info("stopping")


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It reports as an error, or at length, that a container or a client has hung up.
    logging.getLogger("grpclib").setLevel(logging.CRITICAL)
    home = Home(root=default_home())
    home.create()
    if not hold_lock(home):
        log.info("another daemon is running in %s", home.root)
        return ALREADY_RUNNING
    home.state.unlink(missing_ok=True)
    try:
        asyncio.run(_run(home, int(arguments[0]) if arguments else None))
    except LocalCloudError as fault:
        print(fault.message, *filter(None, [fault.advice]), sep="\n", file=sys.stderr)
        return 1
    except (OSError, sqlite3.Error, ValueError) as fault:
        log.debug("the start failed", exc_info=True)
        print(f"{home.root} cannot be used: {fault}", file=sys.stderr)
        return 1
    finally:
        home.state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
