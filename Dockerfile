# Image of all Airflow services and of MLflow in docker-compose.yaml. Each service sets its own command.
# AIRFLOW_IMAGE may name the digest of the base image (docs/security.md).
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
FROM ${AIRFLOW_IMAGE}
# With SCANS=1 the image can read scanned forms (docs/scans.md). OpenCV needs three more libraries of Debian.
ARG SCANS=""

USER root
RUN if [ -n "$SCANS" ]; then apt-get update \
 && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
 && rm -rf /var/lib/apt/lists/*; fi
RUN install -d -o airflow -g 0 -m 775 /opt/loan-scoring /opt/loan-scoring/data \
    /opt/loan-scoring/data/landing /opt/loan-scoring/data/artifacts /opt/loan-scoring/data/quality /opt/loan-scoring/data/federated \
    /opt/loan-scoring/backups

USER airflow
WORKDIR /opt/loan-scoring
# The virtual environment contains only the pinned package versions that the tests use. Packages of the
# base image are not visible in it.
ENV VIRTUAL_ENV=/opt/loan-scoring/.venv \
    PATH=/opt/loan-scoring/.venv/bin:$PATH \
    LOAN_SCORING_HOME=/opt/loan-scoring \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/loan-scoring/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/loan-scoring/plugins
COPY --chown=airflow:0 requirements-image.txt requirements-image-scans.txt ./
RUN PIP_USER=0 python3 -m venv .venv \
 && PIP_USER=0 .venv/bin/python -m pip install --no-cache-dir --quiet uv==0.13.9 \
 && .venv/bin/uv pip install --no-cache --quiet --compile-bytecode --require-hashes -r requirements-image${SCANS:+-scans}.txt

COPY --chown=airflow:0 pyproject.toml README.md ./
COPY --chown=airflow:0 sql sql
COPY --chown=airflow:0 include include
COPY --chown=airflow:0 plugins plugins
RUN .venv/bin/uv pip install --no-cache --quiet --no-deps -e . && python -m compileall -q include plugins
COPY --chown=airflow:0 dags dags
# There is no ENTRYPOINT here because the entry point of the base image is used. It runs
# `airflow COMMAND` under an init process that forwards signals.
