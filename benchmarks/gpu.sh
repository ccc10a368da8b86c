#!/usr/bin/env bash
# On a bare GPU machine (Python 3.12, torch, lightning), from the repository's root:
#
#   benchmarks/gpu.sh OUT DATA SECONDS CONFIG...
#
# compares a few iterations with the CPU, times the training step, and trains every CONFIG side by side for what is left of
# SECONDS. DATA is made small enough to travel by benchmarks/subset.py. In the environment:
#
#   WHEELS      folder with wheels of packages that the machine lacks (default .whl)
#   CHECKS      what is done before training (default "equality rates"; also row)
#   ITERATIONS  of the objective, instead of as many as there is time for
#   WORK        folder for what stays on the machine (default .work/gpu)
#   FROM        folder with what an earlier run brought back: trainings of the same names go on from their checkpoints
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 data=$2 seconds=$3
shift 3
started=$SECONDS
mkdir -p "$out"
wheels=${WHEELS-.whl}
if compgen -G "$wheels/*.whl" >/dev/null; then
  site=$(mktemp -d)
  python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$wheels"/*.whl
  export PYTHONPATH=$site:$PWD
fi
export PYTHONUNBUFFERED=1
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader || true
for check in ${CHECKS-equality rates}; do
  echo "== $check"
  options=()
  [ "$check" = rates ] && options=(--config "$1")
  timeout "${CHECK_SECONDS-90}" python3 -m benchmarks.gpu "$check" "${options[@]}" 2>&1 | tee "$out/$check.txt" || echo "$check did not pass"
done
echo "== train"
work=${WORK-.work/gpu}
if [ -n "${FROM-}" ]; then
  mkdir -p "$work/training"
  cat "$FROM"/checkpoints.tar.* | tar -x -C "$work/training"
fi
configs=()
for config in "$@"; do configs+=(--config "$config"); done
python3 -m benchmarks.gpu train "$data" -o "$out" --seconds $((seconds - (SECONDS - started))) ${ITERATIONS:+--iterations "$ITERATIONS"} \
  --work "$work" "${configs[@]}" 2>&1 | tr '\r' '\n' | tee "$out/train.txt"
