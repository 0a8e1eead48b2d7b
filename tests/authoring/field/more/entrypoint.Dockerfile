FROM lmsysorg/sglang:latest
WORKDIR /workspace
RUN mkdir -p /data/models
EXPOSE 8000
ENTRYPOINT ["python3", "-m", "sglang.launch_server"]
CMD ["--model", "/data/models", \
     "--tp", "1", \
     "--mem-fraction-static", "0.8", \
     "--trust-remote-code", \
     "--dtype", "bfloat16", \
     "--host", "0.0.0.0", \
     "--port", "8000"]
