# The lessons in JupyterLab, for a container, a JupyterHub or Codespaces: docs/jupyterhub.md
#
#   docker build --tag colorkit .
#   docker run --rm --publish 127.0.0.1:8888:8888 --volume colorkit-home:/home/jovyan colorkit
#
# On Linux with an Intel or AMD processor, pip's torch brings CUDA along, some GB. For a much smaller
# image, give the address of the CPU wheels that pytorch.org names under "Get Started":
#
#   docker build --build-arg PIP_EXTRA_INDEX_URL=ADDRESS --tag colorkit .

FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
# git is for nbgitpuller and Codespaces; jovyan, number 1000, is what hubs call a user.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --shell /bin/bash jovyan
# pip reads the address from this variable.
ARG PIP_EXTRA_INDEX_URL
COPY constraints.txt /tmp/
RUN --mount=from=wheel,source=/wheel,target=/wheel \
    pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /wheel/*.whl)[lab]"
ARG EXTRA=""
# What a hub adds: --build-arg EXTRA="jupyterhub==5.* nbgitpuller"
# hadolint ignore=DL3013,DL3059,SC2086
RUN [ -z "$EXTRA" ] || pip install --no-cache-dir $EXTRA
USER 1000
WORKDIR /home/jovyan
EXPOSE 8888
CMD ["colorkit", "lab", "--ip=0.0.0.0", "--no-browser"]
