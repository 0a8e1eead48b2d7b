<# A launch by an array of arguments. #>
$env:SGLANG_LOG_MS = "1"
$serverArgs = @(
    "-m", "sglang.launch_server",   # the module
    "--model-path", "Qwen/Qwen3-32B"
    "--tp", 2
)
if ($env:DEBUG) {
    $level = "debug"
    $serverArgs += @("--log-level", $level)
}
$serverArgs += "--trust-remote-code"
& "C:\Program Files\Python312\python.exe" @serverArgs
