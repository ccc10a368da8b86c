# The service by default: docker build -t ieast . && docker run -p 8000:8000 ieast
# Training on GPUs:       docker build --build-arg EXTRAS=train -t ieast-train .
# Steps of pipelines:     docker build --build-arg EXTRAS=kubernetes -t ieast-pipelines . (deploy/, docs/scale.md)
FROM python:3.11-slim-bookworm AS build
# Of pyproject.toml, with commas: what is installed beside stylizing.
ARG EXTRAS=serve
# Where pip looks besides, such as at PyTorch's builds for CPUs, which the pinned version takes in: without CUDA's gigabytes.
ARG PIP_EXTRA_INDEX_URL
WORKDIR /source
RUN python -m venv /opt/ieast
# Dependencies are a layer of their own, of gigabytes, which a change of code leaves as it is. What was built of the empty
# package goes: setuptools takes it for newer than the files that are copied below.
COPY pyproject.toml requirements.lock README.md LICENSE ./
RUN mkdir ieast && touch ieast/__init__.py \
    && /opt/ieast/bin/pip install --no-cache-dir --constraint requirements.lock ".[${EXTRAS}]" \
    && rm -rf build ieast ieast.egg-info
COPY ieast ieast
RUN /opt/ieast/bin/pip install --no-cache-dir --no-deps --force-reinstall .

FROM python:3.11-slim-bookworm
# ZenML runs the steps of pipelines in /app, wherever they are told to run.
RUN useradd --uid 10001 --create-home ieast && install --directory --owner ieast /app
COPY --from=build /opt/ieast /opt/ieast
WORKDIR /srv/ieast
COPY configs configs
ENV PATH=/opt/ieast/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
ENTRYPOINT ["ieast"]
CMD ["serve", "--host", "0.0.0.0"]
