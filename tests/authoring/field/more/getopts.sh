while getopts "m:t:p:" opt; do
  case $opt in
    m) MODEL=$OPTARG ;;
    t) TP=$OPTARG ;;
    p) PORT=$OPTARG ;;
  esac
done
: "${MODEL:=zai-org/GLM-4.6-FP8}" "${TP:=8}" "${PORT:=30000}"
python -m sglang.launch_server --model-path "$MODEL" --tp "$TP" --port "$PORT"
