"""How a function is given back to clients."""

from __future__ import annotations

from modal_proto import api_pb2

from glmdeploy.local.control.functions import function_data


def test_function_data_carries_what_both_messages_have() -> None:
    function = api_pb2.Function(
        function_name="Cls.*",
        timeout_secs=7,
        is_class=True,
        autoscaler_settings=api_pb2.AutoscalerSettings(max_containers=3),
        experimental_options={"a": "b"},
        supported_input_formats=[api_pb2.DATA_FORMAT_PICKLE],
        method_definitions={"m": api_pb2.MethodDefinition(function_name="Cls.m")},
    )
    data = function_data(function)
    assert data.ranked_functions[0].function == function
    assert (data.function_name, data.timeout_secs, data.is_class) == ("Cls.*", 7, True)
    assert data.autoscaler_settings.max_containers == 3
    assert dict(data.experimental_options) == {"a": "b"}
    assert data.method_definitions["m"].function_name == "Cls.m"
    assert list(data.supported_input_formats) == [api_pb2.DATA_FORMAT_PICKLE]
