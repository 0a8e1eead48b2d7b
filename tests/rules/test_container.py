"""What follows from the profile alone of the containers that serve."""

from __future__ import annotations

from judged import facts_of


def test_volumes_have_their_paths_in_the_profile() -> None:
    further = "volumes.further=[{name: one, mount: /one}, {name: two, mount: /two}]"
    assert {path: volume.mount for path, volume in facts_of(further).volumes.items()} == {
        ("volumes", "weights"): "/model-cache",
        ("volumes", "kernels"): "/dg-cache",
        ("volumes", "further", 0): "/one",
        ("volumes", "further", 1): "/two",
    }


def test_a_variable_stands_where_it_is_said_and_would_stand_in_the_images() -> None:
    facts = facts_of("server.env.MINE=1", "sglang.env.ITS=1", "sglang.env.BOTH=1", "server.env.BOTH=2")
    assert facts.env_path("MINE") == ("server", "env", "MINE")
    assert facts.env_path("ITS") == ("sglang", "env", "ITS")
    assert facts.env_path("BOTH") == ("server", "env", "BOTH"), "the server's own is over the image's"
    assert facts.env_path("NEITHER") == ("sglang", "env")
