#!/usr/bin/env bash
# On a bare GPU machine (Python 3.12, torch, lightning), from the repository's root:
#
#   benchmarks/gpu.sh OUT DATA SECONDS CONFIG...
#
# compares a few iterations with the CPU, times the training step, and trains every CONFIG side by side for what is left of
# SECONDS. Packages that the machine lacks can travel as wheels in .whl/, and DATA is made small enough by benchmarks/subset.py.
# CHECKS names what is done before training (default: "equality rates"; also: row).
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 data=$2 seconds=$3
shift 3
started=$SECONDS
mkdir -p "$out"
if compgen -G ".whl/*.whl" >/dev/null; then
  site=$(mktemp -d)
  python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" .whl/*.whl
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
configs=()
for config in "$@"; do configs+=(--config "$config"); done
python3 -m benchmarks.gpu train "$data" -o "$out" --seconds $((seconds - (SECONDS - started))) ${ITERATIONS:+--iterations "$ITERATIONS"} \
  --work "${WORK-.work/gpu}" "${configs[@]}" 2>&1 | tr '\r' '\n' | tee "$out/train.txt"
