export SGLANG_USE_CPU_ENGINE=1
export SGLANG_CPU_OMP_THREADS_BIND="0-39|43-82|86-125|128-167|171-210|214-253"
sglang serve --model meta-llama/Llama-3.2-3B-Instruct --trust-remote-code --disable-overlap-schedule --device cpu --host 0.0.0.0 --tp 6 --enable-torch-compile --torch-compile-max-bs 4
