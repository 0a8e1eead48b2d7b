"""How many containers a function may have, and how many it should have now."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2

from glmdeploy.local.containers.limits import DEFAULT_MAX_CONTAINERS, limits


class TestScaling:
    def test_prefers_overrides(self) -> None:
        function = api_pb2.Function(
            max_concurrent_inputs=20,
            task_idle_timeout_secs=900,
            autoscaler_settings=api_pb2.AutoscalerSettings(min_containers=1, max_containers=3),
        )
        override = api_pb2.AutoscalerSettings(min_containers=0, scaledown_window=5)
        result = limits(function, override)
        assert (result.minimum, result.maximum, result.scaledown_window) == (0, 3, 5)

    def test_bounds_what_has_no_bound(self) -> None:
        result = limits(api_pb2.Function(), api_pb2.AutoscalerSettings())
        assert result.wanted(1000) == DEFAULT_MAX_CONTAINERS
        assert (result.wanted(0), result.wanted(1)) == (0, 1)

    @given(st.integers(0, 50), st.integers(1, 8), st.integers(0, 4), st.integers(0, 4), st.integers(0, 2))
    def test_never_leaves_its_bounds(self, load: int, slots: int, minimum: int, more: int, buffer: int) -> None:
        settings = api_pb2.AutoscalerSettings(
            min_containers=minimum, max_containers=max(minimum + more, 1), buffer_containers=buffer
        )
        function = api_pb2.Function(max_concurrent_inputs=slots, autoscaler_settings=settings)
        result = limits(function, api_pb2.AutoscalerSettings())
        wanted = result.wanted(load)
        assert minimum <= wanted <= max(minimum + more, 1)
        assert wanted * slots >= load or wanted == max(minimum + more, 1)
