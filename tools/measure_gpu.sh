#!/usr/bin/env bash
# Measures on one NVIDIA GPU the presets that docs/choose-a-preset.md calls "not measured" there, the
# most important first.
#
#   tools/measure_gpu.sh DATA OUT
#
# DATA holds cat-faces-64.zip, flower-photos.zip and tiny-imagenet-25k.zip. OUT gets a log and the
# tables of each step. Run it in a clean clone with `.venv` (make .venv/bin/.installed). A step that
# fails is told at the end, and the next one goes on. Each step starts from what DVC has already.
set -uo pipefail
(($# == 2)) || { echo "usage: $0 DATA OUT"; exit 1; }
data=$(cd "$1" && pwd) || exit 1
for file in cat-faces-64.zip flower-photos.zip tiny-imagenet-25k.zip; do
    [ -f "$data/$file" ] || { echo "$data/$file is missing; docs/cluster.md says what it holds"; exit 1; }
done
nvidia-smi > /dev/null 2>&1 || { echo "no NVIDIA GPU"; exit 1; }
out=$(mkdir -p "$2" && cd "$2" && pwd) || exit 1
cd "$(dirname "$0")/.." || exit 1
git diff --quiet params.yaml || { echo "params.yaml is changed; run this in a clean clone"; exit 1; }
export PATH="$PWD/.venv/bin:$PATH"
failed=()

measure() {  # measure NAME COMMAND...: its output and minutes go to OUT/NAME.log
    local name=$1 start=$SECONDS status=0
    shift
    echo "== $name"
    "$@" > "$out/$name.log" 2>&1 || { status=$?; failed+=("$name"); }
    echo "$name: $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s" | tee -a "$out/minutes.txt"
    return $status
}

run() {  # run NAME OPTIONS...: an experiment; its tables and pictures go to OUT/NAME
    local name=$1
    shift
    git checkout -q params.yaml  # where the last experiment has left its settings
    measure "$name" dvc exp run "$@" || return
    rm -rf "${out:?}/$name" && mkdir -p "$out/$name"
    cp -r reports/scores.csv reports/summary metrics.json "$out/$name/" || failed+=("$name: no report")
    cp outputs/vqgan/history.csv "$out/$name/tokenizer.csv"
    cp outputs/transformer/history.csv "$out/$name/transformer.csv"
    cp outputs/mean_decoder/history.csv "$out/$name/mean_decoder.csv"
}

bench() {  # bench NAME PRESETS: the table, of the presets before one that fails, goes to OUT/NAME.csv
    rm -f reports/bench_presets.csv
    measure "$1" maskgit bench --device cuda --presets "$2"
    cp reports/bench_presets.csv "$out/$1.csv"
}

nvidia-smi > "$out/card.txt"

# 1. `base` on the cats, whole, beside `hour` by the same judges; share of peak; images a second.
run base -S preset=base -S data.source="$data/cat-faces-64.zip"
run hour -S preset=hour -S data.source="$data/cat-faces-64.zip"
bench bench base,hour,gpu128,gpu256,lab
# The same with a whole step in one CUDA graph: is it faster, and are the losses alike?
MASKGIT_CUDA_GRAPHS=1 bench bench-graphs base,hour,gpu128
MASKGIT_CUDA_GRAPHS=1 run base-graphs --force -S preset=base -S data.source="$data/cat-faces-64.zip"

# 2. One process of torchrun with NCCL.
MASKGIT_LAUNCH="torchrun --standalone --nproc-per-node 1" \
    run nccl -S preset=laptop -S seed=1 -S data.source="$data/cat-faces-64.zip"

# 3. `gpu128` on 2,000 of the flower photographs; look at OUT/gpu128/summary/iterations.png.
flowers=data/raw/flowers-2000
mkdir -p data/raw/flowers && python -m zipfile -e "$data/flower-photos.zip" data/raw/flowers
mkdir -p $flowers && find data/raw/flowers -name '*.jpg' | sort | awk 'NR % 9 < 5' | head -2000 \
    | xargs -I {} cp {} $flowers
run gpu128 -S preset=gpu128 -S data.source=$flowers

# 4. `base` on Tiny ImageNet.
run imagenet -S preset=base -S data.source="$data/tiny-imagenet-25k.zip"

# 5. `gpu256` on the same flowers.
run gpu256 -S preset=gpu256 -S data.source=$flowers

# Tests that differ on a GPU, and those of several processes, for which one GPU is too few.
measure tests pytest tests/maskgit
MASKGIT_DEVICE=cpu measure tests-ranks pytest tests/pipeline/test_ranks.py

git checkout -q params.yaml
cat "$out/minutes.txt"
((${#failed[@]} == 0)) || { printf 'failed: %s\n' "${failed[@]}"; exit 1; }
