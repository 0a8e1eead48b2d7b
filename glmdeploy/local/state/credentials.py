"""The token pair that guards one embedded cloud: random, made once per home, readable by its owner alone."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glmdeploy.local.home import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Credentials:
    token_id: str
    token_secret: str = field(repr=False)

    def match(self, token_id: str, token_secret: str) -> bool:
        """Takes as long for a wrong secret as for the right one."""
        same_id = hmac.compare_digest(token_id.encode(), self.token_id.encode())
        return hmac.compare_digest(token_secret.encode(), self.token_secret.encode()) and same_id


def load_or_create(path: Path) -> Credentials:
    """The credentials in ``path``; made where there are none. Raises OSError or ValueError."""
    try:
        data = json.loads(path.read_bytes())
        return Credentials(token_id=data["token_id"], token_secret=data["token_secret"])
    except FileNotFoundError:
        created = Credentials(token_id=f"ak-{secrets.token_hex(11)}", token_secret=f"as-{secrets.token_hex(24)}")
    except (KeyError, TypeError, ValueError) as fault:
        raise ValueError(f"{path} holds no token pair") from fault
    content = {"token_id": created.token_id, "token_secret": created.token_secret}
    write_atomically(path, json.dumps(content).encode())
    return created
