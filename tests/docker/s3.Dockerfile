# A stand-in for the S3-compatible store where none can be pulled: moto's server, which keeps all in memory.
ARG BASE_IMAGE=debian:12.11
FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv \
    && python3 -m venv /opt/moto && /opt/moto/bin/pip install --no-cache-dir 'moto[server]==5.2.5'
RUN useradd --create-home s3
USER s3
ENTRYPOINT ["/bin/sh", "-c", "exec /opt/moto/bin/moto_server --host ${LISTEN:-0.0.0.0} --port 9000"]
