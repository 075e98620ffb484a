# Two images of one base. The last stage is what production runs: the services and nothing to try them
# out with. Build: docker build --tag payment-engine .
# With Parquet for `ledger.export` and `ledger.load`: --build-arg LOCK=requirements-export.lock
# With DuckDB for `warehouse`: --build-arg LOCK=requirements-warehouse.lock
#
# Images are named by digest, so that a build next year has what this one had; the tag beside it is for
# people. docs/operations.md says how to replace one.
ARG PYTHON_IMAGE=python:3.13.16-slim-bookworm@sha256:a1165e272e578941b84abc79e4ab38a0305cd12803a5c4247979ac7655f4d641

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
ARG LOCK=requirements.lock
RUN python -m venv /opt/engine
COPY requirements.lock requirements.lock
COPY requirements-export.lock requirements-export.lock
COPY requirements-warehouse.lock requirements-warehouse.lock
RUN /opt/engine/bin/pip install --require-hashes --no-deps --only-binary :all: --requirement "${LOCK}"
WORKDIR /app
COPY runtime runtime
COPY money money
COPY ledger ledger
COPY gateway gateway
COPY compliance compliance
COPY reconciliation reconciliation
COPY warehouse warehouse
COPY pyproject.toml pyproject.toml
RUN /opt/engine/bin/python -m compileall -q runtime money ledger gateway compliance reconciliation warehouse

FROM ${PYTHON_IMAGE} AS base
# A number, so that Kubernetes' runAsNonRoot can tell.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin engine
ENV PATH=/opt/engine/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/engine /opt/engine
COPY --from=build /app /app
WORKDIR /app
# SIGTERM drains: in-flight calls finish.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]

# For one machine: makes credentials, and is Stripe. Needs no more packages than the services.
FROM base AS sandbox
COPY sandbox sandbox
# A named volume takes over the owner of the folder that it is mounted on.
RUN python -m compileall -q sandbox \
    && install --directory --owner engine --group engine /credentials /credentials/authority \
        /credentials/ledger /credentials/gateway /credentials/compliance /credentials/reconciliation \
        /credentials/clients /credentials/postgres /credentials/grafana
USER 10001
CMD ["sandbox.stripe_twin"]

FROM base AS production
USER 10001
EXPOSE 50051 50052 50053 50054 8080 8081 8083 8084
CMD ["gateway"]
