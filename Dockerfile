# One small image for every process of the engine; the command names the Python module to run.
# Build: docker build --tag payment-engine .
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/engine
COPY requirements.lock /tmp/requirements.lock
RUN /opt/engine/bin/pip install --require-hashes --no-deps --only-binary :all: \
        --requirement /tmp/requirements.lock
WORKDIR /app
COPY runtime runtime
COPY money money
COPY ledger ledger
COPY gateway gateway
COPY compliance compliance
COPY sandbox sandbox
COPY pyproject.toml pyproject.toml
RUN /opt/engine/bin/python -m compileall -q runtime money ledger gateway compliance sandbox

FROM ${PYTHON_IMAGE}
# A number, so that Kubernetes' runAsNonRoot can tell; a named volume mounted on /certificates
# takes over the owner of the folder.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin engine \
    && install --directory --owner engine --group engine /certificates
ENV PATH=/opt/engine/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/engine /opt/engine
COPY --from=build /app /app
WORKDIR /app
USER 10001
EXPOSE 50051 50052 50053 8080 8081 8083
# SIGTERM drains: in-flight calls finish.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["gateway"]
