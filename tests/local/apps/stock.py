"""A web function whose port is its own affair, with WebSockets: it does not know that it runs locally."""

import asyncio
import os
import subprocess
import sys

import modal
from aiohttp import WSMsgType, web

PORT = int(os.environ["STOCK_PORT"])

app = modal.App("stock", image=modal.Image.debian_slim().env({"STOCK_PORT": str(PORT)}))


@app.function(max_containers=1, scaledown_window=60)
@modal.concurrent(max_inputs=10)
@modal.web_server(PORT, startup_timeout=300)
def site() -> None:
    subprocess.Popen([sys.executable, __file__])


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=["shout"])
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data.upper())
        else:
            await socket.send_bytes(message.data[::-1])
    return socket


async def headers(request: web.Request) -> web.StreamResponse:
    return web.json_response(dict(request.headers))


async def events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(20):
        await response.write(f"data: {request.query['name']} {number}\n\n".encode())
        await asyncio.sleep(0.001)
    return response


if __name__ == "__main__":
    site_app = web.Application()
    site_app.router.add_get("/echo", echo)
    site_app.router.add_get("/headers", headers)
    site_app.router.add_get("/events", events)
    web.run_app(site_app, host="127.0.0.1", port=PORT, print=None)
