# Untried: no Docker was at hand where this file was written.
# docker build --tag maskgit .
# docker run --rm --volume "$PWD/results:/results" maskgit sh -c "make repro && cp -r reports outputs/model /results"
#
# On Linux pip brings torch with CUDA. For the CPU build, which is gigabytes smaller, pass the CPU
# index that pytorch.org shows:
# docker build --build-arg TORCH_INDEX=THE_CPU_INDEX --tag maskgit .
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /maskgit
COPY CONSTRAINTS ./
ARG TORCH_INDEX=""
RUN python -m venv .venv \
    && if [ -n "$TORCH_INDEX" ]; then \
        .venv/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" \
            "$(grep ^torch== CONSTRAINTS)" "$(grep ^torchvision== CONSTRAINTS)"; \
    fi

COPY . .
RUN PIP_NO_CACHE_DIR=1 make .venv/bin/.installed
ENV PATH="/maskgit/.venv/bin:$PATH"

CMD ["make", "repro"]
