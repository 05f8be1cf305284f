# syntax=docker/dockerfile:1
# The operator's image. Name your own mirror of the base image with --build-arg BASE=...
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/sysdisk
# The dependencies first: they change seldom, so this layer is kept. Every one is checked by hash.
COPY requirements/runtime.lock requirements/runtime.lock
RUN /opt/sysdisk/bin/pip install --require-hashes --requirement requirements/runtime.lock
# What makes a wheel of the project is pinned too, and stays behind: without isolation, pip fetches
# no other.
COPY requirements/build.lock requirements/build.lock
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --requirement requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /opt/build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /opt/wheel . \
 && /opt/sysdisk/bin/pip install --no-deps --no-index /opt/wheel/*.whl \
 && /opt/sysdisk/bin/pip uninstall --yes pip \
 && /opt/sysdisk/bin/sysdisk version

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sysdisk" \
      org.opencontainers.image.description="Keeps the system disk of Alibaba Cloud ECS instances as declared" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/sysdisk /opt/sysdisk
# The root file system is read-only in the chart: nothing is written but below /tmp.
ENV PATH=/opt/sysdisk/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["sysdisk"]
CMD ["run", "--listen=0.0.0.0:8080", "--log-format=json"]
