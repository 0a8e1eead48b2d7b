"""Modal's gRPC API, as far as the embedded cloud has it: one handler class per topic."""
