"""Requests passed on to a web server that says, byte for byte, what the test wants it to say."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from raw_site import raw, site
from support import PATIENCE

from glmdeploy.local import upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from raw_site import Connection, Site

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MEBIBYTE = b"x" * 2**20


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, PATIENCE))


async def always(connection: Connection, head: bytes) -> None:
    await connection.say(OK)


async def get(served: Site, method: str = "GET", **more: Any) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.request(method, f"{served.url}/", **more) as response:
        return response.status, await response.read()


def test_a_connection_is_used_again_and_closed_when_nobody_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with site(always) as served:
            assert [await get(served) for _ in range(3)] == [(200, b"ok")] * 3
            assert [connection.answered for connection in served.connections] == [3]
            monkeypatch.setattr(upstream, "IDLE_SECONDS", 0.01)
            await get(served)
            await served.ended.wait()

    run(test())


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ],
)
def test_a_connection_is_not_used_again(said: bytes) -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(said)

    async def test() -> None:
        async with site(answer) as served:
            assert [await get(served) for _ in range(3)] == [(200, b"ok")] * 3
            assert [connection.answered for connection in served.connections] == [1] * 3

    run(test())


def test_a_container_is_not_asked_over_the_connection_of_another() -> None:
    async def test() -> None:
        async with site(always) as served:
            await get(served)
            served.member.task_id = "ta-2"  # another one, at the same port
            await get(served)
            assert [connection.answered for connection in served.connections] == [1, 1]

    run(test())


def test_connections_that_the_server_closes_after_an_answer_lose_no_request() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.body(head)
        await connection.say(OK)
        connection.writer.close()

    async def test() -> None:
        async with site(answer) as served:
            answers = [await get(served, "POST", data=b"{}") for _ in range(50)]
            assert answers == [(200, b"ok")] * 50

    run(test())


@pytest.mark.parametrize(("method", "status", "connections"), [("GET", 200, 2), ("POST", 502, 1)])
def test_who_is_cut_off_on_a_used_connection_is_asked_again_if_it_may_be(
    method: str, status: int, connections: int
) -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        if connection.answered:
            connection.writer.transport.abort()
        else:
            await connection.say(OK)

    async def test() -> None:
        async with site(answer) as served:
            assert (await get(served))[0] == 200
            assert (await get(served, method))[0] == status
            assert len(served.connections) == connections

    run(test())


def test_a_new_connection_that_ends_without_a_word_is_not_asked_twice() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        connection.writer.transport.abort()

    async def test() -> None:
        async with site(answer) as served:
            status, body = await get(served)
            assert status == 502
            assert b"broke the connection off" in body
            assert len(served.connections) == 1

    run(test())


@pytest.mark.parametrize("begun", [b"", CHUNKED, CHUNKED + b"2\r\nok\r\n"])
def test_a_client_that_hangs_up_ends_the_request_at_once(begun: bytes) -> None:
    asked = asyncio.Event()

    async def answer(connection: Connection, head: bytes) -> None:
        asked.set()
        await connection.say(begun)
        await connection.reader.read()  # until the connection ends

    async def test() -> None:
        async with site(answer) as served:
            async with raw(served, b"GET /label/ HTTP/1.1\r\nHost: x\r\n\r\n") as (reader, _):
                await asked.wait()
                if begun:
                    await reader.readuntil(b"\r\n\r\n")
            await served.ended.wait()

    run(test())


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        CHUNKED + b"2\r\nok\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\n",
        CHUNKED + b"2\r\nokay\r\n0\r\n\r\n",
    ],
)
def test_an_answer_that_is_cut_off_arrives_cut_off(said: bytes) -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(said)
        connection.writer.close()

    async def test() -> None:
        async with site(answer) as served:
            with pytest.raises(aiohttp.ClientError):
                await get(served)

    run(test())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n\r\n", b"A" * 300_000])
def test_what_is_no_answer_is_502(said: bytes) -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(said)
        connection.writer.close()

    async def test() -> None:
        async with site(answer) as served:
            assert (await get(served))[0] == 502

    run(test())


def test_a_port_where_nothing_listens_stops_the_container() -> None:
    async def test() -> None:
        async with site(always) as served:
            served.port = 1
            assert (await get(served))[0] == 502
            assert served.told == ["nothing listens on the web server's port any more: the container is stopped"]

    run(test())


@pytest.mark.parametrize(
    ("method", "said", "expected"),
    [
        ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, (200, b"ok")),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", (200, b"")),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (304, b"")),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, b"")),
        ("GET", CHUNKED + b"0\r\n\r\n", (200, b"")),
    ],
)
def test_answers_with_little_in_them(method: str, said: bytes, expected: tuple[int, bytes]) -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(said)

    async def test() -> None:
        async with site(answer) as served:
            assert [await get(served, method) for _ in range(2)] == [expected] * 2
            assert len(served.connections) == 1

    run(test())


def test_a_length_beside_chunks_does_not_count() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n")
        await connection.say(b"2\r\nok\r\n0\r\n\r\n")

    async def test() -> None:
        async with site(answer) as served:
            assert await get(served) == (200, b"ok")

    run(test())


def test_a_length_that_is_said_twice_is_passed_on_once() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nok")

    async def test() -> None:
        async with (
            site(answer) as served,
            aiohttp.ClientSession() as session,
            session.get(f"{served.url}/") as response,
        ):
            assert response.headers.getall("Content-Length") == ["2"]
            assert await response.read() == b"ok"

    run(test())


def test_a_body_that_ends_with_its_connection() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(b"HTTP/1.0 200 OK\r\n\r\n" + MEBIBYTE)
        connection.writer.close()

    async def test() -> None:
        async with site(answer) as served:
            assert await get(served) == (200, MEBIBYTE)

    run(test())


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(CHUNKED + b"2\r\nok\r\n0\r\n\r\n")

    async def test() -> None:
        async with site(answer) as served, raw(served, b"GET /label/ HTTP/1.0\r\nHost: x\r\n\r\n") as (reader, _):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert b"chunked" not in head
            assert body == b"ok"

    run(test())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_goes_both_ways(chunked: bool) -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        body = await connection.body(head)
        await connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        await connection.say(body)

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(20):
            yield bytes([number]) * 2**20

    async def test() -> None:
        whole = b"".join([piece async for piece in pieces()])
        async with site(answer) as served:
            assert await get(served, "POST", data=pieces() if chunked else whole) == (200, whole)
            assert await get(served, "POST", data=b"{}") == (200, b"{}")
            assert len(served.connections) == 1

    run(test())


def test_a_client_that_reads_slowly_holds_the_server_up() -> None:
    said = 0

    async def answer(connection: Connection, head: bytes) -> None:
        nonlocal said
        await connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * 2**20))
        for _ in range(200):
            await connection.say(MEBIBYTE)
            said += 1

    async def test() -> None:
        async with (
            site(answer) as served,
            raw(served, b"GET /label/ HTTP/1.1\r\nHost: x\r\n\r\n") as (reader, _),
        ):
            await reader.readuntil(b"\r\n\r\n")
            before = -1
            while before != said:
                before = said
                await asyncio.sleep(0.3)
            assert said < 100, "the kernel's buffers take some; the gateway must not take the rest"
            assert len(await reader.readexactly(200 * 2**20)) == 200 * 2**20

    run(test())


def test_a_server_that_reads_slowly_holds_the_client_up() -> None:
    go = asyncio.Event()
    size = 200 * 2**20

    async def answer(connection: Connection, head: bytes) -> None:
        await go.wait()
        assert len(await connection.body(head)) == size
        await connection.say(OK)

    async def test() -> None:
        sent = 0
        head = b"POST /label/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        async with site(answer) as served, raw(served, head) as (reader, writer):

            async def send() -> None:
                nonlocal sent
                for _ in range(200):
                    writer.write(MEBIBYTE)
                    await writer.drain()
                    sent += 1

            sending, before = asyncio.ensure_future(send()), -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.3)
            assert sent < 100, "the kernel's buffers take some; the gateway must not take the rest"
            go.set()
            await sending
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")

    run(test())


def test_an_answer_may_come_before_the_body_is_sent() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await connection.reader.read()

    async def test() -> None:
        head = b"POST /label/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
        async with site(answer) as served, raw(served, head) as (reader, _):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
            await served.ended.wait()

    run(test())


def test_a_client_that_hangs_up_in_its_body_ends_the_request() -> None:
    asked = asyncio.Event()

    async def answer(connection: Connection, head: bytes) -> None:
        asked.set()
        await connection.body(head)

    async def test() -> None:
        head = b"POST /label/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
        async with site(answer) as served:
            async with raw(served, head):
                await asked.wait()
            await served.ended.wait()
            assert [connection.answered for connection in served.connections] == [0]

    run(test())


def test_a_compressed_body_stays_as_it_is() -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        body = await connection.body(head)
        await connection.say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body))
        await connection.say(body)

    async def test() -> None:
        async with site(answer) as served:
            data, headers = gzip.compress(b"{}"), {"Content-Encoding": "gzip"}
            assert await get(served, "POST", data=data, headers=headers) == (200, b"{}")

    run(test())


@pytest.mark.parametrize("begun", [b"", CHUNKED + b"2\r\nok\r\n"])
def test_the_time_limit(begun: bytes) -> None:
    async def answer(connection: Connection, head: bytes) -> None:
        await connection.say(begun)
        await connection.reader.read()

    async def test() -> None:
        async with site(answer, limit=0.1) as served:
            if begun:
                with pytest.raises(aiohttp.ClientError):
                    await get(served)
            else:
                assert (await get(served))[0] == 504
            await served.ended.wait()

    run(test())


def test_headers_there_and_back() -> None:
    seen = []

    async def answer(connection: Connection, head: bytes) -> None:
        seen.append(head.decode())
        await connection.say(
            b"HTTP/1.1 302 Found\r\nLocation: /there\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"Keep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"
        )

    async def test() -> None:
        request = b"GET /label/a%2Fb?q=%C3%A9 HTTP/1.1\r\nHost: x\r\nConnection: x-mine, host\r\n"
        request += b"X-Mine: 1\r\nA: 1\r\nA: 2\r\n\r\n"
        async with site(answer) as served, raw(served, request) as (reader, _):
            back = (await reader.readuntil(b"\r\n\r\n")).decode()
        there = seen[0].split("\r\n")
        assert there[0] == "GET /a%2Fb?q=%C3%A9 HTTP/1.1"
        assert ("A: 1" in there, "A: 2" in there, "X-Mine: 1" in there) == (True, True, False)
        assert "X-Forwarded-Prefix: /label" in there
        assert "Host: x" in there
        assert "Location: /label/there\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in back
        assert "timeout=5" not in back

    run(test())


def test_hundreds_of_streams_at_once_none_lost() -> None:
    streams, events = 300, 20

    async def answer(connection: Connection, head: bytes) -> None:
        name = head.split(b" ")[1][1:]
        await connection.say(CHUNKED)
        for number in range(events):
            event = b"data: %b %d\n\n" % (name, number)
            await connection.say(b"%x\r\n%b\r\n" % (len(event), event))
            await asyncio.sleep(0)
        await connection.say(b"0\r\n\r\n")

    async def test() -> None:
        async with (
            site(answer) as served,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):

            async def stream(number: int) -> bytes:
                async with session.get(f"{served.url}/{number}") as response:
                    return await response.read()

            for _ in range(2):
                got = await asyncio.gather(*map(stream, range(streams)))
                wanted = ["".join(f"data: {name} {number}\n\n" for number in range(events)) for name in range(streams)]
                assert [body.decode() for body in got] == wanted

    run(test())
