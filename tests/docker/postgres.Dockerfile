# A stand-in for the image of PostgreSQL where none can be pulled: Debian's, with the same variables.
ARG BASE_IMAGE=debian:12.11
FROM ${BASE_IMAGE}
ENV PGDATA=/var/lib/postgresql/data
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql \
    && mkdir -p "$PGDATA" && chown postgres "$PGDATA" && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
COPY tests/docker/postgres.sh /usr/local/bin/start
USER postgres
CMD ["start"]
