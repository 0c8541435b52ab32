#!/usr/bin/env bash
# Trains, scores and studies `hour` on three data sets, and prints which settings hold on all.
#
#   tools/study_data_sets.sh DATA OUT
#
# DATA holds cat-faces-64.zip, tiny-imagenet-25k.zip, flower-photos.zip and film-damage-masks.zip,
# with which the photographs are damaged, too. OUT gets the reports of each, without guidance. Run it
# in a clean clone with `.venv` (make .venv/bin/.installed). It takes two hours a data set on two
# cores with bf16 instructions.
set -euo pipefail
(($# == 2)) || { echo "usage: $0 DATA OUT"; exit 1; }
data=$(cd "$1" && pwd)
out=$(mkdir -p "$2" && cd "$2" && pwd)
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

run() {  # run NAME -S ...: an experiment, its feed-forward network and its study
    local name=$1
    shift
    git checkout -q params.yaml  # where the last experiment has left its settings
    dvc exp run -S preset=hour "$@"
    dvc repro feed_forward/dvc.yaml
    dvc exp run -S inpaint.guidance=0 -S ++score.others.feed_forward=outputs/feed_forward/fills/images
    dvc repro study/dvc.yaml
    rm -rf "${out:?}/$name"
    cp -r reports "$out/$name"
}

run cats -S data.source="$data/cat-faces-64.zip"
run imagenet -S data.source="$data/tiny-imagenet-25k.zip"
run flowers -S data.source="$data/flower-photos.zip" -S data.windows=3 -S data.test=250 \
    -S "data.holes=[mixture,thin,$data/film-damage-masks.zip]" -S drafts=0.25 \
    -S inpaint.temperature=0.5
maskgit advice cats="$out/cats/study" imagenet="$out/imagenet/study" \
    flowers="$out/flowers/study" | tee "$out/advice.md"
