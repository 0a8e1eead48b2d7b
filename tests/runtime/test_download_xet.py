"""Downloads out of Xet's storage with the real hf_xet: its own store in a folder, or one that hangs, fails or lies."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import hf_xet
import pytest
from faulty_hub import REPO, SHARDS, SIZE, Status, download, faulty, repository, same

if TYPE_CHECKING:
    from pathlib import Path

    from faulty_hub import FaultyHub

pytestmark = pytest.mark.skipif(
    not hasattr(getattr(hf_xet, "XetSession", None), "new_download_stream_group"), reason="this hf_xet has no streams"
)

QUICK = {"GLMDEPLOY_STALL_SECONDS": "2"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return repository(tmp_path / "hub")


def stored(hub: FaultyHub, contents: dict[str, bytes], folder: Path) -> str:
    """Put the contents into a store of Xet in ``folder``, let the hub name them, and return the store's address."""
    folder.mkdir()
    address = f"local://{folder}"
    session = hf_xet.XetSession()
    names = {}
    for name, content in contents.items():
        with session.new_upload_commit(endpoint=address) as commit:
            upload = commit.start_upload_bytes(content)
        names[name] = upload.result().xet_info.hash
    hub.xet_names.update(names)
    offer(hub, address)
    return address


def offer(hub: FaultyHub, address: str) -> None:
    """Let the hub's tokens lead to the store at ``address``."""
    until = int(time.time()) + 3600
    headers = {"X-Xet-Cas-Url": address, "X-Xet-Access-Token": "t", "X-Xet-Token-Expiration": str(until)}
    hub.answers["xet"] = [(headers, {"casUrl": address, "accessToken": "t", "exp": until})]


def shards(source: Path) -> dict[str, bytes]:
    return {name: (source / name).read_bytes() for name in SHARDS}


def plain(hub: FaultyHub) -> dict[str, int]:
    """Bytes of shards that the hub sent itself."""
    return {name: count for name, count in hub.served.items() if name in SHARDS}


def test_what_xet_has_does_not_come_from_the_hub(hub: FaultyHub, source: Path, volume: Path, tmp_path: Path) -> None:
    stored(hub, shards(source), tmp_path / "store")
    done = download(hub.url, volume, token="hf_AbCdEfGhIjKlMnOp", token_place="key `HF_TOKEN`")
    assert done.manifest, done.log
    assert same(volume, source)
    assert not plain(hub)
    asked = [token for (name, _), token in zip(hub.asked, hub.tokens, strict=True) if name == "xet"]
    assert asked == ["Bearer hf_AbCdEfGhIjKlMnOp"] * 3


def test_xet_goes_on_where_a_part_ends(hub: FaultyHub, source: Path, volume: Path, tmp_path: Path) -> None:
    stored(hub, shards(source), tmp_path / "store")
    from glmdeploy.runtime.xet import xet_bytes, xet_session

    url = f"{hub.url}/api/models/{REPO}/xet-read-token/x"
    read = xet_bytes(xet_session(), url, {}, hub.xet_names[SHARDS[0]], SIZE, 60)
    for begin in (0, 1, 1_234_567, SIZE - 1):
        assert b"".join(read(begin)) == (source / SHARDS[0]).read_bytes()[begin:]


def test_a_store_that_hangs_gives_way_to_plain_http(hub: FaultyHub, source: Path, volume: Path, tmp_path: Path) -> None:
    """As in xet-core #883 and #898: it is connected, and no byte comes."""
    stored(hub, shards(source), tmp_path / "store")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        offer(hub, f"http://127.0.0.1:{silent.getsockname()[1]}")
        done = download(hub.url, volume, QUICK)
    assert done.manifest, done.log
    for name in SHARDS:
        assert f"{name}: Xet sent no byte for 2 s; going on over plain HTTP" in done.log
    assert same(volume, source)
    assert plain(hub).keys() == set(SHARDS)


def test_tokens_that_are_not_handed_out(hub: FaultyHub, source: Path, volume: Path, tmp_path: Path) -> None:
    stored(hub, shards(source), tmp_path / "store")
    hub.always["xet"] = Status(403)
    done = download(hub.url, volume)
    assert done.manifest, done.log
    assert same(volume, source)
    assert f"{SHARDS[0]}: Xet ended after 0 of 2,000,003 bytes" in done.log


WRONG: dict[str, Any] = {
    "other bytes": lambda content: bytes(len(content)),
    "too few": lambda content: content[:1_000_000],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_bytes_of_xet_give_way_to_plain_http(
    hub: FaultyHub, source: Path, volume: Path, tmp_path: Path, name: str
) -> None:
    contents = shards(source)
    stored(hub, {**contents, SHARDS[1]: WRONG[name](contents[SHARDS[1]])}, tmp_path / "store")
    done = download(hub.url, volume, QUICK)
    assert done.manifest, done.log
    assert same(volume, source)
    assert plain(hub).keys() == {SHARDS[1]}
    assert f"{SHARDS[1]}: " in done.log


def test_after_three_failures_xet_is_not_asked_any_more(tmp_path: Path, volume: Path) -> None:
    """Many files: sixteen at once, so that the last ones come after the first ones have failed."""
    folder = repository(tmp_path / "hub", size=1000)
    names = [f"more-{number:02}.safetensors" for number in range(40)]
    for number, name in enumerate(names):
        (folder / name).write_bytes(b"%d" % number * 500)
    with faulty(tmp_path / "hub", always={"xet": Status(403)}) as hub:
        hub.xet_names.update(dict.fromkeys(names, "0" * 64))
        assert download(hub.url, volume).manifest
        assert 3 <= [name for name, _ in hub.asked].count("xet") <= 2 + 16
    assert same(volume, folder)
