"""The stages of a start, told by real lines of SGLang's log."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glmdeploy.runtime.starting import StartLog

CPU = """
[2026-11-28 23:35:52] server_args={'model_path': '/tmp/model'}
[2026-11-28 23:35:53] Load weight begin. avail mem=22.36 GB
Multi-thread loading shards:   0% Completed | 0/2 [00:00<?, ?it/s]
Multi-thread loading shards: 100% Completed | 2/2 [00:00<00:00, 391.33it/s]
[2026-11-28 23:35:53] Load weight end. elapsed=0.03 s, type=Glm4MoeForCausalLM, avail mem=22.37 GB, mem usage=-0.00 GB.
[2026-11-28 23:35:54] KV Cache is allocated. dtype: torch.float32, #tokens: 4096, K size: 0.00 GB, V size: 0.00 GB
[2026-11-28 23:35:54] Memory pool end. avail mem=22.35 GB
[2026-11-28 23:35:55] The server is fired up and ready to roll!
"""
"""Of 0.5.23 on a CPU."""

RANKS = """
[2026-11-28 10:00:00 TP0] Init torch distributed begin.
[2026-11-28 10:00:00 TP3] Load weight begin. avail mem=176.00 GB
[2026-11-28 10:00:00 TP0] Load weight begin. avail mem=176.00 GB
Loading safetensors checkpoint shards:  12% Completed | 17/142 [00:41<05:00,  2.40s/it]
Loading safetensors checkpoint shards:  61% Completed | 86/142 [03:20<03:05,  2.33s/it]
Loading safetensors checkpoint shards: 100% Completed | 142/142 [05:20<00:00,  2.25s/it]
[2026-11-28 10:00:00 TP3] Load weight end. elapsed=331.00 s, type=GlmMoeDsaForCausalLM, avail mem=86.00 GB.
[2026-11-28 10:00:00 TP0] KV Cache is allocated. #tokens: 65536, KV size: 6.12 GB
[2026-11-28 10:00:00 TP0] Capture draft cuda graph begin. This can take up to several minutes. avail mem=77.10 GB
[2026-11-28 10:00:00 TP0] Load weight begin. avail mem=77.00 GB
[2026-11-28 10:00:00] The server is fired up and ready to roll!
"""
"""As 0.5.10 to 0.5.18 write them with several ranks and a draft model, whose weights are loaded after the graphs."""


class Told:
    """A start whose clock goes on by ten seconds with each line."""

    def __init__(self, weight_bytes: int = 0) -> None:
        self.lines: list[str] = []
        self.now = 0.0
        self.log = StartLog(weight_bytes, tell=self.lines.append, clock=lambda: self.now)

    def see(self, text: str) -> list[str]:
        for line in text.strip().splitlines():
            self.now += 10
            self.log.see(line.encode())
        return self.lines


def test_a_start_on_a_cpu() -> None:
    assert Told(2_000_000).see(CPU) == [
        "imports took 20 s; now loading weights, 2 MB",
        "loading weights took 40 s, 2 MB at 0.05 MB/s; now memory and graphs",
        "memory and graphs took 20 s; SGLang is ready after 80 s",
    ]


def test_a_start_with_several_ranks_and_a_draft() -> None:
    assert Told(756_000_000_000).see(RANKS) == [
        "imports took 20 s; now loading weights, 756 GB",
        "loading weights 12 %, about 5 min left",
        "loading weights 61 %, about 3 min left",
        "loading weights took 60 s, 756 GB at 13 GB/s; now memory and graphs",
        "memory and graphs took 30 s; SGLang is ready after 110 s",
    ]


def test_bars_in_one_line_and_what_is_not_known() -> None:
    told = Told()
    told.see("Load weight begin. avail mem=1 GB")
    bar = "Multi-thread loading shards:  {}% Completed | {}/9 [{}<{}, 1.1it/s]"
    told.see("".join(bar.format(percent, 1, "00:10", left) for percent, left in ((20, "1:10:00"), (30, "00:45"))))
    assert told.lines[1:] == ["loading weights 30 %, about 45 s left"]
    told.see("Loading weights the new way: 55% of it\nKV Cache allocated differently")
    assert len(told.lines) == 2
    assert told.see("The server is fired up and ready to roll!")[-1].endswith("SGLang is ready after 50 s")


def test_what_a_request_says_is_no_sign() -> None:
    told = Told()
    told.see("x" * 500 + "Load weight begin. The server is fired up and ready to roll!")
    assert told.lines == []


SIGNS = [line for line in (CPU + RANKS).splitlines() if line]


@given(st.lists(st.sampled_from(SIGNS).map(str.encode) | st.binary(max_size=80)))
def test_each_stage_is_told_once_whatever_comes(lines: list[bytes]) -> None:
    told = Told()
    for line in lines:
        told.now += 10
        told.log.see(line)
    ends = [line.split(" took ")[0] for line in told.lines if " took " in line]
    assert len(ends) == len(set(ends))
    assert [line for line in told.lines if "ready after" in line][1:] == []
