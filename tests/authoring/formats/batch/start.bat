@echo off
REM Starts the server.
setlocal
set MODEL=Qwen/Qwen3-8B
set "PORT=30000"
set ARGS=--trust-remote-code --tp 2
set SGLANG_LOG_MS=1
if "%1"=="big" set MODEL=Qwen/Qwen3-32B
echo starting %MODEL%
C:\Python312\python.exe -m sglang.launch_server ^
  --model-path %MODEL% ^
  --port %PORT% %ARGS% ^
  --served-model-name "my model" > server.log 2>&1
