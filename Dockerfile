FROM python:3.13.9-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all:
WORKDIR /build
COPY requirements/serve.txt requirements/build.txt ./
RUN python -m venv --without-pip /opt/handlens \
    && python -m pip --python /opt/handlens/bin/python install --require-hashes -r serve.txt \
    && python -m pip install --require-hashes -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m pip wheel --no-deps --no-build-isolation --no-index --wheel-dir wheels . \
    && python -m pip --python /opt/handlens/bin/python install --no-deps --no-index wheels/*.whl

FROM python:3.13.9-slim-trixie
LABEL org.opencontainers.image.title="Handlens" \
      org.opencontainers.image.description="Names the mineral in a photograph of a hand specimen" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/handlens /opt/handlens
ENV PATH=/opt/handlens/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HANDLENS_HOST=0.0.0.0 \
    HANDLENS_PORT=8000 \
    HANDLENS_MAX_UPLOADS_BYTES=134217728 \
    HANDLENS_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['HANDLENS_PORT']}/livez\", timeout=4)"]
ENTRYPOINT ["handlens"]
CMD ["serve"]
