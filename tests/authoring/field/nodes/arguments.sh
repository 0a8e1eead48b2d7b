#!/bin/bash
# usage: serve.sh RANK MASTER
RANK=$1
MASTER=$2
sglang serve zai-org/GLM-5 --tp 8 --pp-size 2 --nnodes 2 --node-rank $RANK --dist-init-addr $MASTER:20000
