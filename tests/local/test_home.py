"""The home: how its files are written, its token pair, its ports."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from glmdeploy.local import home
from glmdeploy.local.home import inside, load_credentials, require_space, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


class TestFiles:
    def test_are_written_whole_or_not_at_all(self, tmp_path: Path) -> None:
        target = tmp_path / "dir"
        target.mkdir()
        with pytest.raises(OSError, match="dir"):
            write_atomically(target, b"x")
        assert [path.name for path in tmp_path.iterdir()] == ["dir"]

    def test_that_cannot_fit(self, tmp_path: Path) -> None:
        require_space(tmp_path, 1)
        with pytest.raises(OSError, match="No space left"):
            require_space(tmp_path, 1 << 62)

    @pytest.mark.parametrize("path", ["../x", "/a/../../x", ".."])
    def test_stays_inside(self, path: str) -> None:
        with pytest.raises(ValueError, match="leads out"):
            inside(PurePosixPath(path))


class TestCredentials:
    def test_are_made_once(self, tmp_path: Path) -> None:
        first = load_credentials(tmp_path / "c.json")
        assert load_credentials(tmp_path / "c.json") == first
        assert first.match(first.token_id, first.token_secret)
        assert not first.match(first.token_id, "as-other")
        assert not first.match("", "")
        no_text = b"as-\xff".decode(errors="surrogateescape")
        assert not first.match(no_text, no_text)
        assert first.token_secret not in repr(first)

    def test_unreadable(self, tmp_path: Path) -> None:
        (tmp_path / "c.json").write_text("{}")
        with pytest.raises(ValueError, match="no token pair"):
            load_credentials(tmp_path / "c.json")


class TestPorts:
    def test_unreadable_settings_are_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "settings.json").write_text("[")
        *first, notes = home.listen(tmp_path / "settings.json", None)
        numbers = [home.port(listener) for listener in first]
        for listener in first:
            listener.close()
        *second, _ = home.listen(tmp_path / "settings.json", None)
        assert [home.port(listener) for listener in second] == numbers
        assert notes == ()
        for listener in second:
            listener.close()
