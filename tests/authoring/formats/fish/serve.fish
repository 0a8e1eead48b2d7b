#!/usr/bin/env fish
set -gx SGLANG_LOG_MS 1
set -q MODEL; or set MODEL Qwen/Qwen3-8B
set args --trust-remote-code --mem-fraction-static 0.8
if test -n "$DEBUG"
    set -a args --log-level debug
end
set -l tp 2
python3 -m sglang.launch_server --model-path $MODEL --tp $tp \
    $args; and echo done
